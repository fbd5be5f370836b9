//! What the manual and the specification say about lending, one sentence a test. Numbers in comments
//! are those of the checks in `docs/protocol.md`.

mod asks;
mod client;
mod lab;

mod collateral;
mod ending;
mod forwarding;
mod groups;
mod mending;
mod peers;
mod reporting;
mod restarting;
mod several;
mod sharing;
mod simple;
mod workspaces;
mod yielding;
