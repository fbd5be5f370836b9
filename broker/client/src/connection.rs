//! One connection: the client's side of the handshake, then requests and their replies.

use std::mem;
use std::time::Duration;

use ave_profile::Value;
use ave_protocol::frame;
use ave_protocol::handshake::{self, HandshakeError, Salt};
use ave_protocol::limits::Limits;
use ave_protocol::message::{Encoding, Reply, Request};
use bytes::{Bytes, BytesMut};

use crate::patience::Patience;
use crate::stream::Stream;
use crate::{ClientError, Credential, Options};

/// A connection to a broker or to one session.
///
/// It is closed by the first call that does not see its reply, because the next would take that late
/// reply for its own. Every later call is [`ClientError::Closed`].
pub struct Connection {
    stream: Option<Stream>,
    outgoing: BytesMut,
    encoding: Encoding,
    verdict: Verdict,
    must_be_known: bool,
    options: Options,
    limits: Limits,
}

#[derive(Clone, Copy)]
enum Verdict {
    /// Not read yet; so much of the connect limit is left for it.
    Due(Option<Duration>),
    Known(bool),
}

impl Connection {
    /// Connects and receives the challenge.
    ///
    /// The answer to it leaves together with the first request, and the verdict is read with its reply:
    /// a round trip less. So call soon, or [`authenticated`](Connection::authenticated): the server
    /// waits a minute.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if nobody listens and `options` are not optimistic,
    /// [`ClientError::Fault`] if the server has no room, [`ClientError::TimedOut`],
    /// [`ClientError::WrongChallenge`], [`ClientError::Closed`], [`ClientError::Io`]. (Specification 1.3, 9.)
    pub fn open(
        address: (&str, u16),
        credential: &Credential,
        options: &Options,
    ) -> Result<Connection, ClientError> {
        let limits = Limits::default();
        let patience = Patience::new(options.connect_limit, options.interrupt.as_ref());
        let mut stream = Stream::dial(address, options.optimistic, &patience)?;
        let challenge = match stream.read(limits.handshake_frame_bytes_max, &patience) {
            Err(ClientError::Protocol(_)) => return Err(ClientError::WrongChallenge),
            outcome => outcome?,
        };
        let salt = Salt::of_challenge(&challenge).map_err(|error| instead(&challenge, error))?;
        let mut outgoing = BytesMut::new();
        let answer = match options.original_answer {
            true => credential.original_answer(&salt),
            false => credential.answer(&salt),
        };
        frame::encode(&answer, &mut outgoing);
        let offered = if salt.has_marker() { Encoding::MessagePack } else { Encoding::Json };
        Ok(Connection {
            stream: Some(stream),
            outgoing,
            encoding: options.encoding.unwrap_or(offered),
            verdict: Verdict::Due(patience.left()?),
            must_be_known: matches!(credential, Credential::Session { .. }),
            options: options.clone(),
            limits,
        })
    }

    /// Whether the server knows the key; finishes the handshake if need be.
    ///
    /// # Errors
    /// As for [`call`](Connection::call).
    pub fn authenticated(&mut self) -> Result<bool, ClientError> {
        if let Verdict::Known(known) = self.verdict {
            return Ok(known);
        }
        let mut stream = self.stream.take().ok_or(ClientError::Closed)?;
        self.flush(&mut stream)?;
        let known = self.read_verdict(&mut stream)?;
        self.stream = Some(stream);
        Ok(known)
    }

    /// Makes a call and waits for its result; null, at once, for an asynchronous one.
    ///
    /// # Errors
    /// [`ClientError::Fault`] and [`ClientError::Plain`] are the server's answers. Anything else closes
    /// the connection: [`ClientError::Refused`] if a session does not know the key,
    /// [`ClientError::Closed`], [`ClientError::TimedOut`], [`ClientError::Interrupted`],
    /// [`ClientError::Protocol`].
    pub fn call(&mut self, request: &Request) -> Result<Value, ClientError> {
        let mut stream = self.stream.take().ok_or(ClientError::Closed)?;
        request.encode(self.encoding, &mut self.outgoing)?;
        self.flush(&mut stream)?;
        if request.asynchronous {
            self.stream = Some(stream);
            return Ok(Value::Null);
        }
        if !self.read_verdict(&mut stream)? && self.must_be_known {
            return Err(ClientError::Refused);
        }
        let payload = self.read(&mut stream, self.options.reply_limit, self.limits.frame_bytes_max)?;
        let (reply, warning) = Reply::parse_with(&payload, &self.limits)?;
        self.stream = Some(stream);
        if let Some((warned, warning)) = self.options.warned.as_ref().zip(warning) {
            warned(&warning);
        }
        match reply {
            Reply::Result(value) => Ok(value),
            Reply::Plain(text) => Err(ClientError::Plain(text)),
            Reply::Fault(fault) => Err(ClientError::Fault(fault)),
        }
    }

    /// Whether no call can be made any more.
    pub fn is_closed(&self) -> bool {
        self.stream.is_none()
    }

    fn flush(&mut self, stream: &mut Stream) -> Result<(), ClientError> {
        let patience = Patience::new(self.options.reply_limit, self.options.interrupt.as_ref());
        stream.write(&mem::take(&mut self.outgoing), &patience)
    }

    fn read_verdict(&mut self, stream: &mut Stream) -> Result<bool, ClientError> {
        let limit = match self.verdict {
            Verdict::Known(known) => return Ok(known),
            Verdict::Due(left) => left,
        };
        let payload = self.read(stream, limit, self.limits.handshake_frame_bytes_max)?;
        let known = handshake::read_verdict(&payload).map_err(|error| instead(&payload, error))?;
        self.verdict = Verdict::Known(known);
        Ok(known)
    }

    fn read(
        &self,
        stream: &mut Stream,
        limit: Option<Duration>,
        bytes_max: usize,
    ) -> Result<Bytes, ClientError> {
        stream.read(bytes_max, &Patience::new(limit, self.options.interrupt.as_ref()))
    }
}

/// What a server has sent instead of its part of the handshake: why it has no room, or nothing that makes sense.
fn instead(payload: &[u8], error: HandshakeError) -> ClientError {
    match Reply::parse(payload, &Limits::default()) {
        Ok(Reply::Fault(fault)) => ClientError::Fault(fault),
        _ => error.into(),
    }
}
