//! One process of a broker after another: the exchange between the old one and the new one, which may end at
//! any step of it, and what older ones that still serve say and hear. (Specification 7.1.)

use ave_core::{Core, Event, Remainder, Snapshot};
use ave_profile::{Generation, SessionId};

use crate::agenda::{Happening, MILLISECOND, Micros, SECOND, SiteId};
use crate::dice::Dice;
use crate::journal::{Journal, version};
use crate::plan::kinds;
use crate::sharing::Notifier;
use crate::site::{Broker, Pid, Stage};
use crate::wire::{End, Role};
use crate::world::World;

/// How long the old process waits for the new one.
const PATIENCE: Micros = 3 * SECOND;

/// How long requests and resets that are under way may keep the old process from freezing.
const FREEZE_WITHIN: Micros = 4 * SECOND;

const LOOK_EVERY: Micros = 5 * MILLISECOND;

/// What the two processes say to each other, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Hello,
    Estate,
    Ready,
    Yours,
    Mine,
}

/// How far the new process comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    Whole,
    /// It dies before it says or has heard this.
    Dies(Step),
    /// From then on it says nothing.
    Hangs(Step),
}

impl Course {
    pub(crate) fn draw(dice: &mut Dice) -> Course {
        let step = *dice.pick(&[Step::Hello, Step::Estate, Step::Ready, Step::Yours, Step::Mine]);
        match dice.among(0..10) {
            0..6 => Course::Whole,
            6..9 => Course::Dies(step),
            _ => Course::Hangs(step),
        }
    }
}

impl World {
    /// An administrator has another process take over.
    pub(crate) fn restart(&mut self, site: SiteId, course: Course) {
        if self.serving(site).is_none() || self.sites[site].successor.is_some() {
            return;
        }
        let heir = self.spawn(site);
        self.sites[site].successor = Some(heir);
        self.draft(site, heir);
        self.step(heir, Step::Hello, course);
    }

    /// Most new processes are told what there is before the old one freezes; those of older programs are not.
    fn draft(&mut self, site: SiteId, heir: Pid) {
        let takes_one = !heir.is_multiple_of(4);
        let old = self.sites[site].pid.filter(|_| takes_one).map(|pid| &self.brokers[pid].core);
        let draft = old.map(|core| core.estate().draft()).unwrap_or_default();
        let broker = &mut self.brokers[heir];
        let told = read(&draft, Snapshot::NEWEST);
        broker.core = Core::restore(kinds(), broker.id, told).expect("what was written is sound");
        self.sites[site].draft = draft;
    }

    /// The next word of the exchange arrives in a moment, if the new process is in a state to say or to hear it.
    fn step(&mut self, heir: Pid, step: Step, course: Course) {
        let after = self.dice.among(10..30 * MILLISECOND);
        match course {
            Course::Dies(at) if at == step => self.later(heir, after, Happening::HeirDies),
            Course::Hangs(at) if at == step => {}
            _ => self.later(heir, after, Happening::Handover(step, course)),
        }
    }

    /// A word of the exchange arrives.
    pub(crate) fn handover(&mut self, heir: Pid, step: Step, course: Course) {
        let site = self.brokers[heir].site;
        let Some(pid) = self.sites[site].pid else { return };
        match step {
            Step::Hello => {
                self.brokers[pid].stage = Stage::Frozen;
                self.later(pid, FREEZE_WITHIN, Happening::NotTaken(heir));
                self.later(pid, 0, Happening::Freezes(heir, course));
            }
            Step::Estate => self.step(heir, Step::Ready, course),
            Step::Ready => self.step(heir, Step::Yours, course),
            Step::Yours => {
                // A journal of its own is the last thing it does before it answers.
                let broker = &self.brokers[heir];
                self.sites[site].journal = Some(Journal::of(heir, broker, &mut self.dice));
                self.step(heir, Step::Mine, course);
            }
            Step::Mine => self.succeed(site, pid, heir),
        }
    }

