//! A broker that is too simple to be wrong: plain lists, searched from end to end. It shares nothing
//! with the core but the vocabulary, and takes its truth from the specification.

use ave_core::{Door, Event, Granted, Source};
use ave_profile::{
    Allocations, Identity, Kept, KindTable, Profile, Refusal, RefusalKind, RequestId, SessionId, Want,
};

use crate::brute::Reason;
use crate::expected::{Expected, Piece};

/// What there is, who holds it, and nothing else.
pub(crate) struct Naive {
    kinds: KindTable,
    records: Vec<Record>,
    stacks: Vec<Vec<Profile>>,
    host: Option<Profile>,
    /// Open sessions, and what each has yielded at the broker but not yet at the session.
    sessions: Vec<(SessionId, Vec<Identity>)>,
    /// In the order of the grants.
    holds: Vec<Hold>,
    /// In the order in which pieces broke for the first time.
    faults: Vec<Fault>,
}

struct Record {
    item: Identity,
    profile: Profile,
    source: Source,
}

/// An allocation of a piece.
struct Hold {
    session: SessionId,
    item: Identity,
    state: State,
    /// The other members of its stacks when it was granted.
    entangled: Vec<Identity>,
    /// All that is known of a workspace, which has no record.
    workspace: Option<Profile>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Held,
    Closing,
}

/// A piece that could not be closed.
struct Fault {
    item: Identity,
    reason: String,
    mending: bool,
    /// What its allocations were entangled with.
    entangled: Vec<Identity>,
    workspace: Option<Profile>,
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
        }
    }

    /// What this event has to lead to.
    pub(crate) fn apply(&mut self, event: &Event) -> Vec<Expected> {
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
        match self.faults.iter_mut().find(|fault| fault.item == hold.item) {
            Some(fault) => {
                fault.entangled.extend(hold.entangled);
                (fault.reason, fault.mending) = (reason, false);
            }
            None => {
                let Hold { item, entangled, workspace, .. } = hold;
                self.faults.push(Fault { item, reason, mending: false, entangled, workspace });
            }
        }
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
                (self.faults[at].reason, self.faults[at].mending) = (reason, false);
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

/// What a look at the lists shows.
impl Naive {
    pub(crate) fn identity(&self, profile: &Profile) -> Option<Identity> {
        self.kinds.identity(profile)
    }

    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.sessions.iter().any(|(id, _)| *id == session)
    }

    /// Equipment with a record, in the order of the list.
    pub(crate) fn known(&self) -> Vec<Identity> {
        self.records.iter().map(|record| record.item.clone()).collect()
    }

    pub(crate) fn available(&self) -> Vec<Identity> {
        self.known().into_iter().filter(|item| self.has_room(item)).collect()
    }

    /// Workspaces that exist.
    pub(crate) fn workspaces(&self) -> Vec<Identity> {
        let held = self.holds.iter().filter(|hold| hold.workspace.is_some()).map(|hold| &hold.item);
        let broken = self.faults.iter().filter(|fault| fault.workspace.is_some()).map(|fault| &fault.item);
        held.chain(broken).cloned().collect()
    }

    /// What is listed as broken, and why.
    pub(crate) fn broken(&self) -> Vec<(Identity, String)> {
        let listed = [self.known(), sorted(self.workspaces())].concat();
        let fault = |item: Identity| {
            let fault = self.faults.iter().find(|fault| fault.item == item)?;
            Some((item, fault.reason.clone()))
        };
        listed.into_iter().filter_map(fault).collect()
    }

    /// What a session holds, or all sessions.
    pub(crate) fn allocations(&self, of: Option<SessionId>) -> Vec<Identity> {
        let held = self.holds.iter().filter(|hold| hold.state == State::Held);
        held.filter(|hold| of.is_none_or(|of| of == hold.session)).map(|hold| hold.item.clone()).collect()
    }

    /// What nobody can have because of what a session holds, or all sessions.
    pub(crate) fn collateral(&self, of: Option<SessionId>) -> Vec<Identity> {
        let holds = self
            .holds
            .iter()
            .filter(|hold| of.is_none_or(|of| (of, State::Held) == (hold.session, hold.state)));
        let faults = self.faults.iter().filter(|_| of.is_none());
        let entangled = holds.map(|hold| &hold.entangled).chain(faults.map(|fault| &fault.entangled));
        let mut items: Vec<Identity> = entangled.flatten().cloned().collect();
        items.retain(|item| !self.is_taken(item));
        items.sort();
        items.dedup();
        items
    }

    pub(crate) fn stacks(&self) -> Vec<Vec<Identity>> {
        let identities =
            |stack: &Vec<Profile>| stack.iter().filter_map(|short| self.kinds.identity(short)).collect();
        self.stacks.iter().map(identities).collect()
    }

    /// All other members of all stacks with this piece.
    pub(crate) fn entangled(&self, item: &Identity) -> Vec<Identity> {
        let stacks = self.stacks().into_iter().filter(|stack| stack.contains(item));
        stacks.flatten().filter(|other| other != item).collect()
    }

    /// Somebody has it, or broke it.
    pub(crate) fn is_taken(&self, item: &Identity) -> bool {
        self.holds.iter().any(|hold| hold.item == *item) || self.is_broken(item)
    }

    fn is_broken(&self, item: &Identity) -> bool {
        self.faults.iter().any(|fault| fault.item == *item)
    }

    /// It is whole and nobody's collateral, and fewer have it than may.
    fn has_room(&self, item: &Identity) -> bool {
        let holders = self.holds.iter().filter(|hold| hold.item == *item).count();
        let room = match self.kinds.get(&item.kind).unwrap().allocations {
            Allocations::AtMost(most) => holders < most.get() as usize,
            Allocations::Unlimited(_) => true,
        };
        let entangled = self.holds.iter().map(|hold| &hold.entangled);
        let mut entangled = entangled.chain(self.faults.iter().map(|fault| &fault.entangled));
        room && !self.is_broken(item) && !entangled.any(|entangled| entangled.contains(item))
    }

    /// As far as it alone is concerned, this session could have it, and has not yet.
    pub(crate) fn is_free_for(&self, session: SessionId, item: &Identity) -> bool {
        let mine = self.holds.iter().any(|hold| (hold.session, &hold.item) == (session, item));
        self.has_room(item) && !mine
    }

    pub(crate) fn fits(&self, request: &Profile, item: &Identity) -> bool {
        let kind = self.kinds.get(request.kind().unwrap()).unwrap();
        self.records.iter().any(|record| record.item == *item && kind.matches(request, &record.profile))
    }

    fn profile(&self, item: &Identity) -> Option<&Profile> {
        let records = self.records.iter().find(|record| record.item == *item).map(|record| &record.profile);
        let holds = || self.holds.iter().find(|hold| hold.item == *item)?.workspace.as_ref();
        let faults = || self.faults.iter().find(|fault| fault.item == *item)?.workspace.as_ref();
        records.or_else(holds).or_else(faults)
    }
}

fn sorted(mut items: Vec<Identity>) -> Vec<Identity> {
    items.sort();
    items
}

fn is_workspace(request: &Profile) -> bool {
    request.kind() == Some("workspace")
}

/// Any text will do where several groups are in each other's way.
fn any_busy() -> Vec<Reason> {
    vec![(RefusalKind::Busy, "")]
}
