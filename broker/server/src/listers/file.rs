//! A static list, read again whenever it changes. Entries that did not change are left alone, those that are
//! gone vanish; a file that cannot be read changes nothing.

use async_trait::async_trait;
use tracing::{info, warn};

use crate::config::descriptors::List;
use crate::config::equipment::Equipment;
use crate::config::watch;
use crate::drivers::Watch;
use crate::sightings::Sightings;

/// The watch of one list.
pub(super) struct FileWatch {
    list: List,
    known: Equipment,
}

impl FileWatch {
    pub(super) fn new(list: List) -> FileWatch {
        FileWatch { list, known: Equipment::default() }
    }

    /// Reads the list and tells what has changed.
    pub(super) async fn read(&mut self, sightings: &Sightings) {
        let next = match self.list.read() {
            Ok(next) => next,
            Err(fault) => return warn!(%fault, "the pieces of a list stay as they were"),
        };
        for fault in &next.skipped {
            warn!(%fault, "an entry is skipped");
        }
        let changes = next.changes_since(&self.known, self.list.kinds());
        let (changed, vanished) = (changes.changed.len(), changes.vanished.len());
        info!(list = %self.list.path().display(), changed, vanished, "read a list");
        sightings.report(changes.changed).await;
        sightings.gone(changes.vanished).await;
        self.known = next;
    }
}

#[async_trait]
impl Watch for FileWatch {
    async fn watch(mut self: Box<Self>, sightings: Sightings) {
        let mut file = watch::Watch::new(self.list.path());
        loop {
            self.read(&sightings).await;
            file.changed().await;
        }
    }
}
