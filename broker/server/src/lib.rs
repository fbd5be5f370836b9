//! The broker's daemon: the edges around `ave_core`, one noun a file. See `docs/code-structure.md`.

pub mod adb_server;
mod bench;
mod calls;
pub mod cli;
pub mod config;
mod connection;
mod crowd;
pub mod daemon;
mod diagnostics;
pub mod drivers;
mod gate;
mod handover;
mod hub;
mod inventory;
pub mod journal;
mod keepalive;
mod keys;
mod limits;
mod listers;
mod log;
mod mending;
pub mod peers;
mod piece;
mod ports;
mod room;
mod session;
mod sightings;
mod site;
#[cfg(test)]
mod testing;
mod throne;
mod trial;
mod usage;
mod usb;
mod wire;
pub mod wiring;
