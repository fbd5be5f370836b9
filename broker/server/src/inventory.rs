//! Keeps the core's picture in step with `equipment.json`: what changed in the file is reported, what is
//! gone from it vanishes. A file that cannot be read changes nothing.

use std::sync::Arc;

use ave_core::{Event, Source};
use tracing::{error, info, warn};

use crate::config::equipment::Equipment;
use crate::config::watch::Watch;
use crate::site::Site;

/// The file as it was last read.
pub(crate) struct Inventory {
    site: Arc<Site>,
    watch: Watch,
    known: Equipment,
}

impl Inventory {
    /// Reads the file for the first time.
    pub(crate) async fn open(site: Arc<Site>) -> Inventory {
        let watch = Watch::new(site.config.paths.equipment_json());
        let mut inventory = Inventory { site, watch, known: Equipment::default() };
        inventory.read().await;
        inventory
    }

    /// Reads it again whenever it changes, until the broker stops.
    pub(crate) async fn follow(mut self) {
        let stop = self.site.stop.clone();
        loop {
            tokio::select! {
                () = self.watch.changed() => self.read().await,
                () = stop.cancelled() => return,
            }
        }
    }

    async fn read(&mut self) {
        let path = self.site.config.paths.equipment_json();
        let next = match Equipment::read(&path, &self.site.kinds) {
            Ok(next) => next,
            Err(fault) => return warn!(%fault, "the equipment stays as it was"),
        };
        for fault in &next.skipped {
            warn!(%fault, "an entry is skipped");
        }
        let changes = next.changes_since(&self.known, &self.site.kinds);
        info!(changed = changes.changed.len(), vanished = changes.vanished.len(), "read equipment.json");
        if let Err(refusal) = self.site.hub.report(Source::File, changes.changed).await {
            return error!(%refusal, "the equipment stays as it was");
        }
        self.site.hub.tell(Event::Vanished { source: Source::File, items: changes.vanished }).await;
        self.known = next;
    }
}
