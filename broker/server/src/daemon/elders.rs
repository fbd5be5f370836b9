//! Processes of a home that have handed over and still serve their old sessions. Each holds a lock on a file
//! of its own in `run` for as long as it lives, so that no process is ever taken for one because of its number.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::FlockOperation;
use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};
use tracing::warn;

use super::pid_file::{is_at, lock};
use crate::config::{Paths, unnamed};

/// What the names of these files begin with; the process's number follows.
const PREFIX: &str = "elder-";

/// How long the system may take to remove a killed process.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How often to look whether it has.
const LOOK_PERIOD: Duration = Duration::from_millis(1);

/// Says that this process is an elder. The file goes when this is dropped.
#[derive(Debug)]
pub(crate) struct ElderFile {
    path: PathBuf,
    _locked: File,
}

impl ElderFile {
    /// Puts this process's file into `run`, already locked. One that a dead process of this number has left is
    /// replaced.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn take(paths: &Paths) -> io::Result<ElderFile> {
        let path = paths.run().join(format!("{PREFIX}{}", getpid()));
        let file = unnamed(&path, b"", 0o644)?;
        lock(file.as_file(), FlockOperation::NonBlockingLockExclusive)?;
        let _locked = file.persist(&path).map_err(|error| error.error)?;
        Ok(ElderFile { path, _locked })
    }
}

impl Drop for ElderFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The elders of a home that live. Files of dead ones are removed.
pub(crate) fn living(paths: &Paths) -> Vec<Pid> {
    files(paths).filter_map(|(pid, path)| is_held(&path).then_some(pid)).collect()
}

/// Waits for the elders of a home, which end by themselves once their successor has, and kills those that are
/// left after `patience`. It blocks.
///
/// # Errors
/// The first one that does not end.
pub(crate) fn wait_or_end(paths: &Paths, patience: Duration) -> io::Result<()> {
    let deadline = Instant::now() + patience;
    while !living(paths).is_empty() && Instant::now() < deadline {
        thread::sleep(LOOK_PERIOD);
    }
    end_all(paths)
}

/// Kills every elder of a home, and waits until they are gone. It blocks.
///
/// # Errors
/// The first one that does not end.
pub(crate) fn end_all(paths: &Paths) -> io::Result<()> {
    let killed: Vec<_> = files(paths).filter(|(pid, path)| kill(*pid, path)).collect();
    let deadline = Instant::now() + KILL_LIMIT;
    for (pid, path) in killed {
        warn!(elder = pid.as_raw_nonzero(), "an elder of a dead broker was killed");
        while is_held(&path) {
            if Instant::now() >= deadline {
                return Err(io::Error::other(format!("process {pid}, an older broker, does not end")));
            }
            thread::sleep(LOOK_PERIOD);
        }
    }
    Ok(())
}

/// Kills the process if it holds the file. Its handle is opened first: who holds the file then is who is
/// killed, even if the number is used anew.
fn kill(pid: Pid, path: &Path) -> bool {
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    is_held(path) && pidfd_send_signal(handle, Signal::KILL).is_ok()
}

fn files(paths: &Paths) -> impl Iterator<Item = (Pid, PathBuf)> {
    let entries = fs::read_dir(paths.run()).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid = entry.file_name().to_str()?.strip_prefix(PREFIX)?.parse().ok().and_then(Pid::from_raw)?;
        Some((pid, entry.path()))
    })
}

/// Whether a process holds this file. Nobody's file is removed: its owner is dead.
fn is_held(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    match lock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(true) => {
            if is_at(&file, path) {
                let _ = fs::remove_file(path);
            }
            false
        }
        Ok(false) => true,
        Err(error) => {
            warn!(path = %path.display(), %error, "cannot tell whether an older broker lives");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn home() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        paths.make().unwrap();
        (folder, paths)
    }

    /// A process that holds its elder file, once it has said so.
    fn elder(paths: &Paths) -> Child {
        let script = "exec 9>\"$0/elder-$$\"; flock -x 9; echo held; exec sleep 60";
        let mut command = Command::new("sh");
        command.args(["-c", script]).arg(paths.run()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut said = String::new();
        io::BufRead::read_line(&mut io::BufReader::new(child.stdout.take().unwrap()), &mut said).unwrap();
        assert_eq!(said, "held\n");
        child
    }

    #[test]
    fn an_elder_is_known_while_it_lives() {
        let (_folder, paths) = home();
        assert_eq!(living(&paths), []);
        let me = ElderFile::take(&paths).unwrap();
        assert_eq!(living(&paths), [getpid()]);
        drop(me);
        assert_eq!(living(&paths), []);
        assert_eq!(fs::read_dir(paths.run()).unwrap().count(), 0);
    }

    #[test]
    fn all_elders_are_killed_and_nobody_else() {
        let (_folder, paths) = home();
        let mut elders = [elder(&paths), elder(&paths)];
        let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
        fs::write(paths.run().join(format!("{PREFIX}{}", bystander.id())), "").unwrap();
        fs::write(paths.run().join("elder-x"), "").unwrap();
        assert_eq!(living(&paths).len(), 2, "a file that nobody holds is nobody's");
        end_all(&paths).unwrap();
        assert_eq!(living(&paths), []);
        for elder in &mut elders {
            assert!(!elder.wait().unwrap().success());
        }
        assert!(bystander.try_wait().unwrap().is_none());
        bystander.kill().unwrap();
        bystander.wait().unwrap();
    }
}
