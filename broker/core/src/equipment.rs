//! Every piece of equipment anybody spoke of: what is known of it, where it stands in the list, who has
//! it, what is wrong with it, whose collateral it is. Owns the index over the list.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use ave_profile::{Allocations, Identity, Kind, Profile, SessionId, Value};

use crate::bits::BitSet;
use crate::index::{Index, known_keys};
use crate::stacks::Stacks;
use crate::{Moment, Source, Taken};

/// Below this many places the list is not worth compacting.
const COMPACT_MIN: usize = 64;

/// A piece's number, for as long as anything is remembered of it.
pub(crate) type ItemId = u32;

/// One piece.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) identity: Identity,
    pub(crate) kind: Arc<Kind>,
    pub(crate) known: Option<Known>,
    /// Who has it: nobody, one session, or as many as its type allows.
    pub(crate) holds: BTreeMap<SessionId, Hold>,
    /// Why nobody gets it.
    pub(crate) fault: Option<Box<Fault>>,
    /// Who has it, as its owner says; empty for this broker's own pieces.
    pub(crate) taken: Vec<Taken>,
    /// Of how many allocations it is collateral.
    pub(crate) collateral: u32,
    /// Its stacks, by rank.
    pub(crate) stacks: Vec<u32>,
    /// In how many of its stacks some other piece is taken.
    pub(crate) blocked: u32,
    /// Whether its stacks count it as eligible.
    pub(crate) eligible: bool,
    /// The short form in which the stacks name it.
    pub(crate) written: Option<Arc<Profile>>,
}

/// A piece as somebody describes it.
pub(crate) type Reported = (Arc<Kind>, Identity, Arc<Profile>);

/// What was last said about a piece, by whom, and its place in the list.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) profile: Arc<Profile>,
    /// What grants have shown of it to requests that name nothing else: usually no copy is needed then.
    pub(crate) shown: Option<Arc<Profile>>,
    pub(crate) source: Source,
    pub(crate) slot: u32,
    /// Only the process before this one has heard of it.
    pub(crate) hearsay: bool,
}

/// One session's allocation of a piece.
#[derive(Clone, Debug)]
pub(crate) struct Hold {
    pub(crate) phase: Phase,
    pub(crate) granted: Arc<Profile>,
    /// What this allocation made collateral.
    pub(crate) collateral: Vec<ItemId>,
    /// Its grant's; 0 for another broker's piece.
    pub(crate) number: u64,
}

/// How far a piece that was granted is from being free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Phase {
    /// It is another broker's, which has been asked for it.
    Asked,
    Held,
    /// An edge was told to close it.
    Closing,
}

/// A piece could not be closed: nobody gets it before it is reset.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fault {
    pub(crate) reason: String,
    /// When it is reset without being asked for; `None` while an edge resets it.
    pub(crate) retry_at: Option<Moment>,
    /// How many resets did not help.
    pub(crate) failed: u32,
    /// What the allocations that could not be closed made collateral.
    pub(crate) collateral: Vec<ItemId>,
}

/// The pieces, their list and their stacks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Equipment {
    pub(crate) ids: HashMap<Identity, ItemId, BuildHasherDefault<DefaultHasher>>,
    items: Vec<Option<Item>>,
    vacant: Vec<ItemId>,
    /// The list: known pieces in order, with holes where some vanished.
    pub(crate) slots: Vec<Option<ItemId>>,
    holes: usize,
    pub(crate) index: Index,
    /// Slots of pieces that are not collateral and that one more session may hold.
    pub(crate) free: BitSet,
    /// Slots of free pieces none of whose stacks has another taken member.
    pub(crate) eligible: BitSet,
    /// Ids of the pieces that are collateral.
    pub(crate) collateral: BitSet,
    pub(crate) stacks: Stacks,
    /// What has changed since somebody last asked.
    pub(crate) touched: Vec<Identity>,
}

impl Item {
    /// What is known of it; `None` while it is only spoken of.
    pub(crate) fn profile(&self) -> Option<&Arc<Profile>> {
        self.known.as_ref().map(|known| &known.profile)
    }

    /// Somebody has it, or left it in a state in which nobody gets it.
    pub(crate) fn is_taken(&self) -> bool {
        !self.holds.is_empty() || self.fault.is_some() || self.taken_elsewhere() > 0
    }

    /// How many sessions of others have it, as its owner says: those that are not ours.
    pub(crate) fn taken_elsewhere(&self) -> usize {
        let ours = self.holds.values().filter(|hold| hold.phase != Phase::Asked).count();
        self.taken.len().saturating_sub(ours)
    }

