//! Tries what a lab brings for a type, its descriptor, its listers and its driver, on a piece that is really
//! there, before a broker relies on it. (Equipment P17; docs/new-equipment.md)

mod driver;
mod lister;

use std::path::Path;
use std::sync::Arc;

use ave_profile::{Identity, Kind, Lister, Map, Profile, Value};
use serde::Serialize;
use tokio::task::spawn_blocking;

use crate::config::Config;
use crate::config::equipment::Equipment;
use crate::drivers::place::Sweep;
use crate::drivers::plugin::PluginDriver;
use crate::drivers::strays;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    Passed,
    Failed,
    /// There was nothing to check.
    Skipped,
}

/// One thing that was tried.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What should be so.
    pub(crate) check: String,
    pub(crate) verdict: Verdict,
    /// What was found; if it failed, what to do next.
    pub(crate) remark: String,
}

/// The checks so far. Whoever watches hears of each at once.
pub(crate) struct Trial<'a> {
    checks: Vec<Check>,
    heard: &'a mut (dyn FnMut(&Check) + Send),
}

/// A piece to try the driver with.
#[derive(Clone)]
struct Piece {
    item: Identity,
    known: Profile,
}

impl Trial<'_> {
    /// Tries the type `name`, and returns all checks.
    pub(crate) async fn run(
        config: &Config,
        name: &str,
        heard: &mut (dyn FnMut(&Check) + Send),
    ) -> Vec<Check> {
        let mut trial = Trial { checks: Vec::new(), heard };
        if let Some((kind, driver)) = trial.descriptor(config, name) {
            if let Some(pieces) = trial.pieces(config, &kind).await {
                trial.driver(config, &driver, &pieces).await;
            }
            trial.leftovers(config.paths.home()).await;
        }
        trial.checks
    }

    /// Notes a check: what was found, or what to do next.
    fn note(&mut self, check: &str, outcome: Result<String, String>) -> bool {
        let passed = outcome.is_ok();
        let verdict = if passed { Verdict::Passed } else { Verdict::Failed };
        self.add(check, verdict, outcome.unwrap_or_else(|next| next));
        passed
    }

    /// Notes that there was nothing to check.
    fn skip(&mut self, check: &str, why: &str) {
        self.add(check, Verdict::Skipped, why.to_owned());
    }

    fn add(&mut self, check: &str, verdict: Verdict, remark: String) {
        let check = Check { check: check.to_owned(), verdict, remark };
        (self.heard)(&check);
        self.checks.push(check);
    }

    fn descriptor(&mut self, config: &Config, name: &str) -> Option<(Arc<Kind>, PluginDriver)> {
        let check = "the descriptor is valid";
        let file = config.paths.equipment_d().join(format!("{name}.json"));
        if let Some(faults) = config.types.disabled().get(name) {
            let faults: Vec<_> = faults.iter().map(|fault| fault.place()).collect();
            self.note(check, Err(faults.join("; ")));
            return None;
        }
        let Some(kind) = config.types.kinds().get(name) else {
            self.note(check, Err(format!("there is none: write {}", file.display())));
            return None;
        };
        let driver = kind
            .driver
            .as_ref()
            .and_then(|_| PluginDriver::of(config, kind, &Sweep::new(config.paths.home())));
        if driver.is_none() {
            let next = format!("{name} has no driver program: say \"driver\" in {}", file.display());
            self.note(check, Err(next));
        } else {
            self.note(check, Ok(file.display().to_string()));
        }
        Some((kind.clone(), driver?))
    }

    /// Asks every lister; the pieces that a request can find.
    async fn pieces(&mut self, config: &Config, kind: &Arc<Kind>) -> Option<Vec<Piece>> {
        let mut found = Vec::new();
        for lister in &kind.listers {
            found.extend(self.lister(config, kind, lister).await);
        }
        let listed = Equipment::read(&config.paths.equipment_json(), config.types.kinds());
        let listed = listed.map(|equipment| equipment.profiles).unwrap_or_default();
        found.extend(listed.into_iter().filter(|profile| profile.kind() == Some(&*kind.name)));
        let total = found.len();
        let pieces: Vec<_> = found.into_iter().filter_map(|known| piece(kind, known)).collect();
        let names: Vec<_> = pieces.iter().map(|piece| piece.item.value.as_ref()).collect();
        let outcome = match (names.is_empty(), total) {
            (false, _) => Ok(names.join(", ")),
            (true, 0) => Err("none is there: plug one in, or add one to a list".to_owned()),
            (true, _) => {
                Err(format!("none of {total} is as the type's defaults want it: {}", defaults(kind)))
            }
        };
        self.note("a request finds a piece", outcome).then_some(pieces)
    }

    /// What still runs is killed after it was counted.
    async fn leftovers(&mut self, home: &Path) {
        let home = home.to_owned();
        let left = spawn_blocking(move || {
            let left = strays::settled(strays::BROKER_HOME, &home);
            strays::kill(strays::BROKER_HOME, &home, &[]).map(|()| left)
        });
        let outcome = match left.await.map_err(|error| error.to_string()).flatten() {
            Ok(0) => Ok("nothing".to_owned()),
            Ok(left) => Err(format!(
                "{left} processes, now killed: end what a program starts, or let it end by itself when nobody needs it"
            )),
            Err(why) => Err(why),
        };
        self.note("nothing is left running", outcome);
    }
}

/// The piece a profile describes, if a request for it finds it.
fn piece(kind: &Kind, known: Profile) -> Option<Piece> {
    let value = kind.identity_of(&known)?.to_owned();
    let named =
        [("type".to_owned(), Value::from(&*kind.name)), (kind.identity.clone(), value.as_str().into())];
    let request = kind.with_defaults(Profile(named.into()));
    kind.matches(&request, &known).then(|| Piece { item: Identity::new(&kind.name, &value), known })
}

fn defaults(kind: &Kind) -> Value {
    Value::Map(Map::clone(&kind.defaults))
}

/// How a lister is called in checks.
fn named(lister: &Lister) -> String {
    match lister {
        Lister::File(file) => format!("the list {}", file.path),
        Lister::Usb(usb) => {
            format!("the USB lister {}:{}", usb.vendor, usb.product.as_deref().unwrap_or("*"))
        }
        Lister::Command(command) => format!("the lister {}", command.command.join(" ")),
    }
}
