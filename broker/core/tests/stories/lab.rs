//! A small lab to tell stories about: it plays the edges of the core, closes what it is told to close,
//! and gives every client its answers.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use ave_core::{Core, Effect, Event, Granted, Moment, Snapshot, Source};
use ave_profile::{
    BrokerId, Generation, Identity, Kind, KindTable, Profile, Refusal, RefusalKind, RequestId, SessionId,
    Value,
};
use serde_json::{Value as Json, json};

use crate::asks::{handset, relay, w, with};
use crate::client::Client;

/// What one answer was.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Got(Vec<Vec<Granted>>),
    Yielded(Vec<Profile>),
    Reported,
    Reset,
    Refused(Refusal),
}

/// A lab with a broker. Clones are the same lab.
#[derive(Clone)]
pub(crate) struct Lab(Rc<RefCell<Bench>>);

struct Bench {
    core: Core,
    /// What was told to close and is not closed yet.
    closing: Vec<(SessionId, Identity)>,
    /// Whether closing takes time.
    slow: bool,
    answers: Vec<(RequestId, Answer)>,
    ended: BTreeSet<SessionId>,
    /// What was told to be reset and is not reset yet, and for whom.
    resetting: Vec<(Identity, Option<RequestId>)>,
    warnings: Vec<String>,
    /// What the process that takes over is told.
    departed: Vec<(SessionId, Identity)>,
    /// Whom older processes were told to end.
    told_to_end: Vec<SessionId>,
    now: Moment,
    last_id: u64,
}

impl Lab {
    /// An empty lab whose host has no workspaces.
    pub(crate) fn new() -> Lab {
        Lab(Rc::new(RefCell::new(Bench {
            core: Core::new(kinds(), BrokerId(1)),
            closing: Vec::new(),
            slow: false,
            answers: Vec::new(),
            ended: BTreeSet::new(),
            resetting: Vec::new(),
            warnings: Vec::new(),
            departed: Vec::new(),
            told_to_end: Vec::new(),
            now: Moment::default(),
            last_id: 0,
        })))
    }

    /// Adds a booted handset.
    pub(crate) fn handset(self, serial: &str) -> Lab {
        self.piece(with(handset(serial), json!({"power_state": "boot_completed"})))
    }

    /// Adds a relay that is online and wired to USB and battery.
    pub(crate) fn relay(self, uid: &str) -> Lab {
        let circuits = json!({"usb.pc.vcc": 1, "handset.battery": 2});
        self.piece(with(relay(uid), json!({"power_state": "online", "circuits": circuits})))
    }

    /// Adds any piece.
    pub(crate) fn piece(self, profile: Json) -> Lab {
        self.report(Source::File, [profile]).expect("the piece is well described");
        self
    }

    /// Adds a stack: handsets and relays by name, handsets in upper case.
    pub(crate) fn stack(self, names: &str) -> Lab {
        let short = |name: &str| if name == name.to_uppercase() { handset(name) } else { relay(name) };
        let mut stacks = self.stacks();
        stacks.push(names.split(' ').map(short).map(Profile::of).collect());
        self.set_stacks(stacks);
        self
    }

    /// Makes the host able to give workspaces.
    pub(crate) fn workspaces(self, criteria: Json) -> Lab {
        let profile = Some(Profile::of(with(w(), criteria)));
        self.apply(Event::WorkspaceProfileSet { profile });
        self
    }

    /// From now on closing takes until [`Lab::finish_closing`].
    pub(crate) fn closing_slowly(self) -> Lab {
        self.0.borrow_mut().slow = true;
        self
    }

    /// A new client with a session.
    pub(crate) fn client(&self) -> Client {
        let session = SessionId(self.next_id());
        self.apply(Event::SessionOpened { session });
        Client::new(self.clone(), session)
    }

    /// Somebody reports equipment and waits for the answer.
    pub(crate) fn report(
        &self,
        source: Source,
        profiles: impl IntoIterator<Item = Json>,
    ) -> Result<(), Refusal> {
        let profiles = profiles.into_iter().map(Profile::of).collect();
        match self.answer(|request| Event::Reported { source, profiles, request: Some(request) }) {
            Answer::Reported => Ok(()),
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("not an answer to a report: {other:?}"),
        }
    }

