//! Whether anything a session holds is in use: told by the tasks of its pieces, asked by its own.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Whether any piece of a session makes a call, and when the last one ended.
#[derive(Default)]
pub(crate) struct Usage(Mutex<Use>);

#[derive(Default)]
struct Use {
    calls: usize,
    last: Option<Instant>,
}

/// A call that is being made.
pub(crate) struct InUse<'u>(&'u Usage);

impl Usage {
    /// Something is used at this moment.
    pub(crate) fn touch(&self, now: Instant) {
        self.lock().last = Some(now);
    }

    /// A call begins. It ends when the result is dropped.
    pub(crate) fn begin(&self) -> InUse<'_> {
        self.lock().calls += 1;
        InUse(self)
    }

    /// Since when nothing has been used; `None` while something is, and if nothing ever was.
    pub(crate) fn unused_since(&self) -> Option<Instant> {
        let usage = self.lock();
        usage.last.filter(|_| usage.calls == 0)
    }

    fn lock(&self) -> MutexGuard<'_, Use> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        let mut usage = self.0.lock();
        usage.calls -= 1;
        usage.last = Some(Instant::now());
    }
}
