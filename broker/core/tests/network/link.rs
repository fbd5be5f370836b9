//! A session's link to another broker, at the end that asks.

use std::collections::{BTreeSet, VecDeque};

use ave_core::{Event, Setback};
use ave_profile::{Address, AskId, BrokerId, Identity, Profile, RefusalKind, SessionId};

use crate::agenda::{Happening, MILLISECOND, SECOND};
use crate::site::Pid;
use crate::wire::{End, Message, Role, WireId};
use crate::world::World;

/// When somebody else is to be asked too.
const SLOW: u64 = 3 * MILLISECOND;

/// How long another broker has to answer.
pub(crate) const ANSWER_LIMIT: u64 = 3 * SECOND;

/// How long another broker has to take something back.
const CLOSE_WAIT: u64 = 2 * SECOND;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) wire: WireId,
    /// Whether the other broker has said that it is there.
    up: bool,
    /// Whether it has answered anything.
    used: bool,
    /// Whether groups are asked for one after the other.
    one_by_one: bool,
    /// What is on its way, then what waits.
    orders: VecDeque<Order>,
    busy: bool,
    /// What the session has through this link.
    entries: BTreeSet<Identity>,
}

#[derive(Debug)]
enum Order {
    Ask { ask: AskId, groups: Vec<Vec<Profile>>, got: Vec<Vec<Profile>>, via: Vec<BrokerId> },
    Yield { nth: u64, profiles: Vec<Profile> },
}

impl World {
    /// `Effect::AskPeer`
    pub(crate) fn ask_peer(
        &mut self,
        pid: Pid,
        session: SessionId,
        ask: AskId,
        peer: &Address,
        groups: Vec<Vec<Profile>>,
        via: Vec<BrokerId>,
    ) {
        let via = if self.brokers[pid].plan.is_original { Vec::new() } else { via };
        self.later(pid, SLOW, Happening::Told(Event::PeerSlow { session, ask }));
        self.later(pid, ANSWER_LIMIT, Happening::AskTooLate { session, ask });
        if !self.session(pid, session).links.contains_key(peer) {
            self.connect(pid, session, peer);
        }
        self.order(pid, session, peer, Order::Ask { ask, groups, got: Vec::new(), via });
    }

    fn connect(&mut self, pid: Pid, session: SessionId, peer: &Address) {
        let to = self.site_at(peer);
        let wire = self.dial(pid, to, Role::Link(session, peer.clone()));
        let link = Link {
            wire,
            up: false,
            used: false,
            one_by_one: self.brokers[pid].plan.is_original,
            orders: VecDeque::new(),
            busy: false,
            entries: BTreeSet::new(),
        };
        self.session(pid, session).links.insert(peer.clone(), link);
    }

    /// `Effect::YieldAtPeer`
    pub(crate) fn yield_at_peer(
        &mut self,
        pid: Pid,
        session: SessionId,
        peer: &Address,
        profiles: Vec<Profile>,
    ) {
        self.seen.mark("something far was given back", true);
        let items: Vec<Identity> =
            profiles.iter().filter_map(|profile| self.kinds.identity(profile)).collect();
        let Some(link) = self.session(pid, session).links.get_mut(peer) else { return };
        link.entries.retain(|entry| !items.contains(entry));
        let nth = self.next_id();
        self.session(pid, session).giving_back.insert(nth);
        self.later(pid, CLOSE_WAIT, Happening::YieldTooLate { session, nth });
        self.order(pid, session, peer, Order::Yield { nth, profiles });
    }

    /// `Effect::HangUp`
    pub(crate) fn hang_up_on_peer(&mut self, pid: Pid, session: SessionId, peer: &Address) {
        self.seen.mark("a broker was hung up on", true);
        if let Some(link) = self.drop_link(pid, session, peer) {
            self.given_back(pid, session, &link);
        }
    }

    /// A link that has waited for its turn may say the next thing.
    fn order(&mut self, pid: Pid, session: SessionId, peer: &Address, order: Order) {
        if let Some(link) = self.session(pid, session).links.get_mut(peer) {
            link.orders.push_back(order);
        }
        self.go_on(pid, session, peer);
    }

    fn go_on(&mut self, pid: Pid, session: SessionId, peer: &Address) {
        let Some(link) = self.session(pid, session).links.get_mut(peer) else { return };
        if !link.up || link.busy {
            return;
        }
        let Some(order) = link.orders.front() else { return };
        link.busy = true;
        let message = match order {
            Order::Ask { groups, got, via, .. } if link.one_by_one => {
                Message::Get { groups: vec![groups[got.len()].clone()], via: via.clone() }
            }
            Order::Ask { groups, via, .. } => Message::Get { groups: groups.clone(), via: via.clone() },
            Order::Yield { profiles, .. } => Message::Yield(profiles.clone()),
        };
        let wire = link.wire;
        self.send(wire, End::Dialer, message);
    }