    /// Equipment is gone.
    pub(crate) fn vanish(&self, source: Source, items: &[Identity]) {
        self.apply(Event::Vanished { source, items: items.to_vec() });
    }

    /// Replaces all stacks.
    pub(crate) fn set_stacks(&self, stacks: Vec<Vec<Profile>>) {
        self.apply(Event::StacksSet { stacks });
    }

    /// Another process takes over from this one, which goes on with its sessions: what it then knows.
    pub(crate) fn restarts(&self, generation: u64) -> Lab {
        self.apply(Event::Frozen);
        let bytes = self.ask_core(Core::estate).encode(Snapshot::NEWEST).expect("it can be written");
        let next = Lab::new();
        next.0.borrow_mut().last_id = self.0.borrow().last_id + 1000;
        let snapshot = Snapshot::decode(&bytes).expect("it can be read");
        next.0.borrow_mut().core = Core::restore(kinds(), BrokerId(2), snapshot).expect("it is true");
        next.apply(Event::Inherited { generation: Generation(generation) });
        next
    }

    /// The process that took over hears what has been closed in this one since.
    pub(crate) fn tells(&self, next: &Lab) {
        for (session, item) in std::mem::take(&mut self.0.borrow_mut().departed) {
            next.apply(Event::ElderClosed { session, item, outcome: Ok(()) });
        }
    }

    /// Whom older processes were told to end.
    pub(crate) fn told_to_end(&self) -> Vec<SessionId> {
        self.0.borrow().told_to_end.clone()
    }

    /// Everything that is still closing is closed now.
    pub(crate) fn finish_closing(&self) {
        let closing = std::mem::take(&mut self.0.borrow_mut().closing);
        assert!(!closing.is_empty(), "nothing is closing");
        for (session, item) in closing {
            self.closed(session, &item, Ok(()));
        }
    }

    /// An edge says that a piece is closed, whether it was told to close it or not.
    pub(crate) fn closed(&self, session: SessionId, item: &Identity, outcome: Result<(), String>) {
        self.0.borrow_mut().closing.retain(|open| *open != (session, item.clone()));
        self.apply(Event::Closed { session, item: item.clone(), outcome });
    }

    /// Makes a piece impossible to close: somebody gets it, leaves, and closing fails for this reason.
    pub(crate) fn breaks(&self, wanted: Json, reason: &str) -> Identity {
        let client = self.client();
        let item = client.get([wanted]).expect("the piece can be had")[0].item.clone();
        self.fails_to_close(&client, &item, reason);
        item
    }

    /// A client leaves, and one piece of it cannot be closed.
    pub(crate) fn fails_to_close(&self, client: &Client, item: &Identity, reason: &str) {
        let was_slow = std::mem::replace(&mut self.0.borrow_mut().slow, true);
        client.leaves();
        self.closed(client.session(), item, Err(reason.to_owned()));
        self.0.borrow_mut().slow = was_slow;
    }

    /// An administrator asks for a reset; the refusal, if nothing is to be reset.
    pub(crate) fn asks_for_reset(&self, item: &Identity) -> Option<Refusal> {
        let (item, request) = (item.clone(), Some(RequestId(self.next_id())));
        self.apply(Event::ResetAsked { item, request });
        match self.0.borrow_mut().answers.pop()? {
            (answered, Answer::Refused(refusal)) if Some(answered) == request => Some(refusal),
            other => panic!("not an answer to a reset that has not been done: {other:?}"),
        }
    }

    /// An edge has done what it was told to reset; what the administrator hears.
    pub(crate) fn resets(&self, item: &Identity, outcome: Result<(), &str>) -> Result<(), Refusal> {
        let place = self.0.borrow().resetting.iter().position(|(order, _)| order == item);
        let (item, request) = self.0.borrow_mut().resetting.remove(place.expect("somebody was told"));
        self.apply(Event::ResetDone { item, request, outcome: outcome.map_err(str::to_owned) });
        match self.0.borrow_mut().answers.pop() {
            Some((answered, Answer::Reset)) if Some(answered) == request => Ok(()),
            Some((answered, Answer::Refused(refusal))) if Some(answered) == request => Err(refusal),
            other => panic!("not an answer to a reset: {other:?}"),
        }
    }

