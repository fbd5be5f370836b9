//! One broker and its edges' memory. A broker that is started anew knows nothing of its earlier life.

use std::collections::BTreeMap;

use ave_core::Core;
use ave_profile::{BrokerId, Identity, SessionId};

use crate::agenda::Micros;
use crate::plan::{SitePlan, kinds};
use crate::session::Session;
use crate::sharing::Notifier;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Power {
    Running,
    /// The machine is up, the broker is not.
    Stopped,
    Off,
}

pub(crate) struct Site {
    pub(crate) plan: SitePlan,
    pub(crate) core: Core,
    pub(crate) id: BrokerId,
    pub(crate) power: Power,
    /// Which of its lives this is.
    pub(crate) life: u32,
    pub(crate) started: Micros,
    pub(crate) sessions: BTreeMap<SessionId, Session>,
    pub(crate) notifier: Notifier,
    /// The deadline that is on the agenda.
    pub(crate) deadline: Option<Micros>,
    /// Pieces that are unplugged.
    pub(crate) unplugged: Vec<Identity>,
}

impl Site {
    pub(crate) fn new(plan: SitePlan) -> Site {
        Site {
            plan,
            core: Core::new(kinds(), BrokerId(0)),
            id: BrokerId(0),
            power: Power::Stopped,
            life: 0,
            started: 0,
            sessions: BTreeMap::new(),
            notifier: Notifier::default(),
            deadline: None,
            unplugged: Vec::new(),
        }
    }

    /// How it introduces itself.
    pub(crate) fn name(&self) -> Option<BrokerId> {
        (!self.plan.is_original).then_some(self.id)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.power == Power::Running
    }

    pub(crate) fn is_powered(&self) -> bool {
        self.power != Power::Off
    }
}
