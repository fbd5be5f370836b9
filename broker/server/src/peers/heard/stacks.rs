//! The stacks of a share. The core counts them again whenever a piece in them changes, so that a lying
//! share must not make it count for long.

use std::collections::HashMap;
use std::sync::Arc;

use ave_profile::{Identity, KindTable, Profile, Refusal, Value};

use crate::peers::limits::{STACK_PIECES_MAX, STACKS_PER_PIECE_MAX, STACKS_WEIGHT_MAX};

type Stack = Arc<[Arc<Profile>]>;

/// Reads a list of stacks. Pieces that this broker cannot tell apart, for want of their type or of an
/// identity, are left out.
pub(super) fn read(kinds: &KindTable, stacks: Value) -> Result<Vec<Stack>, Refusal> {
    let mut counts = Counts::default();
    let stacks = lists(stacks)?.into_iter().map(|stack| {
        let mut named = Vec::new();
        for entry in lists(stack)? {
            let Value::Map(entry) = entry else { return Err(malformed()) };
            let entry = Profile(entry);
            if let Some(identity) = kinds.identity(&entry) {
                counts.count(identity, &entry)?;
                named.push(Arc::new(entry));
            }
        }
        at_most(STACK_PIECES_MAX, named.len(), "pieces in one stack")?;
        Ok(named.into())
    });
    stacks.collect()
}

/// How often each piece is named, and how much is said in all.
#[derive(Default)]
struct Counts {
    weight: usize,
    stacks: HashMap<Identity, usize>,
}

impl Counts {
    fn count(&mut self, item: Identity, entry: &Profile) -> Result<(), Refusal> {
        self.weight += entry.weight();
        let stacks = self.stacks.entry(item).or_default();
        *stacks += 1;
        at_most(STACKS_PER_PIECE_MAX, *stacks, "stacks with the same piece")?;
        at_most(STACKS_WEIGHT_MAX, self.weight, "values in stacks")
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

fn at_most(most: usize, found: usize, what: &str) -> Result<(), Refusal> {
    if found <= most {
        return Ok(());
    }
    Err(Refusal::exception(format!("too many {what}: at most {most}, found {found}")))
}
