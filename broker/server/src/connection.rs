//! One connection, from the handshake to its end: frames become calls, answers become frames. What a
//! call does is in `calls`; what a connection may call depends on what its handshake showed.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::Arc;

use ave_profile::Map;
use ave_protocol::error::Fault;
use ave_protocol::frame::{self, FrameError};
use ave_protocol::handshake::{self, Answer, Salt};
use ave_protocol::message::{Encoding, Envelope, Malformed, Reply};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{debug, info};

use crate::calls::broker::Client;
use crate::calls::session::Proxy;
use crate::crowd::Place;
use crate::handover::Phase;
use crate::handover::elders::Visitor;
use crate::keys::{Caller, ElderKey};
use crate::limits::LARGE_FRAME_BYTES;
use crate::log::brief;
use crate::session::SessionHandle;
use crate::site::{Site, random};
use crate::wire::{Wire, WireError};

/// Where a connection came in.
pub(crate) enum Entrance {
    /// At the broker's port, from here.
    Broker(SocketAddr),
    /// At a session's own port.
    Session(Arc<SessionHandle>),
}

/// What becomes of a connection after a call.
pub(crate) enum Outcome {
    /// The answer, and on with the next call.
    Answer(Reply),
    /// The last answer; the connection ends with it.
    LastAnswer(Reply),
    /// The last answer; the whole broker stops with it.
    Stop(Reply),
    /// No answer; the connection ends.
    Close,
}

impl From<Fault> for Outcome {
    fn from(fault: Fault) -> Outcome {
        Outcome::Answer(Reply::Fault(fault))
    }
}

/// Whoever answers the calls of a connection.
pub(crate) trait Answering {
    /// Answers one call.
    async fn answer(&self, envelope: Envelope, encoding: Encoding) -> Outcome;

    /// How long the peer may say nothing while no call of its own is being answered, if it has said that it
    /// will not.
    fn silence_limit(&self) -> Option<Duration> {
        None
    }

    /// The peer was silent for longer than that.
    fn silent(&self) {}

    /// What a client that can read it is told beside the next answer.
    fn warning(&self) -> Option<Map> {
        None
    }

    /// The peer has gone while its call is being answered. Whatever it held is given back now.
    fn lost(&self) {}
}

/// What a connection travels over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {
    /// Gives the connection to another process, if that is possible.
    fn pass_on(self) -> Option<OwnedFd>;
}

impl Stream for TcpStream {
    fn pass_on(self) -> Option<OwnedFd> {
        self.into_std().ok().map(OwnedFd::from)
    }
}

#[cfg(test)]
impl Stream for tokio::io::DuplexStream {
    fn pass_on(self) -> Option<OwnedFd> {
        None
    }
}

/// Serves a connection until it ends. Whatever ends it, what it held is given back.
/// As long as nobody knows who it is, it may be a guest.
pub(crate) async fn serve<S: Stream>(
    stream: S,
    entrance: Entrance,
    (place, guest): (Place, TaskTrackerToken),
    site: Arc<Site>,
) {
    let limits = &site.config.broker.limits;
    let mut wire = Wire::new(stream, limits.handshake_frame_bytes_max);
    let limit = Duration::from_secs(limits.handshake_limit_s);
    let shaken = tokio::select! {
        shaken = timeout(limit, shake_hands(&mut wire, &entrance, &site)) => shaken,
        refusal = place.pushed_out() => {
            debug!("no handshake before others wanted in");
            Reply::Fault(refusal.into()).encode(Encoding::Json, wire.output());
            let _ = wire.flush().await; // so little fits into any socket
            return;
        }
    };
    let caller = match shaken {
        Ok(Ok(caller)) => caller,
        Ok(Err(error)) => return debug!(%error, "no handshake"),
        Err(_) => return debug!("no handshake in time"),
    };
    if let Err(refusal) = place.introduce(caller.is_authenticated()) {
        Reply::Fault(refusal.into()).encode(Encoding::Json, wire.output());
        return wire.part().await;
    }
    debug!(?caller, "connected");
    let ended = match (entrance, caller) {
        (_, Caller::Elder(key)) => return pass_on(wire, &key, guest, &site).await,
        (_, Caller::Session(session)) => {
            drop(guest);
            welcome(&mut wire, true, &site);
            return attend(wire, session, site).await;
        }
        (Entrance::Session(_), caller) => {
            welcome(&mut wire, caller.is_authenticated(), &site);
            converse(&mut wire, Proxy::new(site.clone(), None), &site).await
        }
        (Entrance::Broker(peer), caller) => {
            let _guest = matches!(caller, Caller::Anonymous | Caller::Unknown).then_some(guest);
            welcome(&mut wire, caller.is_authenticated(), &site);
            let cut = CancellationToken::new();
            let client = Client::new(site.clone(), caller, peer, cut.clone());
            let ended = until_cut(&cut, converse(&mut wire, client, &site));
            tokio::select! {
                biased; // a share whose connection is cut is told nothing
                ended = ended => ended,
                () = site.reign.farewell.cancelled() => say_farewell(&mut wire).await,
            }
        }
    };
    if let Err(error) = ended {
        debug!(%error, "disconnected");
    }
}

