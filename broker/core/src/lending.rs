//! What changes when a piece is taken, closed, released and reset. A commit is a few counters and bits for
//! the piece and those it shares stacks with; no index is touched.

use ave_profile::SessionId;

use crate::Taken;
use crate::equipment::{Equipment, Hold, Item, ItemId};

impl Equipment {
    /// Gives a piece to a session, and makes what the hold names collateral.
    pub(crate) fn take(&mut self, id: ItemId, session: SessionId, hold: Hold) {
        for other in &hold.collateral {
            self.count_collateral(*other, true);
        }
        self.change(id, |item| item.holds.insert(session, hold));
    }

    /// Takes a piece from a session, frees its collateral, and forgets what nobody knows any more.
    pub(crate) fn release(&mut self, id: ItemId, session: SessionId) {
        let hold = self.change(id, |item| item.holds.remove(&session));
        self.free_collateral(id, hold.map(|hold| hold.collateral));
    }

    /// Takes a piece from a session that could not close it, and from everybody who would be next. What
    /// was collateral of it stays so.
    pub(crate) fn fail(&mut self, id: ItemId, session: SessionId, reason: String) {
        let known_before = self.change(id, |item| {
            let fault = item.fault.get_or_insert_default();
            (fault.reason, fault.failed) = (reason, 0);
            let collateral = item.holds.remove(&session).map(|hold| hold.collateral).unwrap_or_default();
            let (known, new): (Vec<_>, Vec<_>) =
                collateral.into_iter().partition(|other| fault.collateral.contains(other));
            fault.collateral.extend(new);
            known
        });
        self.free_collateral(id, Some(known_before));
    }

    /// Says who has a piece, as its owner does.
    pub(crate) fn set_taken(&mut self, id: ItemId, taken: Vec<Taken>, collateral: &[ItemId], was: &[ItemId]) {
        for other in collateral {
            self.count_collateral(*other, true);
        }
        self.change(id, |item| item.taken = taken);
        self.free_collateral(id, Some(was.to_vec()));
    }

    /// Says that nothing is wrong with a piece any more.
    pub(crate) fn mend(&mut self, id: ItemId) {
        let fault = self.change(id, |item| item.fault.take());
        self.free_collateral(id, fault.map(|fault| fault.collateral));
    }

    /// All other members of all stacks of a piece. (Specification 5.5: *entangled*.)
    pub(crate) fn entangled(&self, id: ItemId) -> Vec<ItemId> {
        let members = self.item(id).stacks.iter().flat_map(|rank| &self.stacks[*rank].members);
        let mut entangled: Vec<ItemId> = members.copied().filter(|member| *member != id).collect();
        entangled.sort_unstable();
        entangled.dedup();
        entangled
    }

    /// Brings bits and counters in line with a piece whose state changed.
    pub(crate) fn refresh(&mut self, id: ItemId) {
        let item = self.item_mut(id);
        let free = item.has_room() && item.collateral == 0;
        let eligible = free && item.blocked == 0 && item.known.is_some();
        let changed = std::mem::replace(&mut item.eligible, eligible) != eligible;
        if let Some(slot) = item.known.as_ref().map(|known| known.slot) {
            self.free.set(slot, free);
            self.eligible.set(slot, eligible);
        }
        if changed {
            for nth in 0..self.item(id).stacks.len() {
                self.stacks.count_eligible(self.item(id).stacks[nth], eligible);
            }
        }
    }

    /// Changes who has a piece or what is wrong with it; its stacks hear of it if it is taken now and was
    /// not, or the other way round.
    pub(crate) fn change<T>(&mut self, id: ItemId, change: impl FnOnce(&mut Item) -> T) -> T {
        let item = self.item_mut(id);
        let identity = item.identity.clone();
        let was_taken = item.is_taken();
        let done = change(item);
        let is_taken = item.is_taken();
        if is_taken != was_taken {
            self.count_in_stacks(id, is_taken);
        }
        self.touched.push(identity);
        self.refresh(id);
        done
    }

    fn free_collateral(&mut self, id: ItemId, collateral: Option<Vec<ItemId>>) {
        for other in collateral.into_iter().flatten() {
            self.count_collateral(other, false);
            self.forget_if_idle(other);
        }
        self.forget_if_idle(id);
    }

    pub(crate) fn count_collateral(&mut self, id: ItemId, more: bool) {
        let count = &mut self.item_mut(id).collateral;
        *count = if more { *count + 1 } else { *count - 1 };
        let any = *count > 0;
        self.collateral.set(id, any);
        self.refresh(id);
    }

    /// Tells a piece's stacks that it is taken, or no longer. It blocks the others of a stack; one that is
    /// taken itself is blocked only by a second one.
    fn count_in_stacks(&mut self, id: ItemId, more: bool) {
        for nth in 0..self.item(id).stacks.len() {
            let rank = self.item(id).stacks[nth];
            let others_taken = self.stacks.count_taken(rank, more);
            if others_taken > 1 {
                continue;
            }
            for nth in 0..self.stacks[rank].members.len() {
                let member = self.stacks[rank].members[nth];
                let item = self.item_mut(member);
                if member == id || item.is_taken() != (others_taken == 1) {
                    continue;
                }
                item.blocked = if more { item.blocked + 1 } else { item.blocked - 1 };
                self.refresh(member);
            }
        }
    }
}
