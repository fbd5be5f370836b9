//! Giving equipment back before the session ends. A client says it twice: at the broker, which closes
//! and releases, and at its session, which remembers the first word. (Specification 5.10.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ave_profile::{Address, Identity, Profile, Refusal, RefusalKind, RequestId, SessionId};

use crate::broker::Core;
use crate::equipment::Phase;
use crate::sessions::Far;
use crate::{Door, Effect};

impl Core {
    /// Gives back the profiles in order; the first that fails stops the call, what came before it stays
    /// given back.
    pub(crate) fn yielded(
        &mut self,
        session: SessionId,
        request: RequestId,
        door: Door,
        profiles: Vec<Profile>,
    ) -> Vec<Effect> {
        if !self.is_open(session) {
            return vec![Effect::Yielded { session, request, outcome: Err(Refusal::session_closed()) }];
        }
        let (mut given, mut given_far) = (BTreeSet::new(), Vec::new());
        let done = profiles.iter().try_for_each(|profile| {
            if profile.kind().is_none() {
                return Err(Refusal::exception(format!("profile \"type\" field is missing: {profile}")));
            }
            let item = self.kinds.identity(profile);
            let far = self.yield_far(session, item.as_ref(), door);
            if far.is_some() {
                given_far.extend(far);
                return Ok(());
            }
            given.extend(match door {
                Door::Broker => self.yield_at_broker(session, item, profile)?,
                Door::Session => self.yield_at_session(session, item, profile)?,
            });
            Ok(())
        });
        // Nothing is left to say once the session has heard.
        let outcome = done.map(|()| if door == Door::Broker { profiles } else { Vec::new() });
        let mut effects = Vec::from_iter(self.give_back(session, &given));
        effects.extend(at_peers(session, given_far));
        effects.push(Effect::Yielded { session, request, outcome });
        effects
    }

    /// Takes from a session, whatever it says, what it has been granted and has not heard of.
    pub(crate) fn take_back(&mut self, session: SessionId, granted: &BTreeSet<Identity>) -> Vec<Effect> {
        for item in granted {
            self.start_closing(session, item);
        }
        let mut effects = Vec::from_iter(self.give_back(session, granted));
        let far = granted.iter().filter_map(|item| self.yield_far(session, Some(item), Door::Session));
        let far = far.collect();
        effects.extend(at_peers(session, far));
        effects
    }

    /// Takes a piece from the session that another broker has lent it.
    fn yield_far(&mut self, session: SessionId, item: Option<&Identity>, door: Door) -> Option<Far> {
        let giver = self.sessions.get_mut(&session)?;
        let nth = giver.far.iter().position(|far| Some(&far.item) == item)?;
        let far = giver.far.remove(nth);
        if door == Door::Broker {
            giver.mark(far.item.clone());
        }
        self.shares.give_back(self.now, &far.peer, session, &far.item);
        Some(far)
    }

    /// Why a piece that is not this broker's cannot be given back, if some share has it and somebody else
    /// took it.
    fn not_yours(&self, item: &Identity, profile: &Profile) -> Option<Refusal> {
        let own = self.equipment.knows(item);
        self.shares.iter().filter(|_| !own).find_map(|(_, share)| {
            let known = share.equipment.item(share.equipment.id(item)?);
            if !known.holds.is_empty() {
                let message = format!("not owner of this resource: {profile}");
                return Some(Refusal::new(RefusalKind::NotOwner, message));
            }
            let message = format!("no one owns this resource: {profile}");
            (known.taken_elsewhere() > 0).then(|| Refusal::new(RefusalKind::NotAllocated, message))
        })
    }

    /// What is to be closed: nothing if the piece is unknown, free or on its way there already.
    fn yield_at_broker(
        &mut self,
        session: SessionId,
        item: Option<Identity>,
        profile: &Profile,
    ) -> Result<Option<Identity>, Refusal> {
        let Some(item) = item else { return Ok(None) };
        match self.phase(session, &item) {
            Some(Phase::Held) => {
                self.start_closing(session, &item);
                self.sessions.entry(session).or_default().mark(item.clone());
                Ok(Some(item))
            }
            None if self.is_held(&item) => {
                let message = format!("not owner of this resource: {profile}");
                Err(Refusal::new(RefusalKind::NotOwner, message))
            }
            None => self.not_yours(&item, profile).map_or(Ok(None), Err),
            _ => Ok(None),
        }
    }

    /// What is to be closed: nothing if the broker was told before.
    fn yield_at_session(
        &mut self,
        session: SessionId,
        item: Option<Identity>,
        profile: &Profile,
    ) -> Result<Option<Identity>, Refusal> {
        let no_such = || Refusal::new(RefusalKind::NoSuch, format!("no such resource: {profile}"));
        let item = item.ok_or_else(no_such)?;
        if self.sessions.entry(session).or_default().take_mark(&item) {
            return Ok(None);
        }
        if self.phase(session, &item) != Some(Phase::Held) {
            return Err(no_such());
        }
        self.start_closing(session, &item);
        Ok(Some(item))
    }

    /// Takes what was yielded from the session.
    fn give_back(&mut self, session: SessionId, given: &BTreeSet<Identity>) -> Option<Effect> {
        let items = &mut self.sessions.get_mut(&session)?.items;
        let mut closing: Vec<Identity> = items.extract_if(.., |item| given.contains(item)).collect();
        closing.reverse();
        (!closing.is_empty()).then_some(Effect::Close { session, items: closing })
    }
}

/// What to say to the other brokers whose pieces were given back, one word for each broker.
fn at_peers(session: SessionId, given: Vec<Far>) -> impl Iterator<Item = Effect> {
    let mut by_peer: BTreeMap<Address, Vec<Arc<Profile>>> = BTreeMap::new();
    for Far { peer, granted, .. } in given {
        by_peer.entry(peer).or_default().push(granted);
    }
    by_peer.into_iter().map(move |(peer, profiles)| Effect::YieldAtPeer { session, peer, profiles })
}
