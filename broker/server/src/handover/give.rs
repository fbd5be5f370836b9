//! The old process: freezes when another one has come that could go on, and thaws unless that one says that it
//! does. (Specification 7.1.)

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ave_core::{Core, Snapshot};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::{Duration, sleep, timeout};
use tracing::{error, info, warn};

use super::channel::{Channel, Door, Message, PROTOCOL, watched};
use super::elders::Elder;
use super::reign::Abdication;
use super::stillness::{Departure, Still};
use super::{Estate, Phase, SessionKey, estate};
use crate::daemon::elders::ElderFile;
use crate::daemon::{Post, service};
use crate::limits::ACCEPT_PAUSE;
use crate::session::SessionHandle;
use crate::site::Site;

/// How long requests that other brokers have been asked about may take to be answered: longer than any does.
const STILL_WITHIN: Duration = Duration::from_secs(6);

/// How long the new process may take over a draft. Only another new one waits for that, or who ends the reign by hand.
const DRAFT_LIMIT: Duration = Duration::from_secs(6);

/// How long the new process may take for a word. Until then whoever asks for equipment waits.
const WORD_LIMIT: Duration = Duration::from_secs(3);

/// How long the system may take to remove a killed process.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// The process that has taken over.
pub(crate) struct Successor {
    /// `None` if an administrator has ended this reign by hand.
    pub(super) channel: Option<Channel>,
    pub(super) departures: mpsc::UnboundedReceiver<Departure>,
    /// Says that this process still lives.
    pub(super) _elder: ElderFile,
}

impl Successor {
    /// Whether this process knows which one it is.
    pub(crate) fn is_known(&self) -> bool {
        self.channel.is_some()
    }
}

/// What is told from the handover on, and the mark of a process that goes.
type Going = (mpsc::UnboundedReceiver<Departure>, ElderFile);

/// What the new program and this one both know.
struct Common {
    /// The version of snapshots.
    version: u32,
    drafts: bool,
}

/// Waits for somebody to take over.
pub(crate) struct Giver {
    site: Arc<Site>,
    post: Arc<Post>,
    listener: Arc<TcpListener>,
    /// `None` if it could not be opened: then nobody can take over, and everything else goes on.
    door: Option<Door>,
}

impl Giver {
    /// Opens the door for whoever wants to take over this broker, which listens there.
    pub(crate) fn new(site: Arc<Site>, post: Arc<Post>, listener: Arc<TcpListener>) -> Giver {
        let path = site.config.paths.handover_socket();
        let door = Door::open(&path)
            .inspect_err(|error| error!(path = %path.display(), %error, "--restart will not be possible"));
        Giver { site, post, listener, door: door.ok() }
    }

    /// Returns once somebody has taken over, or `None` once the broker is to stop. Who could not take over leaves
    /// no trace.
    pub(crate) async fn run(self) -> Option<Successor> {
        let mut abdications = self.site.reign.abdications();
        loop {
            let met = tokio::select! {
                () = self.site.stop.cancelled() => return None,
                accepted = accept(self.door.as_ref()) => match accepted {
                    Ok(channel) => self.meet(&channel).await.map(|going| (Some(channel), going)),
                    Err(error) => {
                        sleep(ACCEPT_PAUSE).await;
                        Err(error)
                    }
                },
                Some(heard) = next(&mut abdications) => self.abdicate(heard).await.map(|going| (None, going)),
            };
            match met {
                Ok((channel, (departures, _elder))) => {
                    return Some(Successor { channel, departures, _elder });
                }
                Err(error) => warn!(%error, "no other process has taken over"),
            }
        }
    }

    /// An administrator ends this reign: whoever takes over then is not known here.
    async fn abdicate(&self, heard: Abdication) -> io::Result<Going> {
        self.site.reign.enter(Phase::Frozen);
        match self.freeze_alone().await {
            Ok((sessions, going)) => {
                self.site.hub.settle(true).await;
                self.site.reign.enter(Phase::Over);
                let _ = heard.send(Ok(sessions));
                Ok(going)
            }
            Err(error) => {
                self.site.hub.settle(false).await;
                self.site.reign.enter(Phase::Rules);
                let _ = heard.send(Err(error.to_string()));
                Err(error)
            }
        }
    }

