//! One connection to another broker or to a session there, as its client: connects, shakes hands, calls,
//! and finds out when nobody is there any more. Retries nothing.

use std::net::SocketAddr;

use ave_profile::{Address, Map, Value};
use ave_protocol::arguments::Arguments;
use ave_protocol::error::Fault;
use ave_protocol::frame;
use ave_protocol::handshake::{self, Credential, HandshakeError, Salt};
use ave_protocol::limits::Limits;
use ave_protocol::message::{Encoding, Reply, Request};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Duration, Instant, sleep_until, timeout, timeout_at};

use crate::log::brief;
use crate::wire::{Wire, WireError};

/// How long another broker may take to accept a connection and to send its challenge, as in the original.
/// (Specification 5.9.)
const DIAL_LIMIT: Duration = Duration::from_secs(5);

/// A silent peer is asked by the system after this long, this often, and given up after as many unanswered
/// questions. (Specification 1.2.)
const KEEPALIVE: Duration = Duration::from_secs(5);
const KEEPALIVE_PROBES: u32 = 5;

/// So many times within the silence limit an idle peer is asked whether it is there: one lost packet is no
/// silence.
const PINGS_WITHIN_LIMIT: u32 = 3;

/// Why a call has no result. After anything but [`Fault`](LineError::Fault) and [`Plain`](LineError::Plain)
/// the line is of no further use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LineError {
    /// Nobody can be reached there, or not in time.
    #[error("cannot connect to {address}: {why}")]
    Unreachable { address: Address, why: String },
    /// The connection ended, or what came over it made no sense.
    #[error("the connection is lost: {0}")]
    Lost(String),
    /// Nothing was heard for the silence limit.
    #[error("nothing was heard for {} s", .0.as_secs())]
    Silent(Duration),
    /// The reply did not come in time.
    #[error("no answer within {} s", .0.as_secs_f32())]
    Late(Duration),
    /// The called method raised.
    #[error("{0}")]
    Fault(Fault),
    /// The request was rejected before a method ran.
    #[error("{0}")]
    Plain(String),
}

impl LineError {
    /// Whether a process answered that another one has taken over from.
    pub(crate) fn is_restarting(&self) -> bool {
        matches!(self, LineError::Fault(fault) if fault.kind == "Restarting")
    }
}

impl From<WireError> for LineError {
    fn from(error: WireError) -> LineError {
        LineError::Lost(error.to_string())
    }
}

/// One connection, as a client.
pub(crate) struct Line<S = TcpStream> {
    wire: Wire<S>,
    limits: Limits,
    silence: Duration,
    heard: Instant,
    is_ours: bool,
    must_be_known: bool,
    verdict: Option<bool>,
    /// Requests whose replies are still to come, in order.
    owed: usize,
    /// When the last of them was made.
    asked: Instant,
    /// A call was given up: its reply would be taken for that of the next.
    spent: bool,
}

