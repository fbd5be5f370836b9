//! The broker's whole truth and its one door: what is there, who has it, what each event changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ave_profile::{
    Address, BrokerId, Identity, KindTable, Profile, Refusal, RefusalKind, RequestId, SessionId, Want,
};

use crate::equipment::{Equipment, Phase};
use crate::mending::RETRY_FIRST;
use crate::news::Changes;
use crate::pending::Asking;
use crate::sessions::Session;
use crate::shares::Shares;
use crate::succession::Succession;
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
    pub(crate) shares: Shares,
    /// Where to send what nobody here can serve.
    pub(crate) forward: Option<Address>,
    /// Shares that have not answered for a while.
    pub(crate) slow: BTreeSet<Address>,
    /// The number of the last question to another broker.
    pub(crate) asked_last: u64,
    pub(crate) changes: Changes,
    /// The number of the last grant.
    pub(crate) granted_last: u64,
    pub(crate) succession: Succession,
    /// The broken pieces that nobody resets now, by when that is tried again.
    pub(crate) retries: BTreeSet<(Moment, Identity)>,
    /// When the last event happened.
    pub(crate) now: Moment,
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
            shares: Shares::default(),
            forward: None,
            slow: BTreeSet::new(),
            asked_last: 0,
            changes: Changes::default(),
            granted_last: 0,
            succession: Succession::default(),
            retries: BTreeSet::new(),
            now: Moment::default(),
        }
    }

    /// What this broker calls itself among others.
    pub fn id(&self) -> BrokerId {
        self.id
    }

    /// When the last event happened, by this process's time or that of the one before it.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Lets one thing happen; returns what has to be done about it, in order.
    pub fn apply(&mut self, now: Moment, event: Event) -> Vec<Effect> {
        self.now = now;
        let effects = self.happen(event);
        self.number_changes();
        effects
    }

    fn happen(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::SessionOpened { session } => {
                self.sessions.entry(session).or_default();
                Vec::new()
            }
            Event::SessionEnded { session } => self.end(session),
            Event::Asked { session, request, want, nonce, via } => {
                self.asked((session, request), want, nonce, via)
            }
            Event::Yielded { session, request, door, profiles } => {
                self.yielded(session, request, door, profiles)
            }
            Event::Closed { session, item, outcome } => self.closed(session, &item, outcome),
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
                let before = self.equipment.stacks.written.clone();
                let warnings = self.equipment.set_stacks(&self.kinds, stacks);
                if self.equipment.stacks.written != before {
                    self.changes.touch_stacks();
                }
                warnings.into_iter().map(|message| Effect::Warn { message }).collect()
            }
            Event::WorkspaceProfileSet { profile } => {
                if self.workspaces.generic != profile {
                    self.workspaces.generic = profile;
                    self.changes.touch_workspace();
                }
                Vec::new()
            }
            Event::ForwardSet { target } => {
                self.forward = target;
                Vec::new()
            }
            Event::PeerAnswered { session, ask, outcome } => self.peer_answered(session, ask, outcome),
            Event::PeerSlow { session, ask } => self.peer_slow(session, ask),
            Event::PeerLost { session, peer } => self.peer_lost(session, &peer),
            Event::ShareReported { share, link, broker, report, request } => {
                self.share_reported((share, link), broker, report, request)
            }
            Event::ShareLost { link } => self.share_lost(link),
            Event::ShareDropped { share } => self.share_dropped(share.as_ref()),
            Event::Inherited { generation } => self.inherited(generation),
            Event::Confirmed { source } => {
                self.equipment.confirm(source);
                Vec::new()
            }
            Event::Settled { source } => {
                self.settled(Some(source));
                Vec::new()
            }
            Event::ElderClosed { session, item, outcome } => {
                Vec::from_iter(self.elder_closed(session, &item, outcome))
            }
            Event::ElderEnded { session } => self.elder_ended(session),
            Event::GenerationLost { generation, reason } => self.generation_lost(generation, &reason),
            Event::Frozen => {
                self.succession.frozen = true;
                Vec::new()
            }
            Event::Thawed => {
                self.succession.frozen = false;
                Vec::new()
            }
            Event::DeadlineReached => {
                self.shares.return_absent(self.now, &self.kinds, self.id);
                if self.succession.settles_at.is_some_and(|due| due <= self.now) {
                    self.settled(None);
                }
                self.retry_resets()
            }
        }
    }

    /// Grants all of it, asks others, or refuses and ends the session. (Specification 3.4, 5.)
    fn asked(
        &mut self,
        (session, request): (SessionId, RequestId),
        want: Result<Want, Refusal>,
        nonce: u64,
        via: Vec<BrokerId>,
    ) -> Vec<Effect> {
        if self.succession.frozen {
            return vec![Effect::Refuse { session, request, refusal: Refusal::restarting() }];
        }
        match self.sessions.get(&session).filter(|_| self.is_open(session)) {
            None => {
                return vec![Effect::Refuse { session, request, refusal: Refusal::session_closed() }];
            }
            Some(Session { asking: Some(_), .. }) => {
                let refusal = Refusal::exception("one request at a time: the last one is not answered yet");
                return self.refuse(session, request, refusal);
            }
            Some(_) => {}
        }
        let groups = match want.and_then(|want| self.requests(want)) {
            Ok(_) if via.contains(&self.id) => {
                let message = "no such resource: the request has been here before";
                return self.refuse(session, request, Refusal::new(RefusalKind::NoSuch, message));
            }
            Ok(groups) => groups,
            Err(refusal) => return self.refuse(session, request, refusal),
        };
        match self.plan(session, &groups, nonce) {
            Ok(plan) => {
                let groups = self.commit(session, plan);
                vec![Effect::Grant { session, request, groups }]
            }
            Err(refusal) if self.is_alone() || refusal.kind == RefusalKind::Exception => {
                self.refuse(session, request, refusal)
            }
            Err(here) => self.ask_around(session, Asking::new(request, groups, via, nonce, self.now, here)),
        }
    }

    fn is_alone(&self) -> bool {
        self.shares.is_empty() && self.forward.is_none()
    }

    fn refuse(&mut self, session: SessionId, request: RequestId, refusal: Refusal) -> Vec<Effect> {
        let mut effects = self.end(session);
        effects.push(Effect::Refuse { session, request, refusal });
        effects
    }

    /// Ends a session, once: what it holds is to be closed, what it waits for is answered.
    pub(crate) fn end(&mut self, session: SessionId) -> Vec<Effect> {
        if let Some(generation) = self.generation_of(session) {
            return vec![Effect::EndElder { generation, session }];
        }
        let Some(mut ended) = self.sessions.remove(&session) else { return Vec::new() };
        ended.items.reverse();
        ended.items.iter().for_each(|item| self.start_closing(session, item));
        for far in &ended.far {
            self.shares.give_back(self.now, &far.peer, session, &far.item);
        }
        let mut effects = vec![Effect::End { session, items: ended.items }];
        if let Some(asking) = ended.asking {
            asking.asks.values().for_each(|ask| self.release_reserved(session, ask));
            let (request, refusal) = (asking.request, Refusal::session_closed());
            effects.push(Effect::Refuse { session, request, refusal });
        }
        effects
    }

    /// A piece that was closed is free again; one that could not be closed stays out of the pool.
    fn closed(&mut self, session: SessionId, item: &Identity, outcome: Result<(), String>) -> Vec<Effect> {
        if self.phase(session, item) != Some(Phase::Closing) {
            return Vec::new();
        }
        let departed = self.succession.frozen.then(|| Effect::Departed {
            session,
            item: item.clone(),
            outcome: outcome.clone(),
        });
        departed.into_iter().chain(self.let_go(session, item, outcome)).collect()
    }

    /// Nobody drives a session's piece any more.
    pub(crate) fn let_go(
        &mut self,
        session: SessionId,
        item: &Identity,
        outcome: Result<(), String>,
    ) -> Option<Effect> {
        let id = self.equipment.id(item);
        let Err(reason) = outcome else {
            match id {
                Some(id) => self.equipment.release(id, session),
                None => self.workspaces.remove(item),
            }
            return None;
        };
        let message = format!("{item} could not be closed and is not lent any more: {reason}");
        self.breaks(session, item, reason, self.now.after(RETRY_FIRST));
        Some(Effect::Warn { message })
    }

    /// Stores a report, all of it or nothing. (Specification 4.3.)
    fn reported(&mut self, source: Source, profiles: Vec<Profile>) -> Result<(), Refusal> {
        let checked = |profile: Profile| {
            let (kind, identity) = self.kinds.reported(&profile)?;
            Ok((kind, identity, Arc::new(without_own_words(profile))))
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