    async fn freeze_alone(&self) -> io::Result<(Vec<Arc<SessionHandle>>, Going)> {
        let elder = ElderFile::take(&self.site.config.paths)?;
        let Still { sessions, departures, .. } = self.unless_stopped(self.freeze()).await?;
        Ok((sessions, (departures, elder)))
    }

    async fn freeze(&self) -> io::Result<Still> {
        let still = timeout(STILL_WITHIN, self.site.hub.freeze()).await;
        let late = |_| io::Error::other("a request is not answered yet; try again");
        still.map_err(late)?.map_err(|refusal| io::Error::other(refusal.message))
    }

    /// Hands over to whoever it is, or refuses.
    async fn meet(&self, channel: &Channel) -> io::Result<Going> {
        let pid = channel.peer()?;
        let Common { version, drafts } = match self.common_ground(hear(channel, WORD_LIMIT).await?) {
            Ok(common) => common,
            Err(reason) => {
                channel.send(&Message::Refused { reason: reason.clone() }, &[]).await?;
                return Err(io::Error::other(reason));
            }
        };
        info!(%pid, "another process takes over");
        let draft = match drafts {
            true => self.unless_stopped(self.draft(channel, version)).await?,
            false => Snapshot::default(),
        };
        self.site.reign.enter(Phase::Frozen);
        let elders = self.site.elders.leave().await;
        match self.hand_over((channel, pid), &elders, (version, &draft)).await {
            Ok(going) => {
                self.site.hub.settle(true).await;
                self.site.reign.enter(Phase::Over);
                Ok(going)
            }
            Err(error) => {
                self.site.elders.attend(elders, &self.site).await;
                self.site.hub.settle(false).await;
                self.site.reign.enter(Phase::Rules);
                Err(error)
            }
        }
    }

    /// What both programs know, the newest version of snapshots among it.
    fn common_ground(&self, message: Message) -> Result<Common, String> {
        let Message::Hello { protocol, program, snapshots: (oldest, newest), service, drafts } = message
        else {
            return Err("wanted Hello first".to_owned());
        };
        if protocol != PROTOCOL {
            return Err(format!(
                "version {program} hands over by protocol {protocol}, this broker by {PROTOCOL}"
            ));
        }
        if service::is_there() && !service {
            return Err(
                "it is a service, and its manager would not know the new process. have the manager do it: \
                        systemctl reload"
                    .to_owned(),
            );
        }
        if self.site.stop.is_cancelled() {
            return Err("it is being stopped".to_owned());
        }
        let version = newest.min(Snapshot::NEWEST);
        if version < oldest.max(Snapshot::OLDEST) {
            let (ours_from, ours_to) = (Snapshot::OLDEST, Snapshot::NEWEST);
            return Err(format!(
                "version {program} reads snapshots of version {oldest} to {newest}, this broker ({}) writes \
                 {ours_from} to {ours_to}. use --stop and --start, which ends all sessions",
                env!("CARGO_PKG_VERSION")
            ));
        }
        Ok(Common { version, drafts })
    }

    /// Once the new process may rule it is known who does before this one stops: one of them has to be seen by
    /// whoever wants to end this broker.
    async fn hand_over(
        &self,
        (channel, pid): (&Channel, Pid),
        elders: &[Elder],
        told: (u32, &Snapshot),
    ) -> io::Result<Going> {
        let going = self.unless_stopped(self.pass_on(channel, elders, told)).await?;
        self.commit(channel, pid).await?;
        Ok(going)
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::select! {
            done = work => done,
            () = self.site.stop.cancelled() => Err(io::Error::other("the broker is being stopped")),
        }
    }

