//! What the lists show. Costs what it returns where a filter narrows; nothing is copied but references.

use std::collections::BTreeSet;
use std::sync::Arc;

use ave_profile::{Address, Identity, Kind, Profile, SessionId, Value};

use crate::bits::BitSet;
use crate::broker::Core;
use crate::equipment::{Equipment, Fault, Hold, Item, ItemId};
use crate::index::wanted;
use crate::share::Share;
use crate::workspaces::Workspace;
use crate::{SharedPiece, Source};

/// The member that says why a piece is not lent any more.
pub(crate) const BROKEN: &str = "broken";

/// One of those who can serve a request: this broker's own equipment, or a share's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Allocator {
    /// This broker's own.
    Local,
    /// A share, as it announces itself.
    Share(Address),
}

impl Core {
    /// Known equipment that matches the filter, taken or not, in list order; then the workspaces that
    /// exist, by uid: this broker's own, then that of its shares, or only what one of them has. A piece that
    /// could not be closed shows why, as `broken`. A filter is compared as a request is, without defaults,
    /// and need not name a type. (Specification 4.2, `list_equipment`.)
    pub fn equipment(&self, filter: Option<&Profile>, of: Option<&Allocator>) -> Vec<Arc<Profile>> {
        let mut found = match of {
            None | Some(Allocator::Local) => self.equipment_here(filter),
            Some(Allocator::Share(_)) => Vec::new(),
        };
        let asked = |address: &Address| match of {
            None => true,
            Some(Allocator::Local) => false,
            Some(Allocator::Share(share)) => share == address,
        };
        let shares = self.shares.iter().filter(|(address, _)| asked(address));
        found.extend(shares.flat_map(|(_, share)| profiles(self.shared_equipment(share, filter, false))));
        found
    }

    /// The matching equipment that is not collateral and that one more session could hold, in list order,
    /// this broker's own first. (Specification 4.2, `list_available`.)
    pub fn available(&self, filter: Option<&Profile>) -> Vec<Arc<Profile>> {
        let shared = self.shares.iter().map(|(_, share)| self.shared_equipment(share, filter, true));
        self.available_here(filter).into_iter().chain(shared.flat_map(profiles)).collect()
    }

    /// The known pieces of which this source had the last word, in list order.
    pub fn said_by(&self, source: Source) -> Vec<(Identity, Arc<Profile>)> {
        let known = self.equipment.listed().filter_map(|id| {
            let item = self.equipment.item(id);
            item.known.as_ref().map(|known| (&item.identity, known))
        });
        let own = known.filter(|(_, known)| known.source == source);
        own.map(|(item, known)| (item.clone(), known.profile.clone())).collect()
    }

    pub(crate) fn equipment_here(&self, filter: Option<&Profile>) -> Vec<Arc<Profile>> {
        let workspaces =
            self.workspaces.made.iter().filter(|(item, made)| self.fits(filter, item, &made.profile));
        let mut found = Vec::from_iter(profiles(self.listed(&self.equipment, filter, None)));
        let shown = |workspace: &Workspace| with_fault(&workspace.profile, workspace.fault.as_deref());
        found.extend(workspaces.map(|(_, workspace)| shown(workspace)));
        found
    }

    pub(crate) fn available_here(&self, filter: Option<&Profile>) -> Vec<Arc<Profile>> {
        profiles(self.listed(&self.equipment, filter, Some(&self.equipment.free))).collect()
    }

