//! Keeps the core's picture in step with `equipment.json`: what changed in the file is reported, what is
//! gone from it vanishes. A file that cannot be read changes nothing.

use std::sync::Arc;

use ave_core::{Event, Source};
use ave_profile::{Identity, KindTable, Profile};
use tracing::{error, info, warn};

use crate::config::equipment::{Changes, Equipment};
use crate::config::watch::Watch;
use crate::config::{Fault, Paths};
use crate::site::Site;

/// The file as it was last read.
pub(crate) struct Inventory {
    watch: Watch,
    known: Equipment,
}

impl Inventory {
    /// A file that has not been read. What becomes of it from now on is noticed.
    pub(crate) fn unread(paths: &Paths) -> Inventory {
        Inventory { watch: Watch::new(paths.equipment_json()), known: Equipment::default() }
    }

    /// Reads the file for the first time. Tells nobody: that takes a while, and can come before anybody waits for it.
    ///
    /// # Errors
    /// If the file is of no use.
    pub(crate) fn read(&mut self, paths: &Paths, kinds: &KindTable) -> Result<(), Box<Fault>> {
        self.known = Equipment::read(&paths.equipment_json(), kinds)?;
        Ok(())
    }

    /// Tells the core in what it differs from what the process before has told.
    pub(crate) async fn introduce(&self, site: &Site) {
        let said: Vec<(Identity, Arc<Profile>)> =
            site.hub.look(|core| core.said_by(Source::File)).await.unwrap_or_default();
        let said = said.iter().map(|(item, profile)| (item.clone(), &**profile));
        self.warn_of_skipped();
        tell(site, self.known.changes_to(said, &site.kinds)).await;
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

    fn warn_of_skipped(&self) {
        for fault in &self.known.skipped {
            warn!(%fault, "an entry is skipped");
        }
    }
}

async fn tell(site: &Site, Changes { changed, vanished }: Changes) {
    info!(changed = changed.len(), vanished = vanished.len(), "read equipment.json");
    if let Err(refusal) = site.hub.report(Source::File, changed).await {
        return error!(%refusal, "the equipment stays as it was");
    }
    site.hub.tell(Event::Vanished { source: Source::File, items: vanished }).await;
}
