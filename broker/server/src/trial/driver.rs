//! The driver, on one piece: opened, asked for what it does not know, called, ended, killed, reset.

use std::sync::Arc;

use ave_profile::Kind;

use super::{Piece, Trial};
use crate::config::Config;
use crate::drivers::plugin::{Attempt, PluginDriver};

/// A method that no driver has.
const UNKNOWN: &str = "no_driver_has_this_method";

impl Trial<'_> {
    /// Tries the driver with the first piece, and with a second one if there is one.
    pub(super) async fn driver(&mut self, config: &Config, driver: &PluginDriver, pieces: &[Piece]) {
        let [piece, others @ ..] = pieces else { return };
        if let Some(attempt) = self.opened(driver, piece).await {
            self.session(config, driver, piece, others, attempt).await;
        }
        let reset = driver.try_reset(&piece.item, &piece.known).await;
        let how = if driver.has_reset() { "its reset" } else { "a driver that opens and ends well" };
        self.note("a piece is clean after a session", reset.map(|()| how.to_owned()));
        self.killed(driver, piece).await;
    }

    async fn opened(&mut self, driver: &PluginDriver, piece: &Piece) -> Option<Attempt> {
        let opened = driver.try_open(&piece.item, &piece.known).await;
        let outcome = opened.as_ref().map_err(Clone::clone).map(|attempt| {
            let signatures: Vec<_> =
                attempt.methods().iter().map(|method| method.signature.to_string()).collect();
            signatures.join(", ")
        });
        self.note("the driver opens a piece and lists its methods", outcome);
        opened.ok()
    }

    /// One session from its first call to its end. A driver that is lost on the way is not asked further.
    async fn session(
        &mut self,
        config: &Config,
        driver: &PluginDriver,
        piece: &Piece,
        others: &[Piece],
        mut attempt: Attempt,
    ) {
        let silent: Vec<_> = attempt.methods().iter().filter(|method| method.help.is_empty()).collect();
        let silent: Vec<_> = silent.iter().map(|method| method.signature.name().to_owned()).collect();
        let outcome = if silent.is_empty() { Ok("all".to_owned()) } else { Err(helpless(&silent)) };
        self.note("every method has a line of help", outcome);
        if !self.note("a method it does not know is refused", attempt.refuses(UNKNOWN).await) {
            return;
        }
        for name in attempt.without_arguments() {
            let called = attempt.call(&name).await;
            if !self.note(&format!("{name}() answers"), called) {
                return;
            }
        }
        let kind: &Arc<Kind> = driver.kind();
        match kind.listers.is_empty() {
            true => self.skip("it is listed while it is claimed", "the type has no lister"),
            false => {
                let listed = Trial::still_listed(config, kind, &piece.item.value).await;
                self.note("it is listed while it is claimed", listed);
            }
        }
        match others.first() {
            None => self.skip("two pieces can be open at once", "there is only one"),
            Some(other) => {
                let second = driver.try_open(&other.item, &other.known).await;
                let outcome = match second {
                    Ok(second) => second.end().await.map(|()| other.item.value.to_string()),
                    Err(why) => Err(why),
                };
                self.note("two pieces can be open at once", outcome);
            }
        }
        let ended = attempt.end().await.map(|()| "within its limit".to_owned());
        self.note("the driver ends when its input does", ended);
    }

    /// What a client that is killed in the middle of a call leaves behind.
    async fn killed(&mut self, driver: &PluginDriver, piece: &Piece) {
        let opened = driver.try_open(&piece.item, &piece.known).await;
        let outcome = match opened {
            Ok(attempt) => {
                attempt.kill().await;
                driver.try_reset(&piece.item, &piece.known).await
            }
            Err(why) => Err(why),
        };
        self.note("a piece is clean after its driver was killed", outcome.map(|()| "reset".to_owned()));
    }
}

fn helpless(names: &[String]) -> String {
    format!("say in one line what they do: {}", names.join(", "))
}
