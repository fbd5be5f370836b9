//! What will happen, and when. Time passes only here.

use std::collections::BTreeMap;

use ave_core::{Event, Granted, Report};
use ave_profile::{AskId, Identity, RequestId, SessionId};

use crate::faults::Fault;
use crate::handover::{Course, Step};
use crate::sharing::Speaker;
use crate::site::Pid;
use crate::wire::{End, WireId};

/// Simulated time since the run began, in microseconds.
pub(crate) type Micros = u64;

pub(crate) const MILLISECOND: Micros = 1_000;
pub(crate) const SECOND: Micros = 1_000_000;

/// A place at the table of brokers.
pub(crate) type SiteId = usize;

/// Something that will happen, unless the process it belongs to is gone by then.
#[derive(Debug)]
pub(crate) enum Happening {
    /// An edge's word reaches the core.
    Told(Event),
    /// The pieces of a grant are open, or one of them could not be opened.
    Opened { session: SessionId, request: RequestId, well: bool },
    /// Another broker was given long enough to answer.
    AskTooLate { session: SessionId, ask: AskId },
    /// Another broker was given long enough to take something back.
    YieldTooLate { session: SessionId, nth: u64 },
    /// The core named this moment.
    Deadline,
    /// The notifier tries to reach its master.
    NotifierDials,
    /// The master was given long enough to answer.
    NotifierTooLate(WireId),
    /// The notifier may say something again.
    NotifierReports,
    /// A master has bound a share to a connection and compares its whole list.
    Compared { of: Speaker, report: Report, request: RequestId },
    /// The first message on its way to this end arrives.
    Arrives(WireId, End),
    /// This end has heard nothing for too long, if the road is still as it was then.
    Silence(WireId, End, Option<u64>),
    /// A reset is done, or did not help.
    Reset { item: Identity, request: Option<RequestId>, well: bool },
    /// A grant is in the journal.
    Recorded { session: SessionId, request: RequestId, groups: Vec<Vec<Granted>> },
    /// A word between the old process and the new one arrives.
    Handover(Step, Course),
    /// The new process dies.
    HeirDies,
    /// The old process freezes, if it can.
    Freezes(Pid, Course),
    /// The old process has waited long enough for the new one, or has seen it die.
    NotTaken(Pid),
    /// The old process hears that it has a successor.
    Retires,
    /// An older process sees that its successor is dead.
    Orphaned,
    /// What older processes have said reaches the one that lends.
    Overheard(SiteId),
    /// A client does the next thing.
    Acts(usize),
    /// The world is unkind.
    Strikes(Fault),
}

/// A happening, and whose it is.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) happening: Happening,
    pub(crate) of: Option<Pid>,
}

#[derive(Debug, Default)]
pub(crate) struct Agenda {
    pub(crate) now: Micros,
    entered: u64,
    entries: BTreeMap<(Micros, u64), Entry>,
}

impl Agenda {
    /// What is entered first comes first among what happens at the same time.
    pub(crate) fn enter(&mut self, after: Micros, of: Option<Pid>, happening: Happening) {
        self.entered += 1;
        self.entries.insert((self.now + after, self.entered), Entry { happening, of });
    }

    /// The next happening, unless it is later than that; it is then now.
    pub(crate) fn next(&mut self, until: Micros) -> Option<Entry> {
        let next = self.entries.first_entry().filter(|next| next.key().0 <= until)?;
        self.now = next.key().0;
        Some(next.remove())
    }

    /// Whether nothing happens any more but that somebody looks at the clock.
    pub(crate) fn is_quiet(&self) -> bool {
        self.entries.values().all(|entry| matches!(entry.happening, Happening::Deadline))
    }

    pub(crate) fn pass(&mut self, until: Micros) {
        self.now = self.now.max(until);
    }
}
