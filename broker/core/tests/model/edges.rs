//! What the edges of two brokers do: they carry out what the cores say, and bring them each other's words
//! over links that may break.

use std::collections::{BTreeSet, VecDeque};
use std::mem::{replace, take};

use ave_core::{Effect, Event, Granted, Moment, Report, Revision, Setback, SharedPiece, Toward};
use ave_profile::{
    Address, AskId, BrokerId, Identity, Profile, Refusal, RefusalKind, RequestId, SessionId, Want,
};

use crate::pair::Both;
use crate::pair::Side::{self, Far, Near};
use crate::scene::identities;

#[derive(Clone, Debug, PartialEq, Hash)]
pub(crate) enum Message {
    Get(Vec<Vec<Profile>>, Vec<BrokerId>),
    Got(Vec<Vec<Profile>>),
    Refused { busy: bool },
    Closed,
}

/// A session's link to the far broker, and what is on its way over it.
#[derive(Clone, Debug, Hash)]
pub(crate) struct Link {
    pub(crate) session: SessionId,
    peer: Address,
    /// The question that is not answered.
    pub(crate) ask: Option<AskId>,
    pub(crate) slow: bool,
    /// Whether the session has been given something over it.
    pub(crate) used: bool,
    /// Whether each end is open.
    pub(crate) open: [bool; 2],
    pub(crate) incoming: [VecDeque<Message>; 2],
}

/// A client, and what it was told.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Client {
    pub(crate) asked: u8,
    pub(crate) waits: bool,
    pub(crate) gone: bool,
    pub(crate) holds: BTreeSet<Identity>,
}

/// The names by which the near broker knows the far one.
fn as_share() -> Address {
    Address::new("share", 1)
}

pub(crate) fn as_target() -> Address {
    Address::new("target", 1)
}

/// The far session of the n-th link.
fn visitor(link: usize) -> SessionId {
    SessionId(100 + link as u64)
}

impl Both {
    pub(crate) fn ask(
        &mut self,
        side: Side,
        session: SessionId,
        groups: Vec<Vec<Profile>>,
        via: Vec<BrokerId>,
    ) {
        let (request, want) = (RequestId(session.0), Ok(Want { groups }));
        self.tell(side, Event::Asked { session, request, want, nonce: 0, via });
    }

    /// A message arrives at one end of a link.
    pub(crate) fn arrives(&mut self, nth: usize, side: Side) {
        let Some(message) = self.links[nth].incoming[side as usize].pop_front() else { return };
        let link = &mut self.links[nth];
        let (session, peer, ask) = (link.session, link.peer.clone(), link.ask);
        let answered = |outcome| ask.map(|ask| Event::PeerAnswered { session, ask, outcome });
        let events = match (side, message) {
            (Far, Message::Get(groups, via)) => {
                if !self.cores[1].is_open(visitor(nth)) {
                    self.tell(Far, Event::SessionOpened { session: visitor(nth) });
                }
                return self.ask(Far, visitor(nth), groups, via);
            }
            (Far, _) => {
                link.open[1] = false;
                return self.tell(Far, Event::SessionEnded { session: visitor(nth) });
            }
            (Near, Message::Got(groups)) => {
                (link.ask, link.used) = (None, true);
                vec![answered(Ok(groups))]
            }
            (Near, Message::Refused { busy }) => {
                self.hang_up(nth, Near);
                let kind = if busy { RefusalKind::Busy } else { RefusalKind::NoSuch };
                vec![answered(Err(Setback::Refused(Refusal::new(kind, "no"))))]
            }
            (Near, _) => {
                let used = link.used;
                self.hang_up(nth, Near);
                let lost = used.then_some(Event::PeerLost { session, peer });
                vec![answered(Err(Setback::Unreachable("broken".to_owned()))), lost]
            }
        };
        events.into_iter().flatten().for_each(|event| self.tell(Near, event));
    }

    /// All that the far broker would say now.
    pub(crate) fn to_say(&self) -> Vec<SharedPiece> {
        let toward = Toward { address: None, broker: Some(BrokerId(1)) };
        let mut pieces = self.cores[1].news(Revision::default(), &toward, usize::MAX).report.changed;
        pieces.sort_by_key(|piece| identities(vec![piece.profile.clone()]));
        pieces
    }

    /// What is new in what the far broker has said.
    pub(crate) fn report_arrives(&mut self) {
        let (share, link, broker) = (as_share(), self.shared_by, Some(BrokerId(2)));
        let known = self.cores[0].shared_by(&share);
        let mut changed = take(&mut self.on_its_way).unwrap_or_default();
        changed.retain(|piece| !known.contains(piece));
        let report = Report { changed, ..Report::default() };
        self.tell(Near, Event::ShareReported { share, link, broker, report, request: None });
    }

