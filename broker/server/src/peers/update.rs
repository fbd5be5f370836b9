//! What a master of our own kind is told: what has changed since the last time, in one call of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ave_core::{Report, SharedPiece};
use ave_profile::{Address, Identity, KindTable, Map, Profile, Value};

use super::burden;
use super::dialect::{Call, listed};
use super::limits::{STACKS_BYTES_MAX, UPDATE_BYTES_MAX};
use super::picture::allocation;

/// Pieces in one call. All of a site fit, so that a list that replaces another does so at once; and the
/// call stays far below what a master reads as one message.
const PIECES_MAX: usize = 20_000;

/// What has changed and is still to be told.
#[derive(Debug)]
pub(super) struct Update {
    kinds: KindTable,
    whole: bool,
    changed: BTreeMap<Identity, SharedPiece>,
    gone: BTreeSet<Identity>,
    /// The stacks as they were told last, or are to be: all of them travel when one has changed.
    stacks: Value,
    /// The members of which the newest replaces all.
    rest: Map,
    /// About how many bytes of memory it takes to hear of the pieces.
    bytes: usize,
}

impl Update {
    /// For a new connection, with the types this broker knows.
    pub(super) fn new(kinds: KindTable) -> Update {
        Update {
            kinds,
            whole: true,
            changed: BTreeMap::new(),
            gone: BTreeSet::new(),
            stacks: Value::Null,
            rest: Map::new(),
            bytes: 0,
        }
    }

    /// What is heard from here on is all there is.
    pub(super) fn begin_anew(&mut self) {
        *self = Update::new(self.kinds.clone());
    }

    /// Whether this is as much as one call should say.
    pub(super) fn is_full(&self) -> bool {
        self.changed.len() + self.gone.len() >= PIECES_MAX || self.bytes >= UPDATE_BYTES_MAX
    }

    /// Takes note of what has changed.
    pub(super) fn hear(&mut self, report: Report) {
        for identity in report.gone {
            self.changed.remove(&identity);
            self.gone.insert(identity);
        }
        for piece in report.changed {
            let Some(identity) = self.kinds.identity(&piece.profile) else { continue };
            self.gone.remove(&identity);
            self.bytes += burden::bytes(&piece);
            self.changed.insert(identity, piece);
        }
        if let Some(stacks) = report.stacks {
            let mut room = STACKS_BYTES_MAX;
            let fits = |stack: &&Arc<[Arc<Profile>]>| {
                let left = room.checked_sub(stack.iter().map(|entry| entry.bytes()).sum());
                room = left.unwrap_or(room);
                left.is_some()
            };
            let stacks = stacks.iter().filter(fits).map(|stack| listed(stack.iter())).collect();
            let before = std::mem::replace(&mut self.stacks, Value::List(stacks));
            if before != self.stacks {
                self.rest.insert("stacks".to_owned(), self.stacks.clone());
            }
        }
        if let Some(workspace) = report.workspace {
            self.rest.insert("workspace".to_owned(), workspace.into());
        }
    }

    /// A call that tells it all, or as much as one may; none if there is nothing to tell.
    pub(super) fn calls(&mut self, from: &Value) -> Option<Call> {
        let (stacks, changed) = (self.stacks.clone(), self.overflow());
        let next = Update { whole: false, changed, stacks, ..Update::new(self.kinds.clone()) };
        let told = std::mem::replace(self, next);
        let empty = told.changed.is_empty() && told.gone.is_empty() && told.rest.is_empty();
        (told.whole || !empty).then(|| Call::new("share_update", [from.clone(), told.into_value()]))
    }

    /// Takes out the pieces for which one call has no room.
    fn overflow(&mut self) -> BTreeMap<Identity, SharedPiece> {
        let mut bytes = 0;
        let beyond = self.changed.iter().find(|(_, piece)| {
            let had_room = bytes < UPDATE_BYTES_MAX;
            bytes += burden::bytes(piece);
            !had_room
        });
        let beyond = beyond.map(|(identity, _)| identity.clone());
        beyond.map(|identity| self.changed.split_off(&identity)).unwrap_or_default()
    }

    fn into_value(self) -> Value {
        let gone = self.gone.iter().filter_map(|identity| {
            let field = self.kinds.get(&identity.kind)?.identity.clone();
            let members = [("type".to_owned(), (&*identity.kind).into()), (field, (&*identity.value).into())];
            Some(Value::Map(Map::from(members)))
        });
        let mut members = self.rest;
        members.insert("gone".to_owned(), Value::List(gone.collect()));
        members.insert("changed".to_owned(), Value::List(self.changed.values().map(piece).collect()));
        members.insert("whole".to_owned(), Value::Bool(self.whole));
        Value::Map(members)
    }
}

fn piece(piece: &SharedPiece) -> Value {
    let SharedPiece { profile, taken, origin } = piece;
    let address = |address: &Address| vec![Value::from(&*address.host), i64::from(address.port).into()];
    let path: Vec<_> = origin.path.iter().map(ToString::to_string).collect();
    Value::Map(Map::from([
        ("profile".to_owned(), (**profile).clone().into()),
        ("taken".to_owned(), Value::List(taken.iter().map(allocation).collect())),
        ("holder".to_owned(), origin.holder.as_ref().map(address).into()),
        ("path".to_owned(), path.into()),
    ]))
}
