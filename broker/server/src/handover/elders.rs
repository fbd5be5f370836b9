//! The older processes of this broker, which still serve the sessions they have: what they say reaches the hub,
//! and what concerns their sessions reaches them. One that dies or hangs gives up what it held.
//! (Specification 7.1.)

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ave_core::Event;
use ave_profile::{Generation, SessionId};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::channel::{Channel, Message, watched};
use crate::drivers::Drivers;
use crate::hub::HubHandle;
use crate::keys::Keys;
use crate::site::Site;

/// How often an older process is asked whether it is alive.
const PING_PERIOD: Duration = Duration::from_secs(3);

/// How often it may not answer: after 12 s nobody knows what its sessions do, and it is killed. Counted, because
/// this process may have been stopped itself.
const PINGS_MAX: u32 = 4;

/// How long one that says nothing more may take to end.
const END_LIMIT: Duration = Duration::from_secs(3);

/// How much may wait to be told to one.
const ERRANDS_MAX: usize = 1024;

/// One older process, and the way to it.
#[derive(Debug)]
pub(crate) struct Elder {
    pub(crate) generation: Generation,
    pub(crate) pid: Pid,
    /// Names the process even when its number is used anew; `None` if it was dead already.
    process: Option<OwnedFd>,
    pub(crate) channel: Channel,
}

/// What to tell one.
enum Errand {
    Close(SessionId),
    Proxy { session: SessionId, read: Vec<u8>, stream: OwnedFd },
    Stop,
}

struct Way {
    pid: Pid,
    errands: mpsc::Sender<Errand>,
}

/// All older processes.
#[derive(Default)]
pub(crate) struct Elders {
    ways: Mutex<BTreeMap<Generation, Way>>,
    tasks: tokio::sync::Mutex<JoinSet<Option<Elder>>>,
}

impl Elder {
    /// The process at the other end of a channel.
    ///
    /// # Errors
    /// If it is another user's.
    pub(crate) fn new(generation: Generation, channel: Channel) -> std::io::Result<Elder> {
        let pid = channel.peer()?;
        Ok(Elder { generation, pid, process: pidfd_open(pid, PidfdFlags::empty()).ok(), channel })
    }

    /// Makes sure that it is gone. One that is about to end is given some time.
    async fn end(&mut self, is_ending: bool) {
        let Some(process) = self.process.take() else { return };
        let Ok(process) = watched(process) else { return };
        if is_ending && timeout(END_LIMIT, process.readable()).await.is_ok() {
            return;
        }
        match pidfd_send_signal(process.get_ref(), Signal::KILL) {
            Ok(()) | Err(Errno::SRCH) => drop(timeout(END_LIMIT, process.readable()).await),
            Err(error) => warn!(pid = %self.pid, %error, "an older process cannot be killed"),
        }
    }
}

impl Elders {
    /// Attends to these from now on.
    pub(crate) async fn attend(&self, elders: Vec<Elder>, site: &Site) {
        let mut tasks = self.tasks.lock().await;
        for elder in elders {
            let (errands, incoming) = mpsc::channel(ERRANDS_MAX);
            self.ways().insert(elder.generation, Way { pid: elder.pid, errands });
            tasks.spawn(attend(elder, incoming, site.hub.clone(), site.keys.clone(), site.drivers.clone()));
        }
    }

    /// Attends to nobody any more; who is still there. What they say meanwhile waits in their channels.
    pub(crate) async fn leave(&self) -> Vec<Elder> {
        self.ways().clear(); // upon which the tasks end
        let mut tasks = self.tasks.lock().await;
        let mut left = Vec::new();
        while let Some(task) = tasks.join_next().await {
            left.extend(task.ok().flatten());
        }
        left.sort_by_key(|elder| elder.generation);
        left
    }

