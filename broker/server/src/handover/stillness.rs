//! The hub while another process takes over: it holds back whoever asks, waits for answers that are under way,
//! and tells what is closed from then on.

use std::sync::Arc;

use ave_core::{Event, Snapshot};
use ave_profile::{Identity, RequestId, SessionId};
use tokio::sync::{mpsc, oneshot};

use crate::hub::Reply;
use crate::journal::Released;
use crate::session::SessionHandle;

/// What the process that takes over is told, in order.
#[derive(Debug)]
pub(crate) enum Departure {
    /// A piece of a session is closed, or could not be.
    Piece { session: SessionId, item: Identity, outcome: Result<(), String> },
    /// A session has nothing left.
    Session(SessionId),
}

/// A broker that lends nothing any more.
pub(crate) struct Still {
    pub(crate) snapshot: Snapshot,
    /// The sessions of this process.
    pub(crate) sessions: Vec<Arc<SessionHandle>>,
    /// What is closed from now on.
    pub(crate) departures: mpsc::UnboundedReceiver<Departure>,
    /// Nothing is recorded any more, as soon as this says so.
    pub(crate) journal: Option<Released>,
}

/// The hub's part in it.
#[derive(Default)]
pub(crate) struct Stillness {
    /// Somebody waits for the hub to be still.
    pub(crate) wanted: Option<oneshot::Sender<Still>>,
    /// Requests that are not answered before it is known who rules.
    held_back: Vec<(Event, RequestId, Reply)>,
    /// It is still.
    departures: Option<mpsc::UnboundedSender<Departure>>,
    /// Resets that were broken off, and who waits for them.
    pub(crate) broken_off: Vec<(Identity, Option<RequestId>)>,
    /// Another process rules.
    over: bool,
}

impl Stillness {
    /// Whether this is to be answered later.
    pub(crate) fn holds_back(&self, event: &Event) -> bool {
        let is_waiting = self.wanted.is_some() || self.departures.is_some();
        is_waiting && !self.over && matches!(event, Event::Asked { .. } | Event::ResetAsked { .. })
    }

    /// Whether another process rules.
    pub(crate) fn is_over(&self) -> bool {
        self.over
    }

    pub(crate) fn hold_back(&mut self, event: Event, request: RequestId, reply: Reply) {
        self.held_back.push((event, request, reply));
    }

    /// From now on departures are told.
    pub(crate) fn begin(&mut self) -> mpsc::UnboundedReceiver<Departure> {
        let (departures, told) = mpsc::unbounded_channel();
        self.departures = Some(departures);
        told
    }

    /// It is known who rules; what was held back.
    pub(crate) fn end(&mut self, over: bool) -> Vec<(Event, RequestId, Reply)> {
        self.wanted = None;
        self.over = over;
        if !over {
            self.departures = None;
        }
        std::mem::take(&mut self.held_back)
    }

    /// Tells the process that takes over. One that has died does not have to know.
    pub(crate) fn tell(&self, departure: Departure) {
        if let Some(departures) = &self.departures {
            let _ = departures.send(departure);
        }
    }
}
