//! What this broker does at others, as their client. (Specification 5.9, 6.)

mod answer;
mod dial;
mod dialect;
pub(crate) mod link;
mod notifier;
mod picture;
mod schedule;
mod sharing;
mod turns;
mod update;
mod visit;

pub(crate) use sharing::Sharing;
pub(crate) use turns::Turns;
