//! What one client holds: has granted pieces opened, passes calls on to them, has them closed whatever
//! ends the session. Decides nothing: it obeys the hub and reports what it has done, once each.

mod handle;
mod links;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use ave_core::{Effect, Event, Granted};
use ave_profile::{Identity, Refusal, RefusalKind, SessionId};
use ave_protocol::handshake::Secret;
use ave_protocol::message::Reply as Message;
use futures::future::{join_all, try_join_all};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{self, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::crowd::Lodging;
use crate::gate;
use crate::hub::{Answer, Order, Reply};
use crate::limits::{CLOSE_PATIENCE, CLOSE_WAIT, ORDERS_MAX};
use crate::piece::Piece;
use crate::site::Site;

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
    stop_calls: CancellationToken,
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
            stop_calls: CancellationToken::new(),
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
                () = until(self.closing.as_ref().map(|(_, patience)| *patience)) => self.close_next().await,
                () = over.cancelled(), if !told && self.ending.is_none() => {
                    told = true;
                    self.site.hub.tell(Event::SessionEnded { session: self.id() }).await;
                }
            }
        }
        self.answer_the_rest().await;
        info!(session = %self.id(), "session closed");
    }

    /// What the hub had sent before it saw this end. Later orders it answers itself.
    async fn answer_the_rest(&mut self) {
        self.orders.close();
        while let Some(order) = self.orders.recv().await {
            order.answer_unheeded();
        }
    }

    async fn obey(&mut self, order: Order) {
        let Order { effect, reply } = order;
        match *effect {
            Effect::Grant { groups, .. } => self.open(groups, reply).await,
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

    /// Opens what was granted, and answers when all of it is open.
    async fn open(&mut self, groups: Vec<Vec<Granted>>, reply: Option<Reply>) {
        if let Err(refusal) = self.admit() {
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
        let (piece, drive) = Piece::new(drivers, granted.clone(), self.stop_calls.clone(), opened);
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

    /// Cuts the session off from everybody, then closes its pieces one after the other; one that takes long does
    /// not keep the next from being closed.
    async fn end(&mut self, items: Vec<Identity>) {
        if self.ending.is_some() {
            return;
        }
        self.site.keys.revoke(self.id());
        self.handle.over.cancel();
        self.handle.cut.cancel();
        self.handle.connections.close();
        self.stop_calls.cancel();
        self.links.hang_up().await;
        self.ending = Some(items.into());
        self.close_next().await;
    }

    async fn close_next(&mut self) {
        self.closing = None;
        while let Some(item) = self.ending.as_mut().and_then(VecDeque::pop_front) {
            if self.close(item.clone()).await {
                self.closing = Some((item, Instant::now() + CLOSE_PATIENCE));
                return;
            }
        }
        if self.ending.is_some() && self.pieces.is_empty() {
            self.site.keys.forget(&self.handle.key);
            self.handle.closed.cancel();
        }
    }

    /// Has a piece closed. False if there is nobody who could, so that it is reported at once.
    async fn close(&mut self, item: Identity) -> bool {
        let outcome = match self.pieces.get(&item) {
            None => Ok(()), // it was never opened
            Some(Piece { failed: Some(reason), .. }) => Err(reason.clone()),
            Some(piece) => {
                piece.close.cancel();
                return true;
            }
        };
        self.report_closed(item, outcome).await;
        false
    }

    async fn piece_closed(&mut self, done: Result<(task::Id, Result<(), String>), JoinError>) {
        let (task, outcome) = match done {
            Ok((task, outcome)) => (task, outcome),
            Err(failed) => (failed.id(), Err("its driver panicked".to_owned())),
        };
        let Some(item) = self.driven.remove(&task) else { return };
        match self.pieces.get_mut(&item) {
            Some(piece) if !piece.close.is_cancelled() => {
                warn!(session = %self.handle.id, %item, "its driver panicked");
                piece.failed = outcome.err();
            }
            _ => {
                let is_awaited = self.closing.as_ref().is_none_or(|(closing, _)| *closing == item);
                self.report_closed(item, outcome).await;
                if is_awaited {
                    self.close_next().await;
                }
            }
        }
    }

    async fn report_closed(&mut self, item: Identity, outcome: Result<(), String>) {
        match &outcome {
            Ok(()) => info!(session = %self.id(), %item, "closed"),
            Err(reason) => warn!(session = %self.id(), %item, reason, "not closed"),
        }
        self.site.hub.tell(Event::Closed { session: self.id(), item: item.clone(), outcome }).await;
        if let Some(piece) = self.pieces.remove(&item) {
            piece.closed.cancel();
        }
    }

    /// Answers with a refusal once everything is cut and closed, or has taken too long.
    fn answer_when_closed(&mut self, reply: Option<Reply>, refusal: Refusal) {
        let handle = self.handle.clone();
        self.answering.spawn(async move {
            handle.wait_closed().await;
            respond(reply, Err(refusal));
            None
        });
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

/// Waits for this moment, if there is one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// Nobody waits for the answer any more if the client has gone.
fn respond(reply: Option<Reply>, answer: Result<Answer, Refusal>) {
    if let Some(reply) = reply {
        let _ = reply.send(answer);
    }
}
