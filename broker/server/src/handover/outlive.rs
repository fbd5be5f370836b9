//! The old process once another one rules: serves the sessions it has, and says what it closes, until all is
//! closed. (Specification 7.1.)

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use ave_profile::SessionId;
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::{Duration, timeout};
use tracing::{info, warn};

use super::channel::{Channel, Message};
use super::elders::Visitor;
use super::give::Successor;
use super::stillness::Departure;
use crate::gate;
use crate::site::Site;

/// How long those who are told to connect anew may take to hear it.
const FAREWELL_LIMIT: Duration = Duration::from_secs(1);

/// How much is passed on of why a piece could not be closed, in characters.
const REASON_CHARS_MAX: usize = 4096;

/// Serves the sessions of a process whose time is over, until all that it held is closed. `stop` follows the
/// last of its guests, or a word of the process that rules, or that one's death: a crash of the broker ends all
/// sessions. A process that rules and is slow disturbs nobody.
pub(crate) async fn outlive(site: Arc<Site>, successor: Successor) {
    let Successor { channel, departures, _elder } = successor;
    site.reign.guests.close();
    tokio::select! {
        () = report(&site, channel.as_ref(), departures) => {}
        never = heed(&site, channel.as_ref()) => match never {},
        never = leave(&site) => match never {},
    }
}

/// Tells what is closed, and sends on who came here too late, until the hub has closed everything.
async fn report(site: &Site, mut channel: Option<&Channel>, mut departures: UnboundedReceiver<Departure>) {
    let Some(mut late) = site.reign.late() else { return };
    loop {
        let told = tokio::select! {
            Some((Visitor { session, read, stream }, _guest)) = late.recv() => match channel {
                Some(channel) => {
                    channel.send_patiently(&Message::Proxy { session, read }, &[stream.as_fd()]).await
                }
                None => Ok(()),
            },
            departure = departures.recv() => match (departure, channel) {
                (None, _) => return,
                (Some(departure), Some(channel)) => tell(channel, departure).await,
                (Some(_), None) => Ok(()),
            },
        };
        if told.is_err() {
            channel = None; // `heed` hears of it, too
        }
    }
}

/// Does what the process that rules says, for as long as there is one.
async fn heed(site: &Arc<Site>, channel: Option<&Channel>) -> Infallible {
    if let Some(channel) = channel {
        let error = loop {
            let heeded = match channel.receive().await {
                Ok(Some((message, descriptors))) => obey(site, channel, message, descriptors).await,
                Ok(None) => break io::Error::other("the process that rules has died"),
                Err(error) => Err(error),
            };
            if let Err(error) = heeded {
                break error;
            }
        };
        warn!(%error, "this process ends: nobody rules any more");
        site.stop.cancel();
    }
    std::future::pending().await
}

/// Ends the process when the last of its guests has gone.
async fn leave(site: &Site) -> Infallible {
    site.reign.guests.wait().await;
    info!("the last session has ended");
    site.reign.farewell.cancel();
    site.connections.close();
    let _ = timeout(FAREWELL_LIMIT, site.connections.wait()).await;
    site.stop.cancel();
    std::future::pending().await
}

/// What cannot be said, because it is too long, is found out when the session or this process has ended.
async fn tell(channel: &Channel, departure: Departure) -> io::Result<()> {
    let message = match departure {
        Departure::Piece { session, item, outcome } => {
            let outcome = outcome.map_err(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
            Message::Departed { session, item, outcome }
        }
        Departure::Session(session) => Message::Ended { session },
    };
    match channel.send_patiently(&message, &[]).await {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            warn!(%error, "the process that rules does not hear of a piece at once");
            Ok(())
        }
        sent => sent,
    }
}

async fn obey(
    site: &Arc<Site>,
    channel: &Channel,
    message: Message,
    descriptors: Vec<OwnedFd>,
) -> io::Result<()> {
    match message {
        Message::Ping => channel.send_patiently(&Message::Pong, &[]).await,
        Message::Close { session } => {
            end_session(site, session);
            Ok(())
        }
        Message::Proxy { session, read } => {
            let [stream] = descriptors.try_into().map_err(|_| io::Error::other("wanted a connection"))?;
            let stream = std::net::TcpStream::from(stream);
            stream.set_nonblocking(true)?;
            gate::admit(TcpStream::from_std(stream)?, session, read, site);
            Ok(())
        }
        Message::Log { filter } => {
            if let Err(error) = site.log.change(&filter) {
                warn!(%error, "this process logs as before");
            }
            Ok(())
        }
        Message::Stop => {
            site.stop.cancel();
            Ok(())
        }
        other => Err(io::Error::other(format!("wanted a word of the process that rules, found {other:?}"))),
    }
}

/// One that has ended already has told so.
fn end_session(site: &Site, session: SessionId) {
    if let Some(handle) = site.keys.handle(session) {
        info!(%session, "closed by an administrator");
        handle.end();
    }
}
