//! A network of brokers, each with a real core, and everything around them. It carries out what the cores
//! say and tells them what happened, in the order of the agenda.

use std::sync::Arc;
use std::time::Duration;

use ave_core::{Effect, Event, Moment};
use ave_profile::{Address, KindTable, Profile, SessionId, Want};

use crate::agenda::{Agenda, Entry, Happening, Micros, SECOND, SiteId};
use crate::books::{Asker, Books};
use crate::client::Client;
use crate::dice::Dice;
use crate::journal::Journal;
use crate::notable::{Cause, Notable};
use crate::plan::{Plan, address, kinds};
use crate::session::Answer;
use crate::site::{Broker, Pid, Site, Stage};
use crate::wire::{End, Road, Role, Wire};

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) agenda: Agenda,
    pub(crate) plan: Plan,
    pub(crate) kinds: KindTable,
    pub(crate) sites: Vec<Site>,
    /// Every process that ever was.
    pub(crate) brokers: Vec<Broker>,
    pub(crate) roads: Vec<Vec<Road>>,
    pub(crate) wires: Vec<Wire>,
    pub(crate) clients: Vec<Client>,
    pub(crate) books: Books,
    pub(crate) seen: Notable,
    /// How many messages were sent.
    pub(crate) messages: u64,
    pub(crate) cuts: u64,
    /// How long clients and the world are busy.
    pub(crate) busy_for: Micros,
    /// Whether nothing goes wrong any more.
    pub(crate) is_whole: bool,
    last_id: u64,
    /// Whether every step is printed.
    told: bool,
}

impl World {
    pub(crate) fn new(seed: u64, told: bool) -> World {
        let mut dice = Dice::new(seed);
        let mut plan = Plan::draw(&mut dice);
        let clients = (0..dice.among(2..7)).map(|_| Client {
            site: dice.index(plan.sites.len()),
            deeds: dice.among(2..25),
            ..Client::default()
        });
        let clients = clients.collect();
        let busy_for = *dice.pick(&[SECOND, 5 * SECOND, 60 * SECOND]);
        World {
            agenda: Agenda::default(),
            kinds: kinds(),
            sites: plan.sites.iter().cloned().map(Site::new).collect(),
            brokers: Vec::new(),
            roads: std::mem::take(&mut plan.roads),
            wires: Vec::new(),
            clients,
            books: Books::default(),
            seen: Notable::default(),
            messages: 0,
            cuts: 0,
            busy_for,
            is_whole: false,
            last_id: 0,
            told,
            dice,
            plan,
        }
    }

    /// Lets everything happen that happens until then.
    pub(crate) fn run(&mut self, until: Micros) {
        while let Some(Entry { happening, of }) = self.agenda.next(until) {
            self.books.now = self.agenda.now;
            match of {
                Some(pid) if self.brokers[pid].stage == Stage::Gone => {}
                Some(pid) => self.happens_to(pid, happening),
                None => self.happens(happening),
            }
            self.books.check_answers();
            let adrift = self.adrift();
            self.books.check_adrift(adrift);
        }
        self.agenda.pass(until);
        self.books.now = self.agenda.now;
    }

    fn happens(&mut self, happening: Happening) {
        match happening {
            Happening::Arrives(wire, end) => self.arrive(wire, end),
            Happening::Overheard(site) => self.overheard(site),
            Happening::Silence(wire, end, cut) => self.silence(wire, end, cut),
            Happening::Acts(client) => self.acts(client),
            Happening::Strikes(fault) => {
                self.note(0, || format!("--- {fault:?}"));
                self.strikes(fault);
            }
            other => panic!("{other:?} belongs to a process"),
        }
    }