    /// The old process waits until nothing is asked or reset any more; then it tells what it knows.
    pub(crate) fn freezes(&mut self, pid: Pid, heir: Pid, course: Course) {
        let site = self.brokers[pid].site;
        if self.sites[site].successor != Some(heir) {
            return;
        }
        let is_asking = self.brokers[pid].core.is_asking();
        self.seen.mark("a restart waited for other brokers", is_asking);
        self.seen.mark("a restart waited for a reset", !self.brokers[pid].resetting.is_empty());
        if is_asking || !self.brokers[pid].resetting.is_empty() {
            return self.later(pid, LOOK_EVERY, Happening::Freezes(heir, course));
        }
        self.tell(pid, Event::Frozen);
        let Remainder { changes, rest } = self.brokers[pid].core.estate().since(&self.sites[site].draft);
        let rest = read(&rest, version(&mut self.dice));
        let core = self.brokers[heir].core.clone().complete(Remainder { changes, rest });
        let core = core.expect("what was written is sound");
        core.check();
        self.brokers[heir].core = core;
        self.step(heir, Step::Estate, course);
        self.later(pid, PATIENCE, Happening::NotTaken(heir));
    }

    /// The new process lends from now on, and the old one is one of those that still serve.
    fn succeed(&mut self, site: SiteId, pid: Pid, heir: Pid) {
        self.seen.mark("a process followed another one", true);
        self.seen
            .mark("a third process followed while the first one served", !self.sites[site].elders.is_empty());
        let journal = self.sites[site].journal.take();
        self.take_place(site, heir);
        self.sites[site].journal = journal; // it has begun before
        self.sites[site].successor = None;
        self.sites[site].elders.push(pid);
        let generation = self.brokers[pid].generation;
        self.tell(heir, Event::Inherited { generation });
        self.begin_work(heir);
        self.agenda.enter(0, None, Happening::Overheard(site));
        let after = self.dice.among(10..MILLISECOND);
        self.later(pid, after, Happening::Retires);
    }

    /// The old process hears that it has a successor: it speaks to no share and to no master any more.
    pub(crate) fn retires(&mut self, pid: Pid) {
        let broker = &mut self.brokers[pid];
        (broker.stage, broker.notifier) = (Stage::Elder, Notifier::stopped());
        for wire in 0..self.wires.len() {
            for end in [End::Dialer, End::Host] {
                let stub = self.wires[wire].end(end);
                if stub.pid == pid
                    && matches!(stub.role, Some(Role::Notifier | Role::Share(_) | Role::Visitor(None)))
                {
                    self.hang_up(wire, end);
                }
            }
        }
        let held_back = std::mem::take(&mut self.brokers[pid].held_back);
        self.seen.mark("a request was held back and then refused", !held_back.is_empty());
        held_back.into_iter().for_each(|event| self.tell(pid, event));
        self.leaves_if_idle(pid);
    }

    /// The new process has died, or takes too long: the old one goes on as if nothing had happened.
    pub(crate) fn thaw(&mut self, pid: Pid, heir: Pid) {
        let site = self.brokers[pid].site;
        if self.sites[site].successor != Some(heir) {
            return;
        }
        self.seen.mark("a restart failed", true);
        self.die(heir);
        self.sites[site].successor = None;
        self.brokers[pid].stage = Stage::Serving;
        self.brokers[pid].outbox.clear();
        self.tell(pid, Event::Thawed);
        let broker = &self.brokers[pid];
        self.sites[site].journal = Some(Journal::of(pid, broker, &mut self.dice));
        let held_back = std::mem::take(&mut self.brokers[pid].held_back);
        self.seen.mark("a request was held back and then served", !held_back.is_empty());
        held_back.into_iter().for_each(|event| self.tell(pid, event));
        self.agenda.enter(0, None, Happening::Overheard(site));
        self.accept_all(site);
    }

    pub(crate) fn heir_dies(&mut self, heir: Pid) {
        let site = self.brokers[heir].site;
        self.die(heir);
        match self.sites[site].pid {
            Some(pid) if self.brokers[pid].stage == Stage::Frozen => {
                let after = self.dice.among(10..MILLISECOND);
                self.later(pid, after, Happening::NotTaken(heir));
            }
            _ => self.sites[site].successor = None,
        }
    }

