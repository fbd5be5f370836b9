//! Decides who holds which equipment.
//!
//! One owner of truth: [`Core::apply`] takes an [`Event`] and returns the [`Effect`]s it causes. Nothing
//! here is asynchronous, reads a clock, draws a random number, locks, or talks to anyone; time, ids and
//! random bits enter as arguments.

mod effect;
mod event;

pub use effect::{Effect, Granted};
pub use event::{Door, Event, Moment, Source};
