//! What the world does to a network: machines and brokers stop and start, roads are cut and mended,
//! equipment is plugged and unplugged, administrators interfere.

use ave_core::{Core, Event, Source};
use ave_profile::{BrokerId, SessionId};

use crate::agenda::{Happening, SECOND, SiteId};
use crate::books::Asker;
use crate::plan::{QUICK, address, full, kinds, short};
use crate::session::Session;
use crate::site::{Power, Site};
use crate::wire::{End, Role, WireId};
use crate::world::World;

#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The broker is killed; its machine says so to whom it was connected.
    Killed(SiteId),
    /// The machine loses its power: nobody hears anything.
    PoweredOff(SiteId),
    Started(SiteId),
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

    pub(crate) fn strikes(&mut self, fault: Fault) {
        match fault {
            Fault::Killed(site) => self.stop(site, Power::Stopped),
            Fault::PoweredOff(site) => self.stop(site, Power::Off),
            Fault::Started(site) => self.start(site),
            Fault::Cut(from, to) => self.cut(from, to),
            Fault::Mended(from, to) => self.mend(from, to),
            Fault::Plugged(site) => self.plug(site),
            Fault::Dropped(site) => self.drop_shares(site),
            Fault::Sharing(site, on) if self.sites[site].is_running() => self.set_sharing(site, on),
            Fault::Sharing(..) => {}
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
            if self.sites[site].notifier.stopped {
                self.set_sharing(site, true);
            }
        }
    }

    fn stop(&mut self, site: SiteId, power: Power) {
        if !self.sites[site].is_running() {
            return;
        }
        self.seen.mark("a broker died", true);
        let Site { life, plan, .. } = &self.sites[site];
        let (life, plan) = (*life, plan.clone());
        self.sites[site] = Site { life: life + 1, power, ..Site::new(plan) };
        self.books.forget(site);
        for wire in 0..self.wires.len() {
            for end in [End::Dialer, End::Host] {
                if self.wires[wire].end(end).site == site {
                    self.die(wire, end, power);
                }
            }
        }
        for nth in 0..self.clients.len() {
            if self.clients[nth].site == site {
                self.forgets(nth);
            }
        }
    }

    fn die(&mut self, wire: WireId, end: End, power: Power) {
        if power == Power::Stopped {
            self.hang_up(wire, end);
        } else if self.wires[wire].end_mut(end).role.take().is_some() {
            self.will_notice(wire, end.other(), None);
        }
    }

    /// A broker starts: its files are read, its equipment is found, it begins to share.
    pub(crate) fn start(&mut self, site: SiteId) {
        if self.sites[site].is_running() {
            return;
        }
        let id = BrokerId(self.next_id());
        let now = self.agenda.now;
        let begun = &mut self.sites[site];
        (begun.id, begun.core, begun.power, begun.started) =
            (id, Core::new(kinds(), id), Power::Running, now);
        let plan = begun.plan.clone();
        let stacks = plan.stacks.iter().map(|stack| stack.iter().map(short).collect()).collect();
        let profiles = plan.pieces.iter().map(full).collect();
        let profile = plan.has_workspaces.then(|| plan.workspace(site));
        self.tell(site, Event::StacksSet { stacks });
        self.tell(site, Event::WorkspaceProfileSet { profile });
        self.tell(site, Event::ForwardSet { target: plan.forwards_to(self.sites.len()) });
        self.tell(site, Event::Reported { source: Source::File, profiles, request: None });
        self.later(site, 0, Happening::NotifierDials);
    }

    fn plug(&mut self, site: SiteId) {
        if !self.sites[site].is_running() {
            return;
        }
        if let Some(item) = self.sites[site].unplugged.pop() {
            let profiles = vec![full(&item)];
            self.say(site, Event::Reported { source: Source::File, profiles, request: None });
        } else if !self.sites[site].plan.pieces.is_empty() {
            let item = self.dice.pick(&self.sites[site].plan.pieces).clone();
            self.sites[site].unplugged.push(item.clone());
            self.say(site, Event::Vanished { source: Source::File, items: vec![item] });
        }
    }

    fn drop_shares(&mut self, site: SiteId) {
        if self.sites[site].is_running() {
            let one = address(self.dice.index(self.sites.len()));
            let share = self.dice.percent(50).then_some(one);
            self.say(site, Event::ShareDropped { share });
        }
    }

    /// Begins a session.
    pub(crate) fn open_session(&mut self, site: SiteId, owner: Asker) -> SessionId {
        let session = SessionId(self.next_id());
        self.sites[site].sessions.insert(session, Session::of(owner));
        if let Asker::Wire(wire) = owner {
            self.wires[wire].end_mut(End::Host).role = Some(Role::Visitor(Some(session)));
        }
        self.say(site, Event::SessionOpened { session });
        session
    }
}
