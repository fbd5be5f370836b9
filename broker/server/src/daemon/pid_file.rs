//! The file that names the running broker. Its owner holds a lock on it for as long as it lives, so that a
//! file left behind by a dead one is recognised, whatever process has its number now.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use crate::config::unnamed;

/// How often a stale file is cleared away before somebody else must be doing the same.
const TRIES_MAX: usize = 5;

/// A process that a killed broker was about to start holds its file until it has begun its own program: for how
/// long that is waited for, and how often looked.
const LEFT_LIMIT: Duration = Duration::from_secs(2);
const LEFT_PERIOD: Duration = Duration::from_millis(5);

/// What is found at the place of a PID file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A file that names nobody.
    Empty,
    /// A file that no living broker holds.
    Stale,
    /// A file held by this broker.
    Live(Pid),
}

/// Looks at the PID file at `path`.
pub(super) fn look(path: &Path) -> io::Result<Found> {
    loop {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => return Err(error),
        };
        let content = io::read_to_string(&file)?;
        if content.trim().is_empty() {
            return Ok(Found::Empty);
        }
        if !lock(&file, FlockOperation::NonBlockingLockShared)? && !names_a_dead_one(path) {
            let pid = content.trim().parse().ok().and_then(Pid::from_raw);
            return pid.map(Found::Live).ok_or_else(|| io::Error::other("it is held, and names no process"));
        }
        if is_at(&file, path) {
            return Ok(Found::Stale);
        }
        // Its broker has just ended, or handed over: what is there now counts.
    }
}

/// This process's own PID file, removed when dropped.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    file: File,
}

impl PidFile {
    /// Puts this process's number at `path`, already locked, so that nobody ever sees it otherwise. A stale
    /// file is replaced. `None` if another broker lives.
    pub(crate) fn take(path: &Path) -> io::Result<Option<PidFile>> {
        for _ in 0..TRIES_MAX {
            let mine = unnamed(path, format!("{}\n", std::process::id()).as_bytes(), 0o644)?;
            flock(mine.as_file(), FlockOperation::NonBlockingLockExclusive)?;
            match mine.persist_noclobber(path) {
                Ok(file) => return Ok(Some(PidFile { path: path.to_owned(), file })),
                Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => {
                    if !remove_stale(path)? {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error.error),
            }
        }
        Ok(None)
    }

    /// Puts this process's number at `path` in place of another's, which has to know.
    pub(crate) fn replace(path: &Path) -> io::Result<PidFile> {
        let mine = unnamed(path, format!("{}\n", std::process::id()).as_bytes(), 0o644)?;
        flock(mine.as_file(), FlockOperation::NonBlockingLockExclusive)?;
        let file = mine.persist(path).map_err(|error| error.error)?;
        Ok(PidFile { path: path.to_owned(), file })
    }

    /// Whether nobody has put another one in its place.
    pub(crate) fn is_current(&self) -> bool {
        is_at(&self.file, &self.path)
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if is_at(&self.file, &self.path) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a file nobody holds; tells whether the place is free now.
fn remove_stale(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let deadline = Instant::now() + LEFT_LIMIT;
    while !lock(&file, FlockOperation::NonBlockingLockExclusive)? {
        if !names_a_dead_one(path) || Instant::now() >= deadline {
            return Ok(false);
        }
        thread::sleep(LEFT_PERIOD);
    }
    if is_at(&file, path) {
        fs::remove_file(path)?;
    }
    Ok(true)
}

/// Whether the process that a PID file names is gone, whoever holds the file.
fn names_a_dead_one(path: &Path) -> bool {
    let content = fs::read_to_string(path).unwrap_or_default();
    let pid = content.trim().parse().ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// Whether this open file is still the one of that name.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), path.metadata()) {
        (Ok(mine), Ok(there)) => (mine.dev(), mine.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Tries to lock; `false` if somebody else has.
pub(super) fn lock(file: &File, operation: FlockOperation) -> io::Result<bool> {
    match flock(file, operation) {
        Ok(()) => Ok(true),
        Err(error) if error == Errno::WOULDBLOCK => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_tells_dead_from_living() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let me = Pid::from_raw(std::process::id().try_into().unwrap()).unwrap();
        assert_eq!(look(&path).unwrap(), Found::Nothing);
        fs::write(&path, "").unwrap();
        assert_eq!(look(&path).unwrap(), Found::Empty);
        fs::write(&path, me.to_string()).unwrap();
        assert_eq!(look(&path).unwrap(), Found::Stale);
        let mine = PidFile::take(&path).unwrap().expect("a stale file is replaced");
        assert_eq!(look(&path).unwrap(), Found::Live(me));
        assert!(PidFile::take(&path).unwrap().is_none());
        drop(mine);
        assert_eq!(look(&path).unwrap(), Found::Nothing);
    }

    #[test]
    fn what_a_killed_broker_was_about_to_start_keeps_nobody_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let mut dead = std::process::Command::new("/bin/true").spawn().unwrap();
        dead.wait().unwrap();
        fs::write(&path, dead.id().to_string()).unwrap();
        let held = File::open(&path).unwrap();
        assert!(lock(&held, FlockOperation::NonBlockingLockExclusive).unwrap());
        let taking = {
            let path = path.clone();
            thread::spawn(move || PidFile::take(&path).unwrap().is_some())
        };
        thread::sleep(LEFT_PERIOD * 4); // so that it has met the lock, usually
        drop(held);
        assert!(taking.join().unwrap());
    }

    #[test]
    fn only_its_own_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let mine = PidFile::take(&path).unwrap().unwrap();
        fs::remove_file(&path).unwrap();
        fs::write(&path, "1").unwrap();
        drop(mine);
        assert!(path.exists());
    }

    #[test]
    fn of_many_that_start_at_once_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        fs::write(&path, "1").unwrap();
        let starters: Vec<_> = (0..8)
            .map(|_| {
                let path = path.clone();
                std::thread::spawn(move || PidFile::take(&path).unwrap())
            })
            .collect();
        let taken: Vec<_> = starters.into_iter().filter_map(|starter| starter.join().unwrap()).collect();
        assert_eq!(taken.len(), 1);
    }
}
