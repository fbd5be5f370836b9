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
mod tests {
    use super::*;
    use crate::room::Room;
    use tokio::io::duplex;

    fn framed(payload: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        frame::encode(payload, &mut out);
        out
    }

    #[tokio::test]
    async fn frames_split_at_every_byte_arrive_whole_12() {
        let (mut peer, ours) = duplex(1);
        let sent = tokio::spawn(async move {
            for payload in [&b"one"[..], b"", b"three"] {
                peer.write_all(&framed(payload)).await.unwrap();
            }
        });
        let mut wire = Wire::new(ours, 16);
        for payload in [&b"one"[..], b"", b"three"] {
            assert_eq!(wire.frame().await.unwrap(), payload);
        }
        sent.await.unwrap();
        assert!(matches!(wire.frame().await, Err(WireError::Closed)));
    }

    #[tokio::test]
    async fn a_frame_above_the_limit_is_an_error_before_its_payload_comes_15() {
        let (mut peer, ours) = duplex(64);
        peer.write_all(&[0x80, 0, 0, 0]).await.unwrap();
        assert!(matches!(Wire::new(ours, 16).frame().await, Err(WireError::Frame(_))));
    }

    #[tokio::test]
    async fn a_dropped_read_loses_nothing() {
        let (mut peer, ours) = duplex(64);
        let mut wire = Wire::new(ours, 16);
        let frame = framed(b"payload");
        peer.write_all(&frame[..6]).await.unwrap();
        tokio::select! {
            biased;
            _ = wire.frame() => panic!("half a frame is no frame"),
            () = std::future::ready(()) => {}
        }
        peer.write_all(&frame[6..]).await.unwrap();
        assert_eq!(wire.frame().await.unwrap(), &b"payload"[..]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_may_be_slow_but_not_for_ever() {
        let (mut peer, ours) = duplex(8);
        let mut wire = Wire::new(ours, 16);
        let slow = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(SEND_STALL_LIMIT / 8).await;
                peer.read_exact(&mut [0; 8]).await.unwrap();
            }
            peer
        });
        frame::encode(&[7; 36], wire.output());
        wire.flush().await.unwrap();
        let _peer = slow.await.unwrap();
        let begun = tokio::time::Instant::now();
        frame::encode(&[7; 36], wire.output());
        let stalled = timeout(SEND_STALL_LIMIT * 2, wire.flush()).await;
        assert!(matches!(stalled, Ok(Err(WireError::Stalled))), "{stalled:?}");
        assert_eq!(begun.elapsed(), SEND_STALL_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_not_to_be_silent_may_be_slow_but_not_silent() {
        let (mut peer, ours) = duplex(64);
        let mut wire = Wire::new(ours, 16);
        let limit = Duration::from_secs(12);
        wire.set_silence_limit(Some(limit));
        let slow = tokio::spawn(async move {
            for byte in framed(b"slow") {
                tokio::time::sleep(limit * 2 / 3).await;
                peer.write_all(&[byte]).await.unwrap();
            }
            peer
        });
        assert_eq!(wire.frame().await.unwrap(), &b"slow"[..]);
        let _peer = slow.await.unwrap();
        let begun = tokio::time::Instant::now();
        assert!(matches!(wire.frame().await, Err(WireError::Silent(_))));
        assert_eq!(begun.elapsed(), limit);
    }

    #[tokio::test]
    async fn the_loss_of_a_peer_is_noticed_and_what_it_sent_ahead_is_kept() {
        let (mut peer, ours) = duplex(64);
        let mut wire = Wire::new(ours, 16);
        peer.write_all(&framed(b"ahead")).await.unwrap();
        drop(peer);
        assert!(matches!(wire.lost().await, WireError::Closed));
        assert_eq!(wire.frame().await.unwrap(), &b"ahead"[..]);
    }

    #[tokio::test]
    async fn output_leaves_before_a_peer_is_waited_for_and_while_its_call_takes_long() {
        let (ours, theirs) = duplex(64);
        let (mut wire, mut peer) = (Wire::new(ours, 16), Wire::new(theirs, 16));
        frame::encode(b"first", wire.output());
        tokio::select! {
            seen = peer.frame() => assert_eq!(seen.unwrap(), &b"first"[..]),
            _ = wire.frame() => panic!("nothing was sent"),
        }
        frame::encode(b"second", wire.output());
        tokio::select! {
            seen = peer.frame() => assert_eq!(seen.unwrap(), &b"second"[..]),
            _ = wire.lost() => panic!("nobody has gone"),
        }
    }

    #[tokio::test]
    async fn an_answer_that_comes_at_once_leaves_in_one_write_with_the_output() {
        let (ours, mut peer) = duplex(64);
        let mut wire = Wire::new(ours, 16);
        frame::encode(b"verdict", wire.output());
        tokio::select! {
            biased;
            () = yield_now() => frame::encode(b"answer", wire.output()),
            _ = wire.lost() => panic!("nobody has gone"),
        }
        wire.flush().await.unwrap();
        let mut both = [0; 64];
        assert_eq!(peer.read(&mut both).await.unwrap(), 4 + 7 + 4 + 6);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_taken_byte_by_byte_is_not_kept_for_ever() {
        let (mut peer, ours) = duplex(1);
        let mut wire = Wire::new(ours, 16);
        frame::encode(&[7; 2 * PACE_BYTES_PER_S], wire.output());
        let slow = tokio::spawn(async move {
            while peer.read_u8().await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        let begun = Instant::now();
        assert!(matches!(wire.flush().await, Err(WireError::Stalled)));
        assert_eq!(begun.elapsed(), SEND_STALL_LIMIT + Duration::from_secs(2));
        drop(wire);
        slow.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_that_was_begun_has_to_end() {
        let (mut peer, ours) = duplex(64);
        let mut wire = Wire::new(ours, 1 << 20);
        let slow = tokio::spawn(async move {
            tokio::time::sleep(FRAME_LIMIT * 10).await; // between frames there is all the time
            for byte in framed(b"slow") {
                tokio::time::sleep(FRAME_LIMIT / 10).await;
                peer.write_all(&[byte]).await.unwrap();
            }
            while peer.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(wire.frame().await.unwrap(), &b"slow"[..]);
        for _ in 0..FRAME_LIMIT.as_secs() / 4 {
            assert_eq!(wire.frame().await.unwrap(), b""[..]);
        }
        drop(wire);
        slow.await.unwrap();
        let (mut peer, ours) = duplex(64);
        let mut wire = Wire::new(ours, 1 << 20);
        let begun = Instant::now();
        let slow = tokio::spawn(async move {
            peer.write_all(&framed(&[0; 1 << 20])[..4]).await.unwrap();
            while peer.write_all(&[0]).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        assert!(matches!(wire.frame().await, Err(WireError::Slow)));
        assert_eq!(begun.elapsed(), FRAME_LIMIT + at_pace(1 << 20));
        drop(wire);
        slow.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_peer_sends_takes_the_room_of_others_until_it_is_answered() {
        const LONG: usize = 1 << 20;
        let room = Room::of(LONG + LONG / 2);
        let pair = || {
            let (theirs, ours) = duplex(2 * LONG);
            let mut wire = Wire::new(ours, LONG);
            wire.share_room(room.claim(), Claim::default());
            (theirs, wire)
        };
        let ((mut peer, mut wire), (mut second, mut other)) = (pair(), pair());
        peer.write_all(&framed(&[0; LONG])).await.unwrap();
        let payload = wire.frame().await.unwrap();
        assert_eq!(payload.len(), LONG);
        second.write_all(&framed(&[0; LONG])).await.unwrap();
        assert!(matches!(other.frame().await, Err(WireError::NoRoom)), "the first is not answered yet");
        peer.write_all(&framed(b"next")).await.unwrap();
        assert_eq!(wire.frame().await.unwrap(), b"next"[..]);
        assert_eq!(other.frame().await.unwrap().len(), LONG);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_to_be_sent_takes_room_until_it_is_sent() {
        const LONG: usize = 1 << 20;
        let room = Room::of(LONG + LONG / 2);
        let (mut peer, ours) = duplex(2 * LONG);
        let mut wire = Wire::new(ours, LONG);
        wire.share_room(Claim::default(), room.claim());
        frame::encode(&[0; LONG], wire.output());
        assert!(wire.has_room_for_output());
        assert!(!room.claim().try_grow(LONG));
        wire.flush().await.unwrap();
        assert!(room.claim().try_grow(LONG));
        frame::encode(&[0; 2 * LONG], wire.output());
        assert!(!wire.has_room_for_output());
        peer.read_u8().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_last_word_waits_for_the_peer_to_close_but_not_for_ever() {
        let (mut peer, ours) = duplex(64);
        let mut wire = Wire::new(ours, 16);
        frame::encode(b"no", wire.output());
        peer.write_all(b"something nobody reads").await.unwrap();
        let begun = Instant::now();
        wire.part().await;
        assert_eq!(begun.elapsed(), PART_LIMIT);
        let mut heard = Vec::new();
        peer.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, framed(b"no"));
        let (peer, ours) = duplex(64);
        drop(peer);
        Wire::new(ours, 16).part().await;
        assert_eq!(begun.elapsed(), PART_LIMIT);
    }
}
