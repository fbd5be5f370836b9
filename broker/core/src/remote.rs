//! The other brokers this one knows: shares, whose equipment it lends as a hint of what their owners will
//! say, and the target of forwarding. (Specification 5.9 and 6.)

use std::sync::Arc;

use ave_profile::{Address, BrokerId, LinkId, Profile, Refusal, RequestId, SessionId};

use crate::broker::Core;
use crate::{Effect, Moment, Report, SharedPiece};

impl Core {
    /// When [`Event::DeadlineReached`](crate::Event::DeadlineReached) is to be told, if at all.
    pub fn deadline(&self) -> Option<Moment> {
        let retry = self.retries.first().map(|(due, _)| *due);
        self.shares.deadline().into_iter().chain(self.succession.settles_at).chain(retry).min()
    }

    /// The connected shares, in the order in which they are asked. (Specification 4.2, `list_shares`.)
    pub fn shares(&self) -> Vec<Address> {
        self.shares.iter().map(|(address, _)| address.clone()).collect()
    }

    /// What a share has reported, so that a complete list can be compared with it.
    pub fn shared_by(&self, share: &Address) -> Vec<SharedPiece> {
        self.shares.get(share).map_or_else(Vec::new, |share| share.pieces().collect())
    }

    /// Takes in what a share says over its newest connection; an older one is cut.
    pub(crate) fn share_reported(
        &mut self,
        (share, link): (Address, LinkId),
        broker: Option<BrokerId>,
        report: Report,
        request: Option<RequestId>,
    ) -> Vec<Effect> {
        let outcome = match broker {
            Some(broker) if broker == self.id => Err(Refusal::exception("a broker cannot share with itself")),
            _ => Ok(()),
        };
        let mut effects = Vec::new();
        if outcome.is_ok() {
            self.slow.remove(&share);
            let bound = self.shares.report(&self.kinds, self.id, (&share, link), broker, report);
            if let Some(before) = bound {
                effects.push(Effect::ShareChanged { share, joined: true });
                effects.extend(before.map(|link| Effect::CutLink { link }));
            }
        }
        effects.extend(request.map(|request| Effect::Reported { request, outcome }));
        effects
    }

    /// Forgets what was known by a connection that has ended. Sessions keep what they hold there.
    pub(crate) fn share_lost(&mut self, link: LinkId) -> Vec<Effect> {
        let lost = self.shares.lose(link);
        if !lost.is_empty() {
            self.changes.touch_stacks();
        }
        let mut effects = Vec::new();
        for (address, share) in lost {
            share.identities().for_each(|item| self.changes.touch(item.clone()));
            self.slow.remove(&address);
            effects.push(Effect::ShareChanged { share: address, joined: false });
        }
        effects
    }

    /// Disconnects a share, or all. (Specification 6.6.)
    pub(crate) fn share_dropped(&mut self, share: Option<&Address>) -> Vec<Effect> {
        let dropped = |address: &Address| share.is_none_or(|share| share == address);
        let shares = self.shares.iter().filter(|(address, _)| dropped(address));
        let links: Vec<LinkId> = shares.map(|(_, share)| share.link).collect();
        let lost = links.into_iter().flat_map(|link| {
            self.share_lost(link).into_iter().chain([Effect::CutLink { link }]).collect::<Vec<_>>()
        });
        lost.collect()
    }

    /// A session's link to another broker has ended; if it held anything there, that is the end of it all.
    pub(crate) fn peer_lost(&mut self, session: SessionId, peer: &Address) -> Vec<Effect> {
        if self.holds_through(session, peer) { self.end(session) } else { Vec::new() }
    }

    /// Matching equipment with the broker that holds it, as far as that is known; `None` is this one. All
    /// of it, or only what is available.
    pub fn holders(&self, filter: Option<&Profile>, available: bool) -> Vec<(Option<Address>, Arc<Profile>)> {
        let own = if available { self.available_here(filter) } else { self.equipment_here(filter) };
        let mut found: Vec<_> = own.into_iter().map(|profile| (None, profile)).collect();
        for (address, share) in self.shares.iter() {
            for (item, profile) in self.shared_equipment(share, filter, available) {
                let holder = share.origin(item).and_then(|origin| origin.holder.as_ref()).unwrap_or(address);
                found.push((Some(holder.clone()), profile));
            }
        }
        found
    }
}
