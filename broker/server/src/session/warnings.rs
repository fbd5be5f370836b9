//! What a session's client should know before it is too late. Each warning goes out once, with the next reply
//! to a client that can read it; if that comes after the end, it still says what the end came from.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ave_profile::{Identity, Map};
use tokio::time::Instant;

/// The session will end because of a time limit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Warning {
    /// The piece that is held for too long; `None` if the session uses nothing.
    pub(super) of: Option<Identity>,
    pub(super) limit: Duration,
    pub(super) ends: Instant,
}

/// Warnings that have not gone out yet.
#[derive(Default)]
pub(crate) struct Warnings(Mutex<VecDeque<Warning>>);

impl Warning {
    /// How long it is until the session ends, in seconds.
    pub(super) fn left_s(&self) -> u64 {
        self.ends.saturating_duration_since(Instant::now()).as_secs()
    }

    /// As it travels: a sentence, and what it says by members.
    fn members(&self) -> Map {
        let mut members = Map::from([
            ("message".to_owned(), self.to_string().into()),
            ("remaining_s".to_owned(), (self.left_s() as i64).into()),
        ]);
        if let Some(item) = &self.of {
            members.insert("type".to_owned(), (*item.kind).into());
            members.insert("identity".to_owned(), (*item.value).into());
        }
        members
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit_s, left_s) = (self.limit.as_secs(), self.left_s());
        match &self.of {
            Some(Identity { kind, value }) => {
                write!(f, "{kind} {value} is held for long (hold_limit_s = {limit_s})")?
            }
            None => write!(f, "nothing is called for long (idle_limit_s = {limit_s})")?,
        }
        match self.ends > Instant::now() {
            true => write!(f, ": the session ends in {left_s} s"),
            false => write!(f, ": the session has ended"),
        }
    }
}

impl Warnings {
    /// Keeps a warning for the next reply.
    pub(super) fn add(&self, warning: Warning) {
        self.lock().push_back(warning);
    }

    /// Takes back what is not true any more: of a piece that was given back, or of a session that uses something
    /// again.
    pub(super) fn withdraw(&self, of: Option<&Identity>) {
        self.lock().retain(|warning| warning.of.as_ref() != of);
    }

    /// Takes all of them back.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// The next one, as a member of a reply.
    pub(crate) fn next(&self) -> Option<Map> {
        self.lock().pop_front().map(|warning| warning.members())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Warning>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
