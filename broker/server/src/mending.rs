//! Resets of broken pieces: a task for each, so that the hub never waits for one. However a task ends, it
//! comes to one event; where it is aborted the broker is at its end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ave_core::Event;
use ave_profile::{Identity, Profile, RequestId};
use futures::FutureExt;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::info;

use crate::drivers::Drivers;
use crate::limits::RESET_GIVE_UP;

/// The resets that are going on.
pub(crate) struct Mending {
    drivers: Drivers,
    tasks: JoinSet<Event>,
}

impl Mending {
    pub(crate) fn new(drivers: Drivers) -> Mending {
        Mending { drivers, tasks: JoinSet::new() }
    }

    /// Starts to reset a piece.
    pub(crate) fn start(&mut self, item: Identity, known: Arc<Profile>, request: Option<RequestId>) {
        info!(%item, "resetting");
        let driver = self.drivers.of(&item.kind);
        self.tasks.spawn(async move {
            let reset = AssertUnwindSafe(timeout(
                RESET_GIVE_UP.max(driver.close_limit()),
                driver.reset(&item, &known),
            ));
            let outcome = match reset.catch_unwind().await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err("its reset did not end within its time limit".to_owned()),
                Err(_) => Err("its driver panicked".to_owned()),
            };
            info!(%item, well = outcome.is_ok(), "reset");
            Event::ResetDone { item, request, outcome }
        });
    }

    /// What the next one came to; `None` if none is going on.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.tasks.join_next().await?.ok()
    }

    /// Aborts all of them.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}
