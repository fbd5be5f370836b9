//! Other brokers: what this one does there as their client, and what they say of their equipment.
//! (Specification 5.9, 6.)

mod answer;
mod burden;
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

pub use heard::{Heard, LeftOut};
pub(crate) use sharing::Sharing;
pub(crate) use turns::Turns;

use ave_protocol::limits::Limits;

use crate::limits::{PEER_FRAME_BYTES_MAX, PEER_VALUES_MAX};

/// How much another broker may answer at once: less than a client may ask.
fn peer_limits(limits: &Limits) -> Limits {
    Limits { frame_bytes_max: PEER_FRAME_BYTES_MAX, values_max: PEER_VALUES_MAX, ..limits.clone() }
}
