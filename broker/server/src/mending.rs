//! Resets of broken pieces: a task for each, so that the hub never waits for one. However a task ends, it
//! comes to one event; where it is aborted the broker is at its end. Those that nobody waits for take turns.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use ave_core::Event;
use ave_profile::{Identity, Profile, RequestId};
use futures::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::{self, JoinSet};
use tokio::time::timeout;
use tracing::{debug, info};

use crate::drivers::Drivers;
use crate::limits::{RESET_GIVE_UP, RESETS_AT_ONCE};

/// The resets that are going on.
pub(crate) struct Mending {
    drivers: Drivers,
    tasks: JoinSet<Event>,
    turns: Arc<Semaphore>,
    /// What they reset, and who waits for it.
    under_way: HashMap<task::Id, (Identity, Option<RequestId>)>,
}

impl Mending {
    pub(crate) fn new(drivers: Drivers) -> Mending {
        let turns = Arc::new(Semaphore::new(RESETS_AT_ONCE));
        Mending { drivers, tasks: JoinSet::new(), turns, under_way: HashMap::new() }
    }

    /// Starts to reset a piece. Whoever waits for it finds it in the log; what is tried again and again is only
    /// there when it helps.
    pub(crate) fn start(&mut self, item: Identity, known: Arc<Profile>, request: Option<RequestId>) {
        let drivers = self.drivers.clone();
        let limit = RESET_GIVE_UP.max(drivers.of(&item.kind).close_limit());
        let (turns, what) = (self.turns.clone(), (item.clone(), request));
        let task = self.tasks.spawn(async move {
            let _turn = match request {
                Some(_) => {
                    info!(%item, "resetting");
                    None
                }
                None => turns.acquire().await.ok(),
            };
            let reset = AssertUnwindSafe(timeout(limit, drivers.reset(&item, &known)));
            let outcome = match reset.catch_unwind().await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err("its reset did not end within its time limit".to_owned()),
                Err(_) => Err("its driver panicked".to_owned()),
            };
            match &outcome {
                Ok(()) => info!(%item, "reset"),
                Err(reason) => debug!(%item, reason, "not reset"), // the core says it, if it is new
            }
            Event::ResetDone { item, request, outcome }
        });
        self.under_way.insert(task.id(), what);
    }

    /// What the next one came to; `None` if none is going on.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        let (task, done) = self.tasks.join_next_with_id().await?.ok()?;
        self.under_way.remove(&task);
        Some(done)
    }

    /// Aborts all of them; what they were resetting, and who waits for it.
    pub(crate) async fn break_off(&mut self) -> Vec<(Identity, Option<RequestId>)> {
        self.tasks.shutdown().await;
        self.under_way.drain().map(|(_, what)| what).collect()
    }

    /// Aborts all of them.
    pub(crate) async fn stop(&mut self) {
        self.tasks.shutdown().await;
    }
}