    /// One more session may hold it, as far as it alone is concerned.
    pub(crate) fn has_room(&self) -> bool {
        let room = match self.kind.allocations {
            Allocations::AtMost(most) => self.holds.len() + self.taken_elsewhere() < most.get() as usize,
            Allocations::Unlimited(_) => true,
        };
        room && self.fault.is_none()
    }

    /// No more sessions hold it than its type allows.
    pub(crate) fn is_within_room(&self) -> bool {
        match self.kind.allocations {
            Allocations::AtMost(most) => self.holds.len() <= most.get() as usize,
            Allocations::Unlimited(_) => true,
        }
    }

    /// It is collateral by stacks that are not there any more.
    pub(crate) fn is_left_over(&self) -> bool {
        self.collateral > 0 && self.stacks.is_empty()
    }

    /// Nothing is left to remember of it.
    pub(crate) fn is_idle(&self) -> bool {
        self.known.is_none() && !self.is_taken() && self.collateral == 0 && self.stacks.is_empty()
    }
}

impl Equipment {
    pub(crate) fn id(&self, identity: &Identity) -> Option<ItemId> {
        self.ids.get(identity).copied()
    }

    pub(crate) fn item(&self, id: ItemId) -> &Item {
        self.items[id as usize].as_ref().expect("ids are forgotten together with their items")
    }

    pub(crate) fn item_mut(&mut self, id: ItemId) -> &mut Item {
        self.items[id as usize].as_mut().expect("ids are forgotten together with their items")
    }

    /// Whether a piece is in the list.
    pub(crate) fn knows(&self, identity: &Identity) -> bool {
        self.id(identity).is_some_and(|id| self.item(id).known.is_some())
    }

    /// The known piece at a place of the list.
    pub(crate) fn at(&self, slot: u32) -> ItemId {
        self.slots[slot as usize].expect("only places of known pieces are indexed")
    }

    /// Everything anybody spoke of.
    pub(crate) fn items(&self) -> impl Iterator<Item = (ItemId, &Item)> {
        (0..).zip(&self.items).filter_map(|(id, item)| Some((id, item.as_ref()?)))
    }

    /// The known pieces, in list order.
    pub(crate) fn listed(&self) -> impl Iterator<Item = ItemId> {
        self.slots.iter().copied().flatten()
    }

    /// The number of a piece, a new one if nobody spoke of it before.
    pub(crate) fn intern(&mut self, kind: &Arc<Kind>, identity: &Identity) -> ItemId {
        if let Some(id) = self.id(identity) {
            return id;
        }
        let item = Item {
            identity: identity.clone(),
            kind: kind.clone(),
            known: None,
            holds: BTreeMap::new(),
            fault: None,
            taken: Vec::new(),
            collateral: 0,
            stacks: Vec::new(),
            blocked: 0,
            eligible: false,
            written: None,
        };
        let id = self.vacant.pop().unwrap_or(self.items.len() as ItemId);
        if id as usize == self.items.len() {
            self.items.push(Some(item));
        } else {
            self.items[id as usize] = Some(item);
        }
        self.ids.insert(identity.clone(), id);
        id
    }

    /// Forgets a piece of which nothing is left to remember.
    pub(crate) fn forget_if_idle(&mut self, id: ItemId) {
        if let Some(item) = self.items[id as usize].take_if(|item| item.is_idle()) {
            self.ids.remove(&item.identity);
            self.vacant.push(id);
        }
    }

    /// Adds or replaces pieces. A replaced piece keeps its place, and its `pretty` unless a new one is
    /// said. (Specification 4.3, as the decision on order has it.)
    pub(crate) fn report(&mut self, source: Source, pieces: Vec<Reported>) {
        self.learn(source, pieces, source != Source::Share);
    }

    /// As [`Equipment::report`]; every word of it counts unless `pretty` is to be kept.
    pub(crate) fn learn(&mut self, source: Source, mut pieces: Vec<Reported>, keeps_pretty: bool) {
        pieces.retain(|piece| self.is_news(source, piece));
        self.ids.reserve(pieces.len());
        self.items.reserve(pieces.len());
        let ids: Vec<ItemId> = pieces.iter().map(|(kind, identity, _)| self.intern(kind, identity)).collect();
        let ranks = self.unindex_stacks_of(&ids);
        for (id, (kind, identity, mut profile)) in ids.into_iter().zip(pieces) {
            self.touched.push(identity);
            let old = self.item_mut(id).known.take();
            if let Some(old) = &old {
                self.index.remove(old.slot, &known_keys(&kind, &old.profile));
                if keeps_pretty {
                    keep_pretty(&old.profile, &mut profile);
                }
            }
            let slot = old.map_or(self.slots.len() as u32, |old| old.slot);
            if slot as usize == self.slots.len() {
                self.slots.push(Some(id));
            }
            self.index.insert(slot, &known_keys(&kind, &profile));
            self.item_mut(id).known = Some(Known { profile, shown: None, source, slot, hearsay: false });
            self.refresh(id);
        }
        self.index_stacks(&ranks);
    }

