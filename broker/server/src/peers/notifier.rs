//! Keeps one connection to the master and tells it what this broker has, whenever that changes. Decides
//! neither what is told nor what becomes of it. (Specification 6.2, 6.5.)

use std::convert::Infallible;
use std::sync::Arc;

use ave_core::{Revision, Toward};
use ave_profile::{Address, BrokerId, Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, sleep_until};
use tracing::{debug, info, warn};

use super::dial::{Line, LineError};
use super::dialect::{Call, Dialect};
use super::picture::Picture;
use super::schedule::Schedule;
use super::update::Update;
use crate::log::brief;
use crate::site::{Site, address_value};

/// The time between two reports: what happens in between is told at once. (Specification 6.5.)
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// How many pieces are looked up in the core at once: clients are served in between.
const PIECES_AT_ONCE: usize = 256;

/// How long a master may take to say who it is. Original brokers allow as much for any answer.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// How long a master of the original kind may take for a report: the largest has megabytes to travel and is
/// read slowly. One of our own kind gets small ones, and may not be silent for longer than at other times.
const REPORT_LIMIT: Duration = Duration::from_secs(30);

/// What we speak with masters of our own kind.
const VERSION: i64 = 1;

/// Why a master is not told any more.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error(transparent)]
    Line(#[from] LineError),
    #[error("the master does not know the key of this broker, \"remote.authkey\" of broker.json")]
    Key,
    #[error("share_hello: wanted an object with the \"id\" of a broker, found {0}")]
    Hello(String),
    #[error("this broker is stopping")]
    Stopping,
}

/// The way to a master.
pub(super) trait Reach {
    /// What connections to it are.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send;

    /// Connects to it.
    fn dial(&self) -> impl Future<Output = Result<Line<Self::Stream>, LineError>> + Send;
}

/// Shares with one master until it is dropped.
pub(super) struct Notifier<R> {
    site: Arc<Site>,
    /// As configured.
    master: Address,
    reach: R,
    /// This broker's own address, as the master is to tell it to others.
    from: Value,
    revisions: watch::Receiver<Revision>,
    schedule: Schedule,
    logged: Logged,
}

/// One connection, and how far the master has been told over it.
struct Link<S> {
    line: Line<S>,
    dialect: Dialect,
    toward: Toward,
    told: Revision,
}

/// The trouble that the log has already: it is told once, not at every attempt.
#[derive(Default)]
struct Logged(Option<String>);

impl Logged {
    fn is_new(&mut self, trouble: &str) -> bool {
        self.0.replace(trouble.to_owned()).as_deref() != Some(trouble)
    }
}

impl<R: Reach> Notifier<R> {
    pub(super) fn new(site: Arc<Site>, master: Address, reach: R) -> Notifier<R> {
        let from = address_value(&site.address);
        let revisions = site.hub.revisions();
        let schedule = Schedule::new(Instant::now());
        Notifier { site, master, reach, from, revisions, schedule, logged: Logged::default() }
    }

    /// Shares over one connection after the other.
    pub(super) async fn run(mut self) -> Infallible {
        loop {
            self.until_due().await;
            self.schedule.begins(Instant::now());
            self.revisions.mark_unchanged(); // this attempt is for all that there is
            let Err(trouble) = self.share().await;
            let pause = self.schedule.failed(Instant::now());
            self.log_trouble(&trouble, pause);
        }
    }

    async fn until_due(&mut self) {
        loop {
            tokio::select! {
                () = sleep_until(self.schedule.due()) => return,
                Ok(()) = self.revisions.changed() => self.schedule.hurry(Instant::now()),
            }
        }
    }

