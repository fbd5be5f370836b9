//! How a watch says what it sees. Each watch has a number, so that none speaks for another's pieces.

use ave_core::{Event, Source};
use ave_profile::{Identity, Profile};
use tracing::error;

use crate::hub::HubHandle;

/// One watch's way to the hub.
#[derive(Clone)]
pub struct Sightings {
    hub: HubHandle,
    source: Source,
}

impl Sightings {
    /// The way of the watch with this number.
    pub(crate) fn new(hub: HubHandle, watch: u16) -> Sightings {
        Sightings { hub, source: Source::Watch(watch) }
    }

    /// Equipment appeared or changed: full profiles, each replaces what was known of its piece. Tell only
    /// changes.
    pub async fn report(&self, profiles: Vec<Profile>) {
        if profiles.is_empty() {
            return;
        }
        if let Err(refusal) = self.hub.report(self.source, profiles).await {
            error!(%refusal, source = ?self.source, "what was seen is not believed");
        }
    }

    /// A piece that could not be closed may be fit again: has it reset by its driver, and lent again if
    /// that succeeds. A piece that is not broken is left alone.
    pub async fn reset(&self, item: Identity) {
        self.hub.tell(Event::ResetAsked { item, request: None }).await;
    }

    /// All that was there at the start has been reported: what an older process has said beside it is gone.
    pub async fn settled(&self) {
        self.hub.tell(Event::Settled { source: self.source }).await;
    }

    /// Equipment is not there any more, and nothing is left to say of it. A device that was unplugged is
    /// not gone but reported `offline`.
    pub async fn gone(&self, items: Vec<Identity>) {
        if !items.is_empty() {
            self.hub.tell(Event::Vanished { source: self.source, items }).await;
        }
    }
}