    /// Whether a report says anything new; if it does not, its source still has the last word.
    fn is_news(&mut self, source: Source, (_, identity, profile): &Reported) -> bool {
        let known = self.id(identity).and_then(|id| self.item_mut(id).known.as_mut());
        let Some(known) = known.filter(|known| known.profile == *profile) else { return true };
        (known.source, known.hearsay) = (source, false);
        false
    }

    /// All that is known so far is known from the process before this one.
    pub(crate) fn call_hearsay(&mut self) {
        for known in self.items.iter_mut().flatten().filter_map(|item| item.known.as_mut()) {
            known.hearsay = true;
        }
    }

    /// What a source told the process before is its word to this one, too.
    pub(crate) fn confirm(&mut self, source: Source) {
        let known = self.items.iter_mut().flatten().filter_map(|item| item.known.as_mut());
        known.filter(|known| known.source == source).for_each(|known| known.hearsay = false);
    }

    /// Whose word on something is still that of the process before.
    pub(crate) fn hearsay_sources(&self) -> BTreeSet<Source> {
        self.hearsay().map(|(_, source)| source).collect()
    }

    /// What this source told the process before, and nobody has said since.
    pub(crate) fn hearsay_of(&self, source: Source) -> Vec<Identity> {
        self.hearsay().filter(|(_, said_by)| *said_by == source).map(|(item, _)| item.clone()).collect()
    }

    fn hearsay(&self) -> impl Iterator<Item = (&Identity, Source)> {
        let known = self.items().filter_map(|(_, item)| Some((&item.identity, item.known.as_ref()?)));
        known.filter(|(_, known)| known.hearsay).map(|(item, known)| (item, known.source))
    }

    /// Says what is wrong with a piece, as it was said before.
    pub(crate) fn set_fault(&mut self, id: ItemId, fault: Fault) {
        for other in &fault.collateral {
            self.count_collateral(*other, true);
        }
        self.change(id, |item| item.fault = Some(Box::new(fault)));
    }

    /// Removes pieces about which `source` had the last word. One that is taken stays with its holder.
    pub(crate) fn vanish(&mut self, source: Source, gone: &[Identity]) {
        let said = |id: &ItemId| self.item(*id).known.as_ref().is_some_and(|known| known.source == source);
        let ids: BTreeSet<ItemId> =
            gone.iter().filter_map(|identity| self.id(identity)).filter(said).collect();
        let ids = Vec::from_iter(ids);
        let ranks = self.unindex_stacks_of(&ids);
        for id in ids {
            let item = self.item_mut(id);
            let kind = item.kind.clone();
            if let Some(known) = item.known.take() {
                let identity = item.identity.clone();
                self.touched.push(identity);
                self.index.remove(known.slot, &known_keys(&kind, &known.profile));
                self.free.remove(known.slot);
                self.eligible.remove(known.slot);
                self.slots[known.slot as usize] = None;
                self.holes += 1;
                self.refresh(id);
            }
            self.forget_if_idle(id);
        }
        self.index_stacks(&ranks);
        self.compact();
    }

    /// Closes the holes in the list once they are more than half of it.
    fn compact(&mut self) {
        if self.slots.len() < COMPACT_MIN || self.holes * 2 < self.slots.len() {
            return;
        }
        let listed: Vec<ItemId> = self.listed().collect();
        (self.index, self.free, self.eligible) = (Index::default(), BitSet::default(), BitSet::default());
        self.slots = listed.iter().copied().map(Some).collect();
        self.holes = 0;
        for (slot, id) in listed.into_iter().enumerate() {
            let slot = slot as u32;
            let item = self.items[id as usize].as_mut().expect("listed pieces exist");
            if let Some(known) = &mut item.known {
                known.slot = slot;
                self.index.insert(slot, &known_keys(&item.kind, &known.profile));
            }
            self.refresh(id);
        }
    }
}

fn keep_pretty(old: &Profile, new: &mut Arc<Profile>) {
    if new.get("pretty").is_none_or(Value::is_falsy)
        && let Some(pretty) = old.get("pretty")
    {
        Arc::make_mut(new).0.insert("pretty".to_owned(), pretty.clone());
    }
}
