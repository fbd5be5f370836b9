//! Two brokers, of which one has equipment that the other asks for, the connections between them, and all
//! that can happen next: messages arrive in any order but that of one connection, and connections break.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::mem::replace;

use ave_core::{Core, Event, SharedPiece, Source};
use ave_profile::{BrokerId, Identity, KindTable, LinkId, Profile, SessionId};
use serde_json::json;

use crate::edges::{Client, Link, Message, as_target};
use crate::scene::ready;

/// Two brokers whose equipment never changes.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    /// The pieces of the near broker, and those of the far one.
    pub(crate) pieces: [Vec<Identity>; 2],
    /// Whether the far broker shares with the near one.
    pub(crate) shares: bool,
    /// Whether the near broker forwards to the far one, which it knows by another name for that.
    pub(crate) forwards: bool,
    /// What clients ask for: groups of one relay.
    pub(crate) wants: Vec<Vec<Profile>>,
    /// Where each client is, and how often it asks.
    pub(crate) clients: Vec<(Side, u8)>,
    /// How many connections break.
    pub(crate) breaks: u8,
}

/// One of the two brokers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Side {
    Near,
    Far,
}
use Side::{Far, Near};

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    Gets(SessionId, usize),
    Leaves(SessionId),
    /// The far broker has not answered for a while.
    Slow(usize),
    /// The next message of a link arrives at this side.
    Arrives(usize, Side),
    /// A link breaks: nothing more arrives but, some time, the news of it.
    Breaks(usize),
    Closed(Side, SessionId, Identity),
    /// The far broker says what it has.
    Reports,
    ReportArrives,
    /// The connection over which it did so breaks.
    ShareBreaks,
    /// The near broker has waited for long enough.
    Deadline,
}

/// Both brokers and all around them at one moment.
#[derive(Clone)]
pub(crate) struct Both {
    pub(crate) cores: [Core; 2],
    pub(crate) links: Vec<Link>,
    pub(crate) clients: BTreeMap<SessionId, Client>,
    /// Who drives what, and where it is being closed.
    pub(crate) lent: BTreeMap<(Side, Identity), BTreeSet<SessionId>>,
    pub(crate) closing: BTreeSet<(Side, SessionId, Identity)>,
    /// What the far broker has said, and what of it is on its way.
    pub(crate) said: Option<Vec<SharedPiece>>,
    pub(crate) on_its_way: Option<Vec<SharedPiece>>,
    pub(crate) shared_by: LinkId,
    pub(crate) broken: u8,
    /// The first contradiction.
    pub(crate) fault: Option<&'static str>,
}

impl Pair {
    pub(crate) fn sessions(&self) -> impl Iterator<Item = (SessionId, Side, u8)> {
        (1..).zip(&self.clients).map(|(id, (side, gets))| (SessionId(id), *side, *gets))
    }
}

impl Both {
    /// Before anybody came.
    pub(crate) fn of(pair: &Pair) -> Both {
        let mut begin = Both {
            cores: [1, 2].map(|id| Core::new(KindTable::builtin(), BrokerId(id))),
            links: Vec::new(),
            clients: BTreeMap::new(),
            lent: BTreeMap::new(),
            closing: BTreeSet::new(),
            said: None,
            on_its_way: None,
            shared_by: LinkId(1),
            broken: 0,
            fault: None,
        };
        for (side, pieces) in [Near, Far].into_iter().zip(&pair.pieces) {
            let profiles = pieces.iter().map(ready).collect();
            begin.tell(side, Event::Reported { source: Source::File, profiles, request: None });
        }
        let target = pair.forwards.then(as_target);
        begin.tell(Near, Event::ForwardSet { target });
        for (session, side, _) in pair.sessions() {
            begin.tell(side, Event::SessionOpened { session });
            begin.clients.insert(session, Client::default());
        }
        begin
    }

    /// Everything that can happen next.
    pub(crate) fn steps(&self, pair: &Pair) -> Vec<Step> {
        let mut steps = self.inner_steps(pair);
        let can_break = self.broken < pair.breaks;
        for (nth, link) in self.links.iter().enumerate() {
            if link.open[0] && link.ask.is_some() && !link.slow && pair.shares && pair.forwards {
                steps.push(Step::Slow(nth));
            }
            if can_break && link.open.contains(&true) {
                steps.push(Step::Breaks(nth));
            }
        }
        if can_break && self.said.is_some() {
            steps.push(Step::ShareBreaks);
        }
        for (session, _, gets) in pair.sessions() {
            let client = &self.clients[&session];
            if client.gone {
                continue;
            }
            steps.push(Step::Leaves(session));
            if !client.waits && client.asked < gets {
                steps.extend((0..pair.wants.len()).map(|want| Step::Gets(session, want)));
            }
        }
        steps
    }

