//! Waiting: until when, and who may call it off.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::{ClientError, Interrupt};

/// How long an interrupt may go unasked.
const INTERRUPT_POLL: Duration = Duration::from_millis(100);

/// The limit of one undertaking of several waits.
pub(crate) struct Patience<'a> {
    until: Option<Instant>,
    interrupt: Option<&'a Interrupt>,
}

impl<'a> Patience<'a> {
    /// Patience from now on.
    pub(crate) fn new(limit: Option<Duration>, interrupt: Option<&'a Interrupt>) -> Patience<'a> {
        // A limit beyond the clock's reach is none.
        let until = limit.and_then(|limit| Instant::now().checked_add(limit));
        Patience { until, interrupt }
    }

    /// What remains of the limit, if there is one.
    pub(crate) fn left(&self) -> Result<Option<Duration>, ClientError> {
        let Some(until) = self.until else { return Ok(None) };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(ClientError::TimedOut) } else { Ok(Some(left)) }
    }

    /// Waits until the socket is ready or has failed.
    pub(crate) fn wait_for(&self, socket: &impl AsFd, readiness: PollFlags) -> Result<(), ClientError> {
        let mut sockets = [PollFd::new(socket, readiness)];
        while !self.wait_slice(&mut sockets, self.left()?)? {}
        Ok(())
    }

    /// Waits for nothing but the time.
    pub(crate) fn pause(&self, pause: Duration) -> Result<(), ClientError> {
        let end = Instant::now() + pause;
        loop {
            let rest = end.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                return Ok(());
            }
            self.wait_slice(&mut [], Some(self.left()?.map_or(rest, |left| left.min(rest))))?;
        }
    }

    /// Waits at most so long, and no longer than the interrupt may go unasked. True if a socket is ready.
    fn wait_slice(&self, sockets: &mut [PollFd<'_>], most: Option<Duration>) -> Result<bool, ClientError> {
        let asking = self.interrupt.map(|_| INTERRUPT_POLL);
        let slice = most.into_iter().chain(asking).min();
        let slice = slice.and_then(|slice| Timespec::try_from(slice).ok());
        match poll(sockets, slice.as_ref()) {
            Ok(ready) if ready > 0 => Ok(true),
            Ok(_) | Err(Errno::INTR) if self.interrupt.is_some_and(|interrupt| interrupt()) => {
                Err(ClientError::Interrupted)
            }
            Ok(_) | Err(Errno::INTR) => Ok(false),
            Err(error) => Err(io::Error::from(error).into()),
        }
    }
}
