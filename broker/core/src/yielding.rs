//! Giving equipment back before the session ends. A client says it twice: at the broker, which closes
//! and releases, and at its session, which remembers the first word. (Specification 5.10.)

use std::collections::BTreeSet;

use ave_profile::{Identity, Profile, Refusal, RefusalKind, RequestId, SessionId};

use crate::broker::Core;
use crate::equipment::Phase;
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
        let mut given = BTreeSet::new();
        let done = profiles.iter().try_for_each(|profile| {
            if profile.kind().is_none() {
                return Err(Refusal::exception(format!("profile \"type\" field is missing: {profile}")));
            }
            let item = self.kinds.identity(profile);
            given.extend(match door {
                Door::Broker => self.yield_at_broker(session, item, profile)?,
                Door::Session => self.yield_at_session(session, item, profile)?,
            });
            Ok(())
        });
        // Nothing is left to say once the session has heard.
        let outcome = done.map(|()| if door == Door::Broker { profiles } else { Vec::new() });
        let close = self.give_back(session, &given);
        close.into_iter().chain([Effect::Yielded { session, request, outcome }]).collect()
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
