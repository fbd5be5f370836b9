//! The doors: listens, accepts, and sees every connection's task to its end. Knows nothing of what is
//! said on a connection.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ave_profile::SessionId;
use socket2::{Domain, Socket, TcpKeepalive, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tracing::{debug, warn};

use crate::connection::{self, Entrance};
use crate::handover::Phase;
use crate::limits::ACCEPT_PAUSE;
use crate::ports::PortLease;
use crate::session::SessionHandle;
use crate::site::Site;

/// A silent peer is asked after this long, this often, and given up after as many unanswered questions:
/// 30 s in all. (Specification 1.2.)
const KEEPALIVE_S: u64 = 5;
const KEEPALIVE_PROBES: u32 = 5;

/// As many connections may wait to be accepted as the system allows.
const BACKLOG: i32 = 4096;

/// Listens at an address. Accepted connections inherit keepalive and the absence of Nagle's algorithm.
///
/// # Errors
/// Whatever the system says, usually that the address is in use.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let pause = Duration::from_secs(KEEPALIVE_S);
    let keepalive = TcpKeepalive::new().with_time(pause).with_interval(pause).with_retries(KEEPALIVE_PROBES);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    socket.set_tcp_nodelay(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Serves the broker's port until the broker stops and the last connection has ended. While another process
/// may take over, whoever connects waits; once it has, this one's connections stay.
pub(crate) async fn serve_broker(listener: Arc<TcpListener>, site: Arc<Site>) {
    let connections = &site.connections;
    loop {
        let accepting = accept(&listener, |stream, peer| {
            let (site, stop) = (site.clone(), site.stop.clone());
            connections.spawn(async move {
                tokio::select! {
                    () = connection::serve(stream, Entrance::Broker(peer), site) => {}
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
    let cut = handle.cut.clone();
    let resumed = connection::resume(stream, read, handle.clone(), site.clone());
    handle.connections.spawn(async move {
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
    let accepting = accept(&listener, |stream, _| {
        let (site, session) = (site.clone(), handle.clone());
        handle.connections.spawn(async move {
            tokio::select! {
                () = connection::serve(stream, Entrance::Session(session.clone()), site) => {}
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

async fn accept(listener: &TcpListener, mut serve: impl FnMut(TcpStream, SocketAddr)) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                debug!(%peer, "connected");
                serve(stream, peer);
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;

    #[tokio::test]
    async fn accepted_connections_inherit_keepalive_and_no_delay_22_23() {
        let listener = listen("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        let socket = SockRef::from(&accepted);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(KEEPALIVE_S));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(KEEPALIVE_S));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
        assert!(socket.tcp_nodelay().unwrap());
    }
}
