//! What other brokers share with this one: for each share its equipment, stacks and workspaces as it
//! reports them, and what was lent of them through here. A picture only: the share decides.
//! (Specification 6.3.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ave_profile::{Address, BrokerId, Identity, KindTable, LinkId, Profile, SessionId};

use crate::equipment::{Hold, Phase};
use crate::share::Share;
use crate::{Granted, Moment, Report, SharedPiece, Source};

/// How long a piece that was given back through here stays out of the lists if its share says nothing of
/// it: longer than any report takes, and short enough that a lost word costs nobody an afternoon.
const RETURN_AFTER: Duration = Duration::from_secs(3);

/// All shares, by address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shares {
    by_address: BTreeMap<Address, Share>,
    /// When pieces return that nobody speaks of.
    returns: BTreeSet<(Moment, Address, Identity)>,
    /// Whose pieces may have changed since somebody last asked.
    dirty: BTreeSet<Address>,
}

impl Shares {
    pub(crate) fn get(&self, address: &Address) -> Option<&Share> {
        self.by_address.get(address)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Address, &Share)> {
        self.by_address.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_address.is_empty()
    }

    /// The next moment at which a piece returns.
    pub(crate) fn deadline(&self) -> Option<Moment> {
        self.returns.first().map(|(moment, _, _)| *moment)
    }

    /// Takes in a report. What became of the connection that spoke for the share before, if that has
    /// changed: `Some(None)` for a share that was not there.
    pub(crate) fn report(
        &mut self,
        kinds: &KindTable,
        own: BrokerId,
        (address, link): (&Address, LinkId),
        broker: Option<BrokerId>,
        report: Report,
    ) -> Option<Option<LinkId>> {
        let before = self.by_address.get(address).map(|share| share.link);
        if before.is_some_and(|before| before > link) {
            return None;
        }
        let share = self.by_address.entry(address.clone()).or_insert_with(|| Share::new(link));
        (share.link, share.broker) = (link, broker.or(share.broker));
        share.report(kinds, own, report);
        self.dirty.insert(address.clone());
        (before != Some(link)).then_some(before)
    }

    /// Forgets all that is known by a connection alone; who it was.
    pub(crate) fn lose(&mut self, link: LinkId) -> Vec<(Address, Share)> {
        self.by_address.extract_if(.., |_, share| share.link == link).collect()
    }

    /// Keeps free pieces of a share from others while it is asked for them; which those are.
    pub(crate) fn reserve(
        &mut self,
        peer: &Address,
        session: SessionId,
        items: Vec<Identity>,
    ) -> Vec<Identity> {
        let Some(share) = self.change(peer) else { return Vec::new() };
        for item in &items {
            let Some(id) = share.equipment.id(item) else { continue };
            let kind = share.equipment.item(id).kind.clone();
            let Some(known) = share.equipment.item(id).profile().cloned() else { continue };
            share.take(&kind, session, item, &known, Phase::Asked);
        }
        items
    }

    /// A share has lent a piece to a session, perhaps another one than was reserved.
    pub(crate) fn take(&mut self, kinds: &KindTable, peer: &Address, session: SessionId, granted: &Granted) {
        let (Some(share), Some(kind)) = (self.change(peer), kinds.get(&granted.item.kind)) else {
            return;
        };
        if !kind.made_on_demand {
            share.take(kind, session, &granted.item, &granted.profile, Phase::Held);
        }
    }

    /// Lets go of what was only asked for.
    pub(crate) fn release(&mut self, peer: &Address, session: SessionId, item: &Identity) {
        let Some(share) = self.change(peer) else { return };
        let id = share.equipment.id(item);
        let hold = id.and_then(|id| share.equipment.item(id).holds.get(&session));
        if hold.is_some_and(|hold| hold.phase == Phase::Asked) {
            share.release(session, item);
        }
    }

    /// A session has given a piece back: it is not listed before its share has spoken of it again, which
    /// may not have reclaimed it yet. (Specification 6.3.)
    pub(crate) fn give_back(&mut self, now: Moment, peer: &Address, session: SessionId, item: &Identity) {
        let Some(share) = self.change(peer) else { return };
        share.release(session, item);
        let Some(piece) = share.piece(item) else { return };
        if share.workspaces.remove(item).is_some() {
            share.touched.push(item.clone());
            return; // it will not return
        }
        share.equipment.vanish(Source::Share, std::slice::from_ref(item));
        let until = Moment(now.0 + RETURN_AFTER);
        share.absent.insert(item.clone(), (until, piece));
        self.returns.insert((until, peer.clone(), item.clone()));
    }

    /// A session has had a piece of a share, or asked for it, and made these collateral, since before this
    /// process began.
    pub(crate) fn restore_lent(
        &mut self,
        kinds: &KindTable,
        peer: &Address,
        session: SessionId,
        (item, granted, collateral): (&Identity, &Arc<Profile>, &[Identity]),
        phase: Phase,
    ) {
        let (Some(share), Some(kind)) = (self.change(peer), kinds.get(&item.kind)) else { return };
        let id = share.equipment.intern(kind, item);
        let collateral = share.equipment.numbers(kinds, collateral);
        let hold = Hold { phase, granted: granted.clone(), collateral, number: 0 };
        share.equipment.take(id, session, hold);
    }

    /// A piece was given back before this process began, and returns then.
    pub(crate) fn restore_absent(
        &mut self,
        kinds: &KindTable,
        peer: &Address,
        until: Moment,
        piece: SharedPiece,
    ) {
        let (Some(share), Some(item)) = (self.change(peer), kinds.identity(&piece.profile)) else { return };
        let Some(kind) = kinds.get(&item.kind).filter(|kind| !kind.made_on_demand) else { return };
        let id = share.equipment.intern(kind, &item);
        share.set_taken(kinds, id, piece.taken.clone()); // as far as its share has said
        share.set_origin(&item, piece.origin.clone());
        share.absent.insert(item.clone(), (until, piece));
        self.returns.insert((until, peer.clone(), item));
    }

    /// Lists again what nobody has spoken of for long enough.
    pub(crate) fn return_absent(&mut self, now: Moment, kinds: &KindTable, own: BrokerId) {
        while let Some((until, address, item)) = self.returns.pop_first() {
            if until > now {
                self.returns.insert((until, address, item));
                break;
            }
            let Some(share) = self.change(&address) else { continue };
            if share.absent.get(&item).is_some_and(|(moment, _)| *moment == until)
                && let Some((_, piece)) = share.absent.remove(&item)
            {
                share.report(kinds, own, Report { changed: vec![piece], ..Report::default() });
            }
        }
    }

    /// What has changed since this was last asked, and whether any stacks have.
    pub(crate) fn touched(&mut self) -> (Vec<Identity>, bool) {
        let (mut touched, mut restacked) = (Vec::new(), false);
        while let Some(address) = self.dirty.pop_first() {
            let Some(share) = self.by_address.get_mut(&address) else { continue };
            touched.append(&mut share.equipment.touched);
            touched.append(&mut share.touched);
            restacked |= std::mem::take(&mut share.restacked);
        }
        (touched, restacked)
    }

    fn change(&mut self, address: &Address) -> Option<&mut Share> {
        let share = self.by_address.get_mut(address)?;
        self.dirty.insert(address.clone());
        Some(share)
    }
}