    /// What happens although nobody does anything.
    fn inner_steps(&self, pair: &Pair) -> Vec<Step> {
        let mut steps = Vec::new();
        for (nth, link) in self.links.iter().enumerate() {
            let sides = [Near, Far].into_iter().filter(|side| !link.incoming[*side as usize].is_empty());
            steps.extend(sides.map(|side| Step::Arrives(nth, side)));
        }
        let closed = |(side, session, item): &(_, _, Identity)| Step::Closed(*side, *session, item.clone());
        steps.extend(self.closing.iter().map(closed));
        if self.on_its_way.is_some() {
            steps.push(Step::ReportArrives);
        } else if pair.shares && self.said.as_ref() != Some(&self.to_say()) {
            steps.push(Step::Reports);
        }
        if self.cores[0].deadline().is_some() {
            steps.push(Step::Deadline);
        }
        steps
    }

    /// Whether nothing happens any more unless somebody does something.
    pub(crate) fn is_quiet(&self, pair: &Pair) -> bool {
        self.inner_steps(pair).is_empty()
    }

    /// What is after this has happened.
    pub(crate) fn after(&self, pair: &Pair, step: Step) -> Both {
        let mut next = self.clone();
        match step {
            Step::Gets(session, want) => {
                let client = next.client(session);
                (client.asked, client.waits) = (client.asked + 1, true);
                let groups = pair.wants[want].iter().map(|profile| vec![profile.clone()]).collect();
                let (_, side, _) = pair.sessions().nth(session.0 as usize - 1).expect("one of the clients");
                next.ask(side, session, groups, Vec::new());
            }
            Step::Leaves(session) => {
                *next.client(session) = Client { gone: true, ..Client::default() };
                let (_, side, _) = pair.sessions().nth(session.0 as usize - 1).expect("one of the clients");
                next.tell(side, Event::SessionEnded { session });
            }
            Step::Slow(nth) => {
                next.links[nth].slow = true;
                let Link { session, ask: Some(ask), .. } = next.links[nth] else { return next };
                next.tell(Near, Event::PeerSlow { session, ask });
            }
            Step::Arrives(nth, side) => next.arrives(nth, side),
            Step::Breaks(nth) => {
                next.broken += 1;
                for side in [Near, Far] {
                    next.links[nth].incoming[side as usize].clear();
                    next.send(nth, side, Message::Closed);
                }
            }
            Step::Closed(side, session, item) => {
                next.closing.remove(&(side, session, item.clone()));
                if let Some(holders) = next.lent.get_mut(&(side, item.clone())) {
                    holders.remove(&session);
                }
                next.lent.retain(|_, holders| !holders.is_empty());
                next.tell(side, Event::Closed { session, item, outcome: Ok(()) });
            }
            Step::Reports => {
                next.said = Some(next.to_say());
                next.on_its_way = next.said.clone();
            }
            Step::ReportArrives => next.report_arrives(),
            Step::ShareBreaks => {
                next.broken += 1;
                (next.said, next.on_its_way) = (None, None);
                let link = replace(&mut next.shared_by, LinkId(self.shared_by.0 + 1));
                next.tell(Near, Event::ShareLost { link });
            }
            Step::Deadline => {
                let now = next.cores[0].deadline().unwrap_or_default();
                next.tell_at(now, Near, Event::DeadlineReached);
            }
        }
        next
    }

    fn key(&self) -> impl Hash + PartialEq + '_ {
        let said = |pieces: &Option<Vec<SharedPiece>>| {
            pieces.as_ref().map(|pieces| {
                pieces.iter().map(|piece| (piece.profile.clone(), piece.taken.clone())).collect::<Vec<_>>()
            })
        };
        let mut hasher = std::hash::DefaultHasher::new();
        (&self.links, &self.clients, &self.lent, &self.closing, self.broken, self.fault).hash(&mut hasher);
        (said(&self.said), said(&self.on_its_way), self.shared_by).hash(&mut hasher);
        (hasher.finish(), self.cores.each_ref().map(Core::fingerprint))
    }
}

impl PartialEq for Both {
    fn eq(&self, other: &Both) -> bool {
        self.key() == other.key()
    }
}

impl Hash for Both {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// What the edges know; the cores' own states are told by the steps that led here.
impl fmt::Debug for Both {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Both")
            .field("links", &self.links)
            .field("clients", &self.clients)
            .field("lent", &self.lent)
            .field("closing", &self.closing)
            .finish()
    }
}

/// A relay by its name, or any.
pub(crate) fn relay(uid: Option<&str>) -> Profile {
    match uid {
        Some(uid) => Profile::of(json!({"type": "relay", "uid": uid})),
        None => Profile::of(json!({"type": "relay"})),
    }
}
