//! The new process: asks the old one for all it has, and rules once the old one says so.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use anyhow::{Context, Result, anyhow, bail};
use ave_core::{Remainder, Snapshot};
use ave_profile::Generation;
use tokio::time::{Duration, Instant, timeout};

use super::channel::{Channel, Message, PROTOCOL, Received};
use super::elders::Elder;
use super::{Estate, SessionKey, estate};
use crate::config::Paths;
use crate::daemon;
use crate::daemon::service;

/// How long the old process may take to freeze: requests that are under way are answered first.
const FREEZE_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take for any other word.
const WORD_LIMIT: Duration = Duration::from_secs(10);

/// How many older processes there may be.
const ELDERS_MAX: usize = 100_000;

/// The older processes, the last of which waits to hear whether this one could go on.
#[derive(Debug)]
pub(crate) struct Ancestry {
    old: Elder,
    elders: Vec<Elder>,
    watchdog: Option<Duration>,
}

/// What a new process is given.
#[derive(Debug)]
pub(crate) struct Inheritance {
    /// Who gives it.
    pub(crate) ancestry: Ancestry,
    /// Where the broker listens.
    pub(crate) listener: TcpListener,
    /// What is lent, and what the draft lacks.
    pub(crate) remainder: Remainder,
    /// The keys of sessions that older processes serve.
    pub(crate) keys: Vec<SessionKey>,
    /// Since when nobody lends.
    pub(crate) frozen: Instant,
}

/// An old process that is willing to hand over.
#[derive(Debug)]
pub(crate) struct Willing {
    channel: Channel,
    generation: Generation,
    first: First,
}

/// What it has said so far.
#[derive(Debug)]
enum First {
    /// What there is, as if nothing was lent. It goes on lending.
    Draft(Box<Snapshot>),
    /// As a program says that knows no drafts.
    Begun(Begun),
}

/// An old process that has frozen.
#[derive(Debug)]
struct Begun {
    knows_log: bool,
    watchdog_us: Option<u64>,
    frozen: Instant,
}

/// Asks the old process of this home to hand over, and what there is.
///
/// # Errors
/// If there is none, or it refuses, hangs or says what cannot be understood. It then goes on.
pub(crate) async fn ask(paths: &Paths) -> Result<Willing> {
    let door = paths.handover_socket();
    let channel = Channel::dial(&door).with_context(|| match daemon::ruling(paths) {
        Some(ruling) => {
            format!("process {ruling}, which rules, has not opened {} yet, or cannot", door.display())
        }
        None => format!("no broker answers at {}", door.display()),
    })?;
    let (generation, first) =
        match greet(&channel).await.map_err(|error| unless_late(error, &channel, paths))? {
            (Message::Draft { generation }, descriptors) => {
                let [draft] = exactly(descriptors)?;
                let draft = estate::read_draft(draft).context("what the running broker drafts")?;
                (generation, First::Draft(Box::new(draft)))
            }
            (Message::Begin { generation, knows_log, watchdog_us }, _) => {
                (generation, First::Begun(Begun { knows_log, watchdog_us, frozen: Instant::now() }))
            }
            (Message::Refused { reason }, _) => bail!("the running broker refuses: {reason}"),
            (other, _) => return Err(unexpected("Draft", &other)),
        };
    Ok(Willing { channel, generation, first })
}

impl Willing {
    /// What there is, as if nothing was lent; nothing, if the old process does not say.
    pub(crate) fn draft(&self) -> Snapshot {
        match &self.first {
            First::Draft(draft) => Snapshot::clone(draft),
            First::Begun(_) => Snapshot::default(),
        }
    }

    /// This process's number.
    pub(crate) fn heirs_generation(&self) -> Generation {
        Generation(self.generation.0 + 1)
    }