    fn happens_to(&mut self, pid: Pid, happening: Happening) {
        match happening {
            Happening::Told(event) => self.tell(pid, event),
            Happening::Opened { session, request, well } => self.opened(pid, session, request, well),
            Happening::AskTooLate { session, ask } => self.ask_too_late(pid, session, ask),
            Happening::YieldTooLate { session, nth } => self.yield_too_late(pid, session, nth),
            Happening::Deadline => {
                self.brokers[pid].deadline = None;
                self.tell(pid, Event::DeadlineReached);
            }
            Happening::NotifierDials => self.notifier_dials(pid),
            Happening::NotifierTooLate(wire) => self.notifier_too_late(pid, wire),
            Happening::NotifierReports => self.may_report(pid),
            Happening::Compared { of, report, request } => self.compared(pid, of, report, request),
            Happening::Reset { item, request, well } => self.is_reset(pid, item, request, well),
            Happening::Recorded { session, request, groups } => self.recorded(pid, session, request, groups),
            Happening::Handover(step, course) => self.handover(pid, step, course),
            Happening::HeirDies => self.heir_dies(pid),
            Happening::Freezes(heir, course) => self.freezes(pid, heir, course),
            Happening::NotTaken(heir) => self.thaw(pid, heir),
            Happening::Retires => self.retires(pid),
            Happening::Orphaned => self.orphaned(pid),
            other => panic!("{other:?} belongs to nobody"),
        }
    }

    /// Tells a core what happened, and carries out what it says.
    pub(crate) fn tell(&mut self, pid: Pid, event: Event) {
        self.note(pid, || format!("{event:?}"));
        if self.brokers[pid].stage == Stage::Frozen && matches!(event, Event::Asked { .. }) {
            return self.brokers[pid].held_back.push(event);
        }
        let now = self.agenda.now - self.brokers[pid].started;
        self.record(pid, Moment(Duration::from_micros(now)), &event);
        let cause = Cause::of(&event);
        let mut closing = None;
        if let Event::Closed { session, item, outcome } = &event {
            self.closed(pid, *session, item, outcome.is_ok());
            closing = Some(*session);
        }
        let core = &mut self.brokers[pid].core;
        let effects = core.apply(Moment(Duration::from_micros(now)), event);
        core.check();
        self.seen.mark_effects(cause, &effects);
        let mut ended = Vec::new();
        for effect in effects {
            self.note(pid, || format!("  {effect:?}"));
            if let Effect::End { session, .. } = &effect {
                ended.push(*session);
            }
            self.carry_out(pid, effect);
        }
        for session in ended {
            self.after_end(pid, session);
        }
        closing.into_iter().for_each(|session| self.settle(pid, session));
        self.keep_deadline(pid);
        self.report(pid);
        self.leaves_if_idle(pid);
    }

    fn carry_out(&mut self, pid: Pid, effect: Effect) {
        match effect {
            Effect::Grant { session, request, groups } => self.grant(pid, session, request, groups),
            Effect::Refuse { session, request, refusal } => {
                self.will_answer(pid, session, request, Answer::Refused(refusal));
            }
            Effect::Yielded { session, request, outcome } => {
                let answer = outcome.map_or_else(Answer::Refused, Answer::GaveBack);
                self.will_answer(pid, session, request, answer);
            }
            Effect::Close { session, items } => self.close(pid, session, items),
            Effect::End { session, items } => self.end(pid, session, items),
            Effect::AskPeer { session, ask, peer, groups, via } => {
                self.ask_peer(pid, session, ask, &peer, groups, via);
            }
            Effect::YieldAtPeer { session, peer, profiles } => {
                let profiles = profiles.into_iter().map(Arc::unwrap_or_clone).collect::<Vec<Profile>>();
                self.yield_at_peer(pid, session, &peer, profiles);
            }
            Effect::HangUp { session, peer } => self.hang_up_on_peer(pid, session, &peer),
            Effect::Reported { request, outcome } => {
                outcome.expect("what is reported is well described");
                self.report_is_noted(pid, request);
            }
            Effect::CutLink { link } => self.cut_link(pid, link),
            Effect::ShareChanged { .. } | Effect::Warn { .. } => {}
            Effect::Reset { item, request, .. } => self.reset(pid, item, request),
            Effect::EndElder { generation, session } => self.end_elder(pid, generation, session),
            Effect::Departed { session, item, outcome } => {
                self.say_to_successor(pid, Event::ElderClosed { session, item, outcome });
            }
            Effect::ResetAnswered { .. } => panic!("nobody asked: {effect:?}"),
        }
    }

