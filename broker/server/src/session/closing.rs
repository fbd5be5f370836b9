//! The end of a session, and of a piece before that: who is told to close what, in which order, and what is
//! reported when it is done.

use std::collections::VecDeque;

use ave_core::Event;
use ave_profile::{Identity, Refusal};
use tokio::task::{self, JoinError};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Session, respond};
use crate::hub::Reply;
use crate::limits::CLOSE_PATIENCE;
use crate::piece::Piece;

impl Session {
    /// Cuts the session off from everybody, then closes its pieces one after the other; one that takes long does
    /// not keep the next from being closed.
    pub(super) async fn end(&mut self, items: Vec<Identity>) {
        if self.ending.is_some() {
            return;
        }
        self.site.keys.revoke(self.id());
        self.handle.over.cancel();
        self.handle.cut.cancel();
        self.handle.connections.close();
        self.stop_calls.cancel();
        if !self.handle.is_explained() {
            self.handle.warnings.clear(); // they were of another end
        }
        self.links.hang_up().await;
        self.ending = Some(items.into());
        self.close_next().await;
    }

    pub(super) async fn close_next(&mut self) {
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
    pub(super) async fn close(&mut self, item: Identity) -> bool {
        self.clock.given_back(&item);
        if self.ending.is_none() {
            self.handle.warnings.withdraw(Some(&item));
        }
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

    pub(super) async fn piece_closed(&mut self, done: Result<(task::Id, Result<(), String>), JoinError>) {
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
    pub(super) fn answer_when_closed(&mut self, reply: Option<Reply>, refusal: Refusal) {
        let handle = self.handle.clone();
        self.answering.spawn(async move {
            handle.wait_closed().await;
            respond(reply, Err(refusal));
            None
        });
    }
}
