//! What the world does to a network: machines and brokers stop and start, roads are cut and mended,
//! equipment is plugged and unplugged, administrators interfere.

use ave_core::{Event, Source};
use ave_profile::{BrokerId, Generation, Identity, Profile, SessionId};

use crate::agenda::{Happening, MILLISECOND, Micros, SECOND, SiteId};
use crate::books::Asker;
use crate::handover::Course;
use crate::journal::Journal;
use crate::plan::{QUICK, address, full, short};
use crate::session::Session;
use crate::site::{Broker, Pid, Stage};
use crate::wire::{End, Message, Role, WireId};
use crate::world::World;

/// How much of a journal a machine without power may lose.
const SYNC_EVERY: Micros = SECOND;

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The broker is killed; its machine says so to whom it was connected.
    Killed(SiteId),
    /// An older process that still serves is killed.
    ElderKilled(SiteId),
    /// The machine loses its power: nobody hears anything.
    PoweredOff(SiteId),
    Started(SiteId),
    /// Another process is to take over.
    Restarted(SiteId, Course),
    /// An administrator closes a session, whoever serves it.
    Closed(SiteId),
    Cut(SiteId, SiteId),
    Mended(SiteId, SiteId),
    /// A piece is unplugged, or plugged in again.
    Plugged(SiteId),
    /// A master drops a share, or all of them.
    Dropped(SiteId),
    Sharing(SiteId, bool),
}

impl World {
    /// Draws something that goes wrong, and when it is put right.
    pub(crate) fn draw_fault(&mut self) -> Vec<(u64, Fault)> {
        let count = self.sites.len();
        let (site, other) = (self.dice.index(count), self.dice.index(count));
        let at = self.dice.among(0..self.busy_for);
        let until = at + self.dice.among(SECOND / 100..20 * SECOND);
        match self.dice.among(0..10) {
            0 => vec![(at, Fault::Killed(site)), (until, Fault::Started(site))],
            1 => vec![(at, Fault::PoweredOff(site)), (until, Fault::Started(site))],
            2..4 => vec![(at, Fault::Cut(site, other)), (until, Fault::Mended(site, other))],
            4..6 => [(site, other), (other, site)]
                .into_iter()
                .flat_map(|(from, to)| [(at, Fault::Cut(from, to)), (until, Fault::Mended(from, to))])
                .collect(),
            6..8 => vec![(at, Fault::Plugged(site)), (until, Fault::Plugged(site))],
            8 => vec![(at, Fault::Dropped(site))],
            _ => vec![(at, Fault::Sharing(site, false)), (until, Fault::Sharing(site, true))],
        }
    }

    /// Draws restarts of one broker, and what happens to its processes about then.
    pub(crate) fn draw_restarts(&mut self) -> Vec<(u64, Fault)> {
        let (site, mut at) = (self.dice.index(self.sites.len()), self.dice.among(0..self.busy_for));
        let mut faults = Vec::new();
        for _ in 0..self.dice.among(1..5) {
            faults.push((at, Fault::Restarted(site, Course::draw(&mut self.dice))));
            let soon = at + self.dice.among(0..100 * MILLISECOND);
            let later = at + self.dice.among(0..5 * SECOND);
            match self.dice.among(0..10) {
                0 => faults.extend([(soon, Fault::Killed(site)), (later.max(soon), Fault::Started(site))]),
                1..3 => faults.push((later, Fault::ElderKilled(site))),
                3..5 => faults.push((later, Fault::Closed(site))),
                _ => {}
            }
            at += self.dice.among(0..8 * SECOND);
        }
        faults
    }

    /// A broker that has just lent something may die before anybody hears of it.
    pub(crate) fn may_die(&mut self, pid: Pid) {
        let Broker { site, ref plan, .. } = self.brokers[pid];
        let disk = plan.disk;
        if !self.is_whole && self.dice.percent(1) {
            let (at, until) = (self.dice.among(0..2 * disk), self.dice.among(2 * disk..5 * SECOND));
            self.agenda.enter(at, None, Happening::Strikes(Fault::Killed(site)));
            self.agenda.enter(until, None, Happening::Strikes(Fault::Started(site)));
        }
    }

