//! What a master of the original kind is told: always whole lists, in its own three calls, of the types it
//! knows. (Specification 6.2, D1.)

use std::collections::BTreeMap;
use std::sync::Arc;

use ave_core::{Report, SharedPiece, Taken};
use ave_profile::{Identity, KindTable, Map, Profile, Value};

use super::dialect::{Call, listed};

/// All that is shared, as an original master sees it, and what of it that master has not been told.
#[derive(Debug)]
pub(super) struct Picture {
    kinds: KindTable,
    pieces: BTreeMap<Identity, Piece>,
    stacks: Vec<Vec<Arc<Profile>>>,
    workspace: Option<Profile>,
    untold: Untold,
}

/// What the original knows of a piece: where it really is, it is not told.
#[derive(Debug, PartialEq)]
struct Piece {
    profile: Arc<Profile>,
    taken: Vec<Taken>,
}

#[derive(Debug, Default)]
struct Untold {
    pieces: bool,
    stacks: bool,
    workspace: bool,
}

impl Picture {
    /// For a new connection: its first report says that there is nothing, if there is nothing.
    pub(super) fn new() -> Picture {
        Picture {
            kinds: KindTable::builtin(),
            pieces: BTreeMap::new(),
            stacks: Vec::new(),
            workspace: None,
            untold: Untold { pieces: true, ..Untold::default() },
        }
    }

    /// Forgets all pieces: they are described anew.
    pub(super) fn begin_anew(&mut self) {
        self.pieces.clear();
        self.untold.pieces = true;
    }

    /// Takes note of what has changed.
    pub(super) fn hear(&mut self, report: Report) {
        for identity in report.gone {
            self.untold.pieces |= self.pieces.remove(&identity).is_some();
        }
        for SharedPiece { profile, mut taken, .. } in report.changed {
            let Some(identity) = self.kinds.identity(&profile) else { continue };
            for taken in &mut taken {
                taken.collateral.retain(|profile| self.kinds.identity(profile).is_some());
            }
            let piece = Piece { profile, taken };
            if self.pieces.get(&identity) != Some(&piece) {
                self.pieces.insert(identity, piece);
                self.untold.pieces = true;
            }
        }
        if let Some(stacks) = report.stacks {
            let stacks = self.readable(&stacks);
            self.untold.stacks |= stacks != self.stacks;
            self.stacks = stacks;
        }
        if let Some(workspace) = report.workspace {
            self.untold.workspace |= workspace != self.workspace;
            self.workspace = workspace;
        }
    }

    /// The calls that tell what is untold, in their order.
    pub(super) fn calls(&mut self, from: &Value) -> Vec<Call> {
        let untold = std::mem::take(&mut self.untold);
        let mut calls = Vec::new();
        if let Some(workspace) = self.workspace.as_ref().filter(|_| untold.workspace) {
            calls.push(Call::new("set_ws_profile", [from.clone(), workspace.clone().into()]));
        }
        if untold.stacks {
            let stacks = Value::List(self.stacks.iter().map(listed).collect());
            calls.push(Call::new("set_stacks", [from.clone(), stacks]));
        }
        if untold.pieces {
            let equipment = listed(self.pieces.values().map(|piece| &piece.profile));
            calls.push(Call::new("set_equipment", [from.clone(), equipment, self.allocations()]));
        }
        calls
    }

    /// Stacks of the types that the original knows. It fails on members without identity (B5).
    fn readable(&self, stacks: &[Arc<[Arc<Profile>]>]) -> Vec<Vec<Arc<Profile>>> {
        let readable = |profile: &&Arc<Profile>| self.kinds.identity(profile).is_some();
        let stacks = stacks.iter().map(|stack| stack.iter().filter(readable).cloned().collect::<Vec<_>>());
        stacks.filter(|stack| !stack.is_empty()).collect()
    }

    /// The keys mean nothing, but that they differ.
    fn allocations(&self) -> Value {
        let taken = self.pieces.values().flat_map(|piece| &piece.taken);
        let entry =
            |(number, taken): (usize, &Taken)| (number.to_string(), Value::List(vec![allocation(taken)]));
        Value::Map(taken.enumerate().map(entry).collect())
    }
}

/// One allocation, as both kinds of master are told of it.
pub(super) fn allocation(taken: &Taken) -> Value {
    Value::Map(Map::from([
        ("profile".to_owned(), Profile::clone(&taken.profile).into()),
        ("collateral".to_owned(), listed(&taken.collateral)),
    ]))
}
