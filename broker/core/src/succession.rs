//! One process of a broker after another: what a new one inherits, what the older ones that still serve their
//! sessions say, and what is left when one of them dies. (Specification 7.1.)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ave_profile::{BrokerId, Generation, Identity, SessionId};

use crate::broker::Core;
use crate::shares::Shares;
use crate::{Effect, Moment, Source};

/// How long equipment that only the process before had heard of stays in the lists: every lister has spoken
/// by then, and a piece that is not there fails to open until then.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// This process among those before and after it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Succession {
    /// Another process takes over: nothing is reserved here any more.
    pub(crate) frozen: bool,
    /// Sessions that older processes serve, from when this one began until they have nothing left.
    pub(crate) elders: BTreeMap<SessionId, Generation>,
    /// When equipment goes of which nobody has spoken since this process began.
    pub(crate) settles_at: Option<Moment>,
}

impl Core {
    /// The older process that serves a session, if one does.
    pub fn generation_of(&self, session: SessionId) -> Option<Generation> {
        self.succession.elders.get(&session).copied()
    }

    /// The same state, of a process that has another name among brokers.
    pub fn renamed(self, id: BrokerId) -> Core {
        Core { id, ..self }
    }

    /// The older processes that still serve sessions.
    pub fn generations(&self) -> BTreeSet<Generation> {
        self.succession.elders.values().copied().collect()
    }

    /// Whether any request waits for other brokers: such a broker cannot be frozen yet.
    pub fn is_asking(&self) -> bool {
        self.sessions.values().any(|session| session.asking.is_some())
    }

    /// What the process before was resetting is reset anew.
    pub(crate) fn inherited(&mut self, generation: Generation) -> Vec<Effect> {
        let served: BTreeSet<SessionId> = self
            .sessions
            .keys()
            .copied()
            .chain(self.holds().into_iter().map(|(session, _)| session))
            .collect();
        for session in served {
            self.succession.elders.entry(session).or_insert(generation);
        }
        for session in self.sessions.values_mut() {
            session.marks.clear();
            session.asking = None;
        }
        (self.shares, self.forward) = (Shares::default(), None);
        self.slow.clear();
        self.equipment.call_hearsay();
        self.succession.frozen = false;
        self.succession.settles_at = Some(Moment(self.now.0 + SETTLE_WITHIN));
        self.resume_resets()
    }

    /// What only the process before knew is gone; of all sources but those that come and go as they please.
    pub(crate) fn settled(&mut self, source: Option<Source>) {
        for source in
            source.map_or_else(|| self.equipment.hearsay_sources(), |source| BTreeSet::from([source]))
        {
            let gone = self.equipment.hearsay_of(source);
            if source != Source::Lister {
                self.equipment.vanish(source, &gone);
            }
        }
        if source.is_none() {
            self.succession.settles_at = None;
        }
    }

    pub(crate) fn elder_closed(
        &mut self,
        session: SessionId,
        item: &Identity,
        outcome: Result<(), String>,
    ) -> Option<Effect> {
        self.generation_of(session)?;
        self.phase(session, item)?;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.items.retain(|held| held != item);
        }
        self.let_go(session, item, outcome)
    }

    pub(crate) fn elder_ended(&mut self, session: SessionId) -> Vec<Effect> {
        if self.generation_of(session).is_none() {
            return Vec::new();
        }
        let left = self.sessions.get(&session).map(|session| session.items.clone()).unwrap_or_default();
        let lost = left.into_iter().map(|item| (session, item)).collect();
        let effects = self.lost(lost, "the process that lent it never closed it");
        self.forget_elder(session);
        effects
    }

    pub(crate) fn generation_lost(&mut self, generation: Generation, reason: &str) -> Vec<Effect> {
        let of_it = |session: &SessionId| self.generation_of(*session) == Some(generation);
        let lost = self.holds().into_iter().filter(|(session, _)| of_it(session)).collect();
        let ended: Vec<SessionId> = self.succession.elders.keys().copied().filter(of_it).collect();
        let effects = self.lost(lost, reason);
        ended.into_iter().for_each(|session| self.forget_elder(session));
        effects
    }

    /// Nobody knows in which state these pieces are: they are reset before anybody gets them.
    fn lost(&mut self, pieces: Vec<(SessionId, Identity)>, reason: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        for (session, item) in &pieces {
            effects.extend(self.elder_closed(*session, item, Err(reason.to_owned())));
        }
        let items: BTreeSet<Identity> = pieces.into_iter().map(|(_, item)| item).collect();
        effects.extend(items.into_iter().filter_map(|item| self.reset_asked(item, None)));
        effects
    }

    fn forget_elder(&mut self, session: SessionId) {
        self.sessions.remove(&session);
        self.succession.elders.remove(&session);
    }

    /// Every allocation of this host's equipment.
    fn holds(&self) -> Vec<(SessionId, Identity)> {
        let pieces = self
            .equipment
            .items()
            .flat_map(|(_, item)| item.holds.keys().map(|session| (*session, item.identity.clone())));
        let made = self.workspaces.made.iter().filter(|(_, made)| made.fault.is_none());
        pieces.chain(made.map(|(item, made)| (made.session, item.clone()))).collect()
    }
}
