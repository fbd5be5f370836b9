//! One request for which other brokers are being asked: what is granted of it, who is asked for what, and who did
//! not serve it. (Specification 5.9.)

use std::collections::BTreeMap;

use ave_profile::{Address, AskId, BrokerId, Identity, Refusal, RequestId};

use crate::search::Request;
use crate::{Granted, Moment, Setback};

/// One request, while other brokers are being asked.
#[derive(Clone, Debug)]
pub(crate) struct Asking {
    pub(crate) request: RequestId,
    pub(crate) groups: Vec<Group>,
    /// The brokers the request has come through.
    pub(crate) via: Vec<BrokerId>,
    pub(crate) nonce: u64,
    /// When it came.
    pub(crate) since: Moment,
    /// Why this broker alone does not serve it.
    pub(crate) here: Refusal,
    pub(crate) asks: BTreeMap<AskId, Ask>,
}

/// One group of a request.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) requests: Vec<Request>,
    pub(crate) granted: Option<Vec<Granted>>,
    /// Who did not serve it.
    pub(crate) setbacks: Vec<(Address, Setback)>,
}

/// One question to another broker.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) peer: Address,
    /// Which groups it is about.
    pub(crate) groups: Vec<usize>,
    /// What is not to be lent to others meanwhile, if the peer is a share.
    pub(crate) reserved: Vec<Identity>,
    /// Whether the answer takes long.
    pub(crate) slow: bool,
}

/// How many brokers are asked for the same group at once: two that are dead cost a request nothing, and one
/// request does not keep pieces all over the network from others while distant brokers think.
const ASKED_AT_ONCE_MAX: usize = 3;

impl Group {
    /// Whether a peer did not serve it.
    pub(crate) fn was_refused_by(&self, peer: &Address) -> bool {
        self.setbacks.iter().any(|(other, _)| other == peer)
    }
}

impl Asking {
    pub(crate) fn new(
        request: RequestId,
        groups: Vec<Vec<Request>>,
        via: Vec<BrokerId>,
        nonce: u64,
        since: Moment,
        here: Refusal,
    ) -> Asking {
        let group = |requests| Group { requests, granted: None, setbacks: Vec::new() };
        let groups = groups.into_iter().map(group).collect();
        Asking { request, groups, via, nonce, since, here, asks: BTreeMap::new() }
    }

    /// Whether a peer is being asked anything.
    pub(crate) fn asks(&self, peer: &Address) -> bool {
        self.asks.values().any(|ask| ask.peer == *peer)
    }

    /// Whether somebody could perhaps serve it who has been restarted since the session dealt with them.
    pub(crate) fn meets_a_restart(&self) -> bool {
        let mut setbacks = self.groups.iter().flat_map(|group| &group.setbacks);
        setbacks.any(|(_, setback)| *setback == Setback::Restarting)
    }

    /// The groups that nobody has granted and nobody is being asked about.
    pub(crate) fn open(&self) -> Vec<usize> {
        let open =
            |group: &usize| self.groups[*group].granted.is_none() && self.asked(*group).next().is_none();
        (0..self.groups.len()).filter(open).collect()
    }

    /// Whether all of these groups are worth asking one more broker about: whoever was asked is slow.
    pub(crate) fn is_held_up(&self, groups: &[usize]) -> bool {
        groups.iter().all(|group| {
            let asked: Vec<&Ask> = self.asked(*group).collect();
            asked.len() < ASKED_AT_ONCE_MAX && asked.iter().all(|ask| ask.slow)
        })
    }

    /// Those who are being asked about a group.
    pub(crate) fn asked(&self, group: usize) -> impl Iterator<Item = &Ask> {
        self.asks.values().filter(move |ask| ask.groups.contains(&group))
    }

    /// Notes who did not serve what: the group that a refusal names, or else all it was about. Returns the
    /// group, if it is one.
    pub(crate) fn set_back(&mut self, ask: &Ask, setback: &Setback) -> Option<usize> {
        let named = match setback {
            Setback::Refused(refusal) => refusal.group().and_then(|nth| ask.groups.get(nth..=nth)),
            Setback::Unreachable(_) | Setback::Restarting => None,
        };
        let blamed = named.unwrap_or(&ask.groups);
        for group in blamed {
            self.groups[*group].setbacks.push((ask.peer.clone(), setback.clone()));
        }
        if let [group] = blamed { Some(*group) } else { None }
    }
}
