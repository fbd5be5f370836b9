//! Frames, handshake and messages as the original writes them: no marker in the salt, HMAC-MD5, JSON.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use ave_protocol::arguments::Arguments;
use ave_protocol::error::Fault;
use ave_protocol::handshake::{Salt, Secret, original_answer, verdict};
use ave_protocol::message::{Encoding, Reply, Request};
use bytes::BytesMut;
use serde_json::Value;

/// How long the original waits for a connection, and for each reply of a broker.
pub(super) const REPLY_LIMIT: Duration = Duration::from_secs(5);

/// A salt like any other: what makes ours special is not in it.
const SALT: Salt = Salt(*b"twenty random bytes.");

/// One connection.
pub(super) struct Wire(TcpStream);

/// A result, or the type and the message of what was raised.
pub(super) type Outcome = Result<Value, (String, String)>;

impl Wire {
    /// Challenges who has connected. Returns which of the keys it has proved, if any.
    pub(super) fn accept(stream: TcpStream, keys: &[&str]) -> io::Result<(Wire, Option<usize>)> {
        stream.set_nodelay(true)?;
        let mut wire = Wire(stream);
        wire.send(&SALT.challenge_payload())?;
        let digest = wire.receive()?;
        let is_of = |key: &&str| original_answer(&Secret::new((*key).to_owned()), &SALT)[..] == digest[..];
        let known = keys.iter().position(is_of);
        wire.send(verdict(known.is_some()))?;
        Ok((wire, known))
    }

    /// Connects with a key; the empty one is nobody's.
    pub(super) fn connect(address: SocketAddr, key: &str) -> io::Result<Wire> {
        let stream = TcpStream::connect_timeout(&address, REPLY_LIMIT)?;
        stream.set_read_timeout(Some(REPLY_LIMIT))?;
        stream.set_nodelay(true)?;
        let mut wire = Wire(stream);
        let salt = Salt::of_challenge(&wire.receive()?).map_err(io::Error::other)?;
        wire.send(&original_answer(&Secret::new(key.to_owned()), &salt))?;
        wire.receive().map(|_verdict| wire)
    }

    /// Makes a call and waits for its answer.
    pub(super) fn call(&mut self, method: &str, vargs: Vec<Value>) -> io::Result<Outcome> {
        let request = Request::new(method, Arguments::positional(vargs));
        let mut frame = BytesMut::new();
        request.encode(Encoding::Json, &mut frame).map_err(io::Error::other)?;
        self.0.write_all(&frame)?;
        let mut reply: Value = serde_json::from_slice(&self.receive()?)?;
        if let Some(result) = reply.get_mut("result") {
            return Ok(Ok(result.take()));
        }
        let text = |name: &str| reply["exception"][name].as_str().map(str::to_owned);
        let message = text("message").or(reply["exception"].as_str().map(str::to_owned));
        Ok(Err((text("type").unwrap_or("Exception".to_owned()), message.unwrap_or_default())))
    }

    /// The next request.
    pub(super) fn request(&mut self) -> io::Result<Value> {
        Ok(serde_json::from_slice(&self.receive()?)?)
    }

    /// Answers it.
    pub(super) fn reply(&mut self, outcome: Outcome) -> io::Result<()> {
        let reply = match outcome {
            Ok(result) => Reply::Result(result.into()),
            Err((kind, message)) => Reply::Fault(Fault::new(kind, message)),
        };
        let mut frame = BytesMut::new();
        reply.encode(Encoding::Json, &mut frame);
        self.0.write_all(&frame)
    }

    /// Sends one frame.
    pub(super) fn send(&mut self, payload: &[u8]) -> io::Result<()> {
        self.0.write_all(&super::super::framed(payload))
    }

    fn receive(&mut self) -> io::Result<Vec<u8>> {
        let mut header = [0; 4];
        self.0.read_exact(&mut header)?;
        let mut payload = vec![0; u32::from_be_bytes(header) as usize];
        self.0.read_exact(&mut payload)?;
        Ok(payload)
    }

    /// Waits for replies without a limit, as the original does at sessions.
    pub(super) fn without_limit(self) -> io::Result<Wire> {
        self.0.set_read_timeout(None).map(|()| self)
    }

    /// Whether the other side has closed it. Nobody may be waiting for a reply.
    pub(super) fn has_ended(&self) -> bool {
        let quiet = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        let peeked = self.0.set_nonblocking(true).and_then(|()| self.0.peek(&mut [0]));
        let ended = peeked.as_ref().map_or_else(|error| !quiet(error), |count| *count == 0);
        ended || self.0.set_nonblocking(false).is_err()
    }

    pub(super) fn stream(&self) -> TcpStream {
        self.0.try_clone().expect("a socket")
    }
}

/// What is dropped ends, whoever else holds the socket.
impl Drop for Wire {
    fn drop(&mut self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// The open connections of somebody, who can end them all.
#[derive(Default)]
pub(super) struct Open(Mutex<Vec<TcpStream>>);

impl Open {
    pub(super) fn add(&self, stream: TcpStream) {
        self.0.lock().expect("no panic").push(stream);
    }

    pub(super) fn end(&self) {
        for stream in self.0.lock().expect("no panic").drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}
