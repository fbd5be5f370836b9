//! What changes when a piece is taken, closed and released. A commit is a few counters and bits for the
//! piece and those it shares stacks with; no index is touched.

use crate::equipment::{Equipment, Hold, ItemId, Phase};

impl Equipment {
    /// Takes a free piece and makes what its hold names collateral.
    pub(crate) fn take(&mut self, id: ItemId, hold: Hold) {
        for other in &hold.collateral {
            self.count_collateral(*other, true);
        }
        self.item_mut(id).hold = Some(hold);
        self.count_in_stacks(id, true);
    }

    /// Says how far a taken piece is from being free.
    pub(crate) fn set_phase(&mut self, id: ItemId, phase: Phase) {
        if let Some(hold) = &mut self.item_mut(id).hold {
            hold.phase = phase;
        }
    }

    /// Frees a taken piece and its collateral, and forgets what nobody knows any more.
    pub(crate) fn release(&mut self, id: ItemId) {
        let Some(hold) = self.item_mut(id).hold.take() else { return };
        self.count_in_stacks(id, false);
        for other in hold.collateral {
            self.count_collateral(other, false);
            self.forget_if_idle(other);
        }
        self.forget_if_idle(id);
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
        let free = item.hold.is_none() && item.collateral == 0;
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

    fn count_collateral(&mut self, id: ItemId, more: bool) {
        let count = &mut self.item_mut(id).collateral;
        *count = if more { *count + 1 } else { *count - 1 };
        let any = *count > 0;
        self.collateral.set(id, any);
        self.refresh(id);
    }

    /// Tells a piece's stacks that it is taken, or no longer. The first of a stack blocks its members, the
    /// last unblocks them.
    pub(crate) fn count_in_stacks(&mut self, id: ItemId, more: bool) {
        for nth in 0..self.item(id).stacks.len() {
            let rank = self.item(id).stacks[nth];
            if !self.stacks.count_taken(rank, more) {
                continue;
            }
            for nth in 0..self.stacks[rank].members.len() {
                let member = self.stacks[rank].members[nth];
                let blocked = &mut self.item_mut(member).blocked;
                *blocked = if more { *blocked + 1 } else { *blocked - 1 };
                self.refresh(member);
            }
        }
        self.refresh(id);
    }
}
