//! The broker's whole truth and its one door: what is there, who has it, what each event changes.

use std::collections::BTreeMap;

use ave_profile::{Identity, KindTable, Profile, Refusal, RequestId, SessionId, Want};

use crate::equipment::{Equipment, Phase};
use crate::sessions::Session;
use crate::workspaces::Workspaces;
use crate::{Effect, Event, Moment, Source};

/// Everything a broker knows and decides.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) kinds: KindTable,
    pub(crate) equipment: Equipment,
    pub(crate) workspaces: Workspaces,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
}

impl Core {
    /// A broker without equipment, stacks, workspaces and sessions, that knows these types.
    pub fn new(kinds: KindTable) -> Core {
        Core {
            kinds,
            equipment: Equipment::default(),
            workspaces: Workspaces::default(),
            sessions: BTreeMap::new(),
        }
    }

    /// Lets one thing happen; returns what has to be done about it, in order.
    pub fn apply(&mut self, _now: Moment, event: Event) -> Vec<Effect> {
        match event {
            Event::SessionOpened { session } => {
                self.sessions.entry(session).or_default();
                Vec::new()
            }
            Event::SessionEnded { session } => Vec::from_iter(self.end(session)),
            Event::Asked { session, request, want, nonce } => self.asked(session, request, want, nonce),
            Event::Yielded { session, request, door, profiles } => {
                self.yielded(session, request, door, profiles)
            }
            Event::Closed { session, item, outcome } => Vec::from_iter(self.closed(session, &item, outcome)),
            Event::Reported { source, profiles, request } => {
                let outcome = self.reported(source, profiles);
                Vec::from_iter(request.map(|request| Effect::Reported { request, outcome }))
            }
            Event::Vanished { source, items } => {
                self.equipment.vanish(source, &items);
                Vec::new()
            }
            Event::StacksSet { stacks } => {
                let warnings = self.equipment.set_stacks(&self.kinds, stacks);
                warnings.into_iter().map(|message| Effect::Warn { message }).collect()
            }
            Event::WorkspaceProfileSet { profile } => {
                self.workspaces.generic = profile;
                Vec::new()
            }
        }
    }

    /// Grants all of it, or refuses and ends the session. (Specification 3.4, 5.)
    fn asked(
        &mut self,
        session: SessionId,
        request: RequestId,
        want: Result<Want, Refusal>,
        nonce: u64,
    ) -> Vec<Effect> {
        if !self.is_open(session) {
            return vec![Effect::Refuse { session, request, refusal: Refusal::session_closed() }];
        }
        match want.and_then(|want| self.plan(session, want, nonce)) {
            Ok(plan) => vec![self.commit(session, request, plan)],
            Err(refusal) => {
                let refuse = Effect::Refuse { session, request, refusal };
                self.end(session).into_iter().chain([refuse]).collect()
            }
        }
    }

    /// Ends a session, once: what it holds is to be closed.
    fn end(&mut self, session: SessionId) -> Option<Effect> {
        let mut items = self.sessions.remove(&session)?.items;
        items.reverse();
        items.iter().for_each(|item| self.set_phase(item, Phase::Closing));
        Some(Effect::End { session, items })
    }

    /// A piece that was closed is free again; one that could not be closed stays out of the pool.
    fn closed(&mut self, session: SessionId, item: &Identity, outcome: Result<(), String>) -> Option<Effect> {
        if self.holder(item) != Some((session, &Phase::Closing)) {
            return None;
        }
        if let Err(reason) = outcome {
            let message = format!("{item} could not be closed and is not lent any more: {reason}");
            self.set_phase(item, Phase::Broken(reason));
            return Some(Effect::Warn { message });
        }
        match self.equipment.id(item) {
            Some(id) => self.equipment.release(id),
            None => drop(self.workspaces.made.remove(item)),
        }
        None
    }

    /// Stores a report, all of it or nothing. (Specification 4.3.)
    fn reported(&mut self, source: Source, profiles: Vec<Profile>) -> Result<(), Refusal> {
        let checked = |profile: Profile| {
            let (kind, identity) = self.kinds.reported(&profile)?;
            Ok((kind, identity, profile))
        };
        let pieces = profiles.into_iter().map(checked).collect::<Result<_, Refusal>>()?;
        self.equipment.report(source, pieces);
        Ok(())
    }

    /// Who has a piece, and how far it is from being free.
    pub(crate) fn holder(&self, item: &Identity) -> Option<(SessionId, &Phase)> {
        if let Some(workspace) = self.workspaces.made.get(item) {
            return Some((workspace.session, &workspace.phase));
        }
        let hold = self.equipment.item(self.equipment.id(item)?).hold.as_ref()?;
        Some((hold.session, &hold.phase))
    }

    pub(crate) fn set_phase(&mut self, item: &Identity, phase: Phase) {
        if let Some(workspace) = self.workspaces.made.get_mut(item) {
            workspace.phase = phase;
        } else if let Some(id) = self.equipment.id(item) {
            self.equipment.set_phase(id, phase);
        }
    }
}
