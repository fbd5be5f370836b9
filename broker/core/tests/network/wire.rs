//! Connections and the roads they run on. What is said over one connection arrives in order; a road that is
//! cut, in one direction or both, holds it back, and the ends notice at different times, if they do.

use std::collections::VecDeque;

use ave_core::{Event, Report};
use ave_profile::{Address, BrokerId, LinkId, Profile, Refusal, SessionId};

use crate::agenda::{Happening, MILLISECOND, Micros, SECOND, SiteId};
use crate::sharing::Speaker;
use crate::site::Pid;
use crate::world::World;

/// After how long an end gives up that has heard nothing.
pub(crate) const SILENCE: Micros = 12 * SECOND;

/// The slowest message, if nothing is cut.
pub(crate) const LAG_MAX: Micros = 2 * SECOND;

pub(crate) type WireId = usize;

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Dialer,
    Host,
}

/// What brokers say to each other.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// Each side says who it is, unless it speaks as the original brokers do.
    Hello(Option<BrokerId>),
    Welcome(Option<BrokerId>),
    Get {
        groups: Vec<Vec<Profile>>,
        via: Vec<BrokerId>,
    },
    Got(Vec<Vec<Profile>>),
    Refused(Refusal),
    Yield(Vec<Profile>),
    Yielded,
    Update {
        whole: bool,
        report: Report,
    },
    Noted,
    /// The last word: the other end has closed the connection, or knows nothing of it.
    Closed,
}

/// What an end of a connection is for.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// A session's link to another broker.
    Link(SessionId, Address),
    /// Somebody else's link to this broker, with the session it has been given.
    Visitor(Option<SessionId>),
    Notifier,
    /// The notifier of a share.
    Share(Speaker),
}

#[derive(Clone, Debug)]
pub(crate) struct Stub {
    pub(crate) site: SiteId,
    /// The process that has this end, while there is a role.
    pub(crate) pid: Pid,
    /// `None` until it is accepted, and after it was closed.
    pub(crate) role: Option<Role>,
    incoming: VecDeque<Message>,
    /// How many of those the road holds back.
    held_back: usize,
    /// When the last of those will arrive.
    latest: Micros,
}

/// A connection.
#[derive(Clone, Debug)]
pub(crate) struct Wire {
    ends: [Stub; 2],
}

/// One direction between two sites.
#[derive(Clone, Debug, Default)]
pub(crate) struct Road {
    /// Bounds of what a message takes.
    pub(crate) lag: (Micros, Micros),
    /// Which of all cuts this one is, if it is cut.
    pub(crate) cut: Option<u64>,
    /// When it was mended.
    pub(crate) mended: Micros,
}

impl End {
    pub(crate) fn other(self) -> End {
        match self {
            End::Dialer => End::Host,
            End::Host => End::Dialer,
        }
    }
}

impl Wire {
    pub(crate) fn end(&self, end: End) -> &Stub {
        &self.ends[end as usize]
    }

    pub(crate) fn end_mut(&mut self, end: End) -> &mut Stub {
        &mut self.ends[end as usize]
    }
}

impl World {
    /// Begins a connection; the other end hears of it with the first message.
    pub(crate) fn dial(&mut self, pid: Pid, to: SiteId, role: Role) -> WireId {
        let stub = |site, role| Stub { site, pid, role, incoming: VecDeque::new(), held_back: 0, latest: 0 };
        self.wires.push(Wire { ends: [stub(self.brokers[pid].site, Some(role)), stub(to, None)] });
        let wire = self.wires.len() - 1;
        self.send(wire, End::Dialer, Message::Hello(self.brokers[pid].name()));
        wire
    }

    /// Sends a message from this end to the other.
    pub(crate) fn send(&mut self, wire: WireId, from: End, message: Message) {
        self.messages += 1;
        self.wires[wire].end_mut(from.other()).incoming.push_back(message);
        self.set_out(wire, from.other());
    }

    /// One message sets out for this end; it overtakes none.
    fn set_out(&mut self, wire: WireId, to: End) {
        let (low, high) = self.road(wire, to).lag;
        let arrival = self.agenda.now + self.dice.among(low..high);
        let stub = self.wires[wire].end_mut(to);
        stub.latest = stub.latest.max(arrival);
        let after = stub.latest - self.agenda.now;
        self.agenda.enter(after, None, Happening::Arrives(wire, to));
    }

    fn road(&mut self, wire: WireId, to: End) -> &mut Road {
        let from_site = self.wires[wire].end(to.other()).site;
        let to_site = self.wires[wire].end(to).site;
        &mut self.roads[from_site][to_site]
    }

    /// Closes this end; the other one hears of it after all that was said before.
    pub(crate) fn hang_up(&mut self, wire: WireId, end: End) {
        if self.wires[wire].end_mut(end).role.take().is_some() {
            self.send(wire, end, Message::Closed);
        }
    }

