//! What can be called: at the broker, and at a session.

mod allocation;
mod beside;
pub(crate) mod broker;
mod handover;
mod lists;
mod reports;
pub(crate) mod session;
mod sharing;
mod sharing_rule;
mod status;
mod table;
