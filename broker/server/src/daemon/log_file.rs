//! The log of a daemon: a file that all its processes append to, before and after a restart, and that none of them
//! lets grow without bounds. When it is full it is put aside, and whoever still writes to the old one follows. Nothing
//! that was written is lost before its file is the oldest of several.

use std::convert::Infallible;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, Stat, fstat, stat};
use rustix::stdio::dup2_stderr;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::pid_file::{is_at, lock};

/// A file that is longer than this is put aside: some 60,000 lines, still easily read.
const LOG_BYTES_MAX: u64 = 8 << 20;

/// How many files that were put aside are kept, as `.1` (the newest) and so on.
const OLD_LOGS_MAX: usize = 4;

/// How often to look. What is written meanwhile is beyond the bound.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// Opens the file to append to, and makes it if it is not there.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// The log at `path`.
#[derive(Clone, Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    bytes_max: u64,
}

impl LogFile {
    /// The one that stderr goes to. `None` if that goes elsewhere, where others look after it.
    pub(crate) fn of_stderr(path: PathBuf) -> Option<LogFile> {
        let (ours, its) = (fstat(io::stderr()).ok()?, stat(&path).ok()?);
        is_same(ours, its).then_some(LogFile { path, bytes_max: LOG_BYTES_MAX })
    }

    /// Keeps the file within its bounds, and stderr at the file of that name whoever has moved it, until what it
    /// returns is dropped. Needs a running runtime.
    pub(crate) fn keep(self) -> JoinSet<Infallible> {
        JoinSet::from_iter([self.look_after()])
    }

    async fn look_after(self) -> Infallible {
        loop {
            if let Err(error) = self.renew() {
                warn!(path = %self.path.display(), %error, "the log cannot be renewed");
            }
            sleep(LOOK_PERIOD).await;
        }
    }

    fn renew(&self) -> io::Result<()> {
        if let Some(file) = self.newer_than(io::stderr())? {
            dup2_stderr(&file)?;
        }
        Ok(())
    }

    /// The file that is to be written to from now on, if it is another one than `current`.
    fn newer_than(&self, current: impl AsFd) -> io::Result<Option<File>> {
        let mut file = open(&self.path)?;
        if file.metadata()?.len() > self.bytes_max && self.put_aside(&file)? {
            file = open(&self.path)?;
        }
        Ok((!is_same(fstat(current)?, fstat(&file)?)).then_some(file))
    }

    /// Makes room for a new file. Of several processes one does it; tells whether it is done.
    fn put_aside(&self, full: &File) -> io::Result<bool> {
        if !lock(full, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(false);
        }
        if !is_at(full, &self.path) {
            return Ok(true);
        }
        for number in (1..OLD_LOGS_MAX).rev() {
            match fs::rename(self.old(number), self.old(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.old(1))?;
        Ok(true)
    }

    fn old(&self, number: usize) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        path.push(format!(".{number}"));
        path.into()
    }
}

fn is_same(a: Stat, b: Stat) -> bool {
    (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::io::Write;
    use std::thread;

    const LINE_BYTES: u64 = 16;

    fn log(folder: &Path, lines: u64) -> LogFile {
        LogFile { path: folder.join("log"), bytes_max: lines * LINE_BYTES }
    }

    fn lines(path: &Path) -> Vec<String> {
        fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Writes numbered lines, and looks after each as a daemon does from time to time; how often the file was another.
    fn write(log: &LogFile, process: &str, count: usize) -> usize {
        let mut file = open(&log.path).unwrap();
        let mut renewed = 0;
        for number in 0..count {
            file.write_all(format!("{process} {number:013}\n").as_bytes()).unwrap();
            if let Some(newer) = log.newer_than(&file).unwrap() {
                (file, renewed) = (newer, renewed + 1);
            }
        }
        renewed
    }

    #[test]
    fn of_two_processes_that_fill_a_log_no_line_is_lost() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 100);
        const COUNT: usize = 180; // of two, and a file may be longer than it should by what its writers do meanwhile
        let writers: Vec<_> = ["a", "b"]
            .map(|process| {
                let log = log.clone();
                thread::spawn(move || write(&log, process, COUNT))
            })
            .into();
        let renewed: usize = writers.into_iter().map(|writer| writer.join().unwrap()).sum();
        assert!(renewed > 0);
        let kept: Vec<String> = (1..=OLD_LOGS_MAX)
            .map(|number| log.old(number))
            .chain([log.path.clone()])
            .flat_map(|path| lines(&path))
            .collect();
        let different: BTreeSet<&String> = kept.iter().collect();
        assert_eq!((kept.len(), different.len()), (2 * COUNT, 2 * COUNT));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 9);
        let count = 100;
        assert_eq!(write(&log, "a", count), count / 10);
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, OLD_LOGS_MAX + 1);
        assert_eq!(lines(&log.old(1)).last().unwrap(), &format!("a {:013}", count - 1));
        assert_eq!(lines(&log.old(OLD_LOGS_MAX)).len(), 10);
    }

    #[test]
    fn a_log_that_somebody_else_has_moved_is_made_anew() {
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), 100);
        let mut current = open(&log.path).unwrap();
        assert!(log.newer_than(&current).unwrap().is_none());
        fs::rename(&log.path, folder.path().join("elsewhere")).unwrap();
        current = log.newer_than(&current).unwrap().expect("a new file");
        current.write_all(b"here\n").unwrap();
        assert_eq!(lines(&log.path), ["here"]);
    }
}
