//! Decides who holds which equipment.
//!
//! One owner of truth: [`Core::apply`] takes an [`Event`] and returns the [`Effect`]s it causes. Nothing
//! here is asynchronous, reads a clock, draws a random number, locks, or talks to anyone; time, ids and
//! random bits enter as arguments.

mod allocator;
mod asking;
mod bits;
mod broker;
mod candidates;
mod census;
mod check;
mod effect;
mod equipment;
mod event;
mod index;
mod lending;
mod matching;
mod mending;
mod news;
mod pending;
mod remote;
mod report;
mod search;
mod sessions;
mod share;
mod shares;
mod snapshot;
mod stacks;
mod succession;
mod view;
mod workspaces;
mod yielding;

pub use broker::Core;
pub use census::{Census, Tally};
pub use effect::{Effect, Granted};
pub use event::{Door, Event, Moment, Setback, Source};
pub use report::{News, Origin, Report, Revision, SharedPiece, Taken, Toward};
pub use search::SEARCH_STEPS_MAX;
pub use snapshot::{Changes, Remainder, Snapshot, SnapshotError};
pub use view::Allocator;