    /// Tells the new process what there is, and waits until it has taken that in. Lending goes on meanwhile.
    async fn draft(&self, channel: &Channel, version: u32) -> io::Result<Snapshot> {
        let known =
            self.site.hub.look(Core::estate).await.map_err(|error| io::Error::other(error.to_string()))?;
        let draft = known.draft();
        let message = Message::Draft { generation: self.site.generation };
        channel.send(&message, &[estate::write_draft(&draft, version)?.as_fd()]).await?;
        expect(channel, &Message::Drafted, DRAFT_LIMIT).await?;
        Ok(draft)
    }

    /// Gives the new process all that it needs beside the draft, which then says that it could go on.
    async fn pass_on(
        &self,
        channel: &Channel,
        elders: &[Elder],
        (version, draft): (u32, &Snapshot),
    ) -> io::Result<Going> {
        let Still { snapshot, sessions, departures, journal } = self.freeze().await?;
        let generation = self.site.generation;
        let watchdog_us = self.post.watchdog().and_then(|limit| limit.as_micros().try_into().ok());
        channel.send(&Message::Begin { generation, knows_log: true, watchdog_us }, &[]).await?;
        for elder in elders {
            let message = Message::Elder { generation: elder.generation, knows_log: elder.knows_log };
            channel.send(&message, &[elder.channel.as_fd()]).await?;
        }
        let own = sessions.iter().map(|session| SessionKey {
            session: session.id,
            key: session.key.clone(),
            generation,
        });
        let keys = own.chain(self.site.keys.elders()).collect();
        let estate = Estate { remainder: snapshot.since(draft), keys }.write(version)?;
        channel.send(&Message::Estate, &[estate.as_fd(), self.listener.as_fd()]).await?;
        expect(channel, &Message::Ready, WORD_LIMIT).await?;
        let elder = ElderFile::take(&self.site.config.paths)?;
        if let Some(journal) = journal {
            journal.wait().await?;
        }
        Ok((departures, elder))
    }

    /// From the first word on the new process may rule: this one must not before it knows that the other
    /// does not.
    async fn commit(&self, channel: &Channel, pid: Pid) -> io::Result<()> {
        let process = watched(pidfd_open(pid, PidfdFlags::empty())?)?;
        // An original master would forget what the new process says when this one's connection ends after it.
        let shared = self.site.sharing.stop().await;
        let agreed = match channel.send(&Message::Yours, &[]).await {
            Ok(()) => expect(channel, &Message::Mine, WORD_LIMIT).await,
            failed => failed,
        };
        if agreed.is_err() {
            // It has died, or will not do anything any more.
            let _ = pidfd_send_signal(process.get_ref(), Signal::KILL);
            let _ = timeout(KILL_LIMIT, process.readable()).await;
            if hear(channel, WORD_LIMIT).await.is_ok_and(|last| last == Message::Mine) {
                return Ok(()); // it ruled, and may have lent, before it was killed: that is a crash of the broker
            }
            if shared {
                self.site.sharing.start(&self.site).await;
            }
            self.post.reclaim(self.site.address.1)?;
        }
        agreed
    }
}

async fn accept(door: Option<&Door>) -> io::Result<Channel> {
    match door {
        Some(door) => door.accept().await,
        None => std::future::pending().await,
    }
}

/// What the new process says next.
async fn hear(channel: &Channel, limit: Duration) -> io::Result<Message> {
    let silent = |_| io::Error::other(format!("the new process said nothing for {} s", limit.as_secs()));
    let received = timeout(limit, channel.receive()).await.map_err(silent)??;
    received.map(|(message, _)| message).ok_or_else(|| io::Error::other("the new process has ended"))
}

async fn expect(channel: &Channel, wanted: &Message, limit: Duration) -> io::Result<()> {
    match hear(channel, limit).await? {
        found if found == *wanted => Ok(()),
        found => {
            let found: String = format!("{found:?}").chars().take(100).collect();
            Err(io::Error::other(format!("wanted {wanted:?}, found {found}")))
        }
    }
}

async fn next(abdications: &mut Option<mpsc::Receiver<Abdication>>) -> Option<Abdication> {
    match abdications {
        Some(abdications) => abdications.recv().await,
        None => None,
    }
}
