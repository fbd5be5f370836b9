//! Whose turn it is to ask another broker: so many questions at once, however many clients there are.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use ave_profile::Address;
use tokio::sync::Semaphore;

use crate::limits::ASKS_AT_ONCE_MAX;

/// The turns at every other broker that somebody has a link to.
#[derive(Default)]
pub(crate) struct Turns(Mutex<BTreeMap<Address, Weak<Semaphore>>>);

impl Turns {
    /// The turns at this broker, for as long as they are kept.
    pub(crate) fn at(&self, peer: &Address) -> Arc<Semaphore> {
        let mut turns = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = turns.get(peer).and_then(Weak::upgrade) {
            return known;
        }
        turns.retain(|_, turns| turns.strong_count() > 0);
        let new = Arc::new(Semaphore::new(ASKS_AT_ONCE_MAX));
        turns.insert(peer.clone(), Arc::downgrade(&new));
        new
    }
}
