//! What the edge of a session does: opens and closes pieces, which takes time, and gives its client the
//! answers, once what they wait for is done.

use std::collections::{BTreeMap, BTreeSet};

use ave_core::{Door, Event, Granted};
use ave_profile::{Address, Identity, Profile, Refusal, RequestId, SessionId, Want};

use crate::agenda::{Happening, MILLISECOND, SECOND};
use crate::books::Asker;
use crate::link::Link;
use crate::site::Pid;
use crate::wire::{End, Message, Role, WireId};
use crate::world::World;

/// What a session's client hears.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Got(Vec<Vec<Profile>>),
    GaveBack(Vec<Profile>),
    Refused(Refusal),
}

#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) owner: Asker,
    /// Whether the core has ended it.
    pub(crate) over: bool,
    pub(crate) links: BTreeMap<Address, Link>,
    /// The grants whose pieces are being opened, with what to answer.
    opening: BTreeMap<RequestId, Vec<Vec<Profile>>>,
    closing: BTreeSet<Identity>,
    /// What is being given back at other brokers.
    pub(crate) giving_back: BTreeSet<u64>,
    /// Answers that wait until nothing closes and nothing is being given back.
    waiting: Vec<(RequestId, Answer)>,
}

impl Session {
    pub(crate) fn of(owner: Asker) -> Session {
        Session {
            owner,
            over: false,
            links: BTreeMap::new(),
            opening: BTreeMap::new(),
            closing: BTreeSet::new(),
            giving_back: BTreeSet::new(),
            waiting: Vec::new(),
        }
    }
}

impl World {
    /// `Effect::Grant`
    pub(crate) fn grant(
        &mut self,
        pid: Pid,
        session: SessionId,
        request: RequestId,
        groups: Vec<Vec<Granted>>,
    ) {
        let far: BTreeSet<_> = groups.iter().flatten().map(|granted| &granted.at).collect();
        self.seen.mark("one get was served by several brokers", far.len() > 1);
        let shown =
            |group: &Vec<Granted>| group.iter().map(|granted| Profile::clone(&granted.profile)).collect();
        let answer = groups.iter().map(shown).collect();
        let edge = self.session(pid, session);
        edge.opening.insert(request, answer);
        self.later(pid, self.brokers[pid].plan.disk, Happening::Recorded { session, request, groups });
        self.may_die(pid);
    }

    /// A grant is in the journal: its pieces are opened now.
    pub(crate) fn recorded(
        &mut self,
        pid: Pid,
        session: SessionId,
        request: RequestId,
        groups: Vec<Vec<Granted>>,
    ) {
        let edge = self.brokers[pid].sessions.get(&session);
        if !edge.is_some_and(|edge| edge.opening.contains_key(&request)) {
            return;
        }
        let (mut to_open, site) = (false, self.brokers[pid].site);
        for (group, granted) in (0..).zip(&groups) {
            for granted in granted.iter().filter(|granted| granted.at.is_none() && !granted.again) {
                to_open = true;
                self.books.lend(&self.brokers[pid].plan, site, session, (request, group), granted);
            }
        }
        let after = if to_open { self.dice.among(10..100 * MILLISECOND) } else { 0 };
        let well = !to_open || self.is_whole || !self.dice.percent(3);
        self.later(pid, after, Happening::Opened { session, request, well });
    }

    /// All pieces of a grant are open, or one did not open: that ends the session.
    pub(crate) fn opened(&mut self, pid: Pid, session: SessionId, request: RequestId, well: bool) {
        let Some(edge) = self.brokers[pid].sessions.get_mut(&session) else { return };
        let Some(groups) = edge.opening.remove(&request) else { return };
        if well {
            self.answer(pid, request, Answer::Got(groups));
        } else {
            self.seen.mark("a piece did not open", true);
            edge.waiting.push((request, Answer::Refused(Refusal::exception("it did not open"))));
            self.say(pid, Event::SessionEnded { session });
        }
    }

    /// `Effect::Close`. What was reserved and never granted is not open.
    pub(crate) fn close(&mut self, pid: Pid, session: SessionId, items: Vec<Identity>) {
        for item in items {
            let mut after = 0;
            if self.books.is_lent(self.brokers[pid].site, session, &item) {
                after = self.dice.among(10..SECOND);
                self.session(pid, session).closing.insert(item.clone());
            }
            let well = after == 0 || self.is_whole || !self.dice.percent(4);
            let outcome = if well { Ok(()) } else { Err("stuck".to_owned()) };
            self.later(pid, after, Happening::Told(Event::Closed { session, item, outcome }));
        }
    }

    /// `Effect::End`
    pub(crate) fn end(&mut self, pid: Pid, session: SessionId, items: Vec<Identity>) {
        self.close(pid, session, items);
        let edge = self.session(pid, session);
        assert!(!std::mem::replace(&mut edge.over, true), "{session} ends twice");
        let refused =
            edge.opening.keys().map(|request| (*request, Answer::Refused(Refusal::session_closed())));
        let refused: Vec<_> = refused.collect();
        edge.waiting.extend(refused);
        edge.opening.clear();
        edge.giving_back.clear();
        for link in std::mem::take(&mut edge.links).into_values() {
            self.hang_up(link.wire, End::Dialer);
        }
    }

