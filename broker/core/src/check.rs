//! What must be true of a broker after every event, and when two brokers are the same: for tests.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use ave_profile::{Address, Identity, SessionId};

use crate::broker::Core;
use crate::equipment::{Equipment, Item, ItemId, Phase};
use crate::share::Share;

impl Core {
    /// Checks what no event may break.
    ///
    /// # Panics
    /// With a sentence, if something is broken.
    pub fn check(&self) {
        self.check_holders();
        self.check_retries();
        self.equipment.check(|_| Vec::new());
        for (address, share) in self.shares.iter() {
            share.equipment.check(|item| {
                let named = item.taken.iter().flat_map(|taken| &taken.collateral);
                let items = named.filter_map(|short| self.kinds.identity(short));
                items.filter_map(|item| share.equipment.id(&item)).collect()
            });
            self.check_borrowers(address, share);
        }
    }

    /// A number that is the same for brokers that will behave the same, sooner or later.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.equipment.fingerprint(&mut hasher);
        for (item, made) in &self.workspaces.made {
            let fault = made.fault.as_ref().map(|fault| (&fault.reason, fault.retry_at.is_none()));
            (item, &made.profile, made.session, made.phase, fault).hash(&mut hasher);
        }
        self.workspaces.generic.hash(&mut hasher);
        for (id, session) in &self.sessions {
            (id, &session.items, &session.far, &session.marks).hash(&mut hasher);
            let Some(asking) = &session.asking else { continue };
            (asking.request, &asking.via).hash(&mut hasher);
            for group in &asking.groups {
                let granted = group.granted.as_ref().map(|granted| {
                    granted.iter().map(|granted| (&granted.item, &granted.at)).collect::<Vec<_>>()
                });
                let setbacks: Vec<_> = group.setbacks.iter().map(|(peer, _)| peer).collect();
                (granted, setbacks).hash(&mut hasher);
            }
            for (id, ask) in &asking.asks {
                (id, &ask.peer, &ask.groups, &ask.reserved, ask.slow).hash(&mut hasher);
            }
        }
        for (address, share) in self.shares.iter() {
            (address, share.link, share.broker, &share.generic).hash(&mut hasher);
            share.equipment.fingerprint(&mut hasher);
            for (item, workspace) in &share.workspaces {
                (item, &workspace.profile, &workspace.taken).hash(&mut hasher);
            }
            share.absent().for_each(|item| item.hash(&mut hasher));
        }
        (&self.forward, &self.slow, &self.succession).hash(&mut hasher);
        hasher.finish()
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
            assert!(item.is_within_room(), "{} is lent too often", item.identity);
        }
    }

    /// What is broken is either being reset or waits for its turn.
    fn check_retries(&self) {
        assert_eq!(self.retries, self.planned_retries(), "resets that wait for their turn");
    }

    /// What is taken of a share through here is held, or being asked for, by a session that is open.
    fn check_borrowers(&self, address: &Address, share: &Share) {
        for (_, item) in share.equipment.items() {
            for (session, hold) in &item.holds {
                let borrower = self.sessions.get(session);
                let borrows = borrower.is_some_and(|borrower| match hold.phase {
                    Phase::Asked => borrower.asking.as_ref().is_some_and(|asking| {
                        asking.asks.values().any(|ask| ask.reserved.contains(&item.identity))
                    }),
                    _ => borrower.far.iter().any(|far| far.peer == *address && far.item == item.identity),
                });
                assert!(borrows, "{} of {address} is {:?}, but not by {session}", item.identity, hold.phase);
            }
        }
    }
}

