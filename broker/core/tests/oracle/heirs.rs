//! Cores that were restored from snapshots of the one that is tried, and that live through the rest of the
//! history with it: they must never be told from it.

use ave_core::{Core, Effect, Event, Moment, Remainder, Snapshot};
use ave_profile::{BrokerId, KindTable};

/// A draft is taken every so many events.
const DRAFT_EVERY: usize = 5;

/// What was restored, and from when.
pub(crate) struct Heirs {
    kinds: KindTable,
    events: usize,
    /// Restored after the first event, the fourth, the sixteenth and so on.
    cores: Vec<Core>,
    /// Restored after the last event, from what is written for programs of one version or the other.
    pub(crate) newest: Core,
    /// As it was told some events ago, and the broker that was restored from that.
    draft: (Snapshot, Core),
}

impl Heirs {
    pub(crate) fn new(kinds: KindTable) -> Heirs {
        let newest = Core::new(kinds.clone(), BrokerId(1));
        let draft = (Snapshot::default(), newest.clone());
        Heirs { kinds, events: 0, cores: Vec::new(), newest, draft }
    }

    /// Lets an event happen to all of them; the error says where one does something else.
    pub(crate) fn follow(
        &mut self,
        core: &Core,
        now: Moment,
        event: &Event,
        effects: &[Effect],
    ) -> Result<(), String> {
        for heir in &mut self.cores {
            let found = heir.apply(now, event.clone());
            heir.check();
            if found != effects || heir.fingerprint() != core.fingerprint() {
                return Err(format!("replayed: \n  expected {effects:?}\n  found {found:?}"));
            }
        }
        self.events += 1;
        if self.events.is_power_of_two() && self.events.ilog2().is_multiple_of(2) {
            self.cores.push(self.restored(core, Snapshot::NEWEST)?);
        }
        let versions = Snapshot::NEWEST - Snapshot::OLDEST + 1;
        self.newest = self.restored(core, Snapshot::OLDEST + self.events as u32 % versions)?;
        self.complete(core)?;
        if self.events.is_multiple_of(DRAFT_EVERY) {
            let draft = core.snapshot().draft();
            let restored = Core::restore(self.kinds.clone(), BrokerId(1), written(&draft, Snapshot::NEWEST)?);
            self.draft = (draft, restored.map_err(|error| error.to_string())?);
        }
        Ok(())
    }

    /// The draft of some events ago and what it lacks are this broker, too.
    fn complete(&self, core: &Core) -> Result<(), String> {
        let (draft, restored) = &self.draft;
        let Remainder { changes, rest } = core.snapshot().since(draft);
        let rest = written(&rest, Snapshot::NEWEST)?;
        let completed = restored.clone().complete(Remainder { changes, rest });
        let completed = completed.map_err(|error| format!("completed: {error}"))?;
        completed.check();
        let same = completed.fingerprint() == core.fingerprint();
        same.then_some(()).ok_or_else(|| "a draft and what it lacks are another broker".to_owned())
    }

    fn restored(&self, core: &Core, version: u32) -> Result<Core, String> {
        let restored = Core::restore(self.kinds.clone(), BrokerId(1), written(&core.snapshot(), version)?);
        let restored = restored.map_err(|error| error.to_string())?;
        restored.check();
        let same = restored.fingerprint() == core.fingerprint();
        same.then_some(restored)
            .ok_or_else(|| format!("restored from version {version} it is another broker"))
    }
}

/// Written and read again.
fn written(snapshot: &Snapshot, version: u32) -> Result<Snapshot, String> {
    let bytes = snapshot.encode(version).map_err(|error| error.to_string())?;
    Snapshot::decode(&bytes).map_err(|error| error.to_string())
}
