//! What one client holds: has granted pieces opened, passes calls on to them, has them closed whatever
//! ends the session. Decides nothing: it obeys the hub and reports what it has done, once each.

mod clock;
mod closing;
mod handle;
mod links;
mod warnings;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ave_core::{Effect, Event, Granted};
use ave_profile::{Identity, Refusal, RefusalKind, SessionId};
use ave_protocol::handshake::Secret;
use ave_protocol::message::Reply as Message;
use futures::future::{join_all, try_join_all};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::crowd::Lodging;
use crate::gate;
use crate::hub::{Answer, Order, Reply, at};
use crate::journal::Recorded;
use crate::limits::{CLOSE_WAIT, ORDERS_MAX, SESSION_THREADS_MAX};
use crate::piece::Piece;
use crate::site::Site;
use crate::usage::Usage;

use clock::{Clock, Due};
use handle::Question;
pub(crate) use handle::{Held, SessionHandle};
use links::{Links, Stuck};

/// Equipment that did not open, and the client that waits for it.
type OpenFailure = (Refusal, Option<Reply>);

/// One session's task.
pub(crate) struct Session {
    site: Arc<Site>,
    handle: Arc<SessionHandle>,
    orders: mpsc::Receiver<Order>,
    questions: mpsc::Receiver<Question>,
    pieces: BTreeMap<Identity, Piece>,
    driving: JoinSet<Result<(), String>>,
    driven: HashMap<task::Id, Identity>,
    answering: JoinSet<Option<OpenFailure>>,
    links: Links,
    clock: Clock,
    usage: Arc<Usage>,
    stop_calls: CancellationToken,
    /// Whose turn it is, among its pieces, to keep a thread busy.
    turns: Arc<Semaphore>,
    /// The pieces still to be closed, once the session is ending.
    ending: Option<VecDeque<Identity>>,
    /// The one that is being closed, and until when the others wait for it.
    closing: Option<(Identity, Instant)>,
    /// Its host has one session more until all of this has ended.
    _lodging: Lodging,
}

impl Session {
    /// A new session: its task, the hub's way to it, and everybody's handle of it.
    pub(crate) fn new(
        site: Arc<Site>,
        id: SessionId,
        key: Secret,
        lodging: Lodging,
    ) -> (Session, mpsc::Sender<Order>, Arc<SessionHandle>) {
        let (orders_in, orders) = mpsc::channel(ORDERS_MAX);
        let (handle, questions) = SessionHandle::new(id, key);
        let handle = Arc::new(handle);
        let usage = Arc::new(Usage::default());
        let clock = Clock::new(site.config.broker.time_limits.clone(), usage.clone());
        let session = Session {
            site,
            handle: handle.clone(),
            orders,
            questions,
            pieces: BTreeMap::new(),
            driving: JoinSet::new(),
            driven: HashMap::new(),
            answering: JoinSet::new(),
            links: Links::default(),
            clock,
            usage,
            stop_calls: CancellationToken::new(),
            turns: Arc::new(Semaphore::new(SESSION_THREADS_MAX)),
            ending: None,
            closing: None,
            _lodging: lodging,
        };
        (session, orders_in, handle)
    }

    /// The session.
    pub(crate) fn id(&self) -> SessionId {
        self.handle.id
    }

    /// The session, for everybody else.
    pub(crate) fn handle(&self) -> Arc<SessionHandle> {
        self.handle.clone()
    }

    /// Obeys until the session has ended and everything it held is closed.
    pub(crate) async fn run(mut self) {
        let (mut told, mut routed) = (false, true);
        let over = self.handle.over.clone();
        while self.ending.is_none() || !self.pieces.is_empty() || !self.answering.is_empty() {
            let due = self.clock.next(Instant::now(), self.may_idle());
            tokio::select! {
                order = self.orders.recv(), if routed => match order {
                    Some(order) => self.obey(order).await,
                    None => {
                        routed = false; // the hub has given up on this session
                        self.end(self.pieces.keys().cloned().collect()).await;
                    }
                },
                Some(question) = self.questions.recv() => self.answer(question),
                Some(done) = self.driving.join_next_with_id() => self.piece_closed(done).await,
                Some(done) = self.answering.join_next() => {
                    if let Ok(Some((refusal, reply))) = done {
                        self.handle.end();
                        self.answer_when_closed(reply, refusal);
                    }
                }
                Some(ended) = self.links.ended() => self.link_ended(ended),
                () = at(self.closing.as_ref().map(|(_, patience)| *patience)) => self.close_next().await,
                () = over.cancelled(), if !told && self.ending.is_none() => {
                    told = true;
                    self.site.hub.tell(Event::SessionEnded { session: self.id() }).await;
                }
                () = at(due), if !told && self.ending.is_none() => {
                    self.time_passes();
                }
            }
        }
        self.answer_the_rest().await;
        info!(session = %self.id(), "session closed");
    }

