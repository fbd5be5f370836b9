//! A broker that is too simple to be wrong: plain lists, searched from end to end. It shares nothing
//! with the core but the vocabulary, and takes its truth from the specification.

use std::time::Duration;

use ave_core::{Door, Event, Granted, Moment, Source};
use ave_profile::{Identity, Kept, KindTable, Profile, Refusal, RefusalKind, RequestId, SessionId, Want};

use crate::brute::Reason;
use crate::expected::{Expected, Piece};

/// What there is, who holds it, and nothing else.
pub(crate) struct Naive {
    pub(crate) kinds: KindTable,
    pub(crate) records: Vec<Record>,
    pub(crate) stacks: Vec<Vec<Profile>>,
    host: Option<Profile>,
    /// Open sessions, and what each has yielded at the broker but not yet at the session.
    pub(crate) sessions: Vec<(SessionId, Vec<Identity>)>,
    /// In the order of the grants.
    pub(crate) holds: Vec<Hold>,
    /// In the order in which pieces broke for the first time.
    pub(crate) faults: Vec<Fault>,
    now: Moment,
}

pub(crate) struct Record {
    pub(crate) item: Identity,
    pub(crate) profile: Profile,
    pub(crate) source: Source,
}

/// An allocation of a piece.
pub(crate) struct Hold {
    pub(crate) session: SessionId,
    pub(crate) item: Identity,
    pub(crate) state: State,
    /// The other members of its stacks when it was granted.
    pub(crate) entangled: Vec<Identity>,
    /// All that is known of a workspace, which has no record.
    pub(crate) workspace: Option<Profile>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum State {
    Held,
    Closing,
}

/// A piece that could not be closed.
pub(crate) struct Fault {
    pub(crate) item: Identity,
    pub(crate) reason: String,
    pub(crate) mending: bool,
    /// When it is reset, unless it is being reset.
    retry_at: Moment,
    /// How many resets did not help.
    failed: u32,
    /// What its allocations were entangled with.
    pub(crate) entangled: Vec<Identity>,
    pub(crate) workspace: Option<Profile>,
}

impl Naive {
    pub(crate) fn new(kinds: KindTable) -> Naive {
        Naive {
            kinds,
            records: vec![],
            stacks: vec![],
            host: None,
            sessions: vec![],
            holds: vec![],
            faults: vec![],
            now: Moment::default(),
        }
    }

    /// What this event has to lead to.
    pub(crate) fn apply(&mut self, now: Moment, event: &Event) -> Vec<Expected> {
        self.now = now;
        match event.clone() {
            Event::SessionOpened { session } => self.sessions.push((session, vec![])),
            Event::SessionEnded { session } => return self.end(session),
            Event::Asked { session, request, want, .. } => {
                if !self.is_open(session) {
                    let reasons = vec![(RefusalKind::Exception, "session closed")];
                    return vec![Expected::Refuse { session, request, reasons }];
                }
                return match self.decide(session, want) {
                    Ok(groups) => vec![Expected::Grant { session, request, groups }],
                    Err(reasons) => {
                        let mut expected = self.end(session);
                        expected.push(Expected::Refuse { session, request, reasons });
                        expected
                    }
                };
            }
            Event::Yielded { session, request, door, profiles } => {
                return self.yielded(session, request, door, &profiles);
            }
            Event::Closed { session, item, outcome } => {
                let told =
                    |hold: &Hold| (hold.session, &hold.item, hold.state) == (session, &item, State::Closing);
                if let Some(at) = self.holds.iter().position(told) {
                    let hold = self.holds.remove(at);
                    if let Err(reason) = outcome {
                        self.break_down(hold, reason);
                    }
                }
            }
            Event::ResetAsked { item, request } => return self.reset_asked(item, request),
            Event::ResetDone { item, request, outcome } => return self.reset_done(&item, request, outcome),
            Event::Reported { source, profiles, request } => {
                let outcome = self.reported(source, &profiles);
                return request.map(|request| Expected::Reported { request, outcome }).into_iter().collect();
            }
            Event::Vanished { source, items } => {
                self.records.retain(|record| record.source != source || !items.contains(&record.item));
            }
            Event::StacksSet { stacks } => self.stacks = stacks,
            Event::WorkspaceProfileSet { profile } => self.host = profile,
            Event::DeadlineReached => return self.retry_resets(),
            _ => {} // other brokers are not its subject
        }
        vec![]
    }

