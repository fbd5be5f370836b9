//! What a process leaves on the disk: what its core was at first, and everything that has happened since. A
//! crash tears the end off, as far as it was not written yet.

use ave_core::{Core, Event, Moment, Snapshot};
use ave_profile::{BrokerId, Generation};

use crate::agenda::Micros;
use crate::dice::Dice;
use crate::plan::kinds;
use crate::site::{Broker, Pid};

/// How many events a journal holds at most before it begins anew, at a moment at which all is written: few, so
/// that it does in the middle of everything.
const EVENTS_MAX: usize = 20;

pub(crate) struct Journal {
    /// Who writes it.
    pub(crate) pid: Pid,
    pub(crate) generation: Generation,
    pub(crate) id: BrokerId,
    /// Of its snapshot.
    version: u32,
    snapshot: Vec<u8>,
    events: Vec<Recorded>,
}

struct Recorded {
    /// When it is in the file.
    written: Micros,
    moment: Moment,
    event: Event,
}

impl Journal {
    /// Begins with what a core is now, in a version of the format as chance has it.
    pub(crate) fn of(pid: Pid, broker: &Broker, dice: &mut Dice) -> Journal {
        let version = version(dice);
        let snapshot = broker.core.snapshot().encode(version).expect("a version that can be written");
        Journal { pid, generation: broker.generation, id: broker.id, version, snapshot, events: Vec::new() }
    }

    pub(crate) fn record(&mut self, written: Micros, moment: Moment, event: &Event) {
        self.events.push(Recorded { written, moment, event: event.clone() });
    }

    /// Whether it is long enough to begin anew, and all of it is in the file.
    pub(crate) fn is_full(&self, now: Micros) -> bool {
        self.events.len() > EVENTS_MAX && self.events.iter().all(|record| record.written <= now)
    }

    /// Tears off what was not in the file by then, some of it or all; whether anything was.
    pub(crate) fn tear(&mut self, by: Micros, dice: &mut Dice) -> bool {
        let safe = self.events.partition_point(|record| record.written <= by);
        let kept = safe + dice.index(self.events.len() - safe + 1);
        let torn = kept < self.events.len();
        self.events.truncate(kept);
        torn
    }

    /// Nothing of what a core knew was lost, but for what the older version cannot say.
    pub(crate) fn check(&self, core: &Core) {
        let recovered = self.recover();
        let same = recovered.fingerprint() == core.fingerprint() && recovered.snapshot() == core.snapshot();
        assert!(
            same || self.version < Snapshot::NEWEST,
            "recovered: {:#?}\ninstead of: {:#?}",
            recovered.snapshot(),
            core.snapshot()
        );
    }

    /// What the core was when it died.
    pub(crate) fn recover(&self) -> Core {
        let snapshot = Snapshot::decode(&self.snapshot).expect("what was written can be read");
        let mut core = Core::restore(kinds(), self.id, snapshot).expect("what was written is sound");
        for Recorded { moment, event, .. } in &self.events {
            core.apply(*moment, event.clone());
        }
        core.check();
        core
    }
}

/// One of the versions in which snapshots are written.
pub(crate) fn version(dice: &mut Dice) -> u32 {
    dice.among(u64::from(Snapshot::OLDEST)..u64::from(Snapshot::NEWEST) + 1) as u32
}
