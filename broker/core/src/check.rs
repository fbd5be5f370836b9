//! What must be true of a broker after every event, and when two brokers are the same: for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use ave_profile::{Identity, SessionId};

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
            let hold = item.hold.as_ref().map(|hold| {
                let collateral: BTreeSet<&Identity> =
                    hold.collateral.iter().map(|id| &self.equipment.item(*id).identity).collect();
                (hold.session, &hold.phase, &hold.granted, collateral)
            });
            let written = item.written.as_ref().filter(|_| item.collateral > 0);
            (&item.identity, known, hold, item.collateral, written).hash(&mut hasher);
        }
        for id in self.equipment.listed() {
            self.equipment.item(id).identity.hash(&mut hasher);
        }
        self.equipment.stacks.written.hash(&mut hasher);
        for (item, made) in &self.workspaces.made {
            (item, &made.profile, made.session, &made.phase).hash(&mut hasher);
        }
        self.workspaces.generic.hash(&mut hasher);
        for (id, session) in &self.sessions {
            (id, &session.items, &session.marks).hash(&mut hasher);
        }
        hasher.finish()
    }

    fn check_holders(&self) {
        let mut held: BTreeMap<&Identity, SessionId> = BTreeMap::new();
        for (id, session) in &self.sessions {
            for item in &session.items {
                assert!(held.insert(item, *id).is_none(), "{item} is held twice");
            }
        }
        let pieces = self.equipment.items().filter_map(|(_, item)| {
            let hold = item.hold.as_ref()?;
            Some((&item.identity, hold.session, &hold.phase))
        });
        let made = self.workspaces.made.iter().map(|(item, made)| (item, made.session, &made.phase));
        for (item, session, phase) in pieces.chain(made) {
            let by = held.remove(item);
            let expected = (*phase == Phase::Held).then_some(session);
            assert_eq!(by, expected, "{item} is {phase:?}, but its session says otherwise");
        }
        assert!(held.is_empty(), "sessions hold what is not there: {held:?}");
    }

    fn check_collateral(&self) {
        let mut counts: BTreeMap<ItemId, u32> = BTreeMap::new();
        for (_, item) in self.equipment.items() {
            for id in item.hold.iter().flat_map(|hold| &hold.collateral) {
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
            let free = item.hold.is_none() && item.collateral == 0;
            assert_eq!(
                item.eligible,
                free && item.known.is_some() && !self.is_blocked(item),
                "{}",
                item.identity
            );
            if let Some(known) = &item.known {
                assert_eq!(equipment.slots[known.slot as usize], Some(id), "{} has its place", item.identity);
                assert_eq!(equipment.free.contains(known.slot), free, "{} is free", item.identity);
                assert_eq!(equipment.eligible.contains(known.slot), item.eligible, "{}", item.identity);
            }
        }
        let known = equipment.items().filter(|(_, item)| item.known.is_some()).count();
        assert_eq!(equipment.listed().count(), known, "the list is what is known");
    }

    fn is_blocked(&self, item: &Item) -> bool {
        item.stacks.iter().any(|rank| self.equipment.stacks[*rank].taken > 0)
    }

    fn check_stacks(&self) {
        for (rank, stack) in (0..).zip(&self.equipment.stacks.ranked) {
            let count = |is: fn(&Item) -> bool| {
                stack.members.iter().filter(|id| is(self.equipment.item(**id))).count() as u32
            };
            assert_eq!(stack.taken, count(|item| item.hold.is_some()), "taken members of stack {rank}");
            assert_eq!(stack.eligible, count(|item| item.eligible), "eligible members of stack {rank}");
            assert_eq!(
                self.equipment.stacks.open.contains(rank),
                stack.eligible >= 2,
                "stack {rank} is open"
            );
        }
    }
}