    /// Enters a grant that was as expected; the core has named the new workspaces.
    pub(crate) fn enter(&mut self, session: SessionId, granted: &Granted) {
        if granted.again {
            return;
        }
        let item = granted.item.clone();
        let marks = &mut self.sessions.iter_mut().find(|(id, _)| *id == session).unwrap().1;
        marks.retain(|mark| *mark != item);
        let workspace = (&*item.kind == "workspace").then(|| Profile::clone(&granted.known));
        let entangled = self.entangled(&item);
        self.holds.push(Hold { session, item, state: State::Held, entangled, workspace });
    }

    /// What is granted, or all refusals that the specification allows.
    fn decide(
        &self,
        session: SessionId,
        want: Result<Want, Refusal>,
    ) -> Result<Vec<Vec<Piece>>, Vec<Reason>> {
        let Ok(want) = want else { return Err(vec![(RefusalKind::Exception, "unreadable")]) };
        let mut groups = vec![];
        for group in &want.groups {
            let mut requests = vec![];
            for request in group {
                let Some(kind) = self.kinds.get(request.kind().unwrap_or_default()) else {
                    return Err(vec![(RefusalKind::Exception, "unknown profile type")]);
                };
                requests.push(kind.with_defaults(request.clone()));
            }
            groups.push(requests);
        }
        let equipment: Vec<Vec<&Profile>> = groups
            .iter()
            .map(|group| group.iter().filter(|request| !is_workspace(request)).collect())
            .collect();
        let reasons = self.reasons(session, &groups, &equipment);
        let combination = self.first_combination(session, &equipment);
        let Some(combination) = combination.filter(|_| reasons.is_empty()) else {
            return Err(if reasons.is_empty() { any_busy() } else { reasons });
        };
        let mut pieces = combination.iter().map(|choice| choice.iter());
        let granted = groups.iter().map(|group| {
            let mut pieces = pieces.next().into_iter().flatten();
            group.iter().map(|request| self.piece(request, &mut pieces)).collect()
        });
        Ok(granted.collect())
    }

    fn piece<'i>(&self, request: &Profile, pieces: &mut impl Iterator<Item = &'i Identity>) -> Piece {
        let kind = self.kinds.get(request.kind().unwrap()).unwrap();
        let again = is_workspace(request) && request.contains_key("uid");
        if is_workspace(request) && !again {
            return Piece::New { generic: self.host.clone().unwrap() };
        }
        let item = if again { self.kinds.identity(request).unwrap() } else { pieces.next().unwrap().clone() };
        let known = self.profile(&item).unwrap().clone();
        Piece::Known { shown: kind.granted(request, &known, Kept::Reduced), item, known, again }
    }

    /// Every refusal that may be given, if there has to be one for a single group's sake. One impossible
    /// group makes the whole call impossible. (Specification 5.5, 5.6 and 5.8.)
    fn reasons(
        &self,
        session: SessionId,
        groups: &[Vec<Profile>],
        equipment: &[Vec<&Profile>],
    ) -> Vec<Reason> {
        let workspaces = groups.iter().flatten().filter(|request| is_workspace(request));
        let mut reasons: Vec<Reason> = workspaces.filter_map(|w| self.workspace_reason(session, w)).collect();
        reasons.extend(equipment.iter().filter_map(|group| self.reason(session, group)));
        if reasons.iter().any(|(kind, _)| *kind == RefusalKind::NoSuch) {
            reasons.retain(|(kind, _)| *kind == RefusalKind::NoSuch);
        } else if groups.len() > 1 && !reasons.is_empty() {
            return any_busy();
        }
        reasons
    }