    /// Something for whoever follows, or has followed, this process.
    pub(crate) fn say_to_successor(&mut self, pid: Pid, event: Event) {
        let site = self.brokers[pid].site;
        self.brokers[pid].outbox.push_back(event);
        let after = self.dice.among(1..MILLISECOND);
        self.agenda.enter(after, None, Happening::Overheard(site));
    }

    /// Whoever serves there hears what older processes have said. What nobody can hear now waits.
    pub(crate) fn overheard(&mut self, site: SiteId) {
        let Some(heir) = self.serving(site) else { return };
        for elder in self.sites[site].elders.clone() {
            while let Some(event) = self.brokers[elder].outbox.pop_front() {
                self.tell(heir, event);
            }
        }
        let gone = |elder: &Pid| self.brokers[*elder].stage == Stage::Gone;
        let gone: Vec<Pid> = self.sites[site].elders.iter().copied().filter(gone).collect();
        self.sites[site].elders.retain(|elder| !gone.contains(elder));
    }

    /// An older process ends with its last session. Its successor sees in both cases that it has.
    pub(crate) fn leaves_if_idle(&mut self, pid: Pid) {
        let Broker { stage: Stage::Elder, sessions, .. } = &self.brokers[pid] else { return };
        if sessions.is_empty() {
            self.seen.mark("an older process ended with its last session", true);
            self.last_word(pid);
        }
    }

    pub(crate) fn kill_elder(&mut self, site: SiteId) {
        let alive = |pid: &Pid| self.brokers[*pid].stage == Stage::Elder;
        let alive: Vec<Pid> = self.sites[site].elders.iter().copied().filter(alive).collect();
        if let Some(pid) = alive.first() {
            self.seen.mark("an older process died", true);
            self.last_word(*pid);
        }
    }

    fn last_word(&mut self, pid: Pid) {
        self.die(pid);
        let (generation, reason) = (self.brokers[pid].generation, "the process that lent it died".to_owned());
        self.say_to_successor(pid, Event::GenerationLost { generation, reason });
    }

    /// An older process sees that the one that lends is dead: it ends all it has.
    pub(crate) fn orphaned(&mut self, pid: Pid) {
        self.seen.mark("an older process lost its successor", true);
        let sessions: Vec<SessionId> = self.brokers[pid].sessions.keys().copied().collect();
        sessions.into_iter().for_each(|session| self.tell(pid, Event::SessionEnded { session }));
    }

    /// `Effect::EndElder`
    pub(crate) fn end_elder(&mut self, heir: Pid, generation: Generation, session: SessionId) {
        let site = self.brokers[heir].site;
        let of_it = |pid: &&Pid| self.brokers[**pid].generation == generation;
        let elder = self.sites[site].elders.iter().find(of_it).copied();
        if let Some(elder) = elder {
            let after = self.dice.among(10..MILLISECOND);
            self.later(elder, after, Happening::Told(Event::SessionEnded { session }));
        }
    }

    /// An administrator closes a session at a site, an older process's perhaps.
    pub(crate) fn close_some_session(&mut self, site: SiteId) {
        let Some(pid) = self.serving(site) else { return };
        let all = self.sites[site].elders.iter().chain([&pid]);
        let open = all.flat_map(|pid| self.brokers[*pid].sessions.iter());
        let open: Vec<SessionId> = open.filter(|(_, edge)| !edge.over).map(|(session, _)| *session).collect();
        if let Some(session) = open.first() {
            let is_old = self.brokers[pid].core.generation_of(*session).is_some();
            self.seen.mark("an administrator closed a session of an older process", is_old);
            self.say(pid, Event::SessionEnded { session: *session });
        }
    }
}

/// Written by one process, and read by the other one.
fn read(snapshot: &Snapshot, version: u32) -> Snapshot {
    let written = snapshot.encode(version).expect("a version that can be written");
    Snapshot::decode(&written).expect("what was written can be read")
}
