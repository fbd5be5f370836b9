//! What the edges of all brokers know together, and what must be true of it after every step.

use std::collections::{BTreeMap, BTreeSet};

use ave_core::Granted;
use ave_profile::{Identity, RequestId, SessionId};

use crate::agenda::{Micros, SECOND, SiteId};
use crate::plan::{SitePlan, allocations_max};
use crate::site::Pid;
use crate::wire::{LAG_MAX, SILENCE, WireId};

/// How long a session may be left behind at each hop: until the silence is noticed, or the last message has
/// come and found the core busy.
const ADRIFT_MAX: Micros = SILENCE + LAG_MAX + SECOND;

/// How long an answer may take: as many brokers as there are, one after the other, hop after hop.
const ANSWER_MAX: Micros = 60 * SECOND;

/// Who asked something, and waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    Client(usize),
    /// Another broker, over this connection.
    Wire(WireId),
}

/// One request at one broker.
struct Asked {
    pid: Pid,
    at: Micros,
    by: Asker,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Answered,
    /// Whoever asked has gone.
    Void,
}

#[derive(Default)]
pub(crate) struct Books {
    /// Each piece that is driven, and for which sessions and which group of which request.
    lent: BTreeMap<(SiteId, Identity), BTreeMap<SessionId, (RequestId, usize)>>,
    /// What was left as it was, and has not been reset since.
    dirty: BTreeSet<(SiteId, Identity)>,
    /// The number of each piece's last grant.
    numbers: BTreeMap<(SiteId, Identity), u64>,
    requests: Vec<Asked>,
    waiting: BTreeSet<RequestId>,
    adrift: BTreeMap<SessionId, Micros>,
    pub(crate) now: Micros,
}

impl Books {
    /// A piece is driven for a session from now on.
    pub(crate) fn lend(
        &mut self,
        plan: &SitePlan,
        site: SiteId,
        session: SessionId,
        what_for: (RequestId, usize),
        Granted { item, number, .. }: &Granted,
    ) {
        // Of what several may hold at once, a grant that waits for another broker may be overtaken.
        let last = self.numbers.insert((site, item.clone()), *number).unwrap_or_default();
        assert!(last < *number || allocations_max(item) > 1, "grant {number} of {item} after {last}");
        // What several may hold may be lent before anybody knows that another holder's process has died.
        let is_clean = !self.dirty.contains(&(site, item.clone()));
        assert!(is_clean || allocations_max(item) > 1, "{item} is lent as somebody left it");
        let holders = self.lent.entry((site, item.clone())).or_default();
        assert!(holders.insert(session, what_for).is_none(), "{item} is lent twice to {session}");
        assert!(holders.len() <= allocations_max(item), "{item} is lent to {holders:?}");
        for stack in plan.stacks.iter().filter(|stack| stack.contains(item)) {
            for other in stack.iter().filter(|other| *other != item) {
                let others = self.lent.get(&(site, other.clone())).into_iter().flatten();
                let foreign: Vec<_> = others.filter(|(_, other)| **other != what_for).collect();
                assert!(foreign.is_empty(), "{item} is collateral of {other}, lent to {foreign:?}");
            }
        }
    }

    /// A piece is closed.
    pub(crate) fn give_back(&mut self, site: SiteId, session: SessionId, item: &Identity, well: bool) {
        let key = (site, item.clone());
        let holders = self.lent.get_mut(&key);
        let given = holders.and_then(|holders| holders.remove(&session));
        assert!(given.is_some(), "{item} is closed for {session}, who does not have it");
        self.lent.retain(|_, holders| !holders.is_empty());
        if !well {
            self.dirty.insert((site, item.clone()));
        }
    }

    /// A piece has been reset.
    pub(crate) fn clean(&mut self, site: SiteId, item: &Identity) {
        self.check_idle(site, item);
        self.dirty.remove(&(site, item.clone()));
    }

    /// Nobody resets what is driven for somebody.
    pub(crate) fn check_idle(&self, site: SiteId, item: &Identity) {
        let holders = self.lent.get(&(site, item.clone()));
        assert!(holders.is_none(), "{item} is reset, but driven for {holders:?}");
    }

    /// A machine was without power: nothing is left of what was driven there, and nobody knows a number.
    pub(crate) fn cold(&mut self, site: SiteId) {
        self.dirty.retain(|(at, _)| *at != site);
        self.numbers.retain(|(at, _), _| *at != site);
    }

    /// Whether a piece is driven for a session.
    pub(crate) fn is_lent(&self, site: SiteId, session: SessionId, item: &Identity) -> bool {
        self.lent.get(&(site, item.clone())).is_some_and(|holders| holders.contains_key(&session))
    }

    /// Every piece that is driven, and for which session.
    pub(crate) fn lent(&self) -> impl Iterator<Item = (SiteId, &Identity, SessionId)> {
        self.lent.iter().flat_map(|((site, item), holders)| holders.keys().map(move |by| (*site, item, *by)))
    }

    pub(crate) fn asked(&mut self, pid: Pid, by: Asker) -> RequestId {
        let request = RequestId(self.requests.len() as u64);
        self.requests.push(Asked { pid, at: self.now, by, state: State::Waiting });
        self.waiting.insert(request);
        request
    }

    /// Who is to hear an answer, if they are still there.
    pub(crate) fn answered(&mut self, request: RequestId) -> Option<Asker> {
        self.waiting.remove(&request);
        let asked = &mut self.requests[request.0 as usize];
        assert!(asked.state != State::Answered, "{request:?} of {:?} is answered twice", asked.by);
        (std::mem::replace(&mut asked.state, State::Answered) == State::Waiting).then_some(asked.by)
    }

    /// Whoever asked has gone.
    pub(crate) fn nobody_waits(&mut self, by: Asker) {
        self.void(|asked| asked.by == by);
    }

    /// A process is no more, nor is anything it was doing for these sessions.
    pub(crate) fn forget(&mut self, pid: Pid, sessions: &BTreeSet<SessionId>) {
        self.void(|asked| asked.pid == pid);
        for (piece, holders) in &mut self.lent {
            if holders.extract_if(.., |session, _| sessions.contains(session)).count() > 0 {
                self.dirty.insert(piece.clone());
            }
        }
        self.lent.retain(|_, holders| !holders.is_empty());
        self.adrift.retain(|session, _| !sessions.contains(session));
    }

    fn void(&mut self, which: impl Fn(&Asked) -> bool) {
        let requests = &mut self.requests;
        self.waiting.retain(|request| {
            let asked = &mut requests[request.0 as usize];
            if which(asked) {
                asked.state = State::Void;
            }
            asked.state == State::Waiting
        });
    }

    /// Whether somebody waits for an answer.
    pub(crate) fn somebody_waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Every answer comes in time.
    pub(crate) fn check_answers(&self) {
        for request in &self.waiting {
            let asked = &self.requests[request.0 as usize];
            let waited = self.now - asked.at;
            assert!(
                waited <= ANSWER_MAX,
                "{request:?} of {:?} by broker {} is not answered",
                asked.by,
                asked.pid
            );
        }
    }

    /// No session outlives for long the one it is for.
    pub(crate) fn check_adrift(&mut self, adrift: Vec<SessionId>) {
        self.adrift.retain(|known, _| adrift.contains(known));
        for session in adrift {
            let since = *self.adrift.entry(session).or_insert(self.now);
            assert!(self.now - since <= ADRIFT_MAX, "{session:?} is nobody's since {since}");
        }
    }
}
