//! The sessions that are open: what each holds, and what it has yet to hear about at its own door.

use std::collections::VecDeque;

use ave_profile::Identity;

/// How many yielded pieces a session may leave unmentioned at its own door; the oldest mark goes first.
const MARKS_MAX: usize = 1024;

/// One open session.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    /// What it holds, in the order of the grants.
    pub(crate) items: Vec<Identity>,
    /// What was yielded at the broker and not yet at the session.
    pub(crate) marks: VecDeque<Identity>,
}

impl Session {
    /// Records a new grant.
    pub(crate) fn hold(&mut self, item: &Identity) {
        self.marks.retain(|mark| mark != item);
        self.items.push(item.clone());
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