    pub(crate) fn strikes(&mut self, fault: Fault) {
        match fault {
            Fault::Killed(site) => self.kill(site, self.agenda.now),
            Fault::ElderKilled(site) => self.kill_elder(site),
            Fault::PoweredOff(site) => self.power_off(site),
            Fault::Started(site) => self.start(site),
            Fault::Restarted(site, how) => self.restart(site, how),
            Fault::Closed(site) => self.close_some_session(site),
            Fault::Cut(from, to) => self.cut(from, to),
            Fault::Mended(from, to) => self.mend(from, to),
            Fault::Plugged(site) => self.plug(site),
            Fault::Dropped(site) => self.drop_shares(site),
            Fault::Sharing(site, on) => {
                if let Some(pid) = self.serving(site) {
                    self.set_sharing(pid, on);
                }
            }
        }
    }

    /// Puts everything right, for good.
    pub(crate) fn heal(&mut self) {
        self.is_whole = true;
        self.roads.iter_mut().flatten().for_each(|road| road.lag = QUICK);
        for site in 0..self.sites.len() {
            self.start(site);
            // What is held and unplugged is listed nowhere, and what it makes collateral only where it was.
            while !self.sites[site].unplugged.is_empty() {
                self.plug(site);
            }
            for other in 0..self.sites.len() {
                if self.roads[site][other].cut.is_some() {
                    self.mend(site, other);
                }
            }
            let Some(pid) = self.sites[site].pid else { continue };
            if self.brokers[pid].notifier.stopped {
                self.set_sharing(pid, true);
            }
            self.mend_all(pid);
        }
    }

    /// A process is dead; its machine says so to whom it was connected, if that is still there.
    pub(crate) fn die(&mut self, pid: Pid) {
        let broker = &mut self.brokers[pid];
        if std::mem::replace(&mut broker.stage, Stage::Gone) == Stage::Gone {
            return;
        }
        let sessions = std::mem::take(&mut broker.sessions).into_keys().collect();
        self.books.forget(pid, &sessions);
        for wire in 0..self.wires.len() {
            for end in [End::Dialer, End::Host] {
                let stub = self.wires[wire].end(end);
                if stub.pid == pid && stub.role.is_some() {
                    self.falls_silent(wire, end);
                }
            }
        }
        for nth in 0..self.clients.len() {
            if self.clients[nth].pid == pid {
                self.forgets(nth);
            }
        }
    }

    fn falls_silent(&mut self, wire: WireId, end: End) {
        let site = self.wires[wire].end(end).site;
        if self.sites[site].is_powered {
            self.hang_up(wire, end);
        } else if self.wires[wire].end_mut(end).role.take().is_some() {
            self.will_notice(wire, end.other(), None);
        }
    }

    /// The process that lends is killed. Older ones that still serve notice; one that was to follow does too.
    /// Of the journal, what was written by then is left, and perhaps more.
    fn kill(&mut self, site: SiteId, kept: Micros) {
        let Some(pid) = self.sites[site].pid.take() else { return };
        self.seen.mark("a broker died", true);
        self.seen.mark("a broker died while it was frozen", self.brokers[pid].stage == Stage::Frozen);
        self.die(pid);
        if let Some(successor) = self.sites[site].successor.take() {
            self.die(successor);
        }
        for (wire, _) in std::mem::take(&mut self.sites[site].queue) {
            self.send(wire, End::Host, Message::Closed);
        }
        for elder in self.sites[site].elders.clone() {
            let after = self.dice.among(10..SECOND);
            self.later(elder, after, Happening::Orphaned);
        }
        if let Some(journal) = &mut self.sites[site].journal {
            let torn = journal.tear(kept, &mut self.dice);
            if !torn && journal.pid == pid {
                journal.check(&self.brokers[pid].core);
            }
            self.seen.mark("a crash tore a journal", torn);
        }
    }

    /// The machine has no power any more: nothing on it runs, and of the journal only what was synced is left.
    fn power_off(&mut self, site: SiteId) {
        self.sites[site].is_powered = false;
        self.kill(site, self.agenda.now.saturating_sub(SYNC_EVERY));
        self.kill_elders(site);
        self.books.cold(site);
    }

    fn kill_elders(&mut self, site: SiteId) {
        let elders = std::mem::take(&mut self.sites[site].elders);
        self.seen.mark("a start found older processes", !elders.is_empty());
        elders.into_iter().for_each(|elder| self.die(elder));
    }

