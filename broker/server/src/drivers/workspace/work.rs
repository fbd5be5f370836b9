//! File work off the runtime's threads. It stops soon after its call is given up, and the workspace waits
//! for it before it goes.

use std::panic;

use ave_profile::Refusal;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::paths::Ground;

/// Does file work on one workspace's ground.
#[derive(Debug)]
pub(super) struct FileWork {
    ground: Ground,
    running: TaskTracker,
}

impl FileWork {
    /// Nothing is running yet.
    pub(super) fn new(ground: Ground) -> FileWork {
        let running = TaskTracker::new();
        running.close();
        FileWork { ground, running }
    }

    /// The ground the work is done on.
    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Does this work. Dropping the future cancels the token, which long work looks at.
    ///
    /// # Errors
    /// Whatever the work says.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ground, &CancellationToken) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (ground, stop) = (self.ground.clone(), CancellationToken::new());
        let _given_up = stop.clone().drop_guard();
        match self.running.spawn_blocking(move || work(&ground, &stop)).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => panic::resume_unwind(panic),
                Err(_) => Err(Refusal::exception("the broker is stopping")),
            },
        }
    }

    /// Waits for everything that was begun.
    pub(super) async fn settled(&self) {
        self.running.wait().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_of_a_call_that_was_given_up_is_stopped_and_waited_for() {
        let work = FileWork::new(Ground::new("/".into()));
        let (began, begun) = std::sync::mpsc::channel();
        let (stopped, seen) = std::sync::mpsc::channel();
        let endless = work.run(move |_, stop| {
            began.send(()).unwrap();
            while !stop.is_cancelled() {
                std::thread::yield_now();
            }
            stopped.send(()).unwrap();
            Ok(())
        });
        {
            let mut endless = std::pin::pin!(endless);
            assert!(futures::poll!(endless.as_mut()).is_pending());
            begun.recv().unwrap();
        }
        work.settled().await;
        seen.try_recv().unwrap();
    }
}
