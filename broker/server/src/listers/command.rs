//! A program of the lab that prints the pieces there are, run again and again. While it fails its pieces stay
//! as they were for a grace time, then they are offline.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ave_profile::{CommandLister, Kind, KindTable, Profile};
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::presence::Presence;
use super::run::run;
use crate::config::descriptors::{ONLINE, POWER_STATE};
use crate::config::equipment::Equipment;
use crate::config::{Fault, file};
use crate::drivers::Watch;
use crate::drivers::place::Place;
use crate::sightings::Sightings;

/// The watch of one program.
pub(super) struct CommandWatch {
    program: Program,
    pause: Duration,
    picture: Picture,
}

/// Runs a lister's program once.
///
/// # Errors
/// What went wrong, for people.
pub(super) async fn ask_once(
    kind: &Arc<Kind>,
    lister: &CommandLister,
    place: Place,
) -> Result<Equipment, String> {
    CommandWatch::new(kind.clone(), lister, place).program.ask().await
}

/// What is run, and how its answer is read.
struct Program {
    place: Place,
    words: Vec<String>,
    grace: Duration,
    kinds: KindTable,
}

/// What is believed of its pieces.
struct Picture {
    kind: Arc<Kind>,
    presence: Presence,
    skipped: Vec<Fault>,
    /// Since when it fails.
    failing_since: Option<Instant>,
    /// Whether it has failed for so long that its pieces are offline.
    given_up: bool,
}

impl CommandWatch {
    pub(super) fn new(kind: Arc<Kind>, lister: &CommandLister, place: Place) -> CommandWatch {
        let seconds = Duration::from_secs;
        CommandWatch::every(seconds(lister.every_s), seconds(lister.grace_s), kind, &lister.command, place)
    }

    /// Runs these words with this pause in between.
    pub(super) fn every(
        pause: Duration,
        grace: Duration,
        kind: Arc<Kind>,
        words: &[String],
        place: Place,
    ) -> CommandWatch {
        let kinds = KindTable::new([Kind::clone(&kind)]);
        let presence = Presence::new(kind.clone(), Vec::new());
        CommandWatch {
            program: Program { place, words: words.to_vec(), grace, kinds },
            pause,
            picture: Picture { kind, presence, skipped: Vec::new(), failing_since: None, given_up: false },
        }
    }
}

impl Program {
    /// Runs it once; what it lists.
    async fn ask(&self) -> Result<Equipment, String> {
        let output = run(&self.place, &self.words, self.grace).await?;
        let content = file::parse(&output).map_err(|fault| format!("it prints no JSON: {fault}"))?;
        let named = PathBuf::from(&self.words[0]);
        let mut listed = Equipment::of(&named, content, &self.kinds).map_err(|fault| fault.place())?;
        for profile in &mut listed.profiles {
            profile.0.entry(POWER_STATE.to_owned()).or_insert_with(|| ONLINE.into());
        }
        Ok(listed)
    }
}

impl Picture {
    /// Takes what the program listed, or why it did not, and says what has changed.
    fn update(&mut self, answer: Result<Equipment, String>, began: Instant) -> Vec<Profile> {
        let kind = &self.kind.name;
        match answer {
            Ok(Equipment { profiles, skipped }) => {
                if self.failing_since.take().is_some() {
                    info!(%kind, "a lister works again");
                }
                if skipped != self.skipped {
                    skipped.iter().for_each(|fault| warn!(%kind, %fault, "an entry is skipped"));
                    self.skipped = skipped;
                }
                self.given_up = false;
                self.presence.update(profiles)
            }
            Err(reason) => {
                if self.failing_since.is_none() {
                    warn!(%kind, reason, "a lister fails");
                }
                self.failing_since.get_or_insert(began);
                Vec::new()
            }
        }
    }

    /// Lets the time pass that `work` takes. If the grace time ends meanwhile, the pieces are offline.
    async fn meanwhile<T>(
        &mut self,
        grace: Duration,
        sightings: &Sightings,
        work: impl Future<Output = T>,
    ) -> T {
        let mut work = pin!(work);
        let Some(since) = self.failing_since.filter(|_| !self.given_up) else { return work.await };
        tokio::select! {
            done = &mut work => return done,
            () = sleep_until(since + grace) => {}
        }
        warn!(kind = %self.kind.name, "a lister has failed for too long: its pieces are offline");
        self.given_up = true;
        sightings.report(self.presence.update(Vec::new())).await;
        work.await
    }
}

#[async_trait]
impl Watch for CommandWatch {
    async fn watch(self: Box<Self>, sightings: Sightings) {
        let CommandWatch { program, pause, mut picture } = *self;
        loop {
            let began = Instant::now();
            let answer = picture.meanwhile(program.grace, &sightings, program.ask()).await;
            sightings.report(picture.update(answer, began)).await;
            picture.meanwhile(program.grace, &sightings, sleep(pause)).await;
        }
    }
}