    /// A message arrives, if nothing is in its way.
    pub(crate) fn arrive(&mut self, wire: WireId, end: End) {
        if self.road(wire, end).cut.is_some() {
            self.wires[wire].end_mut(end).held_back += 1;
            return;
        }
        let stub = self.wires[wire].end_mut(end);
        let (site, pid) = (stub.site, stub.pid);
        let message = stub.incoming.pop_front().expect("one message for each arrival");
        let role = stub.role.clone();
        if !self.sites.get(site).is_some_and(|site| site.is_powered) {
            return;
        }
        self.note(pid, || format!("wire {wire} brings {message:?}"));
        match (role, message) {
            (Some(_), Message::Closed) => self.lose(wire, end),
            (None, Message::Closed) => self.sites[site].queue.retain(|(waiting, _)| *waiting != wire),
            (None, Message::Hello(broker)) if self.sites[site].pid.is_some() => {
                self.sites[site].queue.push((wire, broker));
                self.accept_all(site);
            }
            (None, _) => self.send(wire, end, Message::Closed),
            (Some(role), message) => self.hear(wire, pid, role, message),
        }
    }

    /// Whoever serves there accepts all that wait to be accepted.
    pub(crate) fn accept_all(&mut self, site: SiteId) {
        let Some(pid) = self.serving(site) else { return };
        for (wire, broker) in std::mem::take(&mut self.sites[site].queue) {
            self.accept(wire, pid, broker);
        }
    }

    fn accept(&mut self, wire: WireId, pid: Pid, broker: Option<BrokerId>) {
        let Stub { site: share, role, .. } = self.wires[wire].end(End::Dialer);
        let role = match role {
            Some(Role::Notifier) => Role::Share(Speaker { share: *share, link: LinkId(wire as u64), broker }),
            _ => Role::Visitor(None),
        };
        let stub = self.wires[wire].end_mut(End::Host);
        (stub.pid, stub.role) = (pid, Some(role));
        let name = self.brokers[pid].name();
        self.send(wire, End::Host, Message::Welcome(name));
    }

    fn hear(&mut self, wire: WireId, pid: Pid, role: Role, message: Message) {
        match role {
            Role::Link(session, peer) => self.link_hears(pid, session, &peer, message),
            Role::Visitor(session) => self.visitor_says(pid, wire, session, message),
            Role::Notifier => self.notifier_hears(pid, message),
            Role::Share(of) => self.share_says(pid, wire, of, message),
        }
    }

    /// This end learns that the connection is over.
    pub(crate) fn lose(&mut self, wire: WireId, end: End) {
        let stub = self.wires[wire].end_mut(end);
        let pid = stub.pid;
        match stub.role.take() {
            Some(Role::Link(session, peer)) => self.link_is_lost(pid, session, &peer),
            Some(Role::Visitor(Some(session))) => self.visitor_is_gone(pid, session),
            Some(Role::Notifier) => self.notifier_is_lost(pid),
            Some(Role::Share(of)) => self.say(pid, Event::ShareLost { link: of.link }),
            Some(Role::Visitor(None)) | None => {}
        }
    }

    /// This end has heard nothing for too long and gives up; what it says about that may not arrive.
    pub(crate) fn silence(&mut self, wire: WireId, end: End, cut: Option<u64>) {
        let still =
            cut.is_none() || [End::Dialer, End::Host].into_iter().any(|to| self.road(wire, to).cut == cut);
        if still && self.wires[wire].end(end).role.is_some() {
            let is_link = matches!(self.wires[wire].end(end).role, Some(Role::Link(..)));
            self.seen.mark("a link was lost to silence", is_link);
            self.send(wire, end, Message::Closed);
            self.lose(wire, end);
        }
    }

    /// Cuts one direction, unless that would hold back for a second time what it held back before.
    pub(crate) fn cut(&mut self, from: SiteId, to: SiteId) {
        let road = &self.roads[from][to];
        if road.cut.is_some() || self.agenda.now < road.mended + LAG_MAX {
            return;
        }
        self.cuts += 1;
        self.roads[from][to].cut = Some(self.cuts);
        for wire in 0..self.wires.len() {
            let sites = [End::Dialer, End::Host].map(|end| self.wires[wire].end(end).site);
            if sites == [from, to] || sites == [to, from] {
                for end in [End::Dialer, End::Host] {
                    self.will_notice(wire, end, Some(self.cuts));
                }
            }
        }
    }

    /// An end that is open hears nothing from now on.
    pub(crate) fn will_notice(&mut self, wire: WireId, end: End, cut: Option<u64>) {
        if self.wires[wire].end(end).role.is_some() {
            let after = self.dice.among(MILLISECOND..SILENCE);
            self.agenda.enter(after, None, Happening::Silence(wire, end, cut));
        }
    }

    /// Mends one direction; what it held back sets out again.
    pub(crate) fn mend(&mut self, from: SiteId, to: SiteId) {
        let road = &mut self.roads[from][to];
        (road.cut, road.mended) = (None, self.agenda.now);
        for wire in 0..self.wires.len() {
            for end in [End::Dialer, End::Host] {
                let sites = (self.wires[wire].end(end.other()).site, self.wires[wire].end(end).site);
                if sites == (from, to) {
                    let held_back = std::mem::take(&mut self.wires[wire].end_mut(end).held_back);
                    (0..held_back).for_each(|_| self.set_out(wire, end));
                }
            }
        }
    }
}
