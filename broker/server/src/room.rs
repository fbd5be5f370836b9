//! How many bytes all connections together may hold for others: what one of them takes, the others do not
//! have. A little each has for nothing.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::limits::{ROOM_FREE_BYTES, ROOM_WAIT};

/// Room is counted in KiB, so that any number of bytes can be counted.
const UNIT_BYTES: usize = 1 << 10;

/// Room for the bytes of all connections, in one direction.
#[derive(Clone, Debug)]
pub(crate) struct Room(Arc<Semaphore>);

/// What one connection has of it. Dropping it gives it back.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    room: Option<Room>,
    taken: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Room for so many bytes.
    pub(crate) fn of(bytes: usize) -> Room {
        Room(Arc::new(Semaphore::new(bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS))))
    }

    /// The claim of a connection that has taken nothing yet.
    pub(crate) fn claim(&self) -> Claim {
        Claim { room: Some(self.clone()), taken: None }
    }
}

impl Claim {
    /// Takes what is missing to so many bytes, and waits for it, but not for long. False if there is no room.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        let Some((room, more)) = self.missing(bytes) else { return true };
        match timeout(ROOM_WAIT, room.acquire_many_owned(more)).await {
            Ok(Ok(permit)) => self.take(permit),
            _ => return false,
        }
        true
    }

    /// Takes what is missing to so many bytes, if there is room for it now.
    pub(crate) fn try_grow(&mut self, bytes: usize) -> bool {
        let Some((room, more)) = self.missing(bytes) else { return true };
        let permit = room.try_acquire_many_owned(more);
        permit.map(|permit| self.take(permit)).is_ok()
    }

    /// Gives back what so many bytes do not need.
    pub(crate) fn shrink(&mut self, bytes: usize) {
        let needed = units(bytes) as usize;
        if let Some(taken) = &mut self.taken {
            let surplus = taken.num_permits().saturating_sub(needed);
            drop(taken.split(surplus));
        }
        if needed == 0 {
            self.taken = None;
        }
    }

    fn missing(&self, bytes: usize) -> Option<(Arc<Semaphore>, u32)> {
        let room = self.room.as_ref()?;
        let taken = self.taken.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = units(bytes).saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
        (more > 0).then(|| (room.0.clone(), more))
    }

    fn take(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.taken {
            Some(taken) => taken.merge(permit),
            None => self.taken = Some(permit),
        }
    }
}

fn units(bytes: usize) -> u32 {
    let counted = bytes.saturating_sub(ROOM_FREE_BYTES).div_ceil(UNIT_BYTES);
    u32::try_from(counted).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, advance};

    const ROOM: usize = 1 << 20;

    #[tokio::test(start_paused = true)]
    async fn what_one_takes_another_waits_for_but_not_for_ever() {
        let room = Room::of(ROOM - ROOM_FREE_BYTES);
        let (mut first, mut second) = (room.claim(), room.claim());
        assert!(first.grow(ROOM / 2).await && first.grow(ROOM).await);
        assert!(second.grow(ROOM_FREE_BYTES).await, "a little is free");
        let begun = Instant::now();
        assert!(!second.grow(2 * ROOM_FREE_BYTES).await);
        assert_eq!(begun.elapsed(), ROOM_WAIT);
        {
            let mut waiting = std::pin::pin!(second.grow(ROOM / 2));
            assert!(futures::poll!(waiting.as_mut()).is_pending());
            advance(ROOM_WAIT / 2).await;
            first.shrink(ROOM / 2);
            assert!(waiting.await);
        }
        assert!(!first.try_grow(ROOM));
        drop(second);
        assert!(first.try_grow(ROOM));
    }

    #[test]
    fn who_has_no_room_to_share_has_all() {
        let mut alone = Claim::default();
        assert!(alone.try_grow(usize::MAX));
        alone.shrink(0);
    }
}
