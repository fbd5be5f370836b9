//! Keeps the core's picture in step with `equipment.json`: what changed in the file is reported, what is
//! gone from it vanishes. A file that cannot be read changes nothing.

use std::sync::Arc;

use ave_core::{Core, Event, Source};
use ave_profile::{Identity, KindTable, Profile};
use tracing::{error, info, warn};

use crate::config::equipment::{Changes, Equipment};
use crate::config::watch::Watch;
use crate::config::{Fault, Paths};
use crate::site::Site;

/// Pieces, each as the very profile that the core has of it.
type Said = Vec<(Identity, Arc<Profile>)>;

/// The file as it was last read.
pub(crate) struct Inventory {
    watch: Watch,
    known: Equipment,
    /// In what it differs from what the process before has told, if that is this.
    compared: Option<(Said, Changes)>,
}

impl Inventory {
    /// A file that has not been read. What becomes of it from now on is noticed.
    pub(crate) fn unread(paths: &Paths) -> Inventory {
        let watch = Watch::new(paths.equipment_json());
        Inventory { watch, known: Equipment::default(), compared: None }
    }

    /// Reads the file for the first time. Tells nobody: that takes a while, and can come before anybody waits for it.
    ///
    /// # Errors
    /// If the file is of no use.
    pub(crate) fn read(&mut self, paths: &Paths, kinds: &KindTable) -> Result<(), Box<Fault>> {
        self.known = Equipment::read(&paths.equipment_json(), kinds)?;
        Ok(())
    }

    /// Compares it with what a core knows, of which not much will have changed when it is introduced.
    pub(crate) fn compare(&mut self, core: &Core, kinds: &KindTable) {
        let said = core.said_by(Source::File);
        let changes = self.changes_to(&said, kinds);
        self.compared = Some((said, changes));
    }

    /// Tells the core in what it differs from what the process before has told.
    pub(crate) async fn introduce(&mut self, site: &Site) {
        let said = site.hub.look(|core| core.said_by(Source::File)).await.unwrap_or_default();
        let changes = match self.compared.take() {
            Some((before, changes)) if are_same(&before, &said) => changes,
            _ => self.changes_to(&said, &site.kinds),
        };
        self.warn_of_skipped();
        tell(site, changes).await;
        site.hub.tell(Event::Confirmed { source: Source::File }).await;
    }

    /// Reads it again whenever it changes, until the broker stops.
    pub(crate) async fn follow(mut self, site: Arc<Site>) {
        loop {
            tokio::select! {
                () = self.watch.changed() => self.read_again(&site).await,
                () = site.stop.cancelled() => return,
            }
        }
    }

    async fn read_again(&mut self, site: &Site) {
        match Equipment::read(&site.config.paths.equipment_json(), &site.kinds) {
            Err(fault) => warn!(%fault, "the equipment stays as it was"),
            Ok(next) => {
                let changes = next.changes_since(&self.known, &site.kinds);
                self.known = next;
                self.warn_of_skipped();
                tell(site, changes).await;
            }
        }
    }

    fn changes_to(&self, said: &Said, kinds: &KindTable) -> Changes {
        self.known.changes_to(said.iter().map(|(item, profile)| (item.clone(), &**profile)), kinds)
    }

    fn warn_of_skipped(&self) {
        for fault in &self.known.skipped {
            warn!(%fault, "an entry is skipped");
        }
    }
}

fn are_same(before: &Said, said: &Said) -> bool {
    let same = |((_, before), (_, said)): (&(_, Arc<Profile>), &(_, Arc<Profile>))| Arc::ptr_eq(before, said);
    before.len() == said.len() && before.iter().zip(said).all(same)
}

async fn tell(site: &Site, Changes { changed, vanished }: Changes) {
    info!(changed = changed.len(), vanished = vanished.len(), "read equipment.json");
    if let Err(refusal) = site.hub.report(Source::File, changed).await {
        return error!(%refusal, "the equipment stays as it was");
    }
    site.hub.tell(Event::Vanished { source: Source::File, items: vanished }).await;
}
