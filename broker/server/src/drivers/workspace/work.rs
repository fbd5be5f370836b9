//! File work off the runtime's threads. It stops soon after its call is given up, and the workspace waits
//! for it before it goes.

use std::panic;
use std::sync::Arc;

use ave_profile::Refusal;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::paths::Ground;

/// Does file work on one workspace's ground.
#[derive(Debug)]
pub(super) struct FileWork {
    ground: Ground,
    running: TaskTracker,
    /// Whose turn it is in its session.
    turns: Arc<Semaphore>,
    /// The threads for all workspaces.
    threads: Arc<Semaphore>,
}

impl FileWork {
    /// Nothing is running yet. No more runs at once than there are `threads` for all workspaces.
    pub(super) fn new(ground: Ground, threads: Arc<Semaphore>) -> FileWork {
        let running = TaskTracker::new();
        running.close();
        FileWork { ground, running, turns: Arc::new(Semaphore::new(1)), threads }
    }

    /// It takes turns with the other pieces of its session.
    pub(super) fn take_turns(&mut self, turns: &Arc<Semaphore>) {
        self.turns = turns.clone();
    }

    /// The ground the work is done on.
    pub(super) fn ground(&self) -> &Ground {
        &self.ground
    }

    /// Does this work when it is its turn. Dropping the future cancels the token, which long work looks at.
    ///
    /// # Errors
    /// Whatever the work says.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ground, &CancellationToken) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let (ground, stop) = (self.ground.clone(), CancellationToken::new());
        let _given_up = stop.clone().drop_guard();
        let turn = self.turns.clone().acquire_owned().await;
        let thread = self.threads.clone().acquire_owned().await;
        let work = move || {
            let _until_its_end = (turn, thread);
            work(&ground, &stop)
        };
        match self.running.spawn_blocking(work).await {
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
        let work = FileWork::new(Ground::new("/".into()), Arc::new(Semaphore::new(1)));
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

    #[tokio::test]
    async fn one_session_keeps_no_thread_from_another() {
        let threads = Arc::new(Semaphore::new(3));
        let work = |turns: &Arc<Semaphore>| {
            let mut work = FileWork::new(Ground::new("/".into()), threads.clone());
            work.take_turns(turns);
            work
        };
        let turns = Arc::new(Semaphore::new(2));
        let (release, released) = std::sync::mpsc::channel::<()>();
        let released = Arc::new(std::sync::Mutex::new(released));
        let busy: Vec<_> = (0..4).map(|_| work(&turns)).collect();
        let endless = busy.iter().map(|work| {
            let released = released.clone();
            Box::pin(work.run(move |_, _| {
                let _ = released.lock().unwrap().recv();
                Ok(())
            }))
        });
        let mut endless: Vec<_> = endless.collect();
        for run in &mut endless {
            assert!(futures::poll!(run.as_mut()).is_pending());
        }
        assert_eq!((turns.available_permits(), threads.available_permits()), (0, 1));
        let other = work(&Arc::new(Semaphore::new(2)));
        assert_eq!(other.run(|_, _| Ok(5)).await, Ok(5));
        drop(release);
        for run in endless {
            run.await.unwrap();
        }
        assert_eq!((turns.available_permits(), threads.available_permits()), (2, 3));
    }
}