    /// An edge has done what it was told to reset by nobody who waits; the refusal that somebody heard all the same.
    pub(crate) fn resets_untold(&self, item: &Identity, outcome: Result<(), &str>) -> Option<Answer> {
        let place = self.0.borrow().resetting.iter().position(|(order, _)| order == item);
        let (item, request) = self.0.borrow_mut().resetting.remove(place.expect("somebody was told"));
        assert_eq!(request, None);
        self.apply(Event::ResetDone { item, request, outcome: outcome.map_err(str::to_owned) });
        self.0.borrow_mut().answers.pop().map(|(_, answer)| answer)
    }

    /// Time passes: so much, and step by step, as deadlines come.
    pub(crate) fn waits(&self, s: u64) {
        let until = Moment(self.0.borrow().now.0 + Duration::from_secs(s));
        while let Some(due) = self.ask_core(Core::deadline).filter(|due| *due <= until) {
            self.0.borrow_mut().now = due;
            self.apply(Event::DeadlineReached);
        }
        self.0.borrow_mut().now = until;
    }

    /// An edge has reset a piece for nobody, because it was time.
    pub(crate) fn retries(&self, item: &Identity, outcome: Result<(), &str>) {
        let resetting = std::mem::take(&mut self.0.borrow_mut().resetting);
        assert_eq!(resetting, [(item.clone(), None)], "it was time for this");
        let outcome = outcome.map_err(str::to_owned);
        self.apply(Event::ResetDone { item: item.clone(), request: None, outcome });
        assert!(self.0.borrow().answers.is_empty(), "nobody asked");
    }

    /// Whether an edge was told to reset anything.
    pub(crate) fn is_resetting(&self) -> bool {
        !self.0.borrow().resetting.is_empty()
    }

    /// Names and reasons of what is listed as broken.
    pub(crate) fn broken(&self) -> Vec<(String, String)> {
        let listed = self.ask_core(|core| core.equipment(None, None));
        let reason = |profile: &Profile| Some(profile.get("broken")?.as_str()?.to_owned());
        listed.iter().filter_map(|profile| Some((name(profile), reason(profile)?))).collect()
    }

    /// The names of everything known, in the order of the list.
    pub(crate) fn equipment(&self) -> Vec<String> {
        names(&self.ask_core(|core| core.equipment(None, None)))
    }

    /// The names of what matches.
    pub(crate) fn equipment_like(&self, filter: Json) -> Vec<String> {
        names(&self.ask_core(|core| core.equipment(Some(&Profile::of(filter)), None)))
    }

    /// The full profile of one piece.
    pub(crate) fn known(&self, criteria: Json) -> Profile {
        let found = self.ask_core(|core| core.equipment(Some(&Profile::of(criteria)), None));
        assert_eq!(found.len(), 1, "the criteria fit one piece");
        Profile::clone(&found[0])
    }

    /// The names of what can be had.
    pub(crate) fn available(&self) -> Vec<String> {
        names(&self.ask_core(|core| core.available(None)))
    }

    /// The names of what a session holds, or all of them, in alphabetical order.
    pub(crate) fn allocations(&self, of: Option<SessionId>) -> Vec<String> {
        sorted(names(&self.ask_core(|core| core.allocations(of))))
    }

    /// The names of the collateral of a session, or of all of them, in alphabetical order.
    pub(crate) fn collateral(&self, of: Option<SessionId>) -> Vec<String> {
        sorted(names(&self.ask_core(|core| core.collateral(of))))
    }

    /// The configured stacks.
    pub(crate) fn stacks(&self) -> Vec<Vec<Profile>> {
        let stacks = self.ask_core(Core::stacks);
        stacks.iter().map(|stack| stack.iter().map(|short| Profile::clone(short)).collect()).collect()
    }

