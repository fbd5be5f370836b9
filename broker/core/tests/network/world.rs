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
use crate::notable::{Cause, Notable};
use crate::plan::{Plan, address, kinds};
use crate::session::Answer;
use crate::site::Site;
use crate::wire::{End, Road, Role, Wire};

pub(crate) struct World {
    pub(crate) dice: Dice,
    pub(crate) agenda: Agenda,
    pub(crate) plan: Plan,
    pub(crate) kinds: KindTable,
    pub(crate) sites: Vec<Site>,
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
                Some((site, life)) if self.sites[site].life != life => {}
                Some((site, _)) => self.happens_at(site, happening),
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
            Happening::Silence(wire, end, cut) => self.silence(wire, end, cut),
            Happening::Acts(client) => self.acts(client),
            Happening::Strikes(fault) => {
                self.note(0, || format!("--- {fault:?}"));
                self.strikes(fault);
            }
            other => panic!("{other:?} belongs to a broker"),
        }
    }

    fn happens_at(&mut self, site: SiteId, happening: Happening) {
        match happening {
            Happening::Told(event) => self.tell(site, event),
            Happening::Opened { session, request, well } => self.opened(site, session, request, well),
            Happening::AskTooLate { session, ask } => self.ask_too_late(site, session, ask),
            Happening::YieldTooLate { session, nth } => self.yield_too_late(site, session, nth),
            Happening::Deadline => {
                self.sites[site].deadline = None;
                self.tell(site, Event::DeadlineReached);
            }
            Happening::NotifierDials => self.notifier_dials(site),
            Happening::NotifierTooLate(wire) => self.notifier_too_late(site, wire),
            Happening::NotifierReports => self.may_report(site),
            Happening::Compared { of, report, request } => self.compared(site, of, report, request),
            other => panic!("{other:?} belongs to nobody"),
        }
    }

    /// Tells a core what happened, and carries out what it says.
    pub(crate) fn tell(&mut self, site: SiteId, event: Event) {
        self.note(site, || format!("{event:?}"));
        let now = self.agenda.now - self.sites[site].started;
        let cause = Cause::of(&event);
        let mut closing = None;
        if let Event::Closed { session, item, .. } = &event {
            self.closed(site, *session, item);
            closing = Some(*session);
        }
        let core = &mut self.sites[site].core;
        let effects = core.apply(Moment(Duration::from_micros(now)), event);
        core.check();
        self.seen.mark_effects(cause, &effects);
        let mut ended = Vec::new();
        for effect in effects {
            self.note(site, || format!("  {effect:?}"));
            if let Effect::End { session, .. } = &effect {
                ended.push(*session);
            }
            self.carry_out(site, effect);
        }
        for session in ended {
            self.after_end(site, session);
        }
        closing.into_iter().for_each(|session| self.settle(site, session));
        self.keep_deadline(site);
        self.report(site);
    }

    fn carry_out(&mut self, site: SiteId, effect: Effect) {
        match effect {
            Effect::Grant { session, request, groups } => self.grant(site, session, request, groups),
            Effect::Refuse { session, request, refusal } => {
                self.will_answer(site, session, request, Answer::Refused(refusal));
            }
            Effect::Yielded { session, request, outcome } => {
                let answer = outcome.map_or_else(Answer::Refused, Answer::GaveBack);
                self.will_answer(site, session, request, answer);
            }
            Effect::Close { session, items } => self.close(site, session, items),
            Effect::End { session, items } => self.end(site, session, items),
            Effect::AskPeer { session, ask, peer, groups, via } => {
                self.ask_peer(site, session, ask, &peer, groups, via);
            }
            Effect::YieldAtPeer { session, peer, profiles } => {
                let profiles = profiles.into_iter().map(Arc::unwrap_or_clone).collect::<Vec<Profile>>();
                self.yield_at_peer(site, session, &peer, profiles);
            }
            Effect::HangUp { session, peer } => self.hang_up_on_peer(site, session, &peer),
            Effect::Reported { request, outcome } => {
                outcome.expect("what is reported is well described");
                self.report_is_noted(site, request);
            }
            Effect::CutLink { link } => self.cut_link(site, link),
            Effect::ShareChanged { .. } | Effect::Warn { .. } => {}
            Effect::Reset { .. } | Effect::ResetAnswered { .. } => panic!("nothing is broken: {effect:?}"),
            Effect::EndElder { .. } | Effect::Departed { .. } => panic!("nothing is restarted: {effect:?}"),
        }
    }

    fn keep_deadline(&mut self, site: SiteId) {
        let Some(deadline) = self.sites[site].core.deadline() else { return };
        let due = self.sites[site].started + deadline.0.as_micros() as Micros;
        if self.sites[site].deadline.is_none_or(|known| due < known) {
            self.sites[site].deadline = Some(due);
            self.later(site, due.saturating_sub(self.agenda.now), Happening::Deadline);
        }
    }

    /// An edge's word to its core, which reaches it in a moment.
    pub(crate) fn say(&mut self, site: SiteId, event: Event) {
        self.later(site, self.sites[site].plan.inbox, Happening::Told(event));
    }

    pub(crate) fn later(&mut self, site: SiteId, after: Micros, happening: Happening) {
        let life = self.sites[site].life;
        self.agenda.enter(after, Some((site, life)), happening);
    }

    pub(crate) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn want(&mut self) -> Want {
        self.plan.want(&mut self.dice)
    }

    /// Sites are where their addresses say; where nobody is, is no site.
    pub(crate) fn site_at(&self, peer: &Address) -> SiteId {
        (0..self.sites.len()).find(|site| address(*site) == *peer).unwrap_or(self.sites.len())
    }

    /// The client that a session is for, many brokers away perhaps: `None` if there is none any more.
    pub(crate) fn root(&self, mut site: SiteId, mut session: SessionId) -> Option<usize> {
        loop {
            let edge = self.sites[site].sessions.get(&session).filter(|edge| !edge.over)?;
            match edge.owner {
                Asker::Client(nth) => return (self.clients[nth].session == Some(session)).then_some(nth),
                Asker::Wire(wire) => {
                    let above = self.wires[wire].end(End::Dialer);
                    let Some(Role::Link(next, _)) = &above.role else { return None };
                    (site, session) = (above.site, *next);
                }
            }
        }
    }

    /// Sessions whose other end is gone, and whose pieces therefore nobody uses.
    fn adrift(&self) -> Vec<(SiteId, SessionId)> {
        let mut adrift = Vec::new();
        for (nth, site) in self.sites.iter().enumerate() {
            for (session, edge) in site.sessions.iter().filter(|(_, edge)| !edge.over) {
                let is_used = match edge.owner {
                    Asker::Client(client) => self.clients[client].session == Some(*session),
                    Asker::Wire(wire) => self.wires[wire].end(End::Dialer).role.is_some(),
                };
                if !is_used {
                    adrift.push((nth, *session));
                }
            }
        }
        adrift
    }

    pub(crate) fn note(&self, site: SiteId, what: impl FnOnce() -> String) {
        if self.told {
            println!("{:>12} site{site} {}", self.agenda.now, what());
        }
    }
}