impl Equipment {
    /// Checks what belongs to the equipment alone. `named` says what is collateral of a piece as its owner
    /// has it.
    fn check(&self, named: impl Fn(&Item) -> Vec<ItemId>) {
        self.check_collateral(named);
        self.check_list();
        self.check_stacks();
    }

    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        let items: BTreeMap<_, _> = self.items().map(|(_, item)| (&item.identity, item)).collect();
        for item in items.into_values() {
            let known = item.known.as_ref().map(|known| (&known.profile, known.source, known.hearsay));
            (&item.identity, known, item.collateral, item.holds.len(), &item.taken).hash(hasher);
            for (session, hold) in &item.holds {
                (session, hold.phase, &hold.granted, self.named(&hold.collateral)).hash(hasher);
            }
            if let Some(fault) = &item.fault {
                (&fault.reason, fault.retry_at.is_none(), self.named(&fault.collateral)).hash(hasher);
            }
            item.written.as_ref().filter(|_| item.collateral > 0).hash(hasher);
        }
        for id in self.listed() {
            self.item(id).identity.hash(hasher);
        }
        self.stacks.written.hash(hasher);
    }

    fn named(&self, ids: &[ItemId]) -> Vec<&Identity> {
        let mut named: Vec<&Identity> = ids.iter().map(|id| &self.item(*id).identity).collect();
        named.sort();
        named
    }

    fn check_collateral(&self, named: impl Fn(&Item) -> Vec<ItemId>) {
        let mut counts: BTreeMap<ItemId, u32> = BTreeMap::new();
        for (_, item) in self.items() {
            let held = item.holds.values().flat_map(|hold| hold.collateral.iter().copied());
            let broken = item.fault.iter().flat_map(|fault| fault.collateral.iter().copied());
            for id in held.chain(broken).chain(named(item)) {
                *counts.entry(id).or_default() += 1;
            }
        }
        for (id, item) in self.items() {
            let expected = counts.remove(&id).unwrap_or_default();
            assert_eq!(item.collateral, expected, "{} does not count its collateral", item.identity);
            assert_eq!(self.collateral.contains(id), expected > 0, "{} and the set", item.identity);
        }
        assert!(counts.is_empty(), "forgotten pieces are collateral: {counts:?}");
    }

    fn check_list(&self) {
        for (id, item) in self.items() {
            assert_eq!(self.id(&item.identity), Some(id), "{} is found by its identity", item.identity);
            assert!(!item.is_idle(), "nothing is left to remember of {}", item.identity);
            let (free, blocked) = (item.has_room() && item.collateral == 0, self.blocked(id, item));
            assert_eq!(item.blocked, blocked, "stacks that block {}", item.identity);
            assert_eq!(item.eligible, free && item.known.is_some() && blocked == 0, "{}", item.identity);
            if let Some(known) = &item.known {
                assert_eq!(self.slots[known.slot as usize], Some(id), "{} has its place", item.identity);
                assert_eq!(self.free.contains(known.slot), free, "{} is free", item.identity);
                assert_eq!(self.eligible.contains(known.slot), item.eligible, "{}", item.identity);
            }
        }
        let known = self.items().filter(|(_, item)| item.known.is_some()).count();
        assert_eq!(self.listed().count(), known, "the list is what is known");
    }

    /// In how many of its stacks some other piece is taken.
    fn blocked(&self, id: ItemId, item: &Item) -> u32 {
        let taken = |other: &ItemId| *other != id && self.item(*other).is_taken();
        let members = item.stacks.iter().map(|rank| &self.stacks[*rank].members);
        members.filter(|members| members.iter().any(taken)).count() as u32
    }

    fn check_stacks(&self) {
        for (rank, stack) in (0..).zip(&self.stacks.ranked) {
            let count =
                |is: fn(&Item) -> bool| stack.members.iter().filter(|id| is(self.item(**id))).count() as u32;
            assert_eq!(stack.taken, count(Item::is_taken), "taken members of stack {rank}");
            assert_eq!(stack.eligible, count(|item| item.eligible), "eligible members of stack {rank}");
            assert_eq!(self.stacks.open.contains(rank), stack.eligible >= 2, "stack {rank} is open");
        }
    }
}
