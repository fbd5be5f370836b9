//! The old process once another one rules: serves the sessions it has, and says what it closes, until all is
//! closed. (Specification 7.1.)

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use ave_profile::SessionId;
use tokio::net::TcpStream;
use tokio::time::{Duration, timeout};
use tracing::{info, warn};

use super::channel::{Channel, Message, Received};
use super::elders::send_visitor;
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
/// sessions.
pub(crate) async fn outlive(site: Arc<Site>, successor: Successor) {
    let Successor { mut channel, mut departures, _elder } = successor;
    site.reign.guests.close();
    let Some(mut late) = site.reign.late() else { return };
    let mut alone = false;
    loop {
        let said = tokio::select! {
            departure = departures.recv() => match (departure, &channel) {
                (None, _) => return, // the hub has closed everything
                (Some(departure), Some(channel)) => tell(channel, departure).await,
                (Some(_), None) => Ok(()),
            },
            received = receive(channel.as_ref()) => match received {
                Ok(Some((message, descriptors))) => obey(&site, channel.as_ref(), message, descriptors).await,
                Ok(None) => Err(io::Error::other("the process that rules has died")),
                Err(error) => Err(error),
            },
            Some((visitor, _guest)) = late.recv() => match &channel {
                Some(channel) => send_visitor(channel, visitor).await,
                None => Ok(()),
            },
            () = site.reign.guests.wait(), if !alone => {
                alone = true;
                info!("the last session has ended");
                site.reign.farewell.cancel();
                site.connections.close();
                let _ = timeout(FAREWELL_LIMIT, site.connections.wait()).await;
                site.stop.cancel();
                Ok(())
            }
        };
        if let Err(error) = said {
            warn!(%error, "this process ends: nobody rules any more");
            channel = None;
            site.stop.cancel();
        }
    }
}

async fn receive(channel: Option<&Channel>) -> io::Result<Option<Received>> {
    match channel {
        Some(channel) => channel.receive().await,
        None => std::future::pending().await,
    }
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
    match channel.send(&message, &[]).await {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            warn!(%error, "the process that rules does not hear of a piece at once");
            Ok(())
        }
        sent => sent,
    }
}

async fn obey(
    site: &Arc<Site>,
    channel: Option<&Channel>,
    message: Message,
    descriptors: Vec<OwnedFd>,
) -> io::Result<()> {
    match message {
        Message::Ping => match channel {
            Some(channel) => channel.send(&Message::Pong, &[]).await,
            None => Ok(()),
        },
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
