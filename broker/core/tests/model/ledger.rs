//! What the edges of a core can know: who was given what, what they were told to close and to reset, and
//! whether any of it contradicts what went before.

use std::collections::{BTreeMap, BTreeSet};

use ave_core::Effect;
use ave_profile::{Identity, RefusalKind, SessionId};

use crate::scene::Lab;

/// The last answer of a session's `get`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Told {
    Granted,
    Busy,
    NoSuch,
}

/// The edges' books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    /// Who was given a piece, and whether it is to be closed.
    lent: BTreeMap<(Identity, SessionId), bool>,
    told: BTreeMap<SessionId, Told>,
    /// Pieces that could not be closed, and whether they are to be reset.
    broken: BTreeMap<Identity, bool>,
    /// The first contradiction.
    pub(crate) fault: Option<&'static str>,
}

impl Ledger {
    /// Enters one effect.
    pub(crate) fn enter(&mut self, lab: &Lab, effect: Effect) {
        match effect {
            Effect::Grant { session, groups, .. } => {
                self.told.insert(session, Told::Granted);
                for granted in groups.into_iter().flatten() {
                    let item = granted.item;
                    let full = self.holders(&item).count() == lab.allocations(&item);
                    let usable = !full && !self.broken.contains_key(&item);
                    if self.lent.insert((item, session), false).is_some() || !usable {
                        self.object("lent what was not free");
                    }
                }
            }
            Effect::Refuse { session, refusal, .. } => {
                let told = if refusal.kind == RefusalKind::Busy { Told::Busy } else { Told::NoSuch };
                if refusal.message != "session closed" {
                    self.told.insert(session, told);
                }
            }
            Effect::Close { session, items } | Effect::End { session, items } => {
                for item in items {
                    match self.lent.get_mut(&(item, session)) {
                        Some(closing @ false) => *closing = true,
                        _ => self.object("told to close what is not to be closed"),
                    }
                }
            }
            Effect::Reset { item, .. } => {
                let held = self.holders(&item).next().is_some();
                match self.broken.get_mut(&item) {
                    Some(mending @ false) if !held => *mending = true,
                    _ => self.object("told to reset what is not to be reset"),
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, fault: &'static str) {
        self.fault = self.fault.or(Some(fault));
    }

    /// A piece was closed, or could not be.
    pub(crate) fn closed(&mut self, session: SessionId, item: &Identity, well: bool) {
        self.lent.remove(&(item.clone(), session));
        if !well {
            self.broken.insert(item.clone(), false);
        }
    }

    /// A piece was reset, or could not be.
    pub(crate) fn reset(&mut self, item: &Identity, well: bool) {
        self.broken.remove(item);
        if !well {
            self.broken.insert(item.clone(), false);
        }
    }

    /// Who has a piece, closing or not.
    pub(crate) fn holders(&self, item: &Identity) -> impl Iterator<Item = SessionId> {
        self.lent.keys().filter(move |(lent, _)| lent == item).map(|(_, holder)| *holder)
    }

    /// Whether anybody has a piece.
    pub(crate) fn is_lent(&self, item: &Identity) -> bool {
        self.holders(item).next().is_some()
    }

    /// What a session holds.
    pub(crate) fn held(&self, session: SessionId) -> impl Iterator<Item = Identity> {
        self.of(session, false)
    }

    /// What of a session is to be closed.
    pub(crate) fn closing(&self, session: SessionId) -> impl Iterator<Item = Identity> {
        self.of(session, true)
    }

    fn of(&self, session: SessionId, closing: bool) -> impl Iterator<Item = Identity> {
        let mine = self.lent.iter().filter(move |((_, holder), is)| (*holder, **is) == (session, closing));
        mine.map(|((item, _), _)| item.clone())
    }

    /// Pieces that could not be closed.
    pub(crate) fn broken(&self) -> BTreeSet<Identity> {
        self.broken.keys().cloned().collect()
    }

    /// Pieces that are to be reset.
    pub(crate) fn mending(&self) -> impl Iterator<Item = Identity> {
        self.broken.iter().filter(|(_, mending)| **mending).map(|(item, _)| item.clone())
    }

    /// What a session was last told.
    pub(crate) fn told(&self, session: SessionId) -> Option<Told> {
        self.told.get(&session).copied()
    }

    /// Sessions whose last `get` failed.
    pub(crate) fn refused(&self) -> impl Iterator<Item = SessionId> {
        self.told.iter().filter(|(_, told)| **told != Told::Granted).map(|(session, _)| *session)
    }

    /// What the books say is free: whole, lent less often than it may be, and in no stack with something
    /// else that is lent or broken.
    pub(crate) fn free(&self, lab: &Lab) -> Vec<Identity> {
        let taken = |item: &Identity| self.is_lent(item) || self.broken.contains_key(item);
        let entangled = |item: &&Identity| {
            let mut stacks = lab.stacks.iter().filter(|stack| stack.contains(item));
            stacks.any(|stack| stack.iter().any(|other| other != *item && taken(other)))
        };
        let whole = |item: &&Identity| !self.broken.contains_key(*item);
        let room = |item: &&Identity| self.holders(item).count() < lab.allocations(item);
        let pieces = lab.pieces.iter().filter(whole).filter(room);
        pieces.filter(|item| !entangled(item)).cloned().collect()
    }
}