    pub(crate) fn tell(&mut self, side: Side, event: Event) {
        self.tell_at(Moment::default(), side, event);
    }

    pub(crate) fn tell_at(&mut self, now: Moment, side: Side, event: Event) {
        let core = &mut self.cores[side as usize];
        let effects = core.apply(now, event);
        core.check();
        let mut ended = None;
        for effect in effects {
            if let Effect::End { session, .. } = &effect {
                ended = Some(*session);
            }
            self.carry_out(side, effect);
        }
        if let Some(nth) = ended.and_then(|ended| self.link_of(side, ended)) {
            self.hang_up(nth, Far);
        }
    }

    fn carry_out(&mut self, side: Side, effect: Effect) {
        match effect {
            Effect::Grant { session, groups, .. } => self.granted(side, session, groups),
            Effect::Refuse { session, refusal, .. } => {
                let busy = refusal.kind == RefusalKind::Busy;
                match self.link_of(side, session) {
                    Some(nth) => self.send(nth, Near, Message::Refused { busy }),
                    None => self.client(session).waits = false,
                }
            }
            Effect::End { session, items } => {
                for item in items {
                    if self.lent.get(&(side, item.clone())).is_some_and(|by| by.contains(&session)) {
                        self.closing.insert((side, session, item));
                    } else {
                        self.tell(side, Event::Closed { session, item, outcome: Ok(()) });
                    }
                }
                if let Some(client) = self.clients.get_mut(&session) {
                    (client.gone, client.holds) = (true, BTreeSet::new());
                }
                let of_session = |nth: &usize| side == Near && self.links[*nth].session == session;
                let links: Vec<usize> = (0..self.links.len()).filter(of_session).collect();
                links.into_iter().for_each(|nth| self.hang_up(nth, Near));
            }
            Effect::AskPeer { session, ask, peer, groups, via, .. } => {
                let known = |link: &Link| link.open[0] && link.session == session && link.peer == peer;
                let nth = self.links.iter().position(known).unwrap_or(self.links.len());
                if nth == self.links.len() {
                    let (ask, open, incoming) = (None, [true; 2], Default::default());
                    self.links.push(Link { session, peer, ask, slow: false, used: false, open, incoming });
                }
                (self.links[nth].ask, self.links[nth].slow) = (Some(ask), false);
                self.send(nth, Far, Message::Get(groups, via));
            }
            Effect::HangUp { session, peer } => {
                let known = |link: &Link| link.open[0] && link.session == session && link.peer == peer;
                if let Some(nth) = self.links.iter().position(known) {
                    self.hang_up(nth, Near);
                }
            }
            Effect::ShareChanged { .. } => {}
            other => panic!("nothing to do with this: {other:?}"),
        }
    }

    fn granted(&mut self, side: Side, session: SessionId, groups: Vec<Vec<Granted>>) {
        for granted in groups.iter().flatten().filter(|granted| granted.at.is_none()) {
            let holders = self.lent.entry((side, granted.item.clone())).or_default();
            if !holders.is_empty() {
                self.fault = Some("lent what was not free");
            }
            holders.insert(session);
        }
        match self.link_of(side, session) {
            Some(nth) => {
                let profiles = |group: Vec<Granted>| {
                    group.iter().map(|granted| Profile::clone(&granted.profile)).collect()
                };
                self.send(nth, Near, Message::Got(groups.into_iter().map(profiles).collect()));
            }
            None => {
                let client = self.client(session);
                client.waits = false;
                client.holds.extend(groups.into_iter().flatten().map(|granted| granted.item));
            }
        }
    }

    /// The link that a far session is for.
    pub(crate) fn link_of(&self, side: Side, session: SessionId) -> Option<usize> {
        let nth = session.0.checked_sub(100).filter(|_| side == Far)?;
        Some(nth as usize)
    }

    pub(crate) fn hang_up(&mut self, nth: usize, side: Side) {
        let link = &mut self.links[nth];
        link.incoming[side as usize].clear();
        if side == Near {
            (link.ask, link.used) = (None, false);
        }
        if replace(&mut link.open[side as usize], false) {
            self.send(nth, if side == Near { Far } else { Near }, Message::Closed);
        }
    }

    /// Sends something to one end of a link, if that is still open.
    pub(crate) fn send(&mut self, nth: usize, to: Side, message: Message) {
        let link = &mut self.links[nth];
        if link.open[to as usize] {
            link.incoming[to as usize].push_back(message);
        }
    }

    pub(crate) fn client(&mut self, session: SessionId) -> &mut Client {
        self.clients.get_mut(&session).expect("one of the clients")
    }
}