    /// What a lab owner was told.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0.borrow().warnings.clone()
    }

    /// Looks at the core.
    pub(crate) fn ask_core<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.0.borrow().core)
    }

    /// Applies an event that asks for something; what is answered.
    pub(crate) fn answer(&self, event: impl FnOnce(RequestId) -> Event) -> Answer {
        let asked = RequestId(self.next_id());
        self.apply(event(asked));
        let answers = std::mem::take(&mut self.0.borrow_mut().answers);
        let [(request, answer)] = answers.try_into().expect("a request is answered once");
        assert_eq!(request, asked);
        answer
    }

    fn next_id(&self) -> u64 {
        let mut bench = self.0.borrow_mut();
        bench.last_id += 1;
        bench.last_id
    }

    /// Applies one event, carries out its effects in order, and closes what there is to close.
    pub(crate) fn apply(&self, event: Event) {
        let orders = {
            let mut bench = self.0.borrow_mut();
            let now = bench.now;
            let effects = bench.core.apply(now, event);
            bench.core.check();
            effects.into_iter().flat_map(|effect| bench.carry_out(effect)).collect::<Vec<_>>()
        };
        for (session, item) in orders {
            let mut bench = self.0.borrow_mut();
            assert!(!bench.closing.contains(&(session, item.clone())), "told to close {item} twice");
            bench.closing.push((session, item.clone()));
            if !bench.slow {
                drop(bench);
                self.closed(session, &item, Ok(()));
            }
        }
    }
}

impl Bench {
    /// Carries out one effect; what it says to close is returned.
    fn carry_out(&mut self, effect: Effect) -> Vec<(SessionId, Identity)> {
        let of = |session, items: Vec<Identity>| items.into_iter().map(|item| (session, item)).collect();
        match effect {
            Effect::Grant { request, groups, .. } => self.answers.push((request, Answer::Got(groups))),
            Effect::Refuse { request, refusal, .. } if refusal.kind == RefusalKind::Restarting => {
                self.answers.push((request, Answer::Refused(refusal)));
            }
            Effect::Refuse { session, request, refusal } => {
                assert!(self.ended.contains(&session), "a refused session ends before it hears of it");
                self.answers.push((request, Answer::Refused(refusal)));
            }
            Effect::Yielded { request, outcome, .. } => {
                self.answers.push((request, outcome.map_or_else(Answer::Refused, Answer::Yielded)));
            }
            Effect::Reported { request, outcome } => {
                self.answers.push((request, outcome.map_or_else(Answer::Refused, |()| Answer::Reported)));
            }
            Effect::Reset { item, request, .. } => {
                let told = self.resetting.iter().any(|(other, _)| *other == item);
                assert!(!told, "told to reset {item} twice");
                self.resetting.push((item, request));
            }
            Effect::ResetAnswered { request, outcome } => {
                self.answers.push((request, outcome.map_or_else(Answer::Refused, |()| Answer::Reset)));
            }
            Effect::Close { session, items } => return of(session, items),
            Effect::End { session, items } => {
                assert!(self.ended.insert(session), "a session ends once");
                return of(session, items);
            }
            Effect::Departed { session, item, .. } => self.departed.push((session, item)),
            Effect::EndElder { session, .. } => self.told_to_end.push(session),
            Effect::Warn { message } => self.warnings.push(message),
            other => panic!("there is no other broker: {other:?}"),
        }
        Vec::new()
    }
}

/// The built-in types, and one whose pieces two sessions may hold at once.
fn kinds() -> KindTable {
    let camera = json!({"type": "camera", "identity": "uid", "allocations": 2,
        "rules": {"size": "one_of", "note": "ignore"}});
    let camera: Kind = serde_json::from_value(camera).expect("a type");
    KindTable::new(KindTable::builtin().iter().map(|kind| Kind::clone(kind)).chain([camera]))
}

/// The values of the identity fields.
fn names<P: std::borrow::Borrow<Profile>>(profiles: &[P]) -> Vec<String> {
    profiles.iter().map(|profile| name(profile.borrow())).collect()
}

fn name(profile: &Profile) -> String {
    let name = profile.get("serial").or(profile.get("uid")).and_then(Value::as_str);
    name.expect("what is listed has an identity").to_owned()
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}
