//! Drivers that are programs of the lab: one process for each granted piece, spoken to in framed JSON over
//! its standard input and output. What such a program does wrong costs its own piece, and nobody else
//! anything. A type may also have a reset command alone, and nobody who drives its pieces. (Equipment P6 to
//! P11; docs/new-equipment.md)

mod attempt;
mod limits;
mod messages;
mod process;
mod program;
#[cfg(test)]
mod tests;
mod unit;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Identity, Kind, Opening, Profile, Program, Refusal, Reset};
use tokio::io::AsyncWriteExt;
use tokio::task::spawn_blocking;
use tracing::warn;

pub(crate) use self::attempt::Attempt;
use self::limits::MARGIN;
use self::messages::{Answer, Method};
use self::process::{Lost, Process, within};
use self::program::Running;
use self::unit::PluginUnit;
use super::place::{Place, Sweep};
use super::{Driver, Unit, undriven};
use crate::config::Config;
use crate::limits::{CLOSE_GIVE_UP, LARGE_FRAME_BYTES, OPEN_GIVE_UP};

/// Opens and resets the pieces of one type with the programs its descriptor names.
pub(crate) struct PluginDriver(Arc<Plugin>);

/// What all pieces of the type share.
struct Plugin {
    kind: Arc<Kind>,
    program: Option<Program>,
    place: Place,
}

/// Why a driver did not come to its calls.
enum NotOpened {
    /// It said so, or was never started: nothing has happened to the piece.
    Refused(Refusal),
    /// It was lost while it opened.
    Lost(Lost),
}

impl PluginDriver {
    /// The driver of this type, if its descriptor names a program that drives or resets its pieces.
    pub(crate) fn of(config: &Config, kind: &Arc<Kind>, sweep: &Sweep) -> Option<PluginDriver> {
        let folder = config.types.described(&kind.name)?.folder.clone();
        PluginDriver::new(kind, Place { folder, home: config.paths.home().to_owned(), sweep: sweep.clone() })
    }

    fn new(kind: &Arc<Kind>, place: Place) -> Option<PluginDriver> {
        let program = kind.driver.clone();
        let wanted = program.is_some() || kind.reset.is_some();
        wanted.then(|| PluginDriver(Arc::new(Plugin { kind: kind.clone(), program, place })))
    }
}

#[async_trait]
impl Driver for PluginDriver {
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal> {
        if self.0.program.is_none() {
            return Ok(Box::new(PluginUnit::undriven(self.0.clone(), granted)));
        }
        match self.0.start(&granted.item, &granted.known, Some(granted.number)).await {
            Ok((process, methods)) => {
                Ok(Box::new(PluginUnit::new(self.0.clone(), granted, process, methods)))
            }
            Err(NotOpened::Lost(lost)) => Ok(Box::new(PluginUnit::lost(self.0.clone(), granted, lost))),
            Err(NotOpened::Refused(refusal)) => Err(refusal),
        }
    }

    fn lazy(&self) -> bool {
        self.0.kind.open == Opening::Lazy
    }

    fn open_limit(&self) -> Duration {
        let limits = &self.0.kind.limits;
        give_up(OPEN_GIVE_UP, [limits.open_s, limits.close_s])
    }

    fn close_limit(&self) -> Duration {
        close_limit(&self.0.kind)
    }

    async fn reset(&self, item: &Identity, known: &Profile) -> Result<(), String> {
        self.0.reset(item, known, None).await
    }
}

impl Plugin {
    /// Starts a driver, for a grant or for a reset, and lets it list its methods.
    async fn start(
        &self,
        item: &Identity,
        known: &Profile,
        grant: Option<u64>,
    ) -> Result<(Process, Vec<Method>), NotOpened> {
        let no_driver = || NotOpened::Refused(undriven::refusal(&self.kind.name, "open"));
        let program = self.program.as_ref().ok_or_else(no_driver)?;
        let started = Process::start(&self.place, &program.command, item).await;
        let mut process =
            started.map_err(|error| NotOpened::Refused(Refusal::exception(format!("{item}: {error}"))))?;
        let hello = messages::hello(known, &self.place.home, grant);
        let limit = seconds(self.kind.limits.open_s);
        let first = process.greet("opening", &hello, limit).await.map_err(NotOpened::Lost)?;
        match messages::opening(&first).map_err(|why| NotOpened::Lost(Lost::misbehaved(why)))? {
            Ok(methods) => Ok((process, methods)),
            Err(refusal) => {
                // It has refused already: how it ends is of no interest.
                let _ = process.end(seconds(self.kind.limits.close_s)).await;
                Err(NotOpened::Refused(refusal))
            }
        }
    }

