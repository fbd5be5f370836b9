//! The places of a network, and the broker processes that run there, one after the other. A process knows
//! nothing of what its edges did in an earlier one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;

use ave_core::{Core, Event, Snapshot};
use ave_profile::{BrokerId, Generation, Identity, Profile, SessionId};

use crate::agenda::{Micros, SiteId};
use crate::journal::Journal;
use crate::plan::{SitePlan, full, kinds};
use crate::session::Session;
use crate::sharing::Notifier;
use crate::wire::WireId;

/// A process, of all that ever were.
pub(crate) type Pid = usize;

/// An address and the machine behind it.
pub(crate) struct Site {
    pub(crate) plan: Rc<SitePlan>,
    pub(crate) is_powered: bool,
    /// The process that listens there, and lends.
    pub(crate) pid: Option<Pid>,
    /// Those before it that still serve.
    pub(crate) elders: Vec<Pid>,
    /// The process that is to follow.
    pub(crate) successor: Option<Pid>,
    /// What that one has been told while lending went on.
    pub(crate) draft: Snapshot,
    /// Connections that nobody has accepted yet.
    pub(crate) queue: Vec<(WireId, Option<BrokerId>)>,
    /// What the processes leave on the disk.
    pub(crate) journal: Option<Journal>,
    /// The generation of the process that started last.
    pub(crate) generation: Generation,
    /// Pieces that are unplugged.
    pub(crate) unplugged: Vec<Identity>,
}

/// How far a process has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// It has not got its predecessor's place yet.
    Starting,
    Serving,
    /// It has told a successor what it knows.
    Frozen,
    /// Its successor has its place; it goes on for those who are connected.
    Elder,
    Gone,
}

/// One process: its core and its edges' memory.
pub(crate) struct Broker {
    pub(crate) site: SiteId,
    pub(crate) plan: Rc<SitePlan>,
    pub(crate) core: Core,
    pub(crate) id: BrokerId,
    pub(crate) generation: Generation,
    pub(crate) stage: Stage,
    pub(crate) started: Micros,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) notifier: Notifier,
    /// The deadline that is on the agenda.
    pub(crate) deadline: Option<Micros>,
    /// What it resets at the moment.
    pub(crate) resetting: BTreeSet<Identity>,
    /// What clients ask for while it is frozen.
    pub(crate) held_back: Vec<Event>,
    /// What its successor has to hear.
    pub(crate) outbox: VecDeque<Event>,
}

impl Site {
    pub(crate) fn new(plan: SitePlan) -> Site {
        Site {
            plan: Rc::new(plan),
            is_powered: false,
            pid: None,
            elders: Vec::new(),
            successor: None,
            draft: Snapshot::default(),
            queue: Vec::new(),
            journal: None,
            generation: Generation(0),
            unplugged: Vec::new(),
        }
    }

    /// What is plugged in.
    pub(crate) fn present(&self) -> Vec<Profile> {
        self.plan.pieces.iter().filter(|item| !self.unplugged.contains(item)).map(full).collect()
    }
}

impl Broker {
    /// A process that has only just begun.
    pub(crate) fn new(site: SiteId, plan: Rc<SitePlan>, id: BrokerId, generation: Generation) -> Broker {
        Broker {
            site,
            plan,
            core: Core::new(kinds(), id),
            id,
            generation,
            stage: Stage::Starting,
            started: 0,
            sessions: BTreeMap::new(),
            notifier: Notifier::default(),
            deadline: None,
            resetting: BTreeSet::new(),
            held_back: Vec::new(),
            outbox: VecDeque::new(),
        }
    }

    /// How it introduces itself.
    pub(crate) fn name(&self) -> Option<BrokerId> {
        (!self.plan.is_original).then_some(self.id)
    }

    /// Whether it listens and lends.
    pub(crate) fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }

    /// Whether it lent what it lends now before its successor took its place.
    pub(crate) fn is_old(&self) -> bool {
        matches!(self.stage, Stage::Frozen | Stage::Elder)
    }
}
