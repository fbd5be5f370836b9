//! A request that other brokers are being asked about, in a snapshot: a journal may begin in the middle of it. A
//! process that takes over has waited for its answer instead.

use ave_profile::{Address, AskId, BrokerId, Identity, Profile, Refusal, RequestId, SessionId, Want};
use serde::{Deserialize, Serialize};

use super::{Lent, SnapshotError};
use crate::broker::Core;
use crate::equipment::Phase;
use crate::pending::{Ask, Asking, Group};
use crate::{Granted, Moment, Setback};

/// One request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    request: RequestId,
    groups: Vec<AskedGroup>,
    via: Vec<BrokerId>,
    nonce: u64,
    since: Moment,
    here: Refusal,
    asks: Vec<Question>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct AskedGroup {
    wanted: Vec<Profile>,
    granted: Option<Vec<Granted>>,
    setbacks: Vec<(Address, Setback)>,
}

/// One question to another broker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Question {
    ask: AskId,
    peer: Address,
    groups: Vec<usize>,
    /// What others do not get meanwhile, and how it is kept from them unless its share has left.
    reserved: Vec<(Identity, Option<Lent>)>,
    slow: bool,
}

impl Asked {
    /// A session's request as it is now.
    pub(super) fn of(core: &Core, session: SessionId, asking: &Asking) -> Asked {
        let group = |group: &Group| AskedGroup {
            wanted: group.requests.iter().map(|request| request.profile.clone()).collect(),
            granted: group.granted.clone(),
            setbacks: group.setbacks.clone(),
        };
        let question = |(ask, asked): (&AskId, &Ask)| Question {
            ask: *ask,
            peer: asked.peer.clone(),
            groups: asked.groups.clone(),
            reserved: asked
                .reserved
                .iter()
                .map(|item| (item.clone(), core.reserved(session, &asked.peer, item)))
                .collect(),
            slow: asked.slow,
        };
        let Asking { request, groups, via, nonce, since, here, asks } = asking;
        Asked {
            request: *request,
            groups: groups.iter().map(group).collect(),
            via: via.clone(),
            nonce: *nonce,
            since: *since,
            here: here.clone(),
            asks: asks.iter().map(question).collect(),
        }
    }
}

impl Core {
    /// How a piece is kept from others while its share is asked for it.
    fn reserved(&self, session: SessionId, peer: &Address, item: &Identity) -> Option<Lent> {
        let of = &self.shares.get(peer)?.equipment;
        let held = of.item(of.id(item)?).holds.get_key_value(&session)?;
        (held.1.phase == Phase::Asked).then(|| of.lent(held))
    }

    /// The request goes on with the next answer. `None` if it is about a type that is not known any more.
    pub(super) fn restore_asking(
        &mut self,
        session: SessionId,
        asked: Asked,
    ) -> Result<Option<Asking>, SnapshotError> {
        let Asked { request, groups, via, nonce, since, here, asks } = asked;
        let wanted = groups.iter().map(|group| group.wanted.clone()).collect();
        let Ok(requests) = self.requests(Want { groups: wanted }) else { return Ok(None) };
        let mut asking = Asking::new(request, requests, via, nonce, since, here);
        for (group, AskedGroup { granted, setbacks, .. }) in asking.groups.iter_mut().zip(groups) {
            (group.granted, group.setbacks) = (granted, setbacks);
        }
        for Question { ask, peer, groups, reserved, slow } in asks {
            if groups.iter().any(|group| *group >= asking.groups.len()) {
                let why = format!("session {session} asks {peer} for a group that it does not want");
                return Err(SnapshotError::Untrue(why));
            }
            let items = reserved.iter().map(|(item, _)| item.clone()).collect();
            for (item, lent) in reserved {
                self.restore_reserved(session, &peer, &item, lent);
            }
            asking.asks.insert(ask, Ask { peer, groups, reserved: items, slow });
        }
        Ok(Some(asking))
    }

    fn restore_reserved(&mut self, session: SessionId, peer: &Address, item: &Identity, lent: Option<Lent>) {
        let of = self.shares.get(peer).map(|share| &share.equipment);
        let has = of.and_then(|of| Some(of.item(of.id(item)?).holds.contains_key(&session)));
        if let Some(Lent { granted, collateral, .. }) = lent.filter(|_| has != Some(true)) {
            let lent = (item, &granted, &collateral[..]);
            self.shares.restore_lent(&self.kinds, peer, session, lent, Phase::Asked);
        }
    }
}
