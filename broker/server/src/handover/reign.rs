//! Whether this process rules, freezes, or is one that only serves the sessions it has.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::elders::Visitor;
use crate::session::SessionHandle;

/// How far this process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// It accepts connections and lends.
    Rules,
    /// Another process is about to take over: whoever connects or asks waits.
    Frozen,
    /// Another process has taken over.
    Over,
}

/// What everybody of this process may know of that.
#[derive(Debug)]
pub(crate) struct Reign {
    phase: watch::Sender<Phase>,
    /// Connections to the broker without a key: as long as there are any, an old process lives.
    pub(crate) guests: TaskTracker,
    /// Cancelled when the last of them has gone: the others are told to connect anew.
    pub(crate) farewell: CancellationToken,
    /// An administrator ends the reign by hand: who hears when it is over.
    abdications: mpsc::Sender<Abdication>,
    heard: Mutex<Option<mpsc::Receiver<Abdication>>>,
    /// Connections that came before the reign was over, and are meant for processes that are older still.
    late: mpsc::UnboundedSender<Late>,
    passed: Mutex<Option<mpsc::UnboundedReceiver<Late>>>,
}

/// A connection for the process that rules now to pass on. Until it has it, this process lives.
pub(crate) type Late = (Visitor, TaskTrackerToken);

/// Hears which sessions go on.
pub(crate) type Abdication = oneshot::Sender<Result<Vec<Arc<SessionHandle>>, String>>;

impl Default for Reign {
    fn default() -> Reign {
        let (guests, farewell) = (TaskTracker::new(), CancellationToken::new());
        let (abdications, heard) = mpsc::channel(1);
        let (phase, heard) = (watch::Sender::new(Phase::Rules), Mutex::new(Some(heard)));
        let (late, passed) = mpsc::unbounded_channel();
        Reign { phase, guests, farewell, abdications, heard, late, passed: Mutex::new(Some(passed)) }
    }
}

impl Reign {
    /// How far it has come.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// It has come further, or back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Ends the reign although nobody takes over; which sessions go on.
    ///
    /// # Errors
    /// If it is over already, or cannot be ended now.
    pub(crate) async fn abdicate(&self) -> Result<Vec<Arc<SessionHandle>>, String> {
        let (reply, answer) = oneshot::channel();
        let over = |_| "another process has taken over".to_owned();
        self.abdications.try_send(reply).map_err(|_| "a handover is under way".to_owned())?;
        answer.await.map_err(over)?
    }

    /// Who hears of that; the first one who asks.
    pub(crate) fn abdications(&self) -> Option<mpsc::Receiver<Abdication>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Has the process that rules now pass a connection on.
    pub(crate) fn pass_late(&self, visitor: Visitor, guest: TaskTrackerToken) {
        let _ = self.late.send((visitor, guest)); // nobody hears it any more when this process ends
    }

    /// Who does that; the first one who asks.
    pub(crate) fn late(&self) -> Option<mpsc::UnboundedReceiver<Late>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Waits until this process is, or is not any more, in a phase that fits.
    pub(crate) async fn until(&self, fits: impl FnMut(&Phase) -> bool) {
        let _ = self.phase.subscribe().wait_for(fits).await; // the sender is `self`
    }
}
