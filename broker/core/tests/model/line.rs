//! One broker's processes, one after another: each has a core, and older ones say to the newest, in order, what
//! is closed. Any of them may die; a journal of everything outlives them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::hash::{Hash, Hasher};

use ave_core::{Core, Effect, Event, Moment, Snapshot, Source};
use ave_profile::{
    BrokerId, Generation, Identity, KindTable, Profile, RefusalKind, RequestId, SessionId, Want,
};
use serde_json::json;

use crate::scene::{identities, ready, short};

/// A lab and how much happens to its broker.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) pieces: Vec<Identity>,
    pub(crate) stacks: Vec<Vec<Identity>>,
    /// What clients ask for: one piece of this type.
    pub(crate) wants: Vec<&'static str>,
    pub(crate) clients: u64,
    pub(crate) restarts: usize,
    pub(crate) deaths: u8,
}

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Turn {
    /// A new client comes, and asks.
    Comes(&'static str),
    /// A client asks again.
    Asks(SessionId, &'static str),
    Leaves(SessionId),
    /// An administrator closes a session by the newest process.
    IsClosed(SessionId),
    /// An edge has closed a piece.
    Closes(SessionId, Identity),
    /// The newest process has reset a piece, or could not.
    Resets(Identity, bool),
    Freezes,
    Thaws,
    Succeeds,
    /// The newest process hears the next word of an older one.
    Hears(usize),
    Dies(usize),
    Starts,
}

/// A word for the newest process.
#[derive(Clone, Debug, PartialEq, Hash)]
enum Word {
    Closed(SessionId, Identity),
    Ended(SessionId),
    Died,
}

#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) core: Core,
    pub(crate) alive: bool,
    said: VecDeque<Word>,
}

/// All processes at one moment, and what the edges know.
#[derive(Clone)]
pub(crate) struct Moments {
    pub(crate) processes: Vec<Process>,
    /// What the newest process has told one that is to follow.
    pub(crate) told: Option<Snapshot>,
    /// Who has a piece from which process, and whether it is to be closed.
    pub(crate) lent: BTreeMap<(Identity, SessionId), (usize, bool)>,
    /// Pieces that nobody closed.
    pub(crate) left: BTreeSet<Identity>,
    pub(crate) resetting: BTreeSet<Identity>,
    /// Which process serves which session.
    pub(crate) served: BTreeMap<SessionId, usize>,
    pub(crate) came: u64,
    pub(crate) died: u8,
    pub(crate) refused: bool,
    number: u64,
    pub(crate) fault: Option<&'static str>,
}

impl Line {
    pub(crate) fn begin(&self) -> Moments {
        let core = Core::new(KindTable::builtin(), BrokerId(1));
        let mut begin = Moments {
            processes: vec![Process { core, alive: true, said: VecDeque::new() }],
            told: None,
            lent: BTreeMap::new(),
            left: BTreeSet::new(),
            resetting: BTreeSet::new(),
            served: BTreeMap::new(),
            came: 0,
            died: 0,
            refused: false,
            number: 0,
            fault: None,
        };
        begin.reads(self);
        begin
    }
}

impl Moments {
    pub(crate) fn newest(&self) -> usize {
        self.processes.len() - 1
    }

    /// What can be had, by the newest process's list.
    pub(crate) fn available(&self) -> BTreeSet<Identity> {
        identities(self.processes[self.newest()].core.available(None)).into_iter().collect()
    }

    /// Whether an older process still serves somebody.
    pub(crate) fn elders(&self) -> usize {
        let newest = self.newest();
        (0..newest).filter(|nth| self.served.values().any(|by| by == nth)).count()
    }

    /// Whether nothing happens any more unless somebody does something.
    pub(crate) fn is_quiet(&self) -> bool {
        let said = self.processes.iter().any(|process| !process.said.is_empty());
        let closing = self.lent.values().any(|(_, closing)| *closing);
        !said && !closing && self.resetting.is_empty() && self.told.is_none() && self.lives()
    }

    fn lives(&self) -> bool {
        self.processes[self.newest()].alive
    }

    pub(crate) fn turns(&self, line: &Line) -> Vec<Turn> {
        let mut turns = Vec::new();
        if !self.lives() {
            return vec![Turn::Starts];
        }
        let newest = self.newest();
        match &self.told {
            Some(_) => turns.extend([Turn::Thaws, Turn::Succeeds]),
            None => {
                if self.came < line.clients {
                    turns.extend(line.wants.iter().map(|want| Turn::Comes(want)));
                }
                if newest < line.restarts {
                    turns.push(Turn::Freezes);
                }
                let said = (0..newest).filter(|nth| !self.processes[*nth].said.is_empty());
                turns.extend(said.map(Turn::Hears));
            }
        }
        for (session, by) in &self.served {
            turns.push(Turn::Leaves(*session));
            if self.told.is_none() {
                turns.extend(line.wants.iter().map(|want| Turn::Asks(*session, want)));
                turns.extend((*by < newest).then_some(Turn::IsClosed(*session)));
            }
        }
        let closing = self.lent.iter().filter(|(_, (_, closing))| *closing);
        turns.extend(closing.map(|((item, session), _)| Turn::Closes(*session, item.clone())));
        let resetting = self.resetting.iter().cloned();
        turns.extend(resetting.flat_map(|item| [true, false].map(|well| Turn::Resets(item.clone(), well))));
        if self.died < line.deaths {
            turns.extend((0..=newest).filter(|nth| self.processes[*nth].alive).map(Turn::Dies));
        }
        turns
    }

    pub(crate) fn after(&self, line: &Line, turn: Turn) -> Moments {
        let mut next = self.clone();
        let newest = next.newest();
        match turn {
            Turn::Comes(want) => {
                next.came += 1;
                let session = SessionId(next.came);
                next.served.insert(session, newest);
                next.tell(newest, Event::SessionOpened { session });
                next.ask(session, want);
            }
            Turn::Asks(session, want) => next.ask(session, want),
            Turn::Leaves(session) => next.end(session),
            Turn::IsClosed(session) => next.tell(newest, Event::SessionEnded { session }),
            Turn::Closes(session, item) => {
                let by = next.lent.remove(&(item.clone(), session)).map_or(newest, |(by, _)| by);
                next.tell(by, Event::Closed { session, item, outcome: Ok(()) });
                next.is_over(session, by);
            }
            Turn::Resets(item, well) => {
                next.resetting.remove(&item);
                let outcome = if well { Ok(()) } else { Err("stuck".to_owned()) };
                if well {
                    next.left.remove(&item);
                }
                next.tell(newest, Event::ResetDone { item: item.clone(), request: None, outcome });
                if !well {
                    next.tell(newest, Event::ResetAsked { item, request: None });
                }
            }
            Turn::Freezes => {
                next.tell(newest, Event::Frozen);
                let bytes = next.processes[newest].core.estate().encode(Snapshot::NEWEST).expect("a version");
                next.told = Some(Snapshot::decode(&bytes).expect("what was written can be read"));
            }
            Turn::Thaws => {
                next.told = None;
                next.processes[newest].said.clear();
                next.tell(newest, Event::Thawed);
                for item in next.left.difference(&next.resetting).cloned().collect::<Vec<_>>() {
                    next.tell(newest, Event::ResetAsked { item, request: None });
                }
            }
            Turn::Succeeds => {
                let snapshot = next.told.take().expect("it was told");
                next.follow(line, snapshot, &[newest]);
            }
            Turn::Hears(nth) => next.hear(nth),
            Turn::Dies(nth) => next.die(nth),
            Turn::Starts => {
                let snapshot = next.processes[newest].core.snapshot();
                (0..newest).for_each(|nth| next.die(nth));
                let all: Vec<usize> = (0..=newest).collect();
                next.follow(line, snapshot, &all);
                for generation in all.into_iter().map(generation) {
                    let lost = Event::GenerationLost { generation, reason: "dead".to_owned() };
                    next.tell(newest + 1, lost);
                }
            }
        }
        next
    }

    /// A new process, from what another one has told or left.
    fn follow(&mut self, line: &Line, snapshot: Snapshot, before: &[usize]) {
        let core = Core::restore(KindTable::builtin(), BrokerId(1), snapshot).expect("it is sound");
        self.resetting.clear();
        self.processes.push(Process { core, alive: true, said: VecDeque::new() });
        let last = before.last().copied().unwrap_or_default();
        self.tell(self.newest(), Event::Inherited { generation: generation(last) });
        self.reads(line);
    }

    fn reads(&mut self, line: &Line) {
        let stacks = line.stacks.iter().map(|stack| stack.iter().map(short).collect()).collect();
        let profiles = line.pieces.iter().map(ready).collect();
        self.tell(self.newest(), Event::StacksSet { stacks });
        self.tell(self.newest(), Event::Reported { source: Source::File, profiles, request: None });
        self.tell(self.newest(), Event::Settled { source: Source::File });
    }

    fn ask(&mut self, session: SessionId, want: &str) {
        let groups = vec![vec![Profile::of(json!({"type": want}))]];
        let (request, want, via) = (RequestId(0), Ok(Want { groups }), Vec::new());
        let by = self.served[&session];
        self.tell(by, Event::Asked { session, request, want, nonce: 0, via });
    }

    fn end(&mut self, session: SessionId) {
        if let Some(by) = self.served.get(&session).copied() {
            self.tell(by, Event::SessionEnded { session });
        }
    }

    /// An older process says that a session has nothing left.
    fn is_over(&mut self, session: SessionId, by: usize) {
        let holds = self.lent.keys().any(|(_, holder)| *holder == session);
        if !holds && !self.served.contains_key(&session) && (by < self.newest() || self.told.is_some()) {
            self.processes[by].said.push_back(Word::Ended(session));
        }
    }

    fn hear(&mut self, nth: usize) {
        let newest = self.newest();
        let event = match self.processes[nth].said.pop_front() {
            Some(Word::Closed(session, item)) => Event::ElderClosed { session, item, outcome: Ok(()) },
            Some(Word::Ended(session)) => Event::ElderEnded { session },
            Some(Word::Died) => {
                Event::GenerationLost { generation: generation(nth), reason: "dead".to_owned() }
            }
            None => return,
        };
        self.tell(newest, event);
    }

    fn die(&mut self, nth: usize) {
        let process = &mut self.processes[nth];
        if !std::mem::replace(&mut process.alive, false) {
            return;
        }
        process.said.push_back(Word::Died);
        self.died += 1;
        self.served.retain(|_, by| *by != nth);
        for (item, _) in self.lent.extract_if(.., |_, (by, _)| *by == nth).map(|(key, _)| key) {
            self.left.insert(item);
        }
        if nth == self.newest() {
            self.told = None;
            self.resetting.clear();
        }
    }

    fn tell(&mut self, nth: usize, event: Event) {
        let process = &mut self.processes[nth];
        let effects = process.core.apply(Moment::default(), event);
        process.core.check();
        effects.into_iter().for_each(|effect| self.carry_out(nth, effect));
    }

    fn carry_out(&mut self, nth: usize, effect: Effect) {
        match effect {
            Effect::Grant { session, groups, .. } => {
                for granted in groups.into_iter().flatten() {
                    let others = self.lent.keys().any(|(item, _)| *item == granted.item);
                    if others || self.left.contains(&granted.item) || granted.number <= self.number {
                        self.fault = Some("lent what was not free, or by an old number");
                    }
                    self.number = granted.number;
                    self.lent.insert((granted.item, session), (nth, false));
                }
            }
            Effect::Refuse { refusal, .. } => self.refused |= refusal.kind == RefusalKind::Restarting,
            Effect::End { session, items } => {
                self.served.remove(&session);
                for item in items {
                    match self.lent.get_mut(&(item, session)) {
                        Some((_, closing @ false)) => *closing = true,
                        _ => self.fault = Some("told to close what is not to be closed"),
                    }
                }
                self.is_over(session, nth);
            }
            Effect::Departed { session, item, .. } => {
                self.processes[nth].said.push_back(Word::Closed(session, item));
            }
            Effect::EndElder { session, .. } => self.end(session),
            Effect::Reset { item, .. } => {
                let held = self.lent.keys().any(|(lent, _)| *lent == item);
                if held || !self.resetting.insert(item) {
                    self.fault = Some("told to reset what is not to be reset");
                }
            }
            Effect::Warn { .. } => {}
            other => panic!("nothing to do with this: {other:?}"),
        }
    }

    fn key(&self) -> impl Hash + PartialEq + '_ {
        let mut hasher = std::hash::DefaultHasher::new();
        for process in &self.processes {
            (process.core.fingerprint(), process.alive, &process.said).hash(&mut hasher);
        }
        (self.told.is_some(), &self.lent, &self.left, &self.resetting).hash(&mut hasher);
        (&self.served, self.came, self.died, self.refused, self.fault).hash(&mut hasher);
        hasher.finish()
    }
}

fn generation(nth: usize) -> Generation {
    Generation(nth as u64 + 1)
}

impl PartialEq for Moments {
    fn eq(&self, other: &Moments) -> bool {
        self.key() == other.key()
    }
}

impl Hash for Moments {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// What the edges know; the cores' own states are told by the turns that led here.
impl fmt::Debug for Moments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moments")
            .field("served", &self.served)
            .field("lent", &self.lent)
            .field("left", &self.left)
            .field("resetting", &self.resetting)
            .finish()
    }
}