    /// What a share has of what this broker itself has not.
    pub(crate) fn shared_equipment<'s>(
        &self,
        share: &'s Share,
        filter: Option<&Profile>,
        available: bool,
    ) -> Vec<(&'s Identity, Arc<Profile>)> {
        let within = available.then_some(&share.equipment.free);
        let mut found = self.listed(&share.equipment, filter, within);
        found.retain(|(item, _)| !self.equipment.knows(item));
        if !available {
            let fits = |(item, piece): &(&Identity, &SharedPiece)| {
                self.fits(filter, item, &piece.profile) && !self.workspaces.made.contains_key(*item)
            };
            let workspaces = share.workspaces.iter().filter(fits);
            found.extend(workspaces.map(|(item, workspace)| (item, workspace.profile.clone())));
        }
        found
    }

    fn fits(&self, filter: Option<&Profile>, item: &Identity, known: &Profile) -> bool {
        let Some(filter) = filter else { return true };
        self.kinds.get(&item.kind).is_some_and(|kind| kind.matches(filter, known))
    }

    /// What one session holds, or everybody, as it was granted. (Specification 4.1, `list_allocations`.)
    pub fn allocations(&self, session: Option<SessionId>) -> Vec<Arc<Profile>> {
        let granted = self.held(session).filter_map(|(by, item)| match self.workspaces.made.get(item) {
            Some(workspace) => Some(workspace.profile.clone()),
            None => Some(self.hold(by, item)?.granted.clone()),
        });
        let sessions = self.sessions.iter().filter(|(id, _)| session.is_none_or(|session| session == **id));
        let far = sessions.flat_map(|(_, session)| session.far.iter().map(|far| far.granted.clone()));
        let granted = granted.chain(far).collect();
        if session.is_some() { granted } else { self.with_those_of_shares(granted) }
    }

    /// The allocations here, and those that shares report and that were not made here.
    fn with_those_of_shares(&self, mut granted: Vec<Arc<Profile>>) -> Vec<Arc<Profile>> {
        let far = self.sessions.values().flat_map(|session| session.far.iter().map(|far| &far.item));
        let ours: BTreeSet<&Identity> = far.collect();
        for (_, share) in self.shares.iter() {
            let pieces = share.equipment.items().map(|(_, item)| (&item.identity, &item.taken));
            let workspaces = share.workspaces.iter().map(|(item, workspace)| (item, &workspace.taken));
            let others = pieces.chain(workspaces).filter(|(item, _)| !ours.contains(item));
            granted.extend(others.flat_map(|(_, taken)| taken.iter().map(|taken| taken.profile.clone())));
        }
        granted
    }

    /// The collateral of what one session holds, or of everything that is taken, in the short form of
    /// the stacks. (Specification 5.7.)
    pub fn collateral(&self, session: Option<SessionId>) -> Vec<Arc<Profile>> {
        let ids: BTreeSet<ItemId> = match session {
            None => self.equipment.collateral.iter().collect(),
            Some(_) => {
                let holds = self.held(session).filter_map(|(by, item)| self.hold(by, item));
                holds.flat_map(|hold| hold.collateral.iter().copied()).collect()
            }
        };
        let items = ids.into_iter().map(|id| self.equipment.item(id)).filter(|item| !item.is_taken());
        items.filter_map(|item| item.written.clone()).collect()
    }

    /// The stacks, as configured, then those of the shares. (Specification 4.2, `list_stacks`.)
    pub fn stacks(&self) -> Vec<Arc<[Arc<Profile>]>> {
        let shared = self.shares.iter().flat_map(|(_, share)| &share.equipment.stacks.written);
        self.equipment.stacks.written.iter().chain(shared).cloned().collect()
    }

    /// Whether this process serves a session that has not ended.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session) && self.generation_of(session).is_none()
    }

    /// What one session holds, or everybody.
    fn held(&self, session: Option<SessionId>) -> impl Iterator<Item = (SessionId, &Identity)> {
        let sessions = match session {
            Some(session) => self.sessions.range(session..=session),
            None => self.sessions.range(..),
        };
        sessions.flat_map(|(id, session)| session.items.iter().map(|item| (*id, item)))
    }

    fn hold(&self, session: SessionId, item: &Identity) -> Option<&Hold> {
        self.equipment.item(self.equipment.id(item)?).holds.get(&session)
    }

    /// Matching pieces of the list: all of them, or only those also in `within`.
    fn listed<'e>(
        &self,
        equipment: &'e Equipment,
        filter: Option<&Profile>,
        within: Option<&BitSet>,
    ) -> Vec<(&'e Identity, Arc<Profile>)> {
        let slots = match filter {
            Some(filter) => self.matching(equipment, filter, within),
            None => {
                let known = (0..).zip(&equipment.slots).filter_map(|(slot, piece)| piece.map(|_| slot));
                known.filter(|slot| within.is_none_or(|set| set.contains(*slot))).collect()
            }
        };
        let items = slots.into_iter().map(|slot| equipment.item(equipment.at(slot)));
        let shown =
            |item: &'e Item| Some((&item.identity, with_fault(item.profile()?, item.fault.as_deref())));
        items.filter_map(shown).collect()
    }

    /// The places of pieces that match a filter, in list order.
    fn matching(&self, equipment: &Equipment, filter: &Profile, within: Option<&BitSet>) -> Vec<u32> {
        let asked =
            |kind: &&Arc<Kind>| filter.get("type").is_none_or(|name| name.as_str() == Some(&kind.name));
        let mut slots = Vec::new();
        for kind in self.kinds.iter().filter(asked) {
            let Some(wanted) = wanted(kind, filter) else { continue };
            let Some(mut found) = equipment.index.with_all(&wanted.keys) else { continue };
            if let Some(set) = within {
                found = found.and(set);
            }
            let fits = |slot: &u32| {
                let known = equipment.item(equipment.at(*slot)).profile();
                wanted.exact || known.is_some_and(|known| kind.matches(filter, known))
            };
            slots.extend(found.iter().filter(fits));
        }
        slots.sort_unstable();
        slots
    }
}

fn profiles(listed: Vec<(&Identity, Arc<Profile>)>) -> impl Iterator<Item = Arc<Profile>> {
    listed.into_iter().map(|(_, profile)| profile)
}

/// A profile as lists show it.
pub(crate) fn with_fault(profile: &Arc<Profile>, fault: Option<&Fault>) -> Arc<Profile> {
    let Some(fault) = fault else { return profile.clone() };
    let mut shown = Profile::clone(profile);
    shown.0.insert(BROKEN.to_owned(), Value::from(fault.reason.as_str()));
    Arc::new(shown)
}
