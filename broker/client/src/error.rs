//! Why a call has no result.

use std::io;

use ave_protocol::error::Fault;
use ave_protocol::frame::FrameError;
use ave_protocol::handshake::HandshakeError;
use ave_protocol::message::NotAReply;

/// Why a call has no result. After anything but [`Fault`](ClientError::Fault) and
/// [`Plain`](ClientError::Plain) the connection is of no further use; nor after a fault in place of the handshake.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens there, or the session is gone.
    #[error("connection refused")]
    Refused,
    /// The connection ended, now or earlier.
    #[error("connection closed")]
    Closed,
    /// A limit passed while connecting or waiting for a reply.
    #[error("timed out")]
    TimedOut,
    /// Whoever listens there is no AVE service.
    #[error("wrong challenge")]
    WrongChallenge,
    /// The called method raised.
    #[error("{0}")]
    Fault(Fault),
    /// The request was rejected before a method ran.
    #[error("{0}")]
    Plain(String),
    /// The interrupt of the options asked to give up.
    #[error("interrupted")]
    Interrupted,
    /// Something is to be given back, but nothing was ever got.
    #[error("no resources to yield")]
    NothingToYield,
    /// The peer sent, or was to be sent, what the protocol does not allow.
    #[error("{0}")]
    Protocol(String),
    /// The system's own words about an address or a socket.
    #[error("{0}")]
    Io(io::Error),
}

/// Errors of looking up and connecting. A connection that exists is simply [`ClientError::Closed`] by
/// any error.
impl From<io::Error> for ClientError {
    fn from(error: io::Error) -> ClientError {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => ClientError::Refused,
            io::ErrorKind::ConnectionReset => ClientError::Closed,
            io::ErrorKind::TimedOut => ClientError::TimedOut,
            _ => ClientError::Io(error),
        }
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> ClientError {
        ClientError::Protocol(error.to_string())
    }
}

impl From<NotAReply> for ClientError {
    fn from(error: NotAReply) -> ClientError {
        ClientError::Protocol(error.to_string())
    }
}

impl From<HandshakeError> for ClientError {
    fn from(error: HandshakeError) -> ClientError {
        match error {
            HandshakeError::WrongChallenge => ClientError::WrongChallenge,
            HandshakeError::NoVerdict => ClientError::Protocol(error.to_string()),
        }
    }
}
