//! What must be true of a broker after every event, and when two brokers are the same: for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use ave_profile::{Allocations, Identity, SessionId};

use crate::broker::Core;
use crate::equipment::{Item, ItemId, Phase};

impl Core {
    /// Checks what no event may break.
    ///
    /// # Panics
    /// With a sentence, if something is broken.
    pub fn check(&self) {
        self.check_holders();
        self.check_collateral();
        self.check_list();
        self.check_stacks();
    }

    /// A number that is the same for brokers that will behave the same.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let items: BTreeMap<_, _> = self.equipment.items().map(|(_, item)| (&item.identity, item)).collect();
        for item in items.into_values() {
            let known = item.known.as_ref().map(|known| (&known.profile, known.source));
            (&item.identity, known, item.collateral, item.holds.len()).hash(&mut hasher);
            for (session, hold) in &item.holds {
                (session, hold.phase, &hold.granted, self.named(&hold.collateral)).hash(&mut hasher);
            }
            if let Some(fault) = &item.fault {
                (&fault.reason, fault.mending, self.named(&fault.collateral)).hash(&mut hasher);
            }
            item.written.as_ref().filter(|_| item.collateral > 0).hash(&mut hasher);
        }
        for id in self.equipment.listed() {
            self.equipment.item(id).identity.hash(&mut hasher);
        }
        self.equipment.stacks.written.hash(&mut hasher);
        for (item, made) in &self.workspaces.made {
            let fault = made.fault.as_ref().map(|fault| (&fault.reason, fault.mending));
            (item, &made.profile, made.session, made.phase, fault).hash(&mut hasher);
        }
        self.workspaces.generic.hash(&mut hasher);
        for (id, session) in &self.sessions {
            (id, &session.items, &session.marks).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn named(&self, ids: &[ItemId]) -> Vec<&Identity> {
        let mut named: Vec<&Identity> = ids.iter().map(|id| &self.equipment.item(*id).identity).collect();
        named.sort();
        named
    }

    fn check_holders(&self) {
        let mut held: BTreeSet<(&Identity, SessionId)> = BTreeSet::new();
        for (id, session) in &self.sessions {
            for item in &session.items {
                assert!(held.insert((item, *id)), "{item} is held twice by {id}");
            }
        }
        let pieces = self.equipment.items().flat_map(|(_, item)| {
            item.holds.iter().map(|(session, hold)| (&item.identity, *session, hold.phase))
        });
        let made = self.workspaces.made.iter().filter(|(_, made)| made.fault.is_none());
        let made = made.map(|(item, made)| (item, made.session, made.phase));
        for (item, session, phase) in pieces.chain(made) {
            let said = held.remove(&(item, session));
            assert_eq!(said, phase == Phase::Held, "{item} is {phase:?}, but {session} says otherwise");
        }
        assert!(held.is_empty(), "sessions hold what is not there: {held:?}");
        for (_, item) in self.equipment.items() {
            if let Allocations::AtMost(most) = item.kind.allocations {
                assert!(item.holds.len() <= most.get() as usize, "{} is lent too often", item.identity);
            }
        }
    }

    fn check_collateral(&self) {
        let mut counts: BTreeMap<ItemId, u32> = BTreeMap::new();
        for (_, item) in self.equipment.items() {
            let held = item.holds.values().flat_map(|hold| &hold.collateral);
            for id in held.chain(item.fault.iter().flat_map(|fault| &fault.collateral)) {
                *counts.entry(*id).or_default() += 1;
            }
        }
        for (id, item) in self.equipment.items() {
            let expected = counts.remove(&id).unwrap_or_default();
            let item_count = item.collateral;
            assert_eq!(item_count, expected, "{} does not count its collateral", item.identity);
            assert_eq!(self.equipment.collateral.contains(id), expected > 0, "{} and the set", item.identity);
        }
        assert!(counts.is_empty(), "forgotten pieces are collateral: {counts:?}");
    }

    fn check_list(&self) {
        let equipment = &self.equipment;
        for (id, item) in equipment.items() {
            assert_eq!(equipment.id(&item.identity), Some(id), "{} is found by its identity", item.identity);
            assert!(!item.is_idle(), "nothing is left to remember of {}", item.identity);
            let (free, blocked) = (item.has_room() && item.collateral == 0, self.blocked(id, item));
            assert_eq!(item.blocked, blocked, "stacks that block {}", item.identity);
            assert_eq!(item.eligible, free && item.known.is_some() && blocked == 0, "{}", item.identity);
            if let Some(known) = &item.known {
                assert_eq!(equipment.slots[known.slot as usize], Some(id), "{} has its place", item.identity);
                assert_eq!(equipment.free.contains(known.slot), free, "{} is free", item.identity);
                assert_eq!(equipment.eligible.contains(known.slot), item.eligible, "{}", item.identity);
            }
        }
        let known = equipment.items().filter(|(_, item)| item.known.is_some()).count();
        assert_eq!(equipment.listed().count(), known, "the list is what is known");
    }

    /// In how many of its stacks some other piece is taken.
    fn blocked(&self, id: ItemId, item: &Item) -> u32 {
        let taken = |other: &ItemId| *other != id && self.equipment.item(*other).is_taken();
        let members = item.stacks.iter().map(|rank| &self.equipment.stacks[*rank].members);
        members.filter(|members| members.iter().any(taken)).count() as u32
    }

    fn check_stacks(&self) {
        for (rank, stack) in (0..).zip(&self.equipment.stacks.ranked) {
            let count = |is: fn(&Item) -> bool| {
                stack.members.iter().filter(|id| is(self.equipment.item(**id))).count() as u32
            };
            assert_eq!(stack.taken, count(Item::is_taken), "taken members of stack {rank}");
            assert_eq!(stack.eligible, count(|item| item.eligible), "eligible members of stack {rank}");
            assert_eq!(
                self.equipment.stacks.open.contains(rank),
                stack.eligible >= 2,
                "stack {rank} is open"
            );
        }
    }
}