    /// Shares over one connection, until it is lost.
    async fn share(&mut self) -> Result<Infallible, Trouble> {
        let mut line = self.reach.dial().await?;
        let broker = self.greet(&mut line).await?;
        let dialect = match broker {
            Some(_) => Dialect::Ours(Update::new(self.site.kinds.clone())),
            None => Dialect::Original(Picture::new()),
        };
        let toward = Toward { address: Some(self.master.clone()), broker };
        let mut link = Link { line, dialect, toward, told: Revision::default() };
        let mut more = self.report(&mut link).await?;
        self.log_success();
        self.schedule.succeeded();
        loop {
            let pause = sleep_until(Instant::now() + REPORT_EVERY);
            let something_to_tell = async {
                if !more {
                    self.revisions.changed().await.map_err(|_| Trouble::Stopping)?;
                }
                pause.await;
                Ok::<_, Trouble>(())
            };
            tokio::select! {
                lost = link.line.idle() => return Err(lost.into()),
                heard = something_to_tell => heard?,
            }
            more = self.report(&mut link).await?;
        }
    }

    /// Asks a master of our own kind who it is. `None` if it is of the original kind, or older than this
    /// question.
    async fn greet(&self, line: &mut Line<R::Stream>) -> Result<Option<BrokerId>, Trouble> {
        if !line.is_ours() {
            return Ok(None);
        }
        let hello = Value::Map(Map::from([
            ("id".to_owned(), self.site.id.to_string().into()),
            ("version".to_owned(), VERSION.into()),
            ("silence_limit_s".to_owned(), self.site.config.broker.silence_limit_s.into()),
        ]));
        let answer = match call(line, "share_hello", vec![hello], HELLO_LIMIT).await {
            Err(Trouble::Line(LineError::Plain(text))) if text.starts_with("no such RPC") => return Ok(None),
            answer => answer?,
        };
        let id = answer.as_map().and_then(|members| members.get("id")?.as_str()?.parse().ok());
        id.map(Some).ok_or_else(|| Trouble::Hello(brief(&answer.to_string())))
    }

    /// Tells what is new since the last report; nothing if nothing is. Returns whether there is more.
    async fn report(&mut self, link: &mut Link<R::Stream>) -> Result<bool, Trouble> {
        self.revisions.mark_unchanged(); // what changes from here on may not be in this report
        let more = loop {
            let (since, toward) = (link.told, link.toward.clone());
            let look = self.site.hub.look(move |core| core.news(since, &toward, PIECES_AT_ONCE));
            let news = look.await.map_err(|_| Trouble::Stopping)?;
            let more = news.more;
            link.told = news.upto;
            if !link.dialect.hear(news) || !more {
                break more;
            }
        };
        let limit = match link.dialect {
            Dialect::Ours(_) => Duration::from_secs(self.site.config.broker.silence_limit_s),
            Dialect::Original(_) => REPORT_LIMIT,
        };
        loop {
            let calls = link.dialect.calls(&self.from);
            if calls.is_empty() {
                return Ok(more);
            }
            for Call { method, arguments } in calls {
                call(&mut link.line, method, arguments, limit).await?;
            }
        }
    }

    fn log_success(&mut self) {
        info!(master = %self.master, "sharing");
        self.logged = Logged::default();
    }

    fn log_trouble(&mut self, trouble: &Trouble, pause: Duration) {
        let why = brief(&trouble.to_string());
        let again_in_s = pause.as_secs();
        if self.logged.is_new(&why) {
            warn!(master = %self.master, why, again_in_s, "not sharing");
        } else {
            debug!(master = %self.master, why, again_in_s, "still not sharing");
        }
    }
}

/// Makes a call that needs the key.
async fn call<S: AsyncRead + AsyncWrite + Unpin>(
    line: &mut Line<S>,
    method: &str,
    arguments: Vec<Value>,
    limit: Duration,
) -> Result<Value, Trouble> {
    match line.call(method, arguments, Map::new(), limit).await {
        Err(LineError::Plain(text)) if text.starts_with("not authorized") && !line.is_authenticated() => {
            Err(Trouble::Key)
        }
        outcome => Ok(outcome?),
    }
}

#[cfg(test)]
mod tests;