    /// An answer that still waits goes out first, unless the other broker sees that its session is over
    /// before it hears why.
    pub(crate) fn after_end(&mut self, pid: Pid, session: SessionId) {
        let owner = self.brokers[pid].sessions.get(&session).map(|edge| edge.owner);
        if let Some(Asker::Wire(wire)) = owner
            && !self.is_whole
            && self.dice.percent(20)
        {
            self.books.nobody_waits(Asker::Wire(wire));
            self.hang_up(wire, End::Host);
        }
        self.settle(pid, session);
    }

    /// `Effect::Refuse` and `Effect::Yielded`
    pub(crate) fn will_answer(&mut self, pid: Pid, session: SessionId, request: RequestId, answer: Answer) {
        match self.brokers[pid].sessions.get_mut(&session) {
            Some(edge) => edge.waiting.push((request, answer)),
            None => self.answer(pid, request, answer),
        }
        self.settle(pid, session);
    }

    /// A piece is closed: from now on it is driven for nobody.
    pub(crate) fn closed(&mut self, pid: Pid, session: SessionId, item: &Identity, well: bool) {
        self.seen.mark("a piece could not be closed", !well);
        let edge = self.brokers[pid].sessions.get_mut(&session);
        if edge.is_some_and(|edge| edge.closing.remove(item)) {
            self.books.give_back(self.brokers[pid].site, session, item, well);
        }
    }

    /// Gives the answers that wait for nothing any more. A session that is over and done is forgotten, and
    /// so is its client's connection.
    pub(crate) fn settle(&mut self, pid: Pid, session: SessionId) {
        let Some(edge) = self.brokers[pid].sessions.get_mut(&session) else { return };
        let done = edge.closing.is_empty() && edge.giving_back.is_empty();
        let answers = if done { std::mem::take(&mut edge.waiting) } else { Vec::new() };
        let (owner, over) = (edge.owner, edge.over);
        for (request, answer) in answers {
            self.answer(pid, request, answer);
        }
        let Some(edge) = self.brokers[pid].sessions.get(&session) else { return };
        if over && edge.waiting.is_empty() {
            match owner {
                Asker::Client(client) => self.client_is_cut(client, session),
                Asker::Wire(wire) => self.hang_up(wire, End::Host),
            }
            if done {
                self.brokers[pid].sessions.remove(&session);
                if self.brokers[pid].is_old() {
                    self.say_to_successor(pid, Event::ElderEnded { session });
                }
            }
        }
    }

    /// The answer reaches whoever asked, if they are still there.
    fn answer(&mut self, pid: Pid, request: RequestId, answer: Answer) {
        self.note(pid, || format!("answers {request:?}: {answer:?}"));
        let Some(owner) = self.books.answered(request) else { return };
        match owner {
            Asker::Client(client) => self.client_hears(client, answer),
            Asker::Wire(wire) => self.visitor_hears(pid, wire, answer),
        }
    }

    /// Somebody else's session says something over its link.
    pub(crate) fn visitor_says(
        &mut self,
        pid: Pid,
        wire: WireId,
        session: Option<SessionId>,
        message: Message,
    ) {
        let session = session.unwrap_or_else(|| self.open_session(pid, Asker::Wire(wire)));
        let request = self.books.asked(pid, Asker::Wire(wire));
        match message {
            Message::Get { groups, via } => {
                self.seen.mark("a question came over three brokers", via.len() == 3);
                let want = Ok(Want { groups });
                let nonce = self.dice.number();
                self.say(pid, Event::Asked { session, request, want, nonce, via });
            }
            Message::Yield(profiles) => {
                self.say(pid, Event::Yielded { session, request, door: Door::Broker, profiles });
            }
            message => panic!("not what a link says: {message:?}"),
        }
    }

    /// What somebody else's session is answered.
    fn visitor_hears(&mut self, pid: Pid, wire: WireId, answer: Answer) {
        let message = match answer {
            Answer::Got(groups) => Message::Got(groups),
            Answer::Refused(refusal) => {
                self.seen.mark("an owner refused", true);
                let been_here = refusal.message.contains("has been here before");
                self.seen.mark("a question came back to a broker it had been to", been_here);
                Message::Refused(refusal)
            }
            // The second word follows the first; its own answer is empty.
            Answer::GaveBack(profiles) if !profiles.is_empty() => {
                let Some(Role::Visitor(Some(session))) = self.wires[wire].end(End::Host).role else {
                    return;
                };
                let request = self.books.asked(pid, Asker::Wire(wire));
                self.say(pid, Event::Yielded { session, request, door: Door::Session, profiles });
                return;
            }
            Answer::GaveBack(_) => Message::Yielded,
        };
        self.send(wire, End::Host, message);
    }

    /// Somebody else's link is gone.
    pub(crate) fn visitor_is_gone(&mut self, pid: Pid, session: SessionId) {
        if let Some(edge) = self.brokers[pid].sessions.get(&session) {
            self.books.nobody_waits(edge.owner);
            self.say(pid, Event::SessionEnded { session });
        }
    }

    pub(crate) fn session(&mut self, pid: Pid, session: SessionId) -> &mut Session {
        self.brokers[pid].sessions.get_mut(&session).expect("an effect is about a session that was opened")
    }
}
