//! The older processes of this broker, which still serve the sessions they have: what they say reaches the hub,
//! and what concerns their sessions reaches them. One that dies or hangs gives up what it held.
//! (Specification 7.1.)

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use ave_core::Event;
use ave_profile::{Generation, SessionId};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinSet;
use tokio::time::{Duration, Instant, sleep_until, timeout};
use tracing::{info, warn};

use super::channel::{Channel, Message, Received, watched};
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
    /// Whether it can be told what to log: programs of before cannot.
    pub(crate) knows_log: bool,
    pub(crate) channel: Channel,
}

/// A connection that has shown the key of a session of another process.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) session: SessionId,
    /// What was read of the connection after the key.
    pub(crate) read: Vec<u8>,
    pub(crate) stream: OwnedFd,
}

/// What to tell one.
enum Errand {
    Close(SessionId),
    Proxy(Visitor),
    Log(String),
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
    pub(crate) fn new(generation: Generation, knows_log: bool, channel: Channel) -> io::Result<Elder> {
        let pid = channel.peer()?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok();
        Ok(Elder { generation, pid, process, knows_log, channel })
    }

    /// Makes sure that it is gone. One that is about to end is given some time.
    async fn end(&mut self, is_ending: bool) {
        let Some(process) = self.process.take() else { return };
        let Ok(process) = watched(process) else { return };
        // The first process of a container stays after it has served everybody.
        if is_ending && (self.pid.is_init() || timeout(END_LIMIT, process.readable()).await.is_ok()) {
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
            let surroundings = Surroundings {
                hub: site.hub.clone(),
                keys: site.keys.clone(),
                drivers: site.drivers.clone(),
                elders: Arc::downgrade(&site.elders),
            };
            tasks.spawn(attend(elder, incoming, surroundings));
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
        let _ = self.tell(generation, Errand::Close(session));
    }

    /// Has every one of them log what a filter lets through.
    pub(crate) fn log(&self, filter: &str) {
        let elders = self.list();
        for (generation, _) in elders {
            let _ = self.tell(generation, Errand::Log(filter.to_owned()));
        }
    }

    /// Passes a connection on to the process that serves its session.
    ///
    /// # Errors
    /// The connection, if there is no way to that process: it has died, or the way is another process's now.
    pub(crate) fn pass(&self, generation: Generation, visitor: Visitor) -> Result<(), Visitor> {
        match self.tell(generation, Errand::Proxy(visitor)) {
            Err(Errand::Proxy(visitor)) => Err(visitor),
            _ => Ok(()),
        }
    }

    /// Which there are.
    pub(crate) fn list(&self) -> Vec<(Generation, Pid)> {
        let ways = self.ways();
        let attended = ways.iter().filter(|(_, way)| !way.errands.is_closed());
        attended.map(|(generation, way)| (*generation, way.pid)).collect()
    }

    /// Gives the errand back if there is no way. One that takes nothing is stuck, and will be found so.
    fn tell(&self, generation: Generation, errand: Errand) -> Result<(), Errand> {
        let Some(way) = self.ways().get(&generation).map(|way| way.errands.clone()) else {
            return Err(errand);
        };
        match way.try_send(errand) {
            Err(TrySendError::Full(_)) => {
                warn!(%generation, "an older process does not take what it is told")
            }
            Err(TrySendError::Closed(errand)) => return Err(errand),
            Ok(()) => {}
        }
        Ok(())
    }

    fn ways(&self) -> MutexGuard<'_, BTreeMap<Generation, Way>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom what an older process says concerns.
struct Surroundings {
    hub: HubHandle,
    keys: Arc<Keys>,
    drivers: Drivers,
    elders: Weak<Elders>,
}

/// Attends to one until it is gone, or until nobody may send it on errands any more: then it is returned.
async fn attend(
    mut elder: Elder,
    mut errands: mpsc::Receiver<Errand>,
    around: Surroundings,
) -> Option<Elder> {
    let mut unanswered = 0;
    let mut ping_at = Instant::now() + PING_PERIOD;
    let why = loop {
        let told = tokio::select! {
            biased;
            errand = errands.recv() => match errand {
                Some(errand) => tell(&elder, errand).await,
                None => return Some(elder),
            },
            received = elder.channel.receive() => match received {
                Ok(Some(received)) => {
                    unanswered = 0;
                    hear(received, &around).await
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
    around.keys.forget_generation(generation);
    around.drivers.sweep_after(pid);
    let reason = format!("the process that lent it ({pid}) died before it was closed");
    around.hub.tell(Event::GenerationLost { generation, reason }).await;
    None
}

async fn tell(elder: &Elder, errand: Errand) -> io::Result<()> {
    let channel = &elder.channel;
    match errand {
        Errand::Log(filter) if elder.knows_log => channel.send(&Message::Log { filter }, &[]).await,
        Errand::Log(_) => {
            info!(pid = %elder.pid, "an older process of an older version logs as before");
            Ok(())
        }
        Errand::Close(session) => channel.send(&Message::Close { session }, &[]).await,
        Errand::Stop => channel.send(&Message::Stop, &[]).await,
        Errand::Proxy(Visitor { session, read, stream }) => {
            channel.send(&Message::Proxy { session, read }, &[stream.as_fd()]).await
        }
    }
}

async fn hear((message, descriptors): Received, around: &Surroundings) -> io::Result<()> {
    let Surroundings { hub, keys, elders, .. } = around;
    match message {
        Message::Departed { session, item, outcome } => {
            hub.tell(Event::ElderClosed { session, item, outcome }).await;
        }
        Message::Ended { session } => {
            hub.tell(Event::ElderEnded { session }).await;
            keys.forget_elder(session);
        }
        // It came to that process, and is meant for one that is older still.
        Message::Proxy { session, read } => {
            let [stream] = descriptors.try_into().map_err(|_| io::Error::other("wanted a connection"))?;
            if let (Some(elder), Some(elders)) = (keys.elder(session), elders.upgrade()) {
                let _ = elders.pass(elder.generation, Visitor { session, read, stream }); // or it has died
            }
        }
        Message::Pong => {}
        other => return Err(io::Error::other(format!("wanted news of its sessions, found {other:?}"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::channel::pair;
    use super::*;

    #[tokio::test]
    async fn an_older_process_hears_only_what_it_knows() {
        for knows_log in [false, true] {
            let (ours, theirs) = pair();
            let elder = Elder::new(Generation(1), knows_log, ours).unwrap();
            tell(&elder, Errand::Log("debug".to_owned())).await.unwrap();
            tell(&elder, Errand::Stop).await.unwrap();
            if knows_log {
                let filter = "debug".to_owned();
                assert_eq!(theirs.receive().await.unwrap().unwrap().0, Message::Log { filter });
            }
            assert_eq!(theirs.receive().await.unwrap().unwrap().0, Message::Stop);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_older_process_that_takes_no_connections_is_found_stuck() {
        let (ours, _theirs) = pair();
        let elder = Elder::new(Generation(1), true, ours).unwrap();
        let filling = async {
            loop {
                let (stream, _) = std::os::unix::net::UnixStream::pair().unwrap();
                let visitor = Visitor { session: SessionId(7), read: vec![0; 60_000], stream: stream.into() };
                if let Err(error) = tell(&elder, Errand::Proxy(visitor)).await {
                    return error;
                }
            }
        };
        let error = timeout(Duration::from_secs(3600), filling).await.unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
