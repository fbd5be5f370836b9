//! The sessions that are open: what each holds, and what it has yet to hear about at its own door.

use std::collections::VecDeque;
use std::sync::Arc;

use ave_profile::{Address, Identity, Profile};
use serde::{Deserialize, Serialize};

use crate::pending::Asking;

/// How many yielded pieces a session may leave unmentioned at its own door; the oldest mark goes first.
const MARKS_MAX: usize = 1024;

/// One open session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// What it holds, in the order of the grants.
    pub(crate) items: Vec<Identity>,
    /// What other brokers have lent it, in the order of the grants.
    pub(crate) far: Vec<Far>,
    /// What was yielded at the broker and not yet at the session.
    pub(crate) marks: VecDeque<Identity>,
    /// The request that other brokers have been asked about.
    pub(crate) asking: Option<Box<Asking>>,
}

/// A piece that another broker has lent to a session.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub(crate) struct Far {
    pub(crate) peer: Address,
    pub(crate) item: Identity,
    pub(crate) granted: Arc<Profile>,
}

impl Session {
    /// Records a new grant.
    pub(crate) fn hold(&mut self, item: &Identity) {
        self.marks.retain(|mark| mark != item);
        self.items.push(item.clone());
    }

    /// Records a new grant of another broker's.
    pub(crate) fn hold_far(&mut self, far: Far) {
        self.marks.retain(|mark| *mark != far.item);
        self.far.push(far);
    }

    /// Whether another broker has lent it anything.
    pub(crate) fn holds_through(&self, peer: &Address) -> bool {
        self.far.iter().any(|far| far.peer == *peer)
    }

    /// Leaves a mark for the second word.
    pub(crate) fn mark(&mut self, item: Identity) {
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(item);
    }

    /// Consumes a mark; whether there was one.
    pub(crate) fn take_mark(&mut self, item: &Identity) -> bool {
        let place = self.marks.iter().position(|mark| mark == item);
        place.and_then(|place| self.marks.remove(place)).is_some()
    }
}
