//! One stream of a link. Each side sends one packet at a time and waits until the other has taken it.

use std::io;

use bytes::Bytes;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::packet::{Command, PAYLOAD_BYTES_MAX, Packet};

/// Everything of a link that is to be sent. What waits in it is bounded by the streams: each sends one packet at
/// a time.
pub(super) type Outbox = UnboundedSender<Packet>;

/// The numbers of a stream: ours, and the host's.
#[derive(Clone, Copy)]
pub(super) struct Ids {
    pub(super) ours: u32,
    pub(super) theirs: u32,
}

/// What the host sends on a stream.
pub(super) struct Arrivals {
    pub(super) ids: Ids,
    pub(super) outbox: Outbox,
    pub(super) packets: UnboundedReceiver<Bytes>,
}

/// What the phone sends on a stream.
pub(super) struct Departures {
    pub(super) ids: Ids,
    pub(super) outbox: Outbox,
    pub(super) taken: UnboundedReceiver<()>,
}

impl Arrivals {
    /// The next packet's payload; nothing when the stream has ended.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let payload = self.packets.recv().await?;
        self.outbox.send(Packet::new(Command::Okay, self.ids.ours, self.ids.theirs, Bytes::new())).ok()?;
        Some(payload)
    }
}

impl Departures {
    /// Sends all of it, and waits until the host has taken it.
    pub(super) async fn send(&mut self, payload: impl Into<Bytes>) -> io::Result<()> {
        let mut payload = payload.into();
        while !payload.is_empty() {
            let part = payload.split_to(payload.len().min(PAYLOAD_BYTES_MAX as usize));
            let packet = Packet::new(Command::Write, self.ids.ours, self.ids.theirs, part);
            self.outbox.send(packet).map_err(|_| io::ErrorKind::BrokenPipe)?;
            self.taken.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        }
        Ok(())
    }
}
