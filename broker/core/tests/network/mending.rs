//! Pieces that are not fit to be lent: how a broker's edges reset them, which takes time and may fail.

use ave_core::{Allocator, Event};
use ave_profile::{Identity, RequestId};

use crate::agenda::{Happening, SECOND};
use crate::site::Pid;
use crate::world::World;

impl World {
    /// `Effect::Reset`
    pub(crate) fn reset(&mut self, pid: Pid, item: Identity, request: Option<RequestId>) {
        let is_new = self.brokers[pid].resetting.insert(item.clone());
        assert!(is_new, "{item} is reset twice at once");
        self.books.check_idle(self.brokers[pid].site, &item);
        let after = self.dice.among(10..2 * SECOND);
        let well = !self.dice.percent(20);
        self.later(pid, after, Happening::Reset { item, request, well });
    }

    /// A piece is reset, or could not be.
    pub(crate) fn is_reset(&mut self, pid: Pid, item: Identity, request: Option<RequestId>, well: bool) {
        let well = well || self.is_whole;
        self.seen.mark("a reset failed", !well);
        self.brokers[pid].resetting.remove(&item);
        if well {
            self.seen.mark("a piece was reset", true);
            self.books.clean(self.brokers[pid].site, &item);
        }
        let outcome = if well { Ok(()) } else { Err("still stuck".to_owned()) };
        self.tell(pid, Event::ResetDone { item, request, outcome });
    }

    /// An administrator wants everything reset that is broken.
    pub(crate) fn mend_all(&mut self, pid: Pid) {
        let known = self.brokers[pid].core.equipment(None, Some(&Allocator::Local));
        let broken = known.iter().filter(|profile| profile.contains_key("broken"));
        let broken: Vec<Identity> = broken.filter_map(|profile| self.kinds.identity(profile)).collect();
        for item in broken {
            self.say(pid, Event::ResetAsked { item, request: None });
        }
    }
}
