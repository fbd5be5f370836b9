//! Frames on a stream: reads whole ones, writes whole ones. Knows nothing of what is in them.

use std::io;

use ave_protocol::frame::{self, FrameError};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::task::yield_now;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use crate::limits::{FRAME_LIMIT, PACE_BYTES_PER_S, PART_LIMIT, SEND_STALL_LIMIT};
use crate::room::Claim;

/// How much a peer may send ahead while its call is being answered; then it has to wait.
const READ_AHEAD_MAX: usize = 64 * 1024;

/// How much is asked of the socket at once.
const READ_CHUNK: usize = 2 * 1024;

/// Why no further frame comes.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WireError {
    /// The peer closed the connection, between frames or within one.
    #[error("the peer closed the connection")]
    Closed,
    /// The peer announced a frame above the limit.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The peer does not take what it is sent, or much too slowly.
    #[error("the peer does not take what it is sent")]
    Stalled,
    /// The peer has begun a frame and does not come to its end.
    #[error("the peer sends a frame too slowly")]
    Slow,
    /// The frames of others have taken all the room there is.
    #[error("no room for a frame")]
    NoRoom,
    /// The peer has said nothing for as long as it announced itself.
    #[error("the peer was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The connection broke.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A stream of frames in both directions.
pub(crate) struct Wire<S> {
    stream: S,
    input: BytesMut,
    output: BytesMut,
    frame_bytes_max: usize,
    silence_limit: Option<Duration>,
    /// When the frame began that is being received.
    begun: Option<Instant>,
    /// What is received and not answered, of what all connections may have received.
    received: Claim,
    /// The same of what is to be sent.
    unsent: Claim,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(crate) fn new(stream: S, frame_bytes_max: usize) -> Wire<S> {
        Wire {
            stream,
            input: BytesMut::new(),
            output: BytesMut::new(),
            frame_bytes_max,
            silence_limit: None,
            begun: None,
            received: Claim::default(),
            unsent: Claim::default(),
        }
    }

    /// From now on what is received and what is to be sent takes room that others have too.
    pub(crate) fn share_room(&mut self, received: Claim, unsent: Claim) {
        (self.received, self.unsent) = (received, unsent);
    }

    /// Takes room for what is in the output; false if there is none.
    pub(crate) fn has_room_for_output(&mut self) -> bool {
        self.unsent.try_grow(self.output.len())
    }

    /// Goes on with a stream of which this has been read already.
    pub(crate) fn resumed(stream: S, read: &[u8]) -> Wire<S> {
        Wire { input: BytesMut::from(read), ..Wire::new(stream, 0) }
    }

    /// The stream, and what has been read of it and not been used.
    pub(crate) fn into_parts(self) -> (S, Vec<u8>) {
        (self.stream, self.input.into())
    }

    /// From now on frames of this size are accepted.
    pub(crate) fn set_frame_bytes_max(&mut self, frame_bytes_max: usize) {
        self.frame_bytes_max = frame_bytes_max;
    }

    /// From now on nobody waits for a frame from a peer that says nothing for so long.
    pub(crate) fn set_silence_limit(&mut self, limit: Option<Duration>) {
        self.silence_limit = limit;
    }

    /// Where to put frames to be sent. They leave with the next flush, or before the peer is waited for.
    pub(crate) fn output(&mut self) -> &mut BytesMut {
        &mut self.output
    }

    /// Sends what is in the output. Dropping the future loses nothing.
    pub(crate) async fn flush(&mut self) -> Result<(), WireError> {
        let due = Instant::now() + SEND_STALL_LIMIT + at_pace(self.output.len());
        while !self.output.is_empty() {
            let stalled = due.min(Instant::now() + SEND_STALL_LIMIT);
            let writing = timeout_at(stalled, self.stream.write_buf(&mut self.output));
            if writing.await.map_err(|_| WireError::Stalled)?? == 0 {
                return Err(WireError::Closed);
            }
        }
        self.output = BytesMut::new(); // an idle connection keeps no buffer
        self.unsent.shrink(0);
        Ok(())
    }

    /// Sends what is in the output as the last word. To close while something is unread would take it back, so
    /// the peer is given a moment to close first.
    pub(crate) async fn part(&mut self) {
        let parting = async {
            self.flush().await?;
            self.stream.shutdown().await?;
            loop {
                self.input.clear();
                self.read_some().await?;
            }
        };
        let _: Result<Result<(), WireError>, _> = timeout(PART_LIMIT, parting).await;
    }

    /// What the frames travel over.
    #[cfg(test)]
    pub(crate) fn stream(&self) -> &S {
        &self.stream
    }

    /// Whether nothing has come after the last whole frame, as far as was read.
    pub(crate) fn is_quiet(&self) -> bool {
        self.input.is_empty()
    }

    /// The next frame's payload. Dropping the future loses nothing.
    pub(crate) async fn frame(&mut self) -> Result<Bytes, WireError> {
        loop {
            if let Some(payload) = frame::decode(&mut self.input, self.frame_bytes_max)? {
                if self.input.is_empty() {
                    self.input = BytesMut::new(); // an idle connection keeps no buffer
                }
                self.begun = None;
                return Ok(payload);
            }
            self.flush().await?;
            let needed = self.input.len() + self.to_reserve();
            self.received.shrink(needed); // the frame before is answered
            if !self.received.grow(needed).await {
                return Err(WireError::NoRoom);
            }
            self.read_in_time().await?;
        }
    }

    /// Reads, unless the peer is silent for too long or too slow with what it has begun.
    async fn read_in_time(&mut self) -> Result<(), WireError> {
        if !self.input.is_empty() && self.begun.is_none() {
            self.begun = Some(Instant::now());
        }
        let frame_bytes = self.input.len() + frame::missing(&self.input);
        let due = self.begun.map(|begun| begun + FRAME_LIMIT + at_pace(frame_bytes));
        let Some(limit) = self.silence_limit else {
            return within(due, self.read_some()).await.unwrap_or(Err(WireError::Slow));
        };
        let heard = timeout(limit, within(due, self.read_some())).await;
        heard.map_err(|_| WireError::Silent(limit))?.unwrap_or(Err(WireError::Slow))
    }

    /// Reads ahead while a call is being answered, and returns only when the connection ends.
    ///
    /// An answer that needs no more than a turn of others still leaves together with what is in the
    /// output; a longer one does not hold that up.
    pub(crate) async fn lost(&mut self) -> WireError {
        if !self.output.is_empty() {
            yield_now().await;
            if let Err(error) = self.flush().await {
                return error;
            }
        }
        while self.input.len() < READ_AHEAD_MAX
            && self.received.try_grow(self.input.len() + self.to_reserve())
        {
            if let Err(error) = self.read_some().await {
                return error;
            }
        }
        std::future::pending().await
    }

    async fn read_some(&mut self) -> Result<(), WireError> {
        self.input.reserve(self.to_reserve());
        match self.stream.read_buf(&mut self.input).await? {
            0 => Err(WireError::Closed),
            _ => Ok(()),
        }
    }

    /// How much to make room for: it doubles with what has come, never with what was announced, and ends with
    /// the frame.
    fn to_reserve(&self) -> usize {
        self.input.len().min(frame::missing(&self.input)).max(READ_CHUNK)
    }
}

/// How much longer a long frame may take.
fn at_pace(bytes: usize) -> Duration {
    Duration::from_secs((bytes / PACE_BYTES_PER_S) as u64)
}

/// `None` if it is too late.
async fn within<T>(due: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match due {
        None => Some(work.await),
        Some(due) => timeout_at(due, work).await.ok(),
    }
}

#[cfg(test)]
mod tests;