    pub(crate) fn link_hears(&mut self, pid: Pid, session: SessionId, peer: &Address, message: Message) {
        let identity = |profile: &Profile| self.kinds.identity(profile).expect("what is lent has a name");
        let items: BTreeSet<Identity> = match &message {
            Message::Got(groups) => groups.iter().flatten().map(identity).collect(),
            _ => BTreeSet::new(),
        };
        let link = self.session(pid, session).links.get_mut(peer).expect("a wire has its link");
        if let Message::Welcome(name) = message {
            (link.up, link.one_by_one) = (true, link.one_by_one || name.is_none());
            self.seen.mark("an original broker was asked", name.is_none());
            return self.go_on(pid, session, peer);
        }
        link.busy = false;
        link.used |= !matches!(message, Message::Refused(_));
        link.entries.extend(items);
        match (link.orders.pop_front(), message) {
            (Some(Order::Ask { ask, groups, mut got, via }), Message::Got(more)) => {
                got.extend(more);
                if got.len() < groups.len() {
                    link.orders.push_front(Order::Ask { ask, groups, got, via });
                } else {
                    self.say(pid, Event::PeerAnswered { session, ask, outcome: Ok(got) });
                }
                self.go_on(pid, session, peer);
            }
            (Some(Order::Ask { ask, groups, got, via }), Message::Refused(refusal))
                if refusal.kind == RefusalKind::Restarting =>
            {
                let is_new = !std::mem::replace(&mut link.used, true);
                let nothing_held = link.entries.is_empty();
                self.seen.mark("a broker was asked that had a successor", true);
                if nothing_held && !is_new {
                    let waiting = self.drop_link(pid, session, peer).map(|link| link.orders);
                    self.connect(pid, session, peer);
                    let first = Order::Ask { ask, groups, got, via };
                    let orders = [first].into_iter().chain(waiting.into_iter().flatten());
                    return orders.for_each(|order| self.order(pid, session, peer, order));
                }
                self.seen.mark("a session kept what an older process had lent it", !nothing_held);
                if !got.is_empty() {
                    self.yield_at_peer(pid, session, peer, got.into_iter().flatten().collect());
                }
                self.say(pid, Event::PeerAnswered { session, ask, outcome: Err(Setback::Restarting) });
                self.go_on(pid, session, peer);
            }
            (Some(Order::Ask { ask, groups, got, .. }), Message::Refused(mut refusal)) => {
                if link.one_by_one {
                    refusal = refusal.of_group(got.len(), groups.len());
                }
                let link = self.drop_link(pid, session, peer);
                let outcome = Err(Setback::Refused(refusal));
                self.say(pid, Event::PeerAnswered { session, ask, outcome });
                link.into_iter().for_each(|link| self.link_ends(pid, session, peer, link));
            }
            (Some(Order::Yield { nth, .. }), Message::Yielded | Message::Refused(_)) => {
                self.session(pid, session).giving_back.remove(&nth);
                self.go_on(pid, session, peer);
                self.settle(pid, session);
            }
            (order, message) => panic!("{message:?} is no answer to {order:?}"),
        }
    }

    /// The other end has closed the connection, or has been silent for too long.
    pub(crate) fn link_is_lost(&mut self, pid: Pid, session: SessionId, peer: &Address) {
        if let Some(link) = self.drop_link(pid, session, peer) {
            self.seen.mark("a link was lost over which something was held", !link.entries.is_empty());
            self.link_ends(pid, session, peer, link);
        }
    }

    /// The other broker has had long enough.
    pub(crate) fn ask_too_late(&mut self, pid: Pid, session: SessionId, ask: AskId) {
        let Some(edge) = self.brokers[pid].sessions.get(&session) else { return };
        let asks = |link: &Link| {
            link.orders.iter().any(|order| matches!(order, Order::Ask { ask: other, .. } if *other == ask))
        };
        let peer = edge.links.iter().find(|(_, link)| asks(link)).map(|(peer, _)| peer.clone());
        if let Some(peer) = peer {
            self.seen.mark("a broker did not answer in time", true);
            if let Some(link) = self.drop_link(pid, session, &peer) {
                self.link_ends(pid, session, &peer, link);
            }
        }
    }

    /// The client has waited long enough for another broker to take something back.
    pub(crate) fn yield_too_late(&mut self, pid: Pid, session: SessionId, nth: u64) {
        let edge = self.brokers[pid].sessions.get_mut(&session);
        if edge.is_some_and(|edge| edge.giving_back.remove(&nth)) {
            self.settle(pid, session);
        }
    }

    fn drop_link(&mut self, pid: Pid, session: SessionId, peer: &Address) -> Option<Link> {
        let link = self.brokers[pid].sessions.get_mut(&session)?.links.remove(peer)?;
        self.hang_up(link.wire, End::Dialer);
        Some(link)
    }

    /// Nothing that was asked over a link will be answered, and what was held over it is gone.
    fn link_ends(&mut self, pid: Pid, session: SessionId, peer: &Address, link: Link) {
        let lost = (!link.entries.is_empty()).then(|| Event::PeerLost { session, peer: peer.clone() });
        let failed = link.orders.iter().filter_map(|order| match order {
            Order::Ask { ask, .. } => {
                let outcome = Err(Setback::Unreachable("Broker connection failed".to_owned()));
                Some(Event::PeerAnswered { session, ask: *ask, outcome })
            }
            Order::Yield { .. } => None,
        });
        let mut events: Vec<Event> = lost.into_iter().chain(failed).collect();
        if self.dice.percent(50) {
            events.reverse();
        }
        events.into_iter().for_each(|event| self.say(pid, event));
        self.given_back(pid, session, &link);
    }

    /// What was to be given back over a link is gone with it.
    fn given_back(&mut self, pid: Pid, session: SessionId, link: &Link) {
        for order in &link.orders {
            if let Order::Yield { nth, .. } = order {
                self.session(pid, session).giving_back.remove(nth);
            }
        }
        self.settle(pid, session);
    }
}