    fn workspace_reason(&self, session: SessionId, request: &Profile) -> Option<Reason> {
        let kind = self.kinds.get("workspace").unwrap();
        let no_such = Some((RefusalKind::NoSuch, "no such workspace"));
        if !request.contains_key("uid") {
            return if self.host.as_ref().is_some_and(|host| kind.matches(request, host)) {
                None
            } else {
                no_such
            };
        }
        let item = self.kinds.identity(request)?;
        let matches = self.profile(&item).is_some_and(|known| kind.matches(request, known));
        let mine = self
            .holds
            .iter()
            .any(|hold| (&hold.item, hold.session, hold.state) == (&item, session, State::Held));
        match (matches, mine) {
            (true, true) => None,
            (true, false) => Some((RefusalKind::Busy, "resource already allocated")),
            (false, _) => no_such,
        }
    }

    fn yielded(
        &mut self,
        session: SessionId,
        request: RequestId,
        door: Door,
        profiles: &[Profile],
    ) -> Vec<Expected> {
        let Some(at) = self.sessions.iter().position(|(id, _)| *id == session) else {
            let outcome = Err((RefusalKind::Exception, "session closed"));
            return vec![Expected::Yielded { session, request, outcome }];
        };
        let marks = &mut self.sessions[at].1;
        let mut outcome = Ok(if door == Door::Broker { profiles.to_vec() } else { vec![] });
        let mut yielded = vec![];
        for profile in profiles {
            let item = self.kinds.identity(profile);
            let others = |hold: &Hold| Some(&hold.item) == item.as_ref() && hold.session != session;
            let others = self.holds.iter().any(others);
            let hold = self
                .holds
                .iter_mut()
                .find(|hold| Some(&hold.item) == item.as_ref() && hold.session == session);
            let mark = marks.iter().position(|mark| Some(mark) == item.as_ref());
            match (door, hold) {
                (_, Some(hold)) if hold.state == State::Held => {
                    hold.state = State::Closing;
                    yielded.push(hold.item.clone());
                    if door == Door::Broker {
                        marks.push(hold.item.clone());
                    }
                }
                (Door::Broker, None) if others => {
                    outcome = Err((RefusalKind::NotOwner, "not owner of this resource"));
                    break;
                }
                (Door::Broker, _) => {}
                (Door::Session, _) if mark.is_some() => drop(marks.remove(mark.unwrap())),
                (Door::Session, _) => {
                    outcome = Err((RefusalKind::NoSuch, "no such resource"));
                    break;
                }
            }
        }
        let mine = self.holds.iter().rev().filter(|hold| hold.session == session);
        let items: Vec<Identity> =
            mine.map(|hold| hold.item.clone()).filter(|item| yielded.contains(item)).collect();
        let mut expected = vec![];
        if !items.is_empty() {
            expected.push(Expected::Close { session, items });
        }
        expected.push(Expected::Yielded { session, request, outcome });
        expected
    }

    fn break_down(&mut self, hold: Hold, reason: String) {
        let retry_at = self.later(10);
        match self.faults.iter_mut().find(|fault| fault.item == hold.item) {
            Some(fault) => {
                fault.entangled.extend(hold.entangled);
                (fault.reason, fault.mending, fault.failed) = (reason, false, 0);
                fault.retry_at = retry_at;
            }
            None => {
                let Hold { item, entangled, workspace, .. } = hold;
                let mending = false;
                self.faults.push(Fault { item, reason, mending, retry_at, failed: 0, entangled, workspace });
            }
        }
    }

    fn later(&self, s: u64) -> Moment {
        Moment(self.now.0 + Duration::from_secs(s))
    }

