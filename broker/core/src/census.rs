//! How much there is of everything, counted in one pass: for whoever watches a broker and wants no lists.

use std::collections::BTreeMap;
use std::sync::Arc;

use ave_profile::{Address, Generation};

use crate::broker::Core;
use crate::equipment::Phase;
use crate::share::Share;

/// Numbers of one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Sessions that this process serves and that have not ended.
    pub sessions: usize,
    /// Sessions that older processes serve, until they have nothing left.
    pub elders: BTreeMap<Generation, usize>,
    /// This broker's own pieces, workspaces included, by type.
    pub kinds: BTreeMap<Arc<str>, Tally>,
    /// How many pieces each share has told of.
    pub shares: BTreeMap<Address, usize>,
}

/// How many pieces of one type are in which state. One that is broken counts as nothing else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub known: usize,
    /// Held by a session, or still being closed for one.
    pub lent: usize,
    /// Not lent to anybody before a reset.
    pub broken: usize,
}

impl Tally {
    fn count(&mut self, lent: bool, broken: bool) {
        self.known += 1;
        self.broken += usize::from(broken);
        self.lent += usize::from(lent && !broken);
    }
}

impl Core {
    /// Counts everything once.
    pub fn census(&self) -> Census {
        let mut kinds = BTreeMap::<Arc<str>, Tally>::new();
        for (_, item) in self.equipment.items().filter(|(_, item)| item.known.is_some()) {
            let lent = item.holds.values().any(|hold| hold.phase != Phase::Asked);
            kinds.entry(item.identity.kind.clone()).or_default().count(lent, item.fault.is_some());
        }
        for (item, workspace) in &self.workspaces.made {
            kinds.entry(item.kind.clone()).or_default().count(true, workspace.fault.is_some());
        }
        let pieces = |share: &Share| share.equipment.items().count() + share.workspaces.len();
        let shares = self.shares.iter().map(|(address, share)| (address.clone(), pieces(share)));
        let sessions = self.sessions.keys().filter(|session| self.generation_of(**session).is_none()).count();
        let mut elders = BTreeMap::new();
        self.succession.elders.values().for_each(|generation| *elders.entry(*generation).or_default() += 1);
        Census { sessions, elders, kinds, shares: shares.collect() }
    }
}