    /// Whether it holds something here that it could leave unused. What it does with another broker's piece is not
    /// seen here.
    fn may_idle(&self) -> bool {
        self.pieces.values().any(|piece| !piece.close.is_cancelled()) && !self.links.hold_anything()
    }

    /// Some limit of time has come near, or is over.
    fn time_passes(&mut self) {
        let session = self.id();
        for due in self.clock.due(Instant::now(), self.may_idle()) {
            match due {
                Due::Warning(warning) => {
                    warn!(%session, "{warning}");
                    self.handle.warnings.add(warning);
                }
                Due::Over(why) => {
                    warn!(%session, why, "ends the session");
                    self.handle.end_because(why);
                }
            }
        }
    }

    /// What the hub had sent before it saw this end. Later orders it answers itself.
    async fn answer_the_rest(&mut self) {
        self.orders.close();
        while let Some(order) = self.orders.recv().await {
            order.answer_unheeded();
        }
    }

    async fn obey(&mut self, order: Order) {
        let Order { effect, reply, recorded } = order;
        match *effect {
            Effect::Grant { groups, .. } => self.open(groups, reply, recorded).await,
            Effect::Refuse { refusal, .. } if self.ending.is_some() => {
                self.answer_when_closed(reply, refusal);
            }
            Effect::Refuse { refusal, .. } => respond(reply, Err(refusal)),
            Effect::Close { items, .. } => {
                for item in items {
                    self.close(item).await;
                }
            }
            Effect::Yielded { outcome, .. } => {
                let outcome = outcome.map(Answer::Yielded);
                let closing = self.pieces.values().filter(|piece| piece.close.is_cancelled());
                let closed: Vec<_> =
                    closing.map(|piece| piece.closed.clone()).chain(self.links.take_leaving()).collect();
                if closed.is_empty() {
                    return respond(reply, outcome);
                }
                self.answering.spawn(async move {
                    let all = join_all(closed.iter().map(CancellationToken::cancelled));
                    let _ = timeout(CLOSE_WAIT, all).await;
                    respond(reply, outcome);
                    None
                });
            }
            Effect::End { items, .. } => self.end(items).await,
            effect if self.ending.is_none() => {
                if let Err(Stuck) = self.links.obey(&self.site, effect) {
                    warn!(session = %self.id(), "a link to another broker is stuck");
                    self.handle.end();
                }
            }
            _ => {} // there are no links any more
        }
    }

    /// Whoever waits for that link's answer is told so by the end of the session.
    fn link_ended(&mut self, ended: Result<(), JoinError>) {
        if let Err(failed) = ended
            && failed.is_panic()
        {
            warn!(session = %self.id(), "a link to another broker panicked");
            self.handle.end();
        }
    }

    /// Opens what was granted, once that is recorded, and answers when all of it is open.
    async fn open(&mut self, groups: Vec<Vec<Granted>>, reply: Option<Reply>, recorded: Option<Recorded>) {
        let recorded = match recorded {
            Some(recorded) => recorded.wait().await,
            None => Ok(()),
        };
        if let Err(refusal) = recorded.and_then(|()| self.admit()) {
            self.handle.end();
            return self.answer_when_closed(reply, refusal);
        }
        let mut opening = Vec::new();
        for granted in groups.iter().flatten().filter(|granted| !granted.again) {
            if let Some(peer) = &granted.at {
                info!(session = %self.id(), item = %granted.item, %peer, "granted by another broker");
            } else if let Some(opened) = self.open_piece(granted) {
                let item = granted.item.clone();
                opening.push(async move {
                    let failed = || Err(Refusal::exception(format!("the driver of {item} failed")));
                    opened.await.unwrap_or_else(|_| failed())
                });
            }
        }
        if opening.is_empty() {
            return respond(reply, Ok(Answer::Granted(groups)));
        }
        let limit = Duration::from_secs(self.site.config.broker.open_limit_s);
        let over = self.handle.over.clone();
        self.answering.spawn(async move {
            let late = || {
                let kind = RefusalKind::Driver("Timeout".to_owned());
                Err(Refusal::new(kind, format!("equipment did not open within {} s", limit.as_secs())))
            };
            let opened = tokio::select! {
                biased;
                () = over.cancelled() => Err(Refusal::session_closed()),
                opened = timeout(limit, try_join_all(opening)) => opened.unwrap_or_else(|_| late()),
            };
            match opened {
                Ok(_) => {
                    respond(reply, Ok(Answer::Granted(groups)));
                    None
                }
                Err(refusal) => Some((refusal, reply)),
            }
        });
    }