/// Goes on with a proxy of a session of this process, whose key another process has seen, and which has said
/// this since.
pub(crate) async fn resume<S: Stream>(
    stream: S,
    read: Vec<u8>,
    session: Arc<SessionHandle>,
    site: Arc<Site>,
) {
    let mut wire = Wire::resumed(stream, &read);
    welcome(&mut wire, true, &site);
    attend(wire, session, site).await;
}

/// The verdict; it may leave together with the first answer: a client that has asked already is woken once.
fn welcome<S: Stream>(wire: &mut Wire<S>, authenticated: bool, site: &Site) {
    wire.set_frame_bytes_max(site.config.broker.limits.frame_bytes_max);
    wire.share_room(site.received.claim(), site.unsent.claim());
    frame::encode(handshake::verdict(authenticated), wire.output());
}

/// Serves a proxy until it leaves or its session cuts it off.
async fn attend<S: Stream>(mut wire: Wire<S>, session: Arc<SessionHandle>, site: Arc<Site>) {
    let cut = session.cut.clone();
    let here = session.connections.token();
    let conversation = converse(&mut wire, Proxy::new(site.clone(), Some(session)), &site);
    let ended = until_cut(&cut, conversation).await;
    drop(wire); // closed before anybody is told that it is cut
    drop(here);
    if let Err(error) = ended {
        debug!(%error, "disconnected");
    }
}

/// The process that serves the session serves its proxy, from the verdict on. While another process takes over,
/// the ways to older ones are nobody's; once it rules they are its own.
async fn pass_on<S: Stream>(wire: Wire<S>, key: &ElderKey, guest: TaskTrackerToken, site: &Site) {
    let (stream, read) = wire.into_parts();
    let Some(stream) = stream.pass_on() else { return };
    let mut visitor = Visitor { session: key.session, read, stream };
    loop {
        let before = site.reign.phase();
        let Err(returned) = site.elders.pass(key.generation, visitor) else { return };
        visitor = returned;
        match (before, site.reign.phase()) {
            (_, Phase::Over) => return site.reign.pass_late(visitor, guest),
            (Phase::Rules, Phase::Rules) => return debug!(session = %key.session, "its process is gone"),
            _ => site.reign.until(|phase| *phase != Phase::Frozen).await,
        }
    }
}

/// The broker has restarted, and nobody is left whom this process serves. (Specification 7.1.)
async fn say_farewell<S: Stream>(wire: &mut Wire<S>) -> Result<(), WireError> {
    let farewell = Fault::new("Exit", "broker restarted. please reconnect");
    Reply::Fault(farewell).encode(Encoding::Json, wire.output());
    wire.flush().await
}

async fn until_cut(
    cut: &CancellationToken,
    conversation: impl Future<Output = Result<(), WireError>>,
) -> Result<(), WireError> {
    tokio::select! {
        biased;
        () = cut.cancelled() => Ok(()),
        ended = conversation => ended,
    }
}

/// Challenge and answer. (Specification 1.3.)
async fn shake_hands<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    entrance: &Entrance,
    site: &Site,
) -> Result<Caller, WireError> {
    let salt = Salt::ours(random());
    frame::encode(&salt.challenge_payload(), wire.output());
    let answer = Answer::parse(&wire.frame().await?);
    Ok(match entrance {
        Entrance::Broker(_) => site.keys.caller(&salt, &answer, site.ports.is_none()).await,
        Entrance::Session(session) if session.is_shown_by(&salt, &answer) => Caller::Session(session.clone()),
        Entrance::Session(_) => Caller::Stranger,
    })
}

