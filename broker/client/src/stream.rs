//! A socket that sends bytes and receives frames, with patience.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use ave_protocol::frame;
use bytes::{Bytes, BytesMut};
use rustix::event::PollFlags;
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};

use crate::ClientError;
use crate::patience::Patience;

/// Between two attempts of an optimistic client.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Until a silent peer is asked, between two questions; five unanswered ones end the connection.
/// (Specification 1.2.)
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 5;

/// How long to look for an answer before sleeping until it comes: most come sooner than a processor that
/// has gone to sleep wakes up.
const EAGER: Duration = Duration::from_micros(50);

const READ_BYTES: usize = 16 << 10;

/// One connected socket. Dropping it closes it, without a word to the peer.
pub(crate) struct Stream {
    socket: TcpStream,
    incoming: BytesMut,
}

impl Stream {
    /// Connects to the first address behind `address` that accepts.
    pub(crate) fn dial(
        address: (&str, u16),
        optimistic: bool,
        patience: &Patience<'_>,
    ) -> Result<Stream, ClientError> {
        loop {
            match connect_any(address, patience) {
                Ok(socket) => return Ok(Stream { socket, incoming: BytesMut::new() }),
                Err(ClientError::Refused) if optimistic => patience.pause(RETRY_PAUSE)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Sends all of this.
    pub(crate) fn write(&mut self, mut bytes: &[u8], patience: &Patience<'_>) -> Result<(), ClientError> {
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    patience.wait_for(&self.socket, PollFlags::OUT)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(ClientError::Closed),
            }
        }
        Ok(())
    }

    /// Receives the next frame.
    pub(crate) fn read(&mut self, bytes_max: usize, patience: &Patience<'_>) -> Result<Bytes, ClientError> {
        let mut chunk = [0; READ_BYTES];
        let eager = Instant::now() + EAGER;
        loop {
            if let Some(payload) = frame::decode(&mut self.incoming, bytes_max)? {
                return Ok(payload);
            }
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(ClientError::Closed),
                Ok(count) => self.incoming.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < eager => {
                    thread::yield_now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    patience.wait_for(&self.socket, PollFlags::IN)?;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(ClientError::Closed),
            }
        }
    }
}

/// An empty host is this one.
fn connect_any((host, port): (&str, u16), patience: &Patience<'_>) -> Result<TcpStream, ClientError> {
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    let mut outcome = Err(ClientError::Protocol(format!("{host} has no address")));
    let found = (host, port).to_socket_addrs();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("host {host:?}: {error}"));
    for address in found.map_err(named)? {
        outcome = connect(address, patience);
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

fn connect(address: SocketAddr, patience: &Patience<'_>) -> Result<TcpStream, ClientError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    socket.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_RETRIES))?;
    match socket.connect(&address.into()) {
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {
            patience.wait_for(&socket, PollFlags::OUT)?;
            socket.take_error()?.map_or(Ok(()), Err)?;
        }
        outcome => outcome?,
    }
    let socket = TcpStream::from(socket);
    // Dialling a free port of one's own host can, rarely, meet oneself.
    if socket.local_addr()? == address { Err(ClientError::Refused) } else { Ok(socket) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use socket2::SockRef;

    use super::*;

    #[test]
    fn a_silent_peer_is_asked_and_small_frames_do_not_wait() {
        // 22, 23
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = Stream::dial(("", port), false, &Patience::new(None, None)).unwrap();
        let socket = SockRef::from(&stream.socket);
        assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
    }
}
