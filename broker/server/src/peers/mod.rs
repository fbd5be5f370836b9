//! What this broker does at others, as their client. (Specification 5.9, 6.)

mod answer;
mod dial;
pub(crate) mod link;
mod turns;
mod visit;

pub(crate) use turns::Turns;
