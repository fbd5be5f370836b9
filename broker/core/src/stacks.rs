//! The stacks, by rank: the shortest first, then as configured. Knows which stacks could serve a
//! request and which of them still have enough that is free.

use std::collections::BTreeSet;
use std::ops::Index as At;
use std::sync::Arc;

use ave_profile::{Identity, Kind, KindTable, PROFILES_MAX, Profile};

use crate::bits::BitSet;
use crate::equipment::{Equipment, ItemId};
use crate::index::{Index, Key, known_keys};

/// One stack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    /// Its pieces, in order, each once. Entries of unknown types are none.
    pub(crate) members: Vec<ItemId>,
    /// How many of them are taken.
    pub(crate) taken: u32,
    /// How many of them are eligible.
    pub(crate) eligible: u32,
}

/// All stacks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stacks {
    /// As configured.
    pub(crate) written: Vec<Arc<[Arc<Profile>]>>,
    pub(crate) ranked: Vec<Stack>,
    /// Over ranks. A stack has a key as often as its known members do.
    pub(crate) index: Index,
    /// Ranks of stacks with at least two eligible members: others serve nobody.
    pub(crate) open: BitSet,
}

impl At<u32> for Stacks {
    type Output = Stack;

    fn index(&self, rank: u32) -> &Stack {
        &self.ranked[rank as usize]
    }
}

impl Stacks {
    pub(crate) fn count_eligible(&mut self, rank: u32, more: bool) {
        let stack = &mut self.ranked[rank as usize];
        stack.eligible = if more { stack.eligible + 1 } else { stack.eligible - 1 };
        self.open.set(rank, stack.eligible >= 2);
    }

    /// Counts a member that is taken now, or no longer; how many others of the stack are taken.
    pub(crate) fn count_taken(&mut self, rank: u32, more: bool) -> u32 {
        let stack = &mut self.ranked[rank as usize];
        let others = stack.taken - u32::from(!more);
        stack.taken = others + u32::from(more);
        others
    }
}

impl Equipment {
    /// Replaces all stacks. What grants made collateral before stays as it is.
    ///
    /// Returns a sentence for every entry that is ignored because it names no piece.
    pub(crate) fn set_stacks(&mut self, kinds: &KindTable, configured: Vec<Vec<Profile>>) -> Vec<String> {
        let mut touched = self.clear_stacks();
        let mut warnings = Vec::new();
        let mut stacks = Vec::new();
        let mut named = BTreeSet::new();
        for (place, entries) in configured.into_iter().enumerate() {
            let (mut written, mut members, mut own) = (Vec::new(), Vec::new(), BTreeSet::new());
            for (nth, entry) in entries.into_iter().enumerate() {
                let member = match member(kinds, &entry) {
                    Ok(member) => member,
                    Err(why) => {
                        warnings.push(format!("stacks[{place}][{nth}] is ignored: {why}: {entry}"));
                        continue;
                    }
                };
                let entry = Arc::new(entry);
                written.push(entry.clone());
                if let Some((kind, identity)) = member {
                    let id = self.intern(&kind, &identity);
                    if named.insert(id) {
                        self.item_mut(id).written = Some(entry);
                    }
                    if own.insert(id) {
                        members.push(id);
                    }
                }
            }
            stacks.push((written.len(), Stack { members, ..Stack::default() }));
            self.stacks.written.push(written.into());
        }
        touched.extend(named);
        stacks.sort_by_key(|(length, _)| *length);
        self.stacks.ranked = stacks.into_iter().map(|(_, stack)| stack).collect();
        self.enter_stacks(&touched);
        warnings
    }

    /// Forgets all stacks; returns who was in one.
    fn clear_stacks(&mut self) -> BTreeSet<ItemId> {
        let old = std::mem::take(&mut self.stacks);
        let members: BTreeSet<ItemId> = old.ranked.into_iter().flat_map(|stack| stack.members).collect();
        for id in &members {
            self.item_mut(*id).stacks.clear();
        }
        members
    }

    /// Lets every piece that was or is in a stack know, and counts them.
    fn enter_stacks(&mut self, touched: &BTreeSet<ItemId>) {
        for rank in 0..self.stacks.ranked.len() as u32 {
            for nth in 0..self.stacks[rank].members.len() {
                let member = self.stacks[rank].members[nth];
                self.item_mut(member).stacks.push(rank);
                let taken = u32::from(self.item(member).is_taken());
                self.stacks.ranked[rank as usize].taken += taken;
            }
        }
        for id in touched {
            let item = self.item(*id);
            let by_others = |rank: &&u32| self.stacks[**rank].taken > u32::from(item.is_taken());
            let blocked = item.stacks.iter().filter(by_others).count() as u32;
            let item = self.item_mut(*id);
            item.blocked = blocked;
            item.eligible = false; // no stack counts it yet
            self.refresh(*id);
            self.forget_if_idle(*id);
        }
        let ranks = Vec::from_iter(0..self.stacks.ranked.len() as u32);
        self.index_stacks(&ranks);
    }

    /// Takes the stacks of these pieces out of the index, before what is known of them changes.
    pub(crate) fn unindex_stacks_of(&mut self, ids: &[ItemId]) -> Vec<u32> {
        let ranks: BTreeSet<u32> = ids.iter().flat_map(|id| self.item(*id).stacks.iter().copied()).collect();
        for rank in &ranks {
            let keys = self.stack_keys(*rank);
            self.stacks.index.remove(*rank, &keys);
        }
        Vec::from_iter(ranks)
    }

    /// Puts stacks into the index.
    pub(crate) fn index_stacks(&mut self, ranks: &[u32]) {
        for rank in ranks {
            let keys = self.stack_keys(*rank);
            self.stacks.index.insert(*rank, &keys);
        }
    }

    fn stack_keys(&self, rank: u32) -> Vec<Key> {
        let members = self.stacks[rank].members.iter().map(|member| self.item(*member));
        let keys = members.filter_map(|item| Some(known_keys(&item.kind, item.profile()?)));
        counted(keys.flatten().collect())
    }
}

/// Each key as often as it occurs: once, twice, up to as often as one request can want it.
pub(crate) fn counted(mut keys: Vec<Key>) -> Vec<Key> {
    keys.sort_unstable();
    let runs = keys.chunk_by(|a, b| a == b);
    runs.flat_map(|run| (1..=run.len().min(PROFILES_MAX)).map(|count| run[0].times(count))).collect()
}

/// The piece a stack's entry names: none if its type is unknown.
fn member(kinds: &KindTable, entry: &Profile) -> Result<Option<(Arc<Kind>, Identity)>, String> {
    let Some(name) = entry.kind() else { return Err("\"type\" is missing".to_owned()) };
    let Some(kind) = kinds.get(name) else { return Ok(None) };
    if kind.made_on_demand {
        return Err("pieces of this type are made on demand".to_owned());
    }
    match kinds.identity(entry) {
        Some(identity) => Ok(Some((kind.clone(), identity))),
        None => Err(format!("\"{}\" is missing", kind.identity)),
    }
}
