//! A snapshot in two parts: a draft, which says what there is and may be a little old, and what it lacks. Most of the
//! work is in the draft, and it can be told and taken in while lending goes on. (Specification 7.1.)

use std::sync::Arc;

use ave_profile::{Identity, Profile};
use serde::{Deserialize, Serialize};

use super::{Known, Piece, Snapshot};

/// What a draft of a snapshot lacks.
#[derive(Clone, Debug, PartialEq)]
pub struct Remainder {
    /// What of the draft is not so any more.
    pub changes: Changes,
    /// What the draft does not say: all that is lent or broken, new or described differently, and all the small things.
    pub rest: Snapshot,
}

/// What of a draft is not so any more; by default there is none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Changes {
    /// These are not there any more, or have lost their place in the list.
    pub(super) gone: Vec<Identity>,
    /// The stacks are those of the draft, not those of the rest.
    pub(super) stacks_kept: bool,
}

impl Snapshot {
    /// Of this what [`Snapshot::since`] can leave out later: the equipment and the stacks, as if nothing was lent.
    pub fn draft(self) -> Snapshot {
        let listed = self.pieces.into_iter().filter(|piece| piece.known.is_some());
        let free = |piece: Piece| Piece { holds: Vec::new(), fault: None, written: None, ..piece };
        Snapshot { pieces: listed.map(free).collect(), stacks: self.stacks, ..Snapshot::default() }
    }

    /// What this says and `draft` does not, which was taken earlier.
    pub fn since(mut self, draft: &Snapshot) -> Remainder {
        let mut gone = Vec::new();
        let mut drafted = draft.pieces.iter();
        self.pieces.retain(|piece| {
            let Some(known) = &piece.known else { return true };
            // The list keeps its order: what it names before this piece is not there any more.
            let same = drafted.find(|drafted| {
                let found = drafted.item == piece.item;
                if !found {
                    gone.push(drafted.item.clone());
                }
                found
            });
            let before = same.and_then(|drafted| drafted.known.as_ref());
            piece.is_special() || !before.is_some_and(|before| before.is_like(known))
        });
        gone.extend(drafted.map(|drafted| drafted.item.clone()));
        let stacks_kept = are_alike(&self.stacks, &draft.stacks);
        if stacks_kept {
            self.stacks.clear();
        }
        Remainder { changes: Changes { gone, stacks_kept }, rest: self }
    }
}

impl Piece {
    /// It is not just there and free.
    fn is_special(&self) -> bool {
        !self.holds.is_empty() || self.fault.is_some() || self.written.is_some()
    }
}

impl Known {
    fn is_like(&self, other: &Known) -> bool {
        (self.source, self.hearsay) == (other.source, other.hearsay) && same(&self.profile, &other.profile)
    }
}

fn are_alike(some: &[Vec<Arc<Profile>>], others: &[Vec<Arc<Profile>>]) -> bool {
    let alike = |(one, other): (&Vec<_>, &Vec<_>)| {
        one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
    };
    some.len() == others.len() && some.iter().zip(others).all(alike)
}

/// Mostly it is the very same, of which nothing has to be compared.
fn same(one: &Arc<Profile>, other: &Arc<Profile>) -> bool {
    Arc::ptr_eq(one, other) || one == other
}
