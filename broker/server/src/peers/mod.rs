//! Other brokers: what this one does there as their client, and what they say of their equipment.
//! (Specification 5.9, 6.)

mod answer;
mod dial;
mod dialect;
mod difference;
pub(crate) mod heard;
pub(crate) mod limits;
pub(crate) mod link;
mod notifier;
mod picture;
mod schedule;
pub(crate) mod shares;
mod sharing;
pub(crate) mod speaker;
mod turns;
mod update;
mod visit;

pub(crate) use sharing::Sharing;
pub(crate) use turns::Turns;
