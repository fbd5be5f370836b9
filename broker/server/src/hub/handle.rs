//! The way into the hub, and what comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ave_core::{Core, Door, Effect, Event, Granted, Report, Revision, Source};
use ave_profile::{Address, BrokerId, Identity, LinkId, Profile, Refusal, RequestId, SessionId, Want};
use tokio::sync::{mpsc, oneshot, watch};

use crate::handover::stillness::Still;
use crate::journal::Recorded;
use crate::peers::shares::LinkEnd;
use crate::session::Session;

/// The answer to a request, whichever it was.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Pieces, by group.
    Granted(Vec<Vec<Granted>>),
    /// What to give back at the session too.
    Yielded(Vec<Profile>),
    /// The report is stored.
    Reported,
    /// The piece can be lent again.
    Reset,
}

/// Where an answer goes.
pub(crate) type Reply = oneshot::Sender<Result<Answer, Refusal>>;

/// An effect on its way to a session, with the answer's way back if it carries one.
#[derive(Debug)]
pub(crate) struct Order {
    /// Boxed, because a channel keeps room for 32 of these from the start.
    pub(crate) effect: Box<Effect>,
    pub(crate) reply: Option<Reply>,
    /// What a grant has to wait for before it is carried out.
    pub(crate) recorded: Option<Recorded>,
}

impl Order {
    /// Answers an order that no session carries out any more.
    pub(crate) fn answer_unheeded(self) {
        let answer = match *self.effect {
            Effect::Refuse { refusal, .. } => Err(refusal),
            Effect::Yielded { outcome, .. } => outcome.map(Answer::Yielded),
            _ => Err(gone()),
        };
        if let Some(reply) = self.reply {
            let _ = reply.send(answer);
        }
    }
}

pub(super) type Look = Box<dyn FnOnce(&Core) + Send>;

pub(super) enum Inbound {
    Event(Event),
    Request(Event, RequestId, Reply),
    Open(Box<Session>, mpsc::Sender<Order>),
    Freeze(oneshot::Sender<Still>),
    /// It is known whether another process rules.
    Settle(bool),
    Link(LinkEnd),
    Look(Look),
}

/// The way in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HubHandle {
    inbox: mpsc::Sender<Inbound>,
    requests: Arc<AtomicU64>,
    revisions: watch::Receiver<Revision>,
    links: Arc<AtomicU64>,
}

impl HubHandle {
    pub(super) fn new(inbox: mpsc::Sender<Inbound>, revisions: watch::Receiver<Revision>) -> HubHandle {
        let (requests, links) = Default::default();
        HubHandle { inbox, requests, revisions, links }
    }

    /// How far the core has come, whenever [`Core::news`] may find something.
    pub(crate) fn revisions(&self) -> watch::Receiver<Revision> {
        self.revisions.clone()
    }

    /// Tells what happened. Once the hub is gone there is nobody to tell.
    pub(crate) async fn tell(&self, event: Event) {
        let _ = self.inbox.send(Inbound::Event(event)).await;
    }

    /// Brings a session to life.
    pub(crate) async fn open(&self, session: Session, orders: mpsc::Sender<Order>) {
        let _ = self.inbox.send(Inbound::Open(Box::new(session), orders)).await;
    }

    /// Lends nothing any more, as soon as nobody waits for other brokers; what is known then.
    pub(crate) async fn freeze(&self) -> Result<Still, Refusal> {
        let (reply, answer) = oneshot::channel();
        let _ = self.inbox.send(Inbound::Freeze(reply)).await;
        answer.await.map_err(|_| gone())
    }

    /// Says whether another process rules now, and waits until the hub knows: if not, it goes on as if nothing
    /// had happened.
    pub(crate) async fn settle(&self, over: bool) {
        let _ = self.inbox.send(Inbound::Settle(over)).await;
        let _ = self.look(|_| ()).await;
    }

    /// Asks for equipment.
    pub(crate) async fn get(
        &self,
        session: SessionId,
        want: Result<Want, Refusal>,
        nonce: u64,
        via: Vec<BrokerId>,
    ) -> Result<Vec<Vec<Granted>>, Refusal> {
        let answer = self.request(|request| Event::Asked { session, request, want, nonce, via }).await?;
        let Answer::Granted(groups) = answer else { return Err(gone()) };
        Ok(groups)
    }

    /// Gives equipment back.
    pub(crate) async fn give_back(
        &self,
        session: SessionId,
        door: Door,
        profiles: Vec<Profile>,
    ) -> Result<Vec<Profile>, Refusal> {
        let answer = self.request(|request| Event::Yielded { session, request, door, profiles }).await?;
        let Answer::Yielded(profiles) = answer else { return Err(gone()) };
        Ok(profiles)
    }

    /// Reports equipment.
    pub(crate) async fn report(&self, source: Source, profiles: Vec<Profile>) -> Result<(), Refusal> {
        self.request(|request| Event::Reported { source, profiles, request: Some(request) }).await.map(drop)
    }

    /// Has a broken piece reset, and waits until that is done.
    pub(crate) async fn reset(&self, item: Identity) -> Result<(), Refusal> {
        self.request(|request| Event::ResetAsked { item, request: Some(request) }).await.map(drop)
    }

    /// A number for a connection over which shares report; a newer one has a greater number.
    pub(crate) fn new_link(&self) -> LinkId {
        LinkId(self.links.fetch_add(1, Ordering::Relaxed))
    }

    /// A connection begins to report.
    pub(crate) async fn link(&self, end: LinkEnd) {
        let _ = self.inbox.send(Inbound::Link(end)).await;
    }

    /// Tells what a share says of itself, and waits until that is taken in.
    pub(crate) async fn share_reported(
        &self,
        share: Address,
        link: LinkId,
        broker: Option<BrokerId>,
        report: Report,
    ) -> Result<(), Refusal> {
        let event = |request| Event::ShareReported { share, link, broker, report, request: Some(request) };
        self.request(event).await.map(drop)
    }

    /// Looks at the core between two events.
    pub(crate) async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&Core) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        let look: Look = Box::new(move |core| drop(reply.send(look(core))));
        let _ = self.inbox.send(Inbound::Look(look)).await;
        answer.await.map_err(|_| gone())
    }

    async fn request(&self, event: impl FnOnce(RequestId) -> Event) -> Result<Answer, Refusal> {
        let request = RequestId(self.requests.fetch_add(1, Ordering::Relaxed));
        let (reply, answer) = oneshot::channel();
        let _ = self.inbox.send(Inbound::Request(event(request), request, reply)).await;
        answer.await.unwrap_or_else(|_| Err(gone()))
    }
}

/// The hub, or the session that was to answer, has ended before it did.
fn gone() -> Refusal {
    Refusal::session_closed()
}
