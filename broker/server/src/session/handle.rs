//! A session as others see it: its names, and the ways to reach it and to end it.

use std::sync::OnceLock;

use ave_profile::{Identity, Map, Refusal, SessionId};
use ave_protocol::handshake::{Answer, Salt, Secret, Verifier};
use ave_protocol::message::{Call, Reply};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::warnings::Warnings;
use crate::limits::{CLOSE_WAIT, QUESTIONS_MAX};
use crate::piece::PieceCall;

/// One session, for everybody but its own task.
pub(crate) struct SessionHandle {
    /// The session.
    pub(crate) id: SessionId,
    /// What a proxy must show.
    pub(crate) key: Secret,
    /// Checks that a proxy has shown it.
    pub(crate) verifier: Verifier,
    /// Connections that have shown it.
    pub(crate) connections: TaskTracker,
    /// Cancelled when those connections are to be cut.
    pub(crate) cut: CancellationToken,
    /// Cancelled when the session is to end.
    pub(super) over: CancellationToken,
    /// Cancelled when its pieces are closed.
    pub(super) closed: CancellationToken,
    /// What its client should know.
    pub(crate) warnings: Warnings,
    /// Why this broker, or the one where its pieces are, has ended it.
    why_ended: OnceLock<String>,
    address: OnceLock<(String, u16)>,
    questions: mpsc::Sender<Question>,
}

impl SessionHandle {
    /// A new session's handle, and where the session hears the questions of its connections.
    pub(super) fn new(id: SessionId, key: Secret) -> (SessionHandle, mpsc::Receiver<Question>) {
        let (questions, incoming) = mpsc::channel(QUESTIONS_MAX);
        let handle = SessionHandle {
            id,
            verifier: Verifier::new(&key),
            key,
            connections: TaskTracker::new(),
            cut: CancellationToken::new(),
            over: CancellationToken::new(),
            closed: CancellationToken::new(),
            warnings: Warnings::default(),
            why_ended: OnceLock::new(),
            address: OnceLock::new(),
            questions,
        };
        (handle, incoming)
    }

    /// Whether an answer to a challenge was made with the session's key.
    pub(crate) fn is_shown_by(&self, salt: &Salt, answer: &Answer) -> bool {
        match answer {
            Answer::Original(digest) => self.verifier.verify_original(salt, digest),
            Answer::Named { mac, id } => self.verifier.verify_named(salt, id, mac),
            Answer::Malformed => false,
        }
    }

    /// Ends the session, from whatever state. Does not wait.
    pub(crate) fn end(&self) {
        self.over.cancel();
    }

    /// Ends the session for a reason that its client is told.
    pub(super) fn end_because(&self, why: String) {
        self.explain(why);
        self.end();
    }

    /// Its client is told this reason for the end that is about to come; the first one counts.
    pub(crate) fn explain(&self, why: String) {
        let _ = self.why_ended.set(why);
    }

    /// Whether there is a reason for its end that its client is told.
    pub(super) fn is_explained(&self) -> bool {
        self.why_ended.get().is_some()
    }

    /// What is answered to a client whose session has ended: with the reason, if a broker had one.
    pub(crate) fn closed_refusal(&self) -> Refusal {
        let mut refusal = Refusal::session_closed();
        if let Some(why) = self.why_ended.get() {
            refusal.message = format!("{}: {why}", refusal.message);
        }
        refusal
    }

    /// Waits until its connections are cut and its pieces closed, but not for long.
    pub(crate) async fn wait_closed(&self) {
        let all = async {
            self.closed.cancelled().await;
            self.connections.wait().await;
        };
        let _ = timeout(CLOSE_WAIT, all).await;
    }

    /// Where its proxies connect to. `None` before the first grant.
    pub(crate) fn address(&self) -> Option<&(String, u16)> {
        self.address.get()
    }

    /// Says where its proxies connect to, at its first grant.
    pub(super) fn set_address(&self, address: (String, u16)) {
        self.address.get_or_init(|| address);
    }

    /// Where these pieces are, as far as it holds them. Fewer, if it has ended.
    pub(crate) async fn holds(&self, items: Vec<Option<Identity>>) -> Vec<Held> {
        let (reply, answer) = oneshot::channel();
        let _ = self.questions.send(Question::Holds { items, reply }).await;
        answer.await.unwrap_or_default()
    }

    /// Has a piece make a call. `None` if the session does not hold it.
    pub(crate) async fn call(&self, item: Identity, call: Call) -> Option<Reply> {
        let (reply, answer) = oneshot::channel();
        let call = PieceCall { call: Box::new(call), reply };
        let _ = self.questions.send(Question::Call { item, call }).await;
        answer.await.ok()
    }
}

/// Where a piece is, for the session that is asked about it.
pub(crate) enum Held {
    /// It does not hold it.
    Nowhere,
    /// It drives it itself.
    Here,
    /// Another broker's session drives it, or knows who does: how to reach that one, as it said so. Not to be
    /// printed.
    There(Map),
}

/// What a connection that has shown the key may ask.
pub(super) enum Question {
    Holds { items: Vec<Option<Identity>>, reply: oneshot::Sender<Vec<Held>> },
    Call { item: Identity, call: PieceCall },
}