impl Line {
    /// Connects to the first address behind `address` that accepts, within 5 s, and takes its challenge.
    /// An empty host is this one. (Specification 1.3, D8.)
    ///
    /// # Errors
    /// [`LineError::Unreachable`], with the reason.
    pub(crate) async fn dial(
        address: &Address,
        credential: &Credential,
        limits: &Limits,
        silence: Duration,
    ) -> Result<Line, LineError> {
        let reached = async {
            let stream = connect(address, silence).await.map_err(|error| error.to_string())?;
            Line::open(stream, credential, limits, silence).await.map_err(|error| error.to_string())
        };
        let late = || Err(format!("no answer within {} s", DIAL_LIMIT.as_secs()));
        let outcome = timeout(DIAL_LIMIT, reached).await.unwrap_or_else(|_| late());
        outcome.map_err(|why| LineError::Unreachable { address: address.clone(), why })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Line<S> {
    /// Takes the challenge. The answer leaves together with the first call, and the verdict is read with its
    /// reply: a round trip less.
    pub(super) async fn open(
        stream: S,
        credential: &Credential,
        limits: &Limits,
        silence: Duration,
    ) -> Result<Line<S>, LineError> {
        let mut wire = Wire::new(stream, limits.handshake_frame_bytes_max);
        let challenge = wire.frame().await?;
        let salt = Salt::of_challenge(&challenge).map_err(|error| instead(&challenge, limits, error))?;
        frame::encode(&credential.answer(&salt), wire.output());
        Ok(Line {
            wire,
            limits: limits.clone(),
            silence,
            heard: Instant::now(),
            is_ours: salt.has_marker(),
            must_be_known: matches!(credential, Credential::Session { .. }),
            verdict: None,
            owed: 0,
            asked: Instant::now(),
            spent: false,
        })
    }

    /// Whether the peer is of our own kind: it reads MessagePack and knows our further calls.
    pub(crate) fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Whether the peer knows the key. It says so with the reply to the first call.
    pub(crate) fn is_authenticated(&self) -> bool {
        self.verdict == Some(true)
    }

    /// Makes a call and waits for its result. `further` goes beside the request's own members.
    ///
    /// A call that is dropped, or whose reply is late, leaves a line on which no call succeeds any more.
    ///
    /// # Errors
    /// [`LineError::Fault`] and [`LineError::Plain`] are the peer's answers; anything else but
    /// [`LineError::Unreachable`] is the end of the line. A session that does not know the key is lost.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        arguments: Vec<Value>,
        further: Map,
        limit: Duration,
    ) -> Result<Value, LineError> {
        if self.spent {
            return Err(LineError::Lost("an earlier call was not answered".to_owned()));
        }
        self.spent = true;
        let arguments = Arguments { positional: arguments, named: Map::new() };
        self.ask(&Request { further, ..Request::new(method, arguments) })?;
        let reply = timeout(limit, self.last_reply()).await.unwrap_or(Err(LineError::Late(limit)))?;
        self.spent = false;
        match reply {
            Reply::Result(value) => Ok(value),
            Reply::Plain(text) => Err(LineError::Plain(text)),
            Reply::Fault(fault) => Err(LineError::Fault(fault)),
        }
    }

    /// Waits until the line is of no further use, and asks the peer now and then whether it is there.
    /// Dropping the future loses nothing.
    pub(crate) async fn idle(&mut self) -> LineError {
        loop {
            if self.spent {
                return LineError::Lost("an earlier call was not answered".to_owned());
            }
            if let Err(error) = self.beat().await {
                return error;
            }
        }
    }

    /// Waits until the peer has closed the line, without a word: for services that make one call at a time
    /// and cannot answer while they do.
    pub(crate) async fn closed(&mut self) -> LineError {
        self.wire.lost().await.into()
    }

    /// One pause and one ping.
    async fn beat(&mut self) -> Result<(), LineError> {
        if self.owed == 0 {
            tokio::select! {
                lost = self.wire.lost() => return Err(lost.into()),
                () = sleep_until(self.heard + self.silence / PINGS_WITHIN_LIMIT) => {}
            }
            self.ask(&Request::new("get_version", Arguments::default()))?;
        }
        let rest = self.silence - self.silence / PINGS_WITHIN_LIMIT;
        timeout_at(self.asked + rest, self.last_reply())
            .await
            .map_err(|_| LineError::Silent(self.silence))?
            .map(drop)
    }

    /// Puts a request into the output; it leaves before its reply is waited for.
    fn ask(&mut self, request: &Request) -> Result<(), LineError> {
        if self.owed == 0 && self.verdict.is_some() && !self.wire.is_quiet() {
            return Err(LineError::Lost("the peer spoke without being asked".to_owned()));
        }
        let encoding = if self.is_ours { Encoding::MessagePack } else { Encoding::Json };
        request.encode(encoding, self.wire.output()).map_err(|error| LineError::Lost(error.to_string()))?;
        self.owed += 1;
        self.asked = Instant::now();
        Ok(())
    }

    /// The reply to the request that was made last. Dropping the future loses nothing.
    async fn last_reply(&mut self) -> Result<Reply, LineError> {
        let known = match self.verdict {
            Some(known) => known,
            None => self.read_verdict().await?,
        };
        if self.must_be_known && !known {
            return Err(LineError::Lost("the session does not know the key".to_owned()));
        }
        loop {
            let payload = self.wire.frame().await?;
            self.heard = Instant::now();
            self.owed -= 1;
            if self.owed == 0 {
                let reply = Reply::parse(&payload, &self.limits);
                return reply.map_err(|error| LineError::Lost(error.to_string()));
            }
        }
    }

    async fn read_verdict(&mut self) -> Result<bool, LineError> {
        let payload = self.wire.frame().await?;
        let known =
            handshake::read_verdict(&payload).map_err(|error| instead(&payload, &self.limits, error))?;
        self.wire.set_frame_bytes_max(self.limits.frame_bytes_max);
        self.verdict = Some(known);
        Ok(known)
    }
}

/// What a peer has sent instead of its part of the handshake: why it has no room, or nothing that makes sense.
fn instead(payload: &[u8], limits: &Limits, error: HandshakeError) -> LineError {
    match Reply::parse(payload, limits) {
        Ok(Reply::Fault(fault)) => LineError::Lost(brief(&fault.message)),
        _ => LineError::Lost(error.to_string()),
    }
}

async fn connect(address: &Address, silence: Duration) -> std::io::Result<TcpStream> {
    let host = if address.host.is_empty() { "127.0.0.1" } else { &*address.host };
    let mut outcome = Err(std::io::Error::other("the host has no address"));
    for found in lookup_host((host, address.port)).await? {
        outcome = connect_to(found, silence).await;
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

async fn connect_to(address: SocketAddr, silence: Duration) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    let options = SockRef::from(&socket);
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    options.set_tcp_keepalive(&keepalive.with_retries(KEEPALIVE_PROBES))?;
    options.set_tcp_user_timeout(Some(silence))?;
    let stream = socket.connect(address).await?;
    // Dialling a free port of one's own host can, rarely, meet oneself.
    if stream.local_addr()? == address {
        return Err(std::io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

#[cfg(test)]
mod tests;