/// Answers call after call, in order, until either side ends it.
async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    answering: impl Answering,
    site: &Site,
) -> Result<(), WireError> {
    let mut encoding = Encoding::Json;
    loop {
        let payload = match wire.frame().await {
            Ok(payload) => payload,
            Err(WireError::Frame(FrameError::TooLong { .. })) => {
                Reply::Fault(too_long()).encode(encoding, wire.output());
                return wire.flush().await;
            }
            Err(error @ WireError::NoRoom) => {
                Reply::Fault(no_room("to be read", site)).encode(encoding, wire.output());
                wire.part().await;
                return Err(error);
            }
            Err(WireError::Closed) => return Ok(()),
            Err(error @ WireError::Silent(_)) => {
                answering.silent();
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let envelope = match read(payload, site, &mut encoding).await {
            Ok(envelope) => envelope,
            Err(reply) => {
                reply.encode(encoding, wire.output());
                wire.flush().await?;
                continue;
            }
        };
        let silent = envelope.asynchronous();
        let outcome = answer(wire, &answering, envelope, encoding).await;
        wire.set_silence_limit(answering.silence_limit());
        let (Outcome::Answer(reply) | Outcome::LastAnswer(reply) | Outcome::Stop(reply)) = &outcome else {
            return wire.flush().await;
        };
        if !silent {
            let warning = match encoding {
                Encoding::MessagePack => answering.warning(),
                Encoding::Json => None, // an original client, which would not expect it
            };
            put(wire, reply, warning.as_ref(), encoding, site);
            wire.flush().await?;
        } else {
            log_failure(reply);
        }
        match outcome {
            Outcome::Answer(_) => {}
            Outcome::Stop(_) => {
                site.stop.cancel();
                return Ok(());
            }
            _ => return Ok(()),
        }
    }
}

/// Puts a reply into the output, or why there is no room for it.
fn put<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    reply: &Reply,
    warning: Option<&Map>,
    encoding: Encoding,
    site: &Site,
) {
    let before = wire.output().len();
    reply.encode_with(warning, encoding, wire.output());
    if !wire.has_room_for_output() {
        info!(bytes = wire.output().len() - before, "no room for an answer");
        *wire.output() = BytesMut::from(&wire.output()[..before]); // with the answer goes its memory
        Reply::Fault(no_room("to be sent", site)).encode(encoding, wire.output());
    }
}

/// Nobody else will hear of it. What a rejected request said is left out: it may hold a key.
fn log_failure(reply: &Reply) {
    match reply {
        Reply::Result(_) => {}
        Reply::Fault(fault) => {
            info!(kind = brief(&fault.kind), why = brief(&fault.message), "an asynchronous call failed");
        }
        Reply::Plain(text) => {
            let check = text.split(':').next().unwrap_or_default();
            info!(check = brief(check), "an asynchronous call was rejected");
        }
    }
}

async fn read(payload: Bytes, site: &Site, encoding: &mut Encoding) -> Result<Envelope, Reply> {
    let envelope = parse(&payload, site).await.map_err(|malformed| Reply::Plain(malformed.to_string()))?;
    *encoding = Encoding::of(&payload);
    Ok(envelope)
}

/// A large frame may take a second to read: one at a time, and not on the threads that serve everybody.
async fn parse(payload: &Bytes, site: &Site) -> Result<Envelope, Malformed> {
    let limits = &site.config.broker.limits;
    if payload.len() <= LARGE_FRAME_BYTES {
        return Envelope::parse(payload, limits);
    }
    let _turn = site.large_frames.acquire().await;
    let (content, limits) = (payload.clone(), limits.clone());
    // Only a runtime that is shutting down does not begin it.
    let parsed = spawn_blocking(move || Envelope::parse(&content, &limits)).await;
    parsed.unwrap_or_else(|_| Err(Malformed::of(payload)))
}

/// Answers one call while watching for the loss of the peer.
async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    wire: &mut Wire<S>,
    answering: &impl Answering,
    envelope: Envelope,
    encoding: Encoding,
) -> Outcome {
    let mut answered = pin!(answering.answer(envelope, encoding));
    tokio::select! {
        biased;
        outcome = &mut answered => return outcome,
        _ = wire.lost() => answering.lost(),
    }
    answered.await // what was begun is finished, though nobody will read it
}

fn no_room(what: &str, site: &Site) -> Fault {
    let max = site.config.broker.limits.queued_bytes_max;
    Fault::exception(format!("too many bytes wait {what}: the limit is {max} (limits.queued_bytes_max)"))
}

fn too_long() -> Fault {
    let text = "got invalid RPC from client, signed integer is greater than maximum. disconnect";
    Fault::new("OverflowError", text)
}
