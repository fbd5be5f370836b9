//! The stacks of a share. The core counts them again whenever a piece in them changes, so that a lying
//! share must not make it count for long.

use std::collections::HashMap;
use std::sync::Arc;

use ave_profile::{Identity, KindTable, Profile, Refusal, Value};

use super::LeftOut;
use crate::peers::burden::excess_of_profile;
use crate::peers::limits::{STACK_PIECES_MAX, STACKS_BYTES_MAX, STACKS_PER_PIECE_MAX};

type Stack = Arc<[Arc<Profile>]>;

/// Reads a list of stacks. Pieces that this broker cannot tell apart, for want of their type or of an
/// identity, are left out, and so are stacks of no pieces and stacks that are too much.
pub(super) fn read(kinds: &KindTable, stacks: Value, left_out: &mut LeftOut) -> Result<Vec<Stack>, Refusal> {
    let mut room = Room { bytes: STACKS_BYTES_MAX, stacks: HashMap::new() };
    let mut taken = Vec::new();
    for stack in lists(stacks)? {
        let mut named = Vec::new();
        for entry in lists(stack)? {
            let Value::Map(entry) = entry else { return Err(malformed()) };
            let entry = Profile(entry);
            named.extend(kinds.identity(&entry).map(|identity| (identity, Arc::new(entry))));
        }
        match room.take(&named) {
            _ if named.is_empty() => {}
            Ok(()) => taken.push(named.into_iter().map(|(_, entry)| entry).collect()),
            Err(why) => left_out.note(|| format!("a stack: {why}")),
        }
    }
    Ok(taken)
}

/// How much more may be said, and in how many stacks each piece is already.
struct Room {
    bytes: usize,
    stacks: HashMap<Identity, usize>,
}

impl Room {
    /// Takes room for one more stack, or says why there is none.
    fn take(&mut self, stack: &[(Identity, Arc<Profile>)]) -> Result<(), String> {
        if stack.len() > STACK_PIECES_MAX {
            return Err(format!("at most {STACK_PIECES_MAX} pieces, found {}", stack.len()));
        }
        if let Some(why) = stack.iter().find_map(|(_, entry)| excess_of_profile(entry)) {
            return Err(why);
        }
        let full = |(item, _): &&(Identity, _)| self.stacks.get(item) == Some(&STACKS_PER_PIECE_MAX);
        if let Some((item, _)) = stack.iter().find(full) {
            return Err(format!("{item} is in {STACKS_PER_PIECE_MAX} others, which is the most"));
        }
        let bytes = stack.iter().map(|(_, entry)| entry.bytes()).sum();
        let left = self.bytes.checked_sub(bytes);
        self.bytes = left.ok_or_else(|| format!("all of them say more than {STACKS_BYTES_MAX} bytes"))?;
        for (item, _) in stack {
            let stacks = self.stacks.entry(item.clone()).or_default();
            *stacks = (*stacks + 1).min(STACKS_PER_PIECE_MAX); // a stack may name one twice
        }
        Ok(())
    }
}

fn lists(value: Value) -> Result<Vec<Value>, Refusal> {
    match value {
        Value::List(list) => Ok(list),
        _ => Err(malformed()),
    }
}

fn malformed() -> Refusal {
    Refusal::exception("stacks must be a list of list of profiles")
}