    /// Has a driver make one call.
    async fn call(
        &self,
        process: &mut Process,
        method: &str,
        request: &[u8],
        limit: Option<Duration>,
    ) -> Result<Answer, Lost> {
        let payload = process.ask(&format!("{method}()"), request, limit).await?;
        let read = match payload.len() {
            0..=LARGE_FRAME_BYTES => messages::answer(&payload),
            _ => spawn_blocking(move || messages::answer(&payload))
                .await
                .unwrap_or_else(|error| Err(error.to_string())),
        };
        read.map_err(|why| Lost::misbehaved(format_args!("{method}(): {why}")))
    }

    /// Makes a piece clean as its descriptor says it, with the driver that runs, or with a new one. Where
    /// the descriptor says nothing, a driver that ends well is proof enough. (Equipment P10)
    async fn reset(&self, item: &Identity, known: &Profile, running: Option<Process>) -> Result<(), String> {
        let limits = &self.kind.limits;
        if let Some(Reset::Command(words)) = &self.kind.reset {
            if let Some(process) = running {
                self.end_before_or_after_reset(item, process).await;
            }
            let run = self.run_reset(words, item, known);
            let late = || Err(format!("it took longer than {} s", limits.reset_s));
            let outcome = within(seconds(limits.reset_s), run).await.unwrap_or_else(late);
            return outcome.map_err(|why| format!("the reset failed: {}: {why}", words.join(" ")));
        }
        let mut process = match running {
            Some(process) => process,
            None => {
                self.start(item, known, None).await.map(|(process, _)| process).map_err(|not| not.why())?
            }
        };
        let Some(Reset::Method(method)) = &self.kind.reset else {
            return process.end(seconds(limits.close_s)).await.map_err(|how| format!("its driver {how}"));
        };
        let request = messages::call(method, &Default::default()).map_err(|refusal| refusal.to_string())?;
        let answer = self.call(&mut process, method, &request, seconds(limits.reset_s)).await;
        let answer = answer.map_err(|lost| format!("the reset failed: its driver {}", lost.how))?;
        answer.map_err(|refusal| format!("the reset failed: {method}(): {refusal}"))?;
        self.end_before_or_after_reset(item, process).await;
        Ok(())
    }

    /// The reset is what counts: a driver that ends badly besides is only worth a warning.
    async fn end_before_or_after_reset(&self, item: &Identity, process: Process) {
        if let Err(how) = process.end(seconds(self.kind.limits.close_s)).await {
            warn!(%item, how, "its driver did not end well");
        }
    }

    /// Runs the reset command with the profile on its standard input.
    async fn run_reset(&self, words: &[String], item: &Identity, known: &Profile) -> Result<(), String> {
        let started = Running::start(&self.place, words, item).await;
        let (mut program, (mut stdin, _stdout)) = started.map_err(|error| error.to_string())?;
        let profile = known.to_string().into_bytes();
        let tell = async move {
            // Whether it wants to know the profile is its own business.
            let _ = stdin.write_all(&profile).await;
        };
        futures::future::join(tell, program.ended()).await.1
    }
}

impl NotOpened {
    fn why(self) -> String {
        match self {
            NotOpened::Refused(refusal) => refusal.to_string(),
            NotOpened::Lost(lost) => format!("its driver {}", lost.how),
        }
    }
}

/// A limit of a descriptor; 0 is none.
fn seconds(limit: u64) -> Option<Duration> {
    (limit > 0).then(|| Duration::from_secs(limit))
}

/// How long closing or a reset of a piece of this type may take.
pub(crate) fn close_limit(kind: &Kind) -> Duration {
    let limits = &kind.limits;
    give_up(CLOSE_GIVE_UP, [limits.open_s, limits.reset_s, limits.close_s])
}

/// When the broker stops waiting for what may take this long, but not before `least`.
fn give_up<const N: usize>(least: Duration, limits: [u64; N]) -> Duration {
    let all: Option<Duration> = limits.into_iter().map(seconds).sum();
    all.map_or(Duration::MAX, |all| least.max(all.saturating_add(MARGIN)))
}
