//! Workspaces: a directory per allocation, with the tools of `workspace.json`, gone when the session gives it
//! back or ends, whatever ended it. `docs/workspace.md` says what scripts can do with one.

mod android;
mod archive;
mod calls;
mod codec;
mod directory;
mod download;
mod erase;
mod files;
mod flocker;
mod git;
mod glob;
mod http;
mod jenkins;
mod limits;
mod part;
mod paths;
mod promote;
mod sharing;
#[cfg(test)]
mod tests;
mod tools;
mod unit;
mod work;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal};
use ave_protocol::arguments::Signature;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use self::directory::Directory;
use self::unit::WorkspaceUnit;
pub(super) use self::unit::methods;
use super::{Driver, Unit, arguments};
use crate::config::workspace::WorkspaceConfig;
use crate::limits::FILE_THREADS_MAX;

/// Makes workspaces on this host.
#[derive(Debug)]
pub struct WorkspaceDriver {
    config: Arc<WorkspaceConfig>,
    home: PathBuf,
    marks: PathBuf,
    sweeping: TaskTracker,
    /// Those that work on files may keep busy.
    threads: Arc<Semaphore>,
}

impl WorkspaceDriver {
    /// The driver of the broker at home in `home`.
    pub fn new(config: WorkspaceConfig, home: &Path) -> WorkspaceDriver {
        let marks = home.join(".ave/state/workspaces");
        let sweeping = TaskTracker::new();
        sweeping.close();
        let threads = Arc::new(Semaphore::new(FILE_THREADS_MAX));
        WorkspaceDriver { config: Arc::new(config), home: home.to_owned(), marks, sweeping, threads }
    }

    /// Begins to kill and remove what dead brokers of this home left behind, and nothing else. Its end can be
    /// waited for. It blocks for a moment; no broker of this home may have begun to lend.
    pub fn sweep(&self) -> JoinHandle<()> {
        let left_behind = directory::left_behind(&self.marks);
        self.sweeping.spawn_blocking(|| left_behind.remove())
    }
}

#[async_trait]
impl Driver for WorkspaceDriver {
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal> {
        let (root, marks) = (self.config.root().to_owned(), self.marks.clone());
        let uid = granted.item.value.clone();
        // If nobody waits for it any more, the directory goes by itself.
        let made = tokio::task::spawn_blocking(move || Directory::make(&root, &uid, &marks));
        let directory = made.await.map_err(|error| error.to_string()).and_then(|made| made);
        let directory = directory.map_err(Refusal::exception)?;
        let mut profile = (*granted.known).clone();
        profile.0.insert("uid".into(), granted.item.value.as_ref().into());
        let (config, threads) = (Arc::clone(&self.config), self.threads.clone());
        Ok(Box::new(WorkspaceUnit::new(directory, profile, config, &self.home, threads)))
    }

    fn methods(&self) -> &[Signature] {
        unit::methods()
    }

    /// A workspace is never lent twice: what is left of it goes.
    async fn reset(&self, item: &Identity, _known: &Profile) -> Result<(), String> {
        let mark = self.marks.join(&*item.value);
        self.sweeping.wait().await;
        let gone = tokio::task::spawn_blocking(move || directory::remove_left_behind(&mark)).await;
        gone.map_err(|error| error.to_string()).and_then(|gone| gone)
    }
}
