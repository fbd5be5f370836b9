//! What the lists show. Costs what it returns where a filter narrows; nothing is copied but references.

use std::collections::BTreeSet;
use std::sync::Arc;

use ave_profile::{Address, Identity, Kind, Profile, SessionId, Value};

use crate::bits::BitSet;
use crate::broker::Core;
use crate::equipment::{Fault, Hold, ItemId};
use crate::index::wanted;
use crate::workspaces::Workspace;

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
    /// exist, by uid. A piece that could not be closed shows why, as `broken`. A filter is compared as a request is, without defaults, and need not name a type.
    /// (Specification 4.2, `list_equipment`.)
    pub fn equipment(&self, filter: Option<&Profile>, _of: Option<&Allocator>) -> Vec<Arc<Profile>> {
        let matches = |kind: &Kind, known: &Profile| filter.is_none_or(|filter| kind.matches(filter, known));
        let workspaces = self.workspaces.made.iter().filter(|(item, workspace)| {
            self.kinds.get(&item.kind).is_some_and(|kind| matches(kind, &workspace.profile))
        });
        let mut found = self.listed(filter, None);
        let shown = |workspace: &Workspace| with_fault(&workspace.profile, workspace.fault.as_deref());
        found.extend(workspaces.map(|(_, workspace)| shown(workspace)));
        found
    }

    /// The matching equipment that is not collateral and that one more session could hold, in list order. (Specification 4.2,
    /// `list_available`.)
    pub fn available(&self, filter: Option<&Profile>) -> Vec<Arc<Profile>> {
        self.listed(filter, Some(&self.equipment.free))
    }

    /// What one session holds, or everybody, as it was granted. (Specification 4.1, `list_allocations`.)
    pub fn allocations(&self, session: Option<SessionId>) -> Vec<Arc<Profile>> {
        let granted = self.held(session).filter_map(|(by, item)| match self.workspaces.made.get(item) {
            Some(workspace) => Some(workspace.profile.clone()),
            None => Some(self.hold(by, item)?.granted.clone()),
        });
        granted.collect()
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

    /// The stacks, as configured. (Specification 4.2, `list_stacks`.)
    pub fn stacks(&self) -> Vec<Arc<[Arc<Profile>]>> {
        self.equipment.stacks.written.clone()
    }

    /// Whether a session is there and has not ended.
    pub fn is_open(&self, session: SessionId) -> bool {
        self.sessions.contains_key(&session)
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
    fn listed(&self, filter: Option<&Profile>, within: Option<&BitSet>) -> Vec<Arc<Profile>> {
        let equipment = &self.equipment;
        let slots = match filter {
            Some(filter) => self.matching(filter, within),
            None => {
                let known = (0..).zip(&equipment.slots).filter_map(|(slot, piece)| piece.map(|_| slot));
                known.filter(|slot| within.is_none_or(|set| set.contains(*slot))).collect()
            }
        };
        let items = slots.into_iter().map(|slot| equipment.item(equipment.at(slot)));
        items.filter_map(|item| Some(with_fault(item.profile()?, item.fault.as_deref()))).collect()
    }

    /// The places of pieces that match a filter, in list order.
    fn matching(&self, filter: &Profile, within: Option<&BitSet>) -> Vec<u32> {
        let asked =
            |kind: &&Arc<Kind>| filter.get("type").is_none_or(|name| name.as_str() == Some(&kind.name));
        let mut slots = Vec::new();
        for kind in self.kinds.iter().filter(asked) {
            let Some(wanted) = wanted(kind, filter) else { continue };
            let Some(mut found) = self.equipment.index.with_all(&wanted.keys) else { continue };
            if let Some(set) = within {
                found = found.and(set);
            }
            let fits = |slot: &u32| {
                let known = self.equipment.item(self.equipment.at(*slot)).profile();
                wanted.exact || known.is_some_and(|known| kind.matches(filter, known))
            };
            slots.extend(found.iter().filter(fits));
        }
        slots.sort_unstable();
        slots
    }
}

/// A profile as lists show it.
fn with_fault(profile: &Arc<Profile>, fault: Option<&Fault>) -> Arc<Profile> {
    let Some(fault) = fault else { return profile.clone() };
    let mut shown = Profile::clone(profile);
    shown.0.insert(BROKEN.to_owned(), Value::from(fault.reason.as_str()));
    Arc::new(shown)
}