    /// Has the old process freeze, and pass on what the draft does not say.
    ///
    /// # Errors
    /// As [`ask`].
    pub(crate) async fn inherit(self) -> Result<Inheritance> {
        let Willing { channel, generation, first } = self;
        let Begun { knows_log, watchdog_us, frozen } = match first {
            First::Draft(_) => begin(&channel, generation).await?,
            First::Begun(begun) => begun,
        };
        let mut elders = Vec::new();
        let descriptors = loop {
            match hear(&channel, WORD_LIMIT).await? {
                (Message::Elder { generation, knows_log }, descriptors) if elders.len() < ELDERS_MAX => {
                    let [socket] = exactly(descriptors)?;
                    let channel = Channel::new(socket)?;
                    // One that has died meanwhile takes its sessions with it: its end is heard later.
                    elders.push(Elder::new(generation, knows_log, channel).context("an older process")?);
                }
                (Message::Estate, descriptors) => break descriptors,
                (other, _) => return Err(unexpected("Estate", &other)),
            }
        };
        let [estate, listener] = exactly(descriptors)?;
        let Estate { remainder, keys } = Estate::read(estate).context("what the running broker passes on")?;
        let old = Elder::new(generation, knows_log, channel).context("the running broker")?;
        let watchdog = watchdog_us.map(Duration::from_micros);
        let ancestry = Ancestry { old, elders, watchdog };
        Ok(Inheritance { ancestry, listener: listener.into(), remainder, keys, frozen })
    }
}

/// Says that the draft has been taken in, upon which the old process freezes.
async fn begin(channel: &Channel, old: Generation) -> Result<Begun> {
    let frozen = Instant::now();
    channel.send(&Message::Drafted, &[]).await.context("the running broker does not listen")?;
    match hear(channel, FREEZE_LIMIT).await? {
        (Message::Begin { generation, knows_log, watchdog_us }, _) if generation == old => {
            Ok(Begun { knows_log, watchdog_us, frozen })
        }
        (other, _) => Err(unexpected("Begin", &other)),
    }
}

impl Ancestry {
    /// Within which time the service manager wants to hear from the broker, if it does.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    /// Says that this process could go on, and waits until it is to. From then on the old one does nothing
    /// before it has heard [`Ancestry::rule`], or knows that this process is dead.
    ///
    /// # Errors
    /// If the old one has changed its mind: it rules.
    pub(crate) async fn ready(&self) -> Result<()> {
        self.old.channel.send(&Message::Ready, &[]).await.context("the running broker does not listen")?;
        match hear(&self.old.channel, WORD_LIMIT).await? {
            (Message::Yours, _) => Ok(()),
            (other, _) => Err(unexpected("Yours", &other)),
        }
    }

    /// Says that this process rules. If nobody is there to hear it, it rules all the same.
    pub(crate) async fn rule(self) -> Vec<Elder> {
        let Ancestry { old, mut elders, .. } = self;
        if let Err(error) = old.channel.send(&Message::Mine, &[]).await {
            tracing::warn!(%error, "the process before died in the middle of the handover");
        }
        elders.push(old);
        elders
    }
}

/// The first word, and the answer.
async fn greet(channel: &Channel) -> Result<Received> {
    let hello = Message::Hello {
        protocol: PROTOCOL,
        program: env!("CARGO_PKG_VERSION").to_owned(),
        snapshots: (Snapshot::OLDEST, Snapshot::NEWEST),
        service: service::is_there(),
        drafts: true,
    };
    channel.send(&hello, &[]).await.context("the running broker does not listen")?;
    hear(channel, FREEZE_LIMIT).await
}

/// Of several processes that want to take over one does: who waited at the door of the process before it says so.
fn unless_late(error: anyhow::Error, channel: &Channel, paths: &Paths) -> anyhow::Error {
    match (daemon::ruling(paths), channel.peer()) {
        (Some(ruling), Ok(asked)) if ruling != asked => {
            anyhow!("another process has just taken over: {ruling}")
        }
        _ => error,
    }
}

async fn hear(channel: &Channel, limit: Duration) -> Result<Received> {
    let received = timeout(limit, channel.receive()).await;
    let received =
        received.map_err(|_| anyhow!("the running broker said nothing for {} s", limit.as_secs()))?;
    received
        .context("the running broker")?
        .ok_or_else(|| anyhow!("the running broker broke off the handover"))
}

fn unexpected(wanted: &str, found: &Message) -> anyhow::Error {
    let found: String = format!("{found:?}").chars().take(100).collect();
    anyhow!("the running broker speaks differently: wanted {wanted}, found {found}")
}

fn exactly<const N: usize>(descriptors: Vec<OwnedFd>) -> io::Result<[OwnedFd; N]> {
    let found = descriptors.len();
    descriptors.try_into().map_err(|_| io::Error::other(format!("wanted {N} descriptors, found {found}")))
}
