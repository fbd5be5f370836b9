//! A driver that runs, and the frames to and from it. Whatever goes wrong says how the driver was lost; what
//! the frames mean is said elsewhere.

use std::io;
use std::time::Duration;

use ave_profile::{Identity, RefusalKind};
use ave_protocol::frame;
use bytes::Bytes;
use futures::FutureExt;
use tokio::io::{Join, join};
use tokio::process::{ChildStdin, ChildStdout};
use tokio::time::timeout;

use super::limits::{FRAME_BYTES_MAX, LAST_WORDS_LIMIT};
use super::program::Running;
use crate::drivers::place::Place;
use crate::wire::{Wire, WireError};

/// A driver program and the way to it.
pub(super) struct Process {
    wire: Wire<Join<ChildStdout, ChildStdin>>,
    program: Running,
}

/// How a driver was lost. It has to be dropped, which kills it if it lives.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lost {
    /// What its client is told: `Timeout`, or `Exception`.
    pub(super) kind: RefusalKind,
    /// `was killed: load() took longer than 60 s`.
    pub(super) how: String,
}

impl Lost {
    /// It did what no driver may do.
    pub(super) fn misbehaved(why: impl std::fmt::Display) -> Lost {
        Lost { kind: RefusalKind::Exception, how: format!("was killed: {why}") }
    }

    fn late(what: &str, limit: Option<Duration>) -> Lost {
        let limit = limit.unwrap_or_default().as_secs_f64();
        let how = format!("was killed: {what} took longer than {limit} s");
        Lost { kind: RefusalKind::Driver("Timeout".to_owned()), how }
    }
}

impl Process {
    /// Starts the driver of a piece.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) async fn start(place: &Place, command: &[String], item: &Identity) -> io::Result<Process> {
        let (program, (stdin, stdout)) = Running::start(place, command, item).await?;
        Ok(Process { wire: Wire::new(join(stdout, stdin), FRAME_BYTES_MAX), program })
    }

    /// Asks for `what`, and waits for the answer. Nothing may have been said before that nobody asked for.
    ///
    /// # Errors
    /// How the driver was lost.
    pub(super) async fn ask(
        &mut self,
        what: &str,
        payload: &[u8],
        limit: Option<Duration>,
    ) -> Result<Bytes, Lost> {
        match self.wire.frame().now_or_never() {
            Some(Err(error)) => return Err(self.lost(error).await),
            None if self.wire.is_quiet() => {}
            _ => return Err(Lost::misbehaved("it said something that nobody asked for")),
        }
        self.greet(what, payload, limit).await
    }

    /// As [`Process::ask`], but for the first time: the answer may have come already.
    ///
    /// # Errors
    /// How the driver was lost.
    pub(super) async fn greet(
        &mut self,
        what: &str,
        payload: &[u8],
        limit: Option<Duration>,
    ) -> Result<Bytes, Lost> {
        frame::encode(payload, self.wire.output());
        match within(limit, self.wire.frame()).await {
            Some(Ok(payload)) => Ok(payload),
            Some(Err(error)) => Err(self.lost(error).await),
            None => Err(Lost::late(what, limit)),
        }
    }

    /// Ends its input, and waits until it has ended by itself.
    ///
    /// # Errors
    /// If it ends with a failure, or too late: then it is killed.
    pub(super) async fn end(self, limit: Option<Duration>) -> Result<(), String> {
        let Process { wire, mut program } = self;
        drop(wire);
        match within(limit, program.ended()).await {
            Some(ended) => ended.map_err(|how| format!("ended with {how}")),
            None => Err(Lost::late("ending", limit).how),
        }
    }

    /// Kills it, and waits until it has gone.
    pub(super) async fn kill(mut self) {
        self.program.kill();
        let _ = timeout(LAST_WORDS_LIMIT, self.program.ended()).await;
    }

    async fn lost(&mut self, error: WireError) -> Lost {
        match error {
            WireError::Closed | WireError::Io(_) => {
                let ended = timeout(LAST_WORDS_LIMIT, self.program.ended()).await;
                let how = match ended {
                    Ok(Ok(())) => "ended by itself".to_owned(),
                    Ok(Err(status)) => format!("ended by itself with {status}"),
                    Err(_) => return Lost::misbehaved("it closed its standard output"),
                };
                Lost { kind: RefusalKind::Exception, how }
            }
            WireError::Frame(error) => {
                Lost::misbehaved(format_args!("{error} (its standard output is for frames only)"))
            }
            WireError::Stalled | WireError::Slow | WireError::NoRoom | WireError::Silent(_) => {
                Lost::misbehaved(error)
            }
        }
    }
}

/// What a future comes to within a limit; no limit is for ever.
pub(super) async fn within<T>(limit: Option<Duration>, future: impl Future<Output = T>) -> Option<T> {
    match limit {
        Some(limit) => timeout(limit, future).await.ok(),
        None => Some(future.await),
    }
}
