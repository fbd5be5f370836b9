//! Where everything simulated runs: one runtime beside whatever the test uses. A task is owned by its handle
//! and has really ended when the handle is gone.

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// How many threads share the work: enough that a slow one does not hold up the others.
const THREADS: usize = 2;

/// How long a task may take to notice that it is not wanted any more. Its next wait is its end, so that this is
/// never used up.
const ENDING_MAX: Duration = Duration::from_secs(5);

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let built =
        Builder::new_multi_thread().worker_threads(THREADS).thread_name("simulated").enable_all().build();
    built.expect("a process that can open files and threads has room for two more")
});

/// The runtime's context, for what opens sockets outside a task.
pub(crate) fn enter() -> tokio::runtime::EnterGuard<'static> {
    RUNTIME.enter()
}

/// A running task. Dropping it waits for its end.
pub(crate) struct Task {
    handle: JoinHandle<()>,
    ended: Mutex<Receiver<()>>,
}

impl Task {
    pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Task {
        let (alive, ended) = sync_channel(0);
        let handle = RUNTIME.spawn(async move {
            let _alive = alive; // dropped after everything else of the task
            work.await;
        });
        Task { handle, ended: Mutex::new(ended) }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.handle.abort();
        if let Ok(ended) = self.ended.get_mut() {
            let _ = ended.recv_timeout(ENDING_MAX);
        }
    }
}
