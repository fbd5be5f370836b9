//! Which grant of each piece may drive it: the newest, until the piece is closed. A unit that comes back to life
//! after its piece was taken from it is refused, however late its command comes.
//!
//! Another process of the same home is kept out where the piece itself can tell: see `relay/record.rs`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ave_core::Granted;
use ave_profile::{Identity, Refusal};

/// The grants whose pieces are driven by this process. Nothing waits while it is locked.
#[derive(Debug, Default)]
pub(crate) struct Fence(Mutex<HashMap<Identity, u64>>);

impl Fence {
    /// From now on this grant drives its piece, unless there is a newer one.
    pub(crate) fn enter(self: &Arc<Fence>, granted: &Granted) -> Pass {
        let (item, number) = (granted.item.clone(), granted.number);
        self.lock().entry(item.clone()).and_modify(|newest| *newest = number.max(*newest)).or_insert(number);
        Pass { fence: self.clone(), item, number }
    }

    /// Nobody who was granted it drives this piece any more.
    pub(crate) fn clear(&self, item: &Identity) {
        self.lock().remove(item);
    }

    /// Nothing is done under the lock that could fail half-way.
    fn lock(&self) -> MutexGuard<'_, HashMap<Identity, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a grant has to show whenever it drives its piece. It is over at the latest when this is dropped.
#[derive(Debug)]
pub(crate) struct Pass {
    fence: Arc<Fence>,
    item: Identity,
    number: u64,
}

impl Pass {
    /// Whether the grant still counts.
    ///
    /// # Errors
    /// It is over.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        let newest = self.fence.lock().get(&self.item).copied();
        let newer = match newest {
            Some(newest) if newest == self.number => return Ok(()),
            Some(newest) => format!(": {newest} is newer"),
            None => String::new(),
        };
        let Pass { item, number, .. } = self;
        Err(Refusal::exception(format!("grant {number} of {item} is over{newer}")))
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Entry::Occupied(newest) = self.fence.lock().entry(self.item.clone())
            && *newest.get() == self.number
        {
            newest.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(number: u64) -> Granted {
        let profile = Arc::new(ave_profile::Profile::default());
        let item = Identity::new("relay", "r1");
        Granted { item, known: profile.clone(), profile, again: false, at: None, number }
    }

    #[test]
    fn the_newest_grant_counts_until_it_is_over() {
        let fence = Arc::new(Fence::default());
        let old = fence.enter(&granted(17));
        old.check().unwrap();
        let new = fence.enter(&granted(18));
        new.check().unwrap();
        let late = fence.enter(&granted(16));
        for (pass, number) in [(&old, 17), (&late, 16)] {
            let message = format!("grant {number} of relay:r1 is over: 18 is newer");
            assert_eq!(pass.check().unwrap_err().message, message);
        }
        drop((old, late));
        new.check().unwrap();
        fence.clear(&new.item);
        assert_eq!(new.check().unwrap_err().message, "grant 18 of relay:r1 is over");
        drop(new);
        assert!(fence.lock().is_empty());
        drop(fence.enter(&granted(19)));
        assert!(fence.lock().is_empty(), "nothing is kept of what is closed");
    }
}
