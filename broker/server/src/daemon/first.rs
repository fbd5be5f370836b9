//! The first process of a container, with which the container ends: it stays until the broker has ended, whichever
//! process rules by then.

use std::io;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, wait};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};
use tokio::time::{Duration, sleep};
use tracing::info;

use super::pid_file::{Found, look};
use crate::cli::{Failure, Outcome};
use crate::config::Paths;

/// How often to look whether there is still a broker, if nobody says that a process has ended.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// What it hears from its beginning on.
pub(super) struct FirstProcess {
    terminated: Signals,
    interrupted: Signals,
    ended: Signals,
}

impl FirstProcess {
    /// `None` if this process is not the first. Needs a running runtime.
    ///
    /// # Errors
    /// If signals cannot be caught.
    pub(super) fn if_it_is() -> io::Result<Option<FirstProcess>> {
        if !getpid().is_init() {
            return Ok(None);
        }
        let (terminated, interrupted) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Some(FirstProcess { terminated, interrupted, ended: signal(SignalKind::child())? }))
    }

    /// Once this process has nothing left to serve: waits for the end of the one that rules, and of those that come
    /// after it. What asks this process to end, or has asked it since it began, is meant for that one.
    ///
    /// # Errors
    /// If that one does not end in good order.
    pub(super) async fn outlive_all(mut self, paths: &Paths) -> Outcome {
        let mut known = None;
        loop {
            while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {} // everybody's child in the end
            let found =
                look(&paths.pid_file()).map_err(|error| Failure::of(format_args!("PID file: {error}")))?;
            let rules = match found {
                Found::Live(pid) => pid,
                Found::Nothing => return Ok(()),
                Found::Empty | Found::Stale => {
                    return Err(Failure::of("the process that took over has died"));
                }
            };
            if known.replace(rules) != Some(rules) {
                info!(pid = %rules, "nothing is left to serve here: waiting for the process that rules");
            }
            tokio::select! {
                _ = self.ended.recv() => {}
                _ = self.terminated.recv() => end(rules),
                _ = self.interrupted.recv() => end(rules),
                () = sleep(LOOK_PERIOD) => {}
            }
        }
    }
}

fn end(pid: Pid) {
    let _ = kill_process(pid, Signal::TERM); // or it has ended
}