    /// A broker starts, if none is there: it reads its journal, and then its files.
    pub(crate) fn start(&mut self, site: SiteId) {
        if self.sites[site].pid.is_some() {
            return;
        }
        self.sites[site].is_powered = true;
        self.kill_elders(site);
        let pid = self.spawn(site);
        let mut last = Generation(0);
        if let Some(journal) = &self.sites[site].journal {
            self.seen.mark("a broker recovered", true);
            let broker = &mut self.brokers[pid];
            (broker.core, broker.id) = (journal.recover(), journal.id);
            last = journal.generation;
        }
        self.take_place(site, pid);
        if last > Generation(0) {
            self.tell(pid, Event::Inherited { generation: last });
        }
        for generation in (1..=last.0).map(Generation) {
            let reason = "in use when the broker died".to_owned();
            self.tell(pid, Event::GenerationLost { generation, reason });
        }
        self.begin_work(pid);
    }

    /// A process of the newest generation, that has still to find its place.
    pub(crate) fn spawn(&mut self, site: SiteId) -> Pid {
        let id = BrokerId(self.next_id());
        let found = &mut self.sites[site];
        found.generation.0 += 1;
        let broker = Broker::new(site, found.plan.clone(), id, found.generation);
        self.brokers.push(broker);
        self.brokers.len() - 1
    }

    /// From now on this process lends there, and keeps the journal.
    pub(crate) fn take_place(&mut self, site: SiteId, pid: Pid) {
        let broker = &mut self.brokers[pid];
        (broker.stage, broker.started) = (Stage::Serving, self.agenda.now);
        self.sites[site].journal = Some(Journal::of(pid, broker, &mut self.dice));
        self.sites[site].pid = Some(pid);
    }

    /// Its files are read, its equipment is found, it begins to share.
    pub(crate) fn begin_work(&mut self, pid: Pid) {
        let (site, plan) = (self.brokers[pid].site, self.brokers[pid].plan.clone());
        let stacks = plan.stacks.iter().map(|stack| stack.iter().map(short).collect()).collect();
        let (profiles, gone) = self.told_anew(site, pid);
        let profile = plan.has_workspaces.then(|| plan.workspace(site));
        self.tell(pid, Event::StacksSet { stacks });
        self.tell(pid, Event::WorkspaceProfileSet { profile });
        self.tell(pid, Event::ForwardSet { target: plan.forwards_to(self.sites.len()) });
        self.tell(pid, Event::Reported { source: Source::File, profiles, request: None });
        self.tell(pid, Event::Vanished { source: Source::File, items: gone });
        self.tell(pid, Event::Confirmed { source: Source::File });
        self.later(pid, 0, Happening::NotifierDials);
        self.accept_all(site);
    }

    /// Where what is plugged in differs from what the process before has told: what is new, and what is gone.
    fn told_anew(&self, site: SiteId, pid: Pid) -> (Vec<Profile>, Vec<Identity>) {
        let present = self.sites[site].present();
        let said = self.brokers[pid].core.said_by(Source::File);
        let is_said = |profile: &Profile| said.iter().any(|(_, said)| **said == *profile);
        let is_gone = |item: &Identity| self.sites[site].unplugged.contains(item);
        let gone = said.iter().map(|(item, _)| item.clone()).filter(is_gone).collect();
        (present.into_iter().filter(|profile| !is_said(profile)).collect(), gone)
    }

    fn plug(&mut self, site: SiteId) {
        let event = if let Some(item) = self.sites[site].unplugged.pop() {
            Event::Reported { source: Source::File, profiles: vec![full(&item)], request: None }
        } else if !self.sites[site].plan.pieces.is_empty() {
            let item = self.dice.pick(&self.sites[site].plan.pieces).clone();
            self.sites[site].unplugged.push(item.clone());
            Event::Vanished { source: Source::File, items: vec![item] }
        } else {
            return;
        };
        if let Some(pid) = self.sites[site].pid {
            self.say(pid, event);
        }
    }

    fn drop_shares(&mut self, site: SiteId) {
        if let Some(pid) = self.serving(site) {
            let one = address(self.dice.index(self.sites.len()));
            let share = self.dice.percent(50).then_some(one);
            self.say(pid, Event::ShareDropped { share });
        }
    }

    /// Begins a session.
    pub(crate) fn open_session(&mut self, pid: Pid, owner: Asker) -> SessionId {
        let session = SessionId(self.next_id());
        self.brokers[pid].sessions.insert(session, Session::of(owner));
        if let Asker::Wire(wire) = owner {
            self.wires[wire].end_mut(End::Host).role = Some(Role::Visitor(Some(session)));
        }
        self.say(pid, Event::SessionOpened { session });
        session
    }
}
