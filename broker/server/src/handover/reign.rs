//! Whether this process rules, freezes, or is one that only serves the sessions it has.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

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
}

impl Default for Reign {
    fn default() -> Reign {
        let (guests, farewell) = (TaskTracker::new(), CancellationToken::new());
        Reign { phase: watch::Sender::new(Phase::Rules), guests, farewell }
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

    /// Waits until this process is, or is not any more, in a phase that fits.
    pub(crate) async fn until(&self, fits: impl FnMut(&Phase) -> bool) {
        let _ = self.phase.subscribe().wait_for(fits).await; // the sender is `self`
    }
}
