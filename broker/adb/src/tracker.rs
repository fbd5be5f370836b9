//! The devices of an adb server as they come and go.

use std::io;

use bytes::{Buf, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::error::AdbError;
use crate::listing::{self, Sighted};
use crate::wire;

/// The server's stream of listings, made by [`crate::Server::track`]. It ends, with an error, when the server does.
///
/// Who is plugged or unplugged is pushed at once. That the link to a device over TCP broke is not (adb 29): only
/// [`crate::Server::devices`] tells, until the server has the link back.
#[derive(Debug)]
pub struct Tracker {
    stream: TcpStream,
    /// What has arrived of the next listing. At most one read more than the longest listing.
    arrived: BytesMut,
}

impl Tracker {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, arrived: BytesMut::new() }
    }

    /// Waits for the next listing: the first comes at once, each further one upon a change. Safe to drop and to call
    /// again: nothing is lost.
    ///
    /// # Errors
    /// [`AdbError::Io`] when the server ended, [`AdbError::Protocol`] when it talks nonsense. The tracker is of no
    /// more use then.
    pub async fn next(&mut self) -> Result<Vec<Sighted>, AdbError> {
        loop {
            if let Some(text) = take_text(&mut self.arrived)? {
                return listing::sighted(&text);
            }
            if self.stream.read_buf(&mut self.arrived).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }
}

/// Takes the first text out of what has arrived, if it is complete.
fn take_text(arrived: &mut BytesMut) -> Result<Option<String>, AdbError> {
    let Some(&digits) = arrived.first_chunk() else { return Ok(None) };
    let end = digits.len() + wire::length(digits)?;
    if arrived.len() < end {
        return Ok(None);
    }
    let mut text = arrived.split_to(end);
    text.advance(digits.len());
    Ok(Some(wire::lossy(&text)))
}