    /// Has every one of them end, and waits until they have.
    pub(crate) async fn stop(&self) {
        let ways: Vec<_> = self.ways().values().map(|way| way.errands.clone()).collect();
        for errands in ways {
            let _ = errands.send(Errand::Stop).await;
        }
        let mut tasks = self.tasks.lock().await;
        while tasks.join_next().await.is_some() {}
    }

    /// Has one end a session.
    pub(crate) fn close(&self, generation: Generation, session: SessionId) {
        self.tell(generation, Errand::Close(session));
    }

    /// Passes a connection on to the process that serves this session.
    pub(crate) fn pass(&self, generation: Generation, session: SessionId, read: Vec<u8>, stream: OwnedFd) {
        self.tell(generation, Errand::Proxy { session, read, stream });
    }

    /// Which there are.
    pub(crate) fn list(&self) -> Vec<(Generation, Pid)> {
        let ways = self.ways();
        let attended = ways.iter().filter(|(_, way)| !way.errands.is_closed());
        attended.map(|(generation, way)| (*generation, way.pid)).collect()
    }

    /// One that takes nothing is stuck, and will be found so.
    fn tell(&self, generation: Generation, errand: Errand) {
        let Some(way) = self.ways().get(&generation).map(|way| way.errands.clone()) else { return };
        if way.try_send(errand).is_err() {
            warn!(%generation, "an older process does not take what it is told");
        }
    }

    fn ways(&self) -> MutexGuard<'_, BTreeMap<Generation, Way>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Attends to one until it is gone, or until nobody may send it on errands any more: then it is returned.
async fn attend(
    mut elder: Elder,
    mut errands: mpsc::Receiver<Errand>,
    hub: HubHandle,
    keys: Arc<Keys>,
    drivers: Drivers,
) -> Option<Elder> {
    let mut unanswered = 0;
    let mut ping_at = Instant::now() + PING_PERIOD;
    let why = loop {
        let told = tokio::select! {
            errand = errands.recv() => match errand {
                Some(errand) => tell(&elder.channel, errand).await,
                None => return Some(elder),
            },
            received = elder.channel.receive() => match received {
                Ok(Some((message, _))) => {
                    unanswered = 0;
                    hear(message, &hub, &keys).await
                }
                Ok(None) => break "it has ended".to_owned(),
                Err(error) => Err(error),
            },
            () = sleep_until(ping_at) => {
                ping_at = Instant::now() + PING_PERIOD;
                unanswered += 1;
                match unanswered > PINGS_MAX {
                    true => break "it does not answer".to_owned(),
                    false => elder.channel.send(&Message::Ping, &[]).await,
                }
            }
        };
        if let Err(error) = told {
            break error.to_string();
        }
    };
    elder.end(unanswered <= PINGS_MAX).await;
    let Elder { generation, pid, .. } = elder;
    info!(%generation, %pid, why, "an older process is gone");
    keys.forget_generation(generation);
    drivers.sweep_after(pid);
    let reason = format!("the process that lent it ({pid}) died before it was closed");
    hub.tell(Event::GenerationLost { generation, reason }).await;
    None
}

async fn tell(channel: &Channel, errand: Errand) -> std::io::Result<()> {
    match errand {
        Errand::Close(session) => channel.send(&Message::Close { session }, &[]).await,
        Errand::Stop => channel.send(&Message::Stop, &[]).await,
        Errand::Proxy { session, read, stream } => {
            channel.send(&Message::Proxy { session, read }, &[stream.as_fd()]).await
        }
    }
}

async fn hear(message: Message, hub: &HubHandle, keys: &Keys) -> std::io::Result<()> {
    match message {
        Message::Departed { session, item, outcome } => {
            hub.tell(Event::ElderClosed { session, item, outcome }).await;
        }
        Message::Ended { session } => {
            hub.tell(Event::ElderEnded { session }).await;
            keys.forget_elder(session);
        }
        Message::Pong => {}
        other => return Err(std::io::Error::other(format!("wanted news of its sessions, found {other:?}"))),
    }
    Ok(())
}