    /// Whoever keeps the journal writes down what happens; a moment later it is in the file.
    fn record(&mut self, pid: Pid, moment: Moment, event: &Event) {
        let written = self.agenda.now + self.brokers[pid].plan.disk;
        let is_asking = self.brokers[pid].core.is_asking();
        let site = self.brokers[pid].site;
        let Some(journal) = self.sites[site].journal.as_mut().filter(|journal| journal.pid == pid) else {
            return;
        };
        if journal.is_full(self.agenda.now) {
            *journal = Journal::of(pid, &self.brokers[pid], &mut self.dice);
            self.seen.mark("a journal began while other brokers were asked", is_asking);
        }
        journal.record(written, moment, event);
    }

    fn keep_deadline(&mut self, pid: Pid) {
        let Some(deadline) = self.brokers[pid].core.deadline() else { return };
        let due = self.brokers[pid].started + deadline.0.as_micros() as Micros;
        if self.brokers[pid].deadline.is_none_or(|known| due < known) {
            self.brokers[pid].deadline = Some(due);
            self.later(pid, due.saturating_sub(self.agenda.now), Happening::Deadline);
        }
    }

    /// An edge's word to its core, which reaches it in a moment.
    pub(crate) fn say(&mut self, pid: Pid, event: Event) {
        self.later(pid, self.brokers[pid].plan.inbox, Happening::Told(event));
    }

    pub(crate) fn later(&mut self, pid: Pid, after: Micros, happening: Happening) {
        self.agenda.enter(after, Some(pid), happening);
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn want(&mut self) -> Want {
        self.plan.want(&mut self.dice)
    }

    /// The process that lends at a place, if one does at the moment.
    pub(crate) fn serving(&self, site: SiteId) -> Option<Pid> {
        self.sites[site].pid.filter(|pid| self.brokers[*pid].is_serving())
    }

    /// Sites are where their addresses say; where nobody is, is no site.
    pub(crate) fn site_at(&self, peer: &Address) -> SiteId {
        (0..self.sites.len()).find(|site| address(*site) == *peer).unwrap_or(self.sites.len())
    }

    /// The client that a session is for, many brokers away perhaps: `None` if there is none any more.
    pub(crate) fn root(&self, mut pid: Pid, mut session: SessionId) -> Option<usize> {
        loop {
            let edge = self.brokers[pid].sessions.get(&session).filter(|edge| !edge.over)?;
            match edge.owner {
                Asker::Client(nth) => return (self.clients[nth].session == Some(session)).then_some(nth),
                Asker::Wire(wire) => {
                    let above = self.wires[wire].end(End::Dialer);
                    let Some(Role::Link(next, _)) = &above.role else { return None };
                    (pid, session) = (above.pid, *next);
                }
            }
        }
    }

    /// Sessions whose other end is gone, and whose pieces therefore nobody uses.
    /// The process that drives something for a session.
    pub(crate) fn lender(&self, session: SessionId) -> Option<Pid> {
        (0..self.brokers.len()).find(|pid| self.brokers[*pid].sessions.contains_key(&session))
    }

    fn adrift(&self) -> Vec<SessionId> {
        let mut adrift = Vec::new();
        for broker in &self.brokers {
            for (session, edge) in broker.sessions.iter().filter(|(_, edge)| !edge.over) {
                let is_used = match edge.owner {
                    Asker::Client(client) => self.clients[client].session == Some(*session),
                    Asker::Wire(wire) => self.wires[wire].end(End::Dialer).role.is_some(),
                };
                if !is_used {
                    adrift.push(*session);
                }
            }
        }
        adrift
    }

    pub(crate) fn note(&self, pid: Pid, what: impl FnOnce() -> String) {
        if self.told {
            let site = self.brokers[pid].site;
            println!("{:>12} site{site} ({pid}) {}", self.agenda.now, what());
        }
    }
}
