//! The only owner of the core. Awaits its inbox and the ends of sessions, applies events one by one and
//! hands the effects out without ever waiting for anyone.

mod handle;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::mem;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ave_core::{Core, Effect, Event, Moment, Revision};
use ave_profile::{Identity, Refusal, RequestId, SessionId};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::drivers::Drivers;
use crate::handover::Elders;
use crate::handover::stillness::{Departure, Still, Stillness};
use crate::journal::{Journal, Recorded};
use crate::mending::Mending;
use crate::peers::shares::Links;
use crate::session::{Session, SessionHandle};

use handle::Inbound;
pub(crate) use handle::{Answer, HubHandle, Order, Reply};

/// How many events may wait. Senders beyond that wait in turn; the hub does not.
const INBOX_MAX: usize = 1024;

/// Waits until then; for ever, if there is no such moment.
pub(crate) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Waits until a journal wants to begin anew; for ever, if there is none.
async fn full(journal: Option<&Journal>) {
    match journal {
        Some(journal) => journal.full().await,
        None => std::future::pending().await,
    }
}

/// Owns the core, the ways to the sessions, and the sessions' tasks.
pub(crate) struct Hub {
    core: Core,
    /// Where everything that happens is recorded; `None` in tests that have no home.
    journal: Option<Journal>,
    /// When this process began, by its own clock and by the core's, which goes on where the last one ended.
    began: (Instant, Moment),
    inbox: mpsc::Receiver<Inbound>,
    routes: BTreeMap<SessionId, Route>,
    pending: HashMap<RequestId, Reply>,
    tasks: JoinSet<()>,
    owners: HashMap<task::Id, SessionId>,
    /// What sessions were told to close and have not reported yet.
    closing: HashMap<SessionId, BTreeSet<Identity>>,
    mending: Mending,
    revisions: watch::Sender<Revision>,
    links: Links,
    elders: Arc<Elders>,
    stillness: Stillness,
}

/// The hub's way to a session.
struct Route {
    orders: mpsc::Sender<Order>,
    handle: Arc<SessionHandle>,
}

impl Hub {
    pub(crate) fn new(core: Core, drivers: Drivers, elders: Arc<Elders>) -> (Hub, HubHandle) {
        let (sender, inbox) = mpsc::channel(INBOX_MAX);
        let (revisions, seen) = watch::channel(core.revision());
        let hub = Hub {
            journal: None,
            began: (Instant::now(), core.now()),
            core,
            inbox,
            routes: BTreeMap::new(),
            pending: HashMap::new(),
            tasks: JoinSet::new(),
            owners: HashMap::new(),
            closing: HashMap::new(),
            mending: Mending::new(drivers),
            revisions,
            links: Links::default(),
            elders,
            stillness: Stillness::default(),
        };
        (hub, HubHandle::new(sender, seen))
    }

    /// The same hub, which records what happens.
    pub(crate) fn recording(self, journal: Journal) -> Hub {
        Hub { journal: Some(journal), ..self }
    }