    /// When the next broken piece is to be reset without being asked for.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.faults.iter().filter(|fault| !fault.mending).map(|fault| fault.retry_at).min()
    }

    /// Resets 10 s after a piece broke, and then after pauses of 20 s, 40 s and so on, ten minutes at most; a
    /// piece that cannot be reset just now has to wait for another 10 s. (Specification 5.11.)
    fn retry_resets(&mut self) -> Vec<Expected> {
        let mut due = vec![];
        let next = self.later(10);
        for fault in self.faults.iter_mut().filter(|fault| !fault.mending && fault.retry_at <= self.now) {
            due.push((fault.retry_at, fault.item.clone()));
            fault.retry_at = next;
        }
        due.sort();
        due.into_iter().flat_map(|(_, item)| self.reset_asked(item, None)).collect()
    }

    fn reset_asked(&mut self, item: Identity, request: Option<RequestId>) -> Vec<Expected> {
        let known = self.profile(&item).cloned();
        let held = self.holds.iter().any(|hold| hold.item == item);
        let fault = self.faults.iter_mut().find(|fault| fault.item == item);
        let reason = match (known, fault) {
            (None, _) => (RefusalKind::NoSuch, "no such resource"),
            (_, None) => (RefusalKind::Exception, ""),
            (_, Some(_)) if held => (RefusalKind::Busy, "resource already allocated"),
            (_, Some(fault)) if fault.mending => (RefusalKind::Busy, ""),
            (Some(known), Some(fault)) => {
                fault.mending = true;
                return vec![Expected::Reset { item, known, request }];
            }
        };
        let refused = request.map(|request| Expected::ResetAnswered { request, outcome: Err(reason) });
        refused.into_iter().collect()
    }

    fn reset_done(
        &mut self,
        item: &Identity,
        request: Option<RequestId>,
        outcome: Result<(), String>,
    ) -> Vec<Expected> {
        let mending = |fault: &Fault| fault.item == *item && fault.mending;
        let Some(at) = self.faults.iter().position(mending) else { return vec![] };
        let outcome = match outcome {
            Ok(()) => {
                self.faults.remove(at);
                Ok(())
            }
            Err(reason) => {
                let failed = self.faults[at].failed + 1;
                let retry_at = self.later((10 << failed.min(10)).min(600));
                let fault = &mut self.faults[at];
                (fault.reason, fault.mending, fault.failed, fault.retry_at) =
                    (reason, false, failed, retry_at);
                Err((RefusalKind::Exception, ""))
            }
        };
        request.map(|request| Expected::ResetAnswered { request, outcome }).into_iter().collect()
    }

    fn end(&mut self, session: SessionId) -> Vec<Expected> {
        if !self.is_open(session) {
            return vec![];
        }
        self.sessions.retain(|(id, _)| *id != session);
        let mut items = vec![];
        for hold in self.holds.iter_mut().rev() {
            if hold.session == session && hold.state == State::Held {
                hold.state = State::Closing;
                items.push(hold.item.clone());
            }
        }
        vec![Expected::End { session, items }]
    }

    fn reported(&mut self, source: Source, profiles: &[Profile]) -> Result<(), Reason> {
        for profile in profiles {
            if let Err(refusal) = self.kinds.reported(profile) {
                return Err((refusal.kind, ""));
            }
        }
        for profile in profiles {
            let (item, mut profile) = (self.kinds.identity(profile).unwrap(), profile.clone());
            match self.records.iter_mut().find(|record| record.item == item) {
                Some(old) => {
                    if !profile.contains_key("pretty")
                        && let Some(pretty) = old.profile.get("pretty")
                    {
                        profile.0.insert("pretty".into(), pretty.clone());
                    }
                    (old.profile, old.source) = (profile, source);
                }
                None => self.records.push(Record { item, profile, source }),
            }
        }
        Ok(())
    }
}

fn is_workspace(request: &Profile) -> bool {
    request.kind() == Some("workspace")
}

/// Any text will do where several groups are in each other's way.
fn any_busy() -> Vec<Reason> {
    vec![(RefusalKind::Busy, "")]
}
