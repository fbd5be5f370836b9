//! The broker's whole truth and its one door: what is there, who has it, what each event changes.

use std::collections::BTreeMap;

use ave_profile::{BrokerId, Identity, KindTable, Profile, Refusal, RequestId, SessionId, Want};

use crate::equipment::{Equipment, Phase};
use crate::sessions::Session;
use crate::view::BROKEN;
use crate::workspaces::Workspaces;
use crate::{Effect, Event, Moment, Source};

/// Everything a broker knows and decides.
#[derive(Clone, Debug)]
pub struct Core {
    pub(crate) kinds: KindTable,
    pub(crate) equipment: Equipment,
    pub(crate) workspaces: Workspaces,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    /// What this broker calls itself among others.
    pub(crate) id: BrokerId,
}

impl Core {
    /// A broker without equipment, stacks, workspaces and sessions, that knows these types.
    pub fn new(kinds: KindTable, id: BrokerId) -> Core {
        Core {
            id,
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
            Event::Asked { session, request, want, nonce, via: _ } => {
                self.asked(session, request, want, nonce)
            }
            Event::Yielded { session, request, door, profiles } => {
                self.yielded(session, request, door, profiles)
            }
            Event::Closed { session, item, outcome } => Vec::from_iter(self.closed(session, &item, outcome)),
            Event::ResetAsked { item, request } => Vec::from_iter(self.reset_asked(item, request)),
            Event::ResetDone { item, request, outcome } => self.reset_done(&item, request, outcome),
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
            Event::ForwardSet { .. }
            | Event::PeerAnswered { .. }
            | Event::PeerSlow { .. }
            | Event::PeerLost { .. }
            | Event::ShareReported { .. }
            | Event::ShareLost { .. }
            | Event::ShareDropped { .. }
            | Event::DeadlineReached => Vec::new(),
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
        items.iter().for_each(|item| self.start_closing(session, item));
        Some(Effect::End { session, items })
    }

    /// A piece that was closed is free again; one that could not be closed stays out of the pool.
    fn closed(&mut self, session: SessionId, item: &Identity, outcome: Result<(), String>) -> Option<Effect> {
        if self.phase(session, item) != Some(Phase::Closing) {
            return None;
        }
        let id = self.equipment.id(item);
        let Err(reason) = outcome else {
            match id {
                Some(id) => self.equipment.release(id, session),
                None => drop(self.workspaces.made.remove(item)),
            }
            return None;
        };
        let message = format!("{item} could not be closed and is not lent any more: {reason}");
        match id {
            Some(id) => self.equipment.fail(id, session, reason),
            None => self.workspaces.fail(item, reason),
        }
        Some(Effect::Warn { message })
    }

    /// Stores a report, all of it or nothing. (Specification 4.3.)
    fn reported(&mut self, source: Source, profiles: Vec<Profile>) -> Result<(), Refusal> {
        let checked = |profile: Profile| {
            let (kind, identity) = self.kinds.reported(&profile)?;
            Ok((kind, identity, without_own_words(profile)))
        };
        let pieces = profiles.into_iter().map(checked).collect::<Result<_, Refusal>>()?;
        self.equipment.report(source, pieces);
        Ok(())
    }

    /// How far a piece is from being free again, if this session has it.
    pub(crate) fn phase(&self, session: SessionId, item: &Identity) -> Option<Phase> {
        match self.workspaces.made.get(item) {
            Some(workspace) => workspace.held_by(session),
            None => Some(self.equipment.item(self.equipment.id(item)?).holds.get(&session)?.phase),
        }
    }

    /// Whether any session has a piece.
    pub(crate) fn is_held(&self, item: &Identity) -> bool {
        match self.workspaces.made.get(item) {
            Some(workspace) => workspace.fault.is_none(),
            None => self.equipment.id(item).is_some_and(|id| !self.equipment.item(id).holds.is_empty()),
        }
    }

    /// An edge is about to be told to close what this session has.
    pub(crate) fn start_closing(&mut self, session: SessionId, item: &Identity) {
        let phase = if let Some(workspace) = self.workspaces.made.get_mut(item) {
            Some(&mut workspace.phase)
        } else {
            let id = self.equipment.id(item);
            let hold = id.and_then(|id| self.equipment.item_mut(id).holds.get_mut(&session));
            hold.map(|hold| &mut hold.phase)
        };
        if let Some(phase) = phase {
            *phase = Phase::Closing;
        }
    }
}

/// `broken` is the broker's own word in its lists: no report can say it.
fn without_own_words(mut profile: Profile) -> Profile {
    profile.0.remove(BROKEN);
    profile
}
