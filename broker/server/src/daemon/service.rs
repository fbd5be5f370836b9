//! What a service manager (systemd) hears of this process: that it answers, that it still does, that it has taken
//! over, that it stops; and the socket that a manager has opened for it. Where there is none, nobody is told.

use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{self as unix, UnixDatagram};
use std::time::Duration;

use ave_profile::Refusal;
use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};

use crate::hub::HubHandle;

/// Where a manager listens.
const NOTIFY_SOCKET: &str = "NOTIFY_SOCKET";

/// What tells a process that it is a service. A daemon that leaves its terminal behind is none: whatever these say, they
/// are meant for whoever has started it.
pub(crate) const ENVIRONMENT: [&str; 5] =
    [NOTIFY_SOCKET, "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID"];

/// How often the manager hears at least that the broker still answers.
const PAT_PERIOD_MAX: Duration = Duration::from_secs(5);

/// How long a manager that does not read may hold up what it is told once.
const TELL_LIMIT: Duration = Duration::from_secs(5);

/// The same for what it is told again and again.
const PAT_LIMIT: Duration = Duration::from_millis(10);

/// Whether a manager wants to hear anything.
pub(crate) fn is_there() -> bool {
    std::env::var_os(NOTIFY_SOCKET).is_some()
}

/// The socket that a manager has opened for this process. To be asked for once, and before there are threads: what
/// says so is taken out of the environment.
///
/// # Errors
/// If there are several, or it is none of TCP.
pub(crate) fn opened_socket() -> io::Result<Option<TcpListener>> {
    let mut opened = ListenFd::from_env();
    match opened.len() {
        0 | 1 => opened.take_tcp_listener(0),
        several => {
            Err(io::Error::other(format!("wanted one socket of the service manager, found {several}")))
        }
    }
}

/// The broker answers, and is this process: the manager may have started another one, before a restart.
pub(crate) fn ready(address: SocketAddr) {
    let status = format!("listening on {address}");
    tell(
        &[NotifyState::MainPid(std::process::id()), NotifyState::Status(&status), NotifyState::Ready],
        TELL_LIMIT,
    );
}

/// The broker ends, and with it its sessions.
pub(crate) fn stopping() {
    tell(&[NotifyState::Status("ending all sessions"), NotifyState::Stopping], TELL_LIMIT);
}

/// Within which time the manager wants to hear that this process answers, if it has started it and watches it.
pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Says again and again, at least twice within `limit`, that the broker answers, for as long as it really does: the hub
/// has to say how many sessions there are. Safe to drop at any time.
pub(crate) async fn pat(hub: HubHandle, limit: Option<Duration>) -> Infallible {
    let period = limit.map_or(PAT_PERIOD_MAX, |limit| PAT_PERIOD_MAX.min(limit / 2));
    pat_for(period, || hub.look(|core| core.census().sessions), |said| tell(said, PAT_LIMIT)).await
}

async fn pat_for<A: Future<Output = Result<usize, Refusal>>>(
    period: Duration,
    sessions: impl Fn() -> A,
    tell: impl Fn(&[NotifyState<'_>]),
) -> Infallible {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match timeout(period, sessions()).await {
            Ok(Ok(sessions)) => {
                tell(&[NotifyState::Watchdog, NotifyState::Status(&format!("{sessions} sessions"))]);
            }
            _ => warn!(limit = ?period, "the hub does not answer, and the service manager hears nothing"),
        }
    }
}

/// A manager that does not listen is no reason to do anything else than before.
fn tell(state: &[NotifyState<'_>], limit: Duration) {
    if let Err(error) = send(state, limit) {
        debug!(%error, "the service manager cannot be told");
    }
}

/// What `sd_notify` sends, which however waits for a manager that does not read, be it for ever.
fn send(state: &[NotifyState<'_>], limit: Duration) -> io::Result<()> {
    let Some(place) = std::env::var_os(NOTIFY_SOCKET) else { return Ok(()) };
    let address = match place.as_bytes() {
        [b'@', name @ ..] => unix::SocketAddr::from_abstract_name(name)?,
        _ => unix::SocketAddr::from_pathname(&place)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(limit))?;
    socket.connect_addr(&address)?;
    let said: String = state.iter().map(|word| format!("{word}\n")).collect();
    socket.send(said.as_bytes()).map(drop)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future;

    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_hangs_is_not_patted() {
        let period = Duration::from_secs(5);
        let (hangs, heard) = (RefCell::new(false), RefCell::new(Vec::new()));
        let sessions = || {
            let hangs = *hangs.borrow();
            async move { if hangs { future::pending().await } else { Ok(3) } }
        };
        let tell = |said: &[NotifyState<'_>]| heard.borrow_mut().extend(said.iter().map(ToString::to_string));
        let story = async {
            sleep(period * 5 / 2).await;
            assert_eq!(heard.take(), ["WATCHDOG=1", "STATUS=3 sessions"].repeat(3));
            hangs.replace(true);
            sleep(period * 10).await;
            assert_eq!(heard.take(), [""; 0]);
            hangs.replace(false);
            sleep(period * 2).await;
            assert!(!heard.take().is_empty(), "it answers again");
        };
        tokio::select! {
            () = story => {}
            never = pat_for(period, sessions, tell) => match never {},
        }
    }
}