    /// Starts to drive a piece. Something comes back if its client has to wait for it.
    fn open_piece(&mut self, granted: &Granted) -> Option<oneshot::Receiver<Result<(), Refusal>>> {
        info!(session = %self.id(), item = %granted.item, "granted");
        let drivers = &self.site.drivers;
        let lazy = drivers.of(&granted.item.kind).lazy();
        let (opened, opening) = oneshot::channel();
        let (stop, usage, turns) = (self.stop_calls.clone(), self.usage.clone(), self.turns.clone());
        let (piece, drive) = Piece::new(drivers, granted.clone(), stop, usage, turns, opened);
        self.clock.granted(&granted.item, Instant::now());
        let task = self.driving.spawn(drive);
        self.driven.insert(task.id(), granted.item.clone());
        self.pieces.insert(granted.item.clone(), piece);
        (!lazy).then_some(opening)
    }

    /// Makes the session's key worth something, and opens its port if sessions have ports of their own.
    fn admit(&mut self) -> Result<(), Refusal> {
        if self.handle.address().is_some() {
            return Ok(());
        }
        let address = match &self.site.ports {
            None => self.site.address.clone(),
            Some(ports) => {
                let (listener, lease) = ports.open()?;
                let (site, port) = (self.site.clone(), lease.port());
                let serving = gate::serve_session(listener, lease, site, self.handle.clone());
                self.handle.connections.spawn(serving);
                (self.site.address.0.clone(), port)
            }
        };
        self.handle.set_address(address);
        self.site.keys.admit(self.handle.clone());
        Ok(())
    }

    fn answer(&mut self, question: Question) {
        match question {
            Question::Holds { items, reply } => {
                let held =
                    |item: Option<Identity>| item.map_or(Held::Nowhere, |item| self.whereabouts(&item));
                let _ = reply.send(items.into_iter().map(held).collect());
            }
            Question::Call { item, call } => {
                let Some(piece) = self.held(&item) else { return }; // the dropped reply says so
                self.handle.warnings.withdraw(None);
                let (call, text) = match piece.calls.try_send(call) {
                    Ok(()) => return,
                    Err(TrySendError::Full(call)) => (call, format!("too many calls are waiting for {item}")),
                    Err(TrySendError::Closed(call)) => (call, format!("the driver of {item} has failed")),
                };
                let _ = call.reply.send(Message::Fault(Refusal::exception(text).into()));
            }
        }
    }

    fn whereabouts(&self, item: &Identity) -> Held {
        match self.links.entry(item) {
            _ if self.held(item).is_some() => Held::Here,
            Some(entry) => Held::There(entry),
            None => Held::Nowhere,
        }
    }

    fn held(&self, item: &Identity) -> Option<&Piece> {
        self.pieces.get(item).filter(|piece| self.ending.is_none() && !piece.close.is_cancelled())
    }
}

/// Whatever ended the task, nobody gets in any more and nobody stays in.
impl Drop for Session {
    fn drop(&mut self) {
        self.site.keys.revoke(self.handle.id);
        self.handle.cut.cancel();
        self.handle.connections.close();
        self.site.keys.forget(&self.handle.key);
        self.handle.closed.cancel();
    }
}

/// Nobody waits for the answer any more if the client has gone.
fn respond(reply: Option<Reply>, answer: Result<Answer, Refusal>) {
    if let Some(reply) = reply {
        let _ = reply.send(answer);
    }
}
