//! Notices that a file has changed, whatever changed it: written in place, replaced, removed, made anew.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

/// How often the file is looked at. A look costs one system call.
const PERIOD: Duration = Duration::from_millis(250);

/// One file under watch. Polling notices every change on every file system, and needs neither the file nor
/// its folder to exist.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    told: Option<Stamp>,
    seen: Option<Stamp>,
    ticks: Interval,
}

/// What tells one state of a file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Watches the file at `path` from now on: take the watch before the first reading. Needs a running
    /// tokio runtime.
    pub fn new(path: impl Into<PathBuf>) -> Watch {
        let path = path.into();
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stamp = Stamp::of(&path);
        Watch { path, told: stamp, seen: stamp, ticks }
    }

    /// Returns when the file is another one than at the last return, and has been left alone for a period:
    /// what is being written is not read half. Safe to drop at any time.
    pub async fn changed(&mut self) {
        loop {
            self.ticks.tick().await;
            let now = Stamp::of(&self.path);
            let settled = now == self.seen;
            self.seen = now;
            if settled && now != self.told {
                self.told = now;
                return;
            }
        }
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Stamp> {
        let found = path.metadata().ok()?;
        Some(Stamp {
            inode: (found.dev(), found.ino()),
            bytes: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tokio::time::timeout;

    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn every_kind_of_change_is_noticed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("equipment.json");
        let other = folder.path().join("other");
        let mut watch = Watch::new(&path);
        let changes: [&dyn Fn(); 5] = [
            &|| fs::write(&path, "[]").unwrap(),
            &|| fs::write(&path, "[1]").unwrap(),
            &|| {
                fs::write(&other, "[2]").unwrap();
                fs::rename(&other, &path).unwrap();
            },
            &|| fs::remove_file(&path).unwrap(),
            &|| fs::write(&path, "[3]").unwrap(),
        ];
        for change in changes {
            assert!(timeout(LONG, watch.changed()).await.is_err(), "nothing has changed");
            change();
            timeout(LONG, watch.changed()).await.expect("the change is noticed");
        }
    }
}
