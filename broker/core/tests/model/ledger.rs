//! What the edges of a core can know: who was given what, what they were told to close, and whether any
//! of it contradicts what went before.

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
    lent: BTreeMap<Identity, (SessionId, bool)>,
    told: BTreeMap<SessionId, Told>,
    /// Pieces that could not be closed.
    pub(crate) broken: BTreeSet<Identity>,
    /// The first contradiction.
    pub(crate) fault: Option<&'static str>,
}

impl Ledger {
    /// Enters one effect.
    pub(crate) fn enter(&mut self, effect: Effect) {
        match effect {
            Effect::Grant { session, groups, .. } => {
                self.told.insert(session, Told::Granted);
                for granted in groups.into_iter().flatten() {
                    let unusable = self.broken.contains(&granted.item);
                    if self.lent.insert(granted.item, (session, false)).is_some() || unusable {
                        self.fault = self.fault.or(Some("lent what was not free"));
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
                    match self.lent.get_mut(&item) {
                        Some((holder, closing @ false)) if *holder == session => *closing = true,
                        _ => self.fault = self.fault.or(Some("told to close what is not to be closed")),
                    }
                }
            }
            _ => {}
        }
    }

    /// A piece was closed, or could not be.
    pub(crate) fn closed(&mut self, item: &Identity, well: bool) {
        self.lent.remove(item);
        if !well {
            self.broken.insert(item.clone());
        }
    }

    /// Who has a piece, closing or not.
    pub(crate) fn holder(&self, item: &Identity) -> Option<SessionId> {
        self.lent.get(item).map(|(holder, _)| *holder)
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
        let mine = self.lent.iter().filter(move |(_, entry)| **entry == (session, closing));
        mine.map(|(item, _)| item.clone())
    }

    /// What a session was last told.
    pub(crate) fn told(&self, session: SessionId) -> Option<Told> {
        self.told.get(&session).copied()
    }

    /// Sessions whose last `get` failed.
    pub(crate) fn refused(&self) -> impl Iterator<Item = SessionId> {
        self.told.iter().filter(|(_, told)| **told != Told::Granted).map(|(session, _)| *session)
    }

    /// What the books say is free: neither lent nor broken, nor in one stack with something that is.
    pub(crate) fn free(&self, lab: &Lab) -> Vec<Identity> {
        let taken = |item: &Identity| self.lent.contains_key(item) || self.broken.contains(item);
        let entangled = |item| lab.stacks.iter().any(|stack| stack.contains(item) && stack.iter().any(taken));
        lab.pieces.iter().filter(|item| !taken(item) && !entangled(item)).cloned().collect()
    }
}