    /// Serves until told to stop, then ends every session and serves on until all are closed.
    ///
    /// A panic in here means that the broker no longer knows who holds what: it must not go on lending.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        use futures::FutureExt;
        if AssertUnwindSafe(self.serve(stop)).catch_unwind().await.is_err() {
            error!("the hub panicked: a broker that has lost the truth must not go on");
            std::process::abort();
        }
    }

    async fn serve(&mut self, stop: CancellationToken) {
        let mut stopping = false;
        while !(stopping && self.tasks.is_empty()) {
            let deadline = self.core.deadline().map(|due| self.instant(due));
            tokio::select! {
                inbound = self.inbox.recv() => match inbound {
                    Some(inbound) => self.take(inbound, stopping),
                    None => break,
                },
                Some(ended) = self.tasks.join_next_with_id() => {
                    let task = ended.as_ref().map_or_else(JoinError::id, |(task, ())| *task);
                    if let Err(error) = ended {
                        error!(session = ?self.owners.get(&task), %error, "a session failed");
                    }
                    self.take_what_is_waiting(stopping);
                    self.session_ended(task);
                }
                Some(done) = self.mending.next() => self.apply(done),
                () = at(deadline) => {
                    self.apply(Event::DeadlineReached);
                }
                () = full(self.journal.as_ref()) => {
                    self.journal.iter().for_each(|journal| journal.renew(self.core.clone()));
                }
                Some((link, why)) = self.links.next() => {
                    self.take_what_is_waiting(stopping);
                    self.apply_because(Event::ShareLost { link }, why);
                }
                () = stop.cancelled(), if !stopping => {
                    stopping = true;
                    for session in self.routes.keys().copied().collect::<Vec<_>>() {
                        self.apply(Event::SessionEnded { session });
                    }
                }
            }
            if self.stillness.wanted.is_some() && !self.core.is_asking() {
                self.freeze().await;
            }
        }
        self.mending.stop().await;
        if let Some(journal) = &mut self.journal {
            journal.end().await;
        }
    }

    /// Breaks off what is being reset, and says what is known from then on.
    async fn freeze(&mut self) {
        let Some(wanted) = self.stillness.wanted.take() else { return };
        self.stillness.broken_off = self.mending.break_off().await;
        let departures = self.stillness.begin();
        self.apply(Event::Frozen);
        let sessions = self.routes.values().map(|route| route.handle.clone()).collect();
        let journal = self.journal.as_ref().map(Journal::release);
        let still = Still { snapshot: self.core.estate(), sessions, departures, journal };
        let _ = wanted.send(still); // whoever does not wait any more settles it
    }

    /// Goes on, or leaves that to the process that rules now.
    fn settle(&mut self, over: bool, stopping: bool) {
        let held_back = self.stillness.end(over);
        if over {
            self.links.cut_all(); // shares have to find the process that rules
        }
        if !over {
            self.apply(Event::Thawed);
            self.journal.iter().for_each(|journal| journal.resume(self.core.clone()));
        }
        for (item, request) in mem::take(&mut self.stillness.broken_off) {
            let outcome = Err("a restart came between".to_owned());
            self.apply(Event::ResetDone { item, request, outcome });
        }
        for (event, request, reply) in held_back {
            self.take(Inbound::Request(event, request, reply), stopping);
        }
    }

    fn instant(&self, Moment(due): Moment) -> Instant {
        let (instant, Moment(began)) = self.began;
        instant + due.saturating_sub(began)
    }

    /// The last words of a session or connection that has ended are in the inbox: they count.
    fn take_what_is_waiting(&mut self, stopping: bool) {
        for _ in 0..self.inbox.len() {
            if let Ok(inbound) = self.inbox.try_recv() {
                self.take(inbound, stopping);
            }
        }
    }

    fn take(&mut self, inbound: Inbound, stopping: bool) {
        match inbound {
            Inbound::Event(event) => self.apply(event),
            Inbound::Request(Event::ShareReported { link, .. }, _, reply) if !self.links.is_open(link) => {
                let _ = reply.send(Err(Refusal::exception("this connection is being closed")));
            }
            Inbound::Request(event, request, reply) if self.stillness.holds_back(&event) => {
                self.stillness.hold_back(event, request, reply);
            }
            Inbound::Request(mut event, request, reply) => {
                self.pending.insert(request, reply);
                if let Event::Asked { want, .. } = &mut event
                    && let Some(refusal) = self.journal.as_ref().and_then(Journal::trouble)
                {
                    *want = Err(refusal);
                }
                self.apply(event);
            }
            Inbound::Open(..) if stopping => {}
            Inbound::Open(session, orders) => self.open(*session, orders),
            Inbound::Freeze(still) => self.stillness.wanted = Some(still),
            Inbound::Settle(over) => self.settle(over, stopping),
            Inbound::Link(end) if self.stillness.is_over() => end.cut.cancel(),
            Inbound::Link(end) => self.links.open(end),
            Inbound::Look(look) => look(&self.core),
        }
    }

    fn open(&mut self, session: Session, orders: mpsc::Sender<Order>) {
        let (id, handle) = (session.id(), session.handle());
        let task = self.tasks.spawn(session.run());
        self.owners.insert(task.id(), id);
        self.routes.insert(id, Route { orders, handle });
        self.apply(Event::SessionOpened { session: id });
    }

    /// The task is over. What it did not close is driven by nobody any more, and nobody knows its state.
    fn session_ended(&mut self, task: task::Id) {
        let Some(session) = self.owners.remove(&task) else { return };
        self.routes.remove(&session);
        self.apply(Event::SessionEnded { session });
        for item in self.closing.remove(&session).unwrap_or_default() {
            let outcome = Err("its session failed before it was closed".to_owned());
            self.apply(Event::Closed { session, item, outcome });
        }
        self.stillness.tell(Departure::Session(session));
    }

    fn apply(&mut self, event: Event) {
        self.apply_because(event, "dropped by an administrator");
    }

    /// Lets something happen; `why` goes into the log if shares leave by it.
    fn apply_because(&mut self, event: Event, why: &str) {
        if let Event::Closed { session, item, .. } = &event
            && let Some(items) = self.closing.get_mut(session)
        {
            items.remove(item);
            if items.is_empty() {
                self.closing.remove(session);
            }
        }
        let now = Moment(self.began.1.0 + self.began.0.elapsed());
        let record = self.journal.as_ref().map(|_| Journal::record(now, &event));
        let effects = self.core.apply(now, event);
        let grants = effects.iter().any(|effect| matches!(effect, Effect::Grant { .. }));
        let journal = self.journal.as_ref().zip(record);
        let mut recorded = journal.and_then(|(journal, record)| journal.write(record, grants));
        let revision = self.core.revision();
        self.revisions.send_if_modified(|seen| mem::replace(seen, revision) != revision);
        for effect in effects {
            self.hand_out(effect, why, &mut recorded);
        }
    }

    fn hand_out(&mut self, effect: Effect, why: &str, recorded: &mut Option<Recorded>) {
        match effect {
            Effect::Warn { message } => warn!("{message}"),
            Effect::Reported { request, outcome } => {
                self.answer(request, outcome.map(|()| Answer::Reported));
            }
            Effect::Reset { item, known, request } => self.mending.start(item, known, request),
            Effect::ResetAnswered { request, outcome } => {
                self.answer(request, outcome.map(|()| Answer::Reset));
            }
            Effect::Grant { session, request, .. }
            | Effect::Refuse { session, request, .. }
            | Effect::Yielded { session, request, .. } => {
                let reply = self.pending.remove(&request);
                let recorded = recorded.take_if(|_| matches!(effect, Effect::Grant { .. }));
                self.order(session, Order { effect: Box::new(effect), reply, recorded });
            }
            Effect::AskPeer { session, .. }
            | Effect::YieldAtPeer { session, .. }
            | Effect::HangUp { session, .. } => {
                self.order(session, Order { effect: Box::new(effect), reply: None, recorded: None });
            }
            Effect::CutLink { link } => self.links.cut(link),
            Effect::EndElder { generation, session } => self.elders.close(generation, session),
            Effect::Departed { session, item, outcome } => {
                self.stillness.tell(Departure::Piece { session, item, outcome });
            }
            Effect::ShareChanged { joined: true, .. } => {} // said with more words by who heard it
            Effect::ShareChanged { share, joined: false } => info!(%share, why, "a share has left"),
            Effect::Close { session, ref items } | Effect::End { session, ref items } => {
                if !items.is_empty() {
                    self.closing.entry(session).or_default().extend(items.iter().cloned());
                }
                self.order(session, Order { effect: Box::new(effect), reply: None, recorded: None });
            }
        }
    }

    fn answer(&mut self, request: RequestId, answer: Result<Answer, Refusal>) {
        if let Some(reply) = self.pending.remove(&request) {
            let _ = reply.send(answer);
        }
    }

    /// An edge whose outbox is full is stuck: its way is cut, upon which it ends by itself.
    fn order(&mut self, session: SessionId, order: Order) {
        let undelivered = match self.routes.get(&session) {
            None => order,
            Some(route) => match route.orders.try_send(order) {
                Ok(()) => return,
                Err(TrySendError::Closed(order)) => order,
                Err(TrySendError::Full(order)) => {
                    warn!(%session, "a session does not take its orders and is cut off");
                    self.routes.remove(&session);
                    self.apply(Event::SessionEnded { session });
                    order
                }
            },
        };
        undelivered.answer_unheeded();
    }
}
