//! The files by which others find this process: its PID file and, once it answers, the one with its port. Both
//! pass to the process that takes over, and are removed by the one that has them last.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use std::{fs, io};

use super::{PidFile, READY, alone, service};
use crate::cli::{Failure, say};
use crate::config::{Paths, replace};

/// The files of one home, as far as they are this process's.
#[derive(Debug)]
pub(crate) struct Post {
    paths: Paths,
    pid_file: Mutex<Option<PidFile>>,
    watchdog: OnceLock<Duration>,
}

impl Post {
    /// Takes the PID file of a home where no broker runs.
    ///
    /// # Errors
    /// If one does.
    pub(crate) fn take(paths: &Paths) -> Result<Post, Failure> {
        let pid_file = alone(paths, "could not start")?;
        let watchdog = service::watchdog().map(OnceLock::from).unwrap_or_default();
        Ok(Post { paths: paths.clone(), pid_file: Mutex::new(Some(pid_file)), watchdog })
    }

    /// For a process that takes over from another one, whose files they still are.
    pub(crate) fn to_be_taken(paths: &Paths) -> Post {
        Post { paths: paths.clone(), pid_file: Mutex::default(), watchdog: OnceLock::new() }
    }

    /// Makes the PID file this process's, whoever has it.
    pub(crate) fn take_over(&self) -> io::Result<()> {
        let pid_file = PidFile::replace(&self.paths.pid_file())?;
        *self.pid_file() = Some(pid_file);
        Ok(())
    }

    /// Within which time the service manager wants to hear that the broker answers, if it has said so.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.get().copied()
    }

    /// What the service manager has said to the first process only, which each tells the next.
    pub(crate) fn inherit_watchdog(&self, limit: Option<Duration>) {
        if let Some(limit) = limit {
            let _ = self.watchdog.set(limit);
        }
    }

    /// Tells clients of this home the port.
    pub(crate) fn name_port(&self, port: u16) -> io::Result<()> {
        replace(&self.paths.port_file(), format!("{port}\n").as_bytes(), 0o644)
    }

    /// Tells clients of this home the port, and whoever started the broker that it answers.
    pub(crate) fn announce(&self, address: SocketAddr) -> io::Result<()> {
        self.name_port(address.port())?;
        say(format_args!("{READY}{address}"));
        service::ready(address);
        Ok(())
    }

    /// A process that was to take over has died in the middle of that: makes the files this one's again.
    pub(crate) fn reclaim(&self, port: u16) -> io::Result<()> {
        self.take_over()?;
        self.name_port(port)
    }

    fn pid_file(&self) -> MutexGuard<'_, Option<PidFile>> {
        self.pid_file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        if self.pid_file().as_ref().is_some_and(PidFile::is_current) {
            let _ = fs::remove_file(self.paths.port_file());
            let _ = fs::remove_file(self.paths.handover_socket());
        }
    }
}
