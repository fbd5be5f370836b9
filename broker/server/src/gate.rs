//! The doors: listens, accepts, and sees every connection's task to its end. Knows nothing of what is
//! said on a connection.

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ave_profile::{Refusal, SessionId};
use ave_protocol::message::{Encoding, Reply};
use bytes::BytesMut;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::connection::{self, Entrance};
use crate::crowd::Place;
use crate::handover::Phase;
use crate::keepalive::Keepalive;
use crate::limits::ACCEPT_PAUSE;
use crate::log::Complaint;
use crate::ports::PortLease;
use crate::session::SessionHandle;
use crate::site::Site;

/// As many connections may wait to be accepted as the system allows.
const BACKLOG: i32 = 4096;

/// Listens at an address. Accepted connections inherit keepalive and the absence of Nagle's algorithm.
///
/// # Errors
/// Whatever the system says, usually that the address is in use.
pub(crate) fn listen(address: SocketAddr, keepalive: Keepalive) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    keepalive.watch(SockRef::from(&socket))?;
    adopt(socket.into())
}

/// Listens on, with a socket that another process has opened: one of this broker, or a service manager. What that
/// process may have chosen otherwise stays as it is.
///
/// # Errors
/// If it does not listen, and whatever the system says.
pub(crate) fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    let socket = SockRef::from(&listener);
    if !socket.is_listener()? {
        return Err(io::Error::other("the socket does not listen"));
    }
    listener.set_nonblocking(true)?;
    SockRef::from(&listener).set_tcp_nodelay(true)?;
    TcpListener::from_std(listener)
}

/// Serves the broker's port until the broker stops and the last connection has ended. While another process
/// may take over, whoever connects waits; once it has, this one's connections stay.
pub(crate) async fn serve_broker(listener: Arc<TcpListener>, site: Arc<Site>) {
    let connections = &site.connections;
    loop {
        let accepting = accept(&listener, &site, |stream, peer, place| {
            let (site, stop) = (site.clone(), site.stop.clone());
            let welcome = (place, site.reign.guests.token()); // from now on: this process may not end before
            connections.spawn(async move {
                tokio::select! {
                    () = connection::serve(stream, Entrance::Broker(peer), welcome, site) => {}
                    () = stop.cancelled() => {}
                }
            });
        });
        tokio::select! {
            biased;
            () = site.stop.cancelled() => break,
            () = site.reign.until(|phase| *phase != Phase::Rules) => {}
            () = accepting => {}
        }
        tokio::select! {
            () = site.stop.cancelled() => break,
            () = site.reign.until(|phase| *phase != Phase::Frozen) => {}
        }
        if site.reign.phase() == Phase::Over {
            break;
        }
    }
    drop(listener);
    site.stop.cancelled().await;
    connections.close();
    connections.wait().await;
}

/// Serves a proxy that showed its session's key to the process that rules now.
pub(crate) fn admit(stream: TcpStream, session: SessionId, read: Vec<u8>, site: &Arc<Site>) {
    let Some(handle) = site.keys.handle(session) else { return debug!(%session, "a proxy comes too late") };
    let host = stream.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
    let place = site.crowd.enter(host).and_then(|place| place.introduce(true).map(|()| place));
    let Ok(place) = place else { return debug!(%session, "a proxy too many") };
    let cut = handle.cut.clone();
    let resumed = connection::resume(stream, read, handle.clone(), site.clone());
    handle.connections.spawn(async move {
        let _place = place;
        tokio::select! {
            () = resumed => {}
            () = cut.cancelled() => {}
        }
    });
}

/// Serves a session's own port until the session's connections are cut.
pub(crate) async fn serve_session(
    listener: TcpListener,
    lease: PortLease,
    site: Arc<Site>,
    handle: Arc<SessionHandle>,
) {
    let accepting = accept(&listener, &site, |stream, _, place| {
        let (site, session) = (site.clone(), handle.clone());
        let welcome = (place, site.reign.guests.token());
        handle.connections.spawn(async move {
            tokio::select! {
                () = connection::serve(stream, Entrance::Session(session.clone()), welcome, site) => {}
                () = session.cut.cancelled() => {}
            }
        });
    });
    tokio::select! {
        () = accepting => {}
        () = handle.cut.cancelled() => {}
    }
    drop(listener);
    drop(lease);
}

async fn accept(listener: &TcpListener, site: &Site, mut serve: impl FnMut(TcpStream, SocketAddr, Place)) {
    let mut complaint = Complaint::default();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                match site.crowd.enter(peer.ip()) {
                    Ok(place) => {
                        debug!(%peer, "connected");
                        serve(stream, peer, place);
                    }
                    Err(refusal) => turn_away(stream, refusal),
                }
                yield_now().await; // those who are in have their turn before the next comes in
            }
            Err(error) => {
                debug!(%error, "not accepted");
                if let Some(times) = complaint.again() {
                    warn!(%error, times, "cannot accept connections");
                }
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Says why in place of the challenge, and closes. So little fits into a new socket; if not, the end says it.
fn turn_away(stream: TcpStream, refusal: Refusal) {
    let mut frame = BytesMut::new();
    Reply::Fault(refusal.into()).encode(Encoding::Json, &mut frame);
    let _ = stream.into_std().and_then(|mut stream| stream.write(&frame));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn accepted_connections_inherit_keepalive_and_no_delay_22_23() {
        for (within, idle_s, pause_s, probes, given_up_ms) in [(30, 5, 5, 5, 27_500), (1, 1, 1, 1, 1_500)] {
            let listener = listen("127.0.0.1:0".parse().unwrap(), Keepalive::within(within)).unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (accepted, _) = listener.accept().await.unwrap();
            let socket = SockRef::from(&accepted);
            assert!(socket.keepalive().unwrap() && socket.tcp_nodelay().unwrap());
            assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(idle_s));
            assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(pause_s));
            assert_eq!(socket.tcp_keepalive_retries().unwrap(), probes);
            let given_up = Duration::from_millis(given_up_ms);
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(given_up));
        }
    }
}
