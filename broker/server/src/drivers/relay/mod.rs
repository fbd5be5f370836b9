//! Relays: groups of circuits on USB boards, switched by scripts and back at their defaults before anybody
//! else gets them. `docs/relay.md` says what scripts can do with one.

mod board;
mod boards;
mod devantech;
mod stamp;
#[cfg(test)]
mod tests;
mod unit;
mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal};
use ave_protocol::arguments::Signature;

use self::boards::Boards;
use self::unit::RelayUnit;
pub(super) use self::unit::methods;
pub(crate) use self::watch::RelayWatch;
use super::{Driver, Unit};
use crate::config::Paths;
use crate::usb::Usb;

/// The type of what is lent.
const KIND: &str = "relay";

/// Drives the relays of this host's boards.
pub(crate) struct RelayDriver {
    boards: Arc<Boards>,
}

impl RelayDriver {
    /// The driver for the boards on this bus, configured in this home, and the watch that finds them.
    pub(crate) fn new(usb: Usb, paths: Paths) -> (RelayDriver, RelayWatch) {
        let boards = Arc::new(Boards::default());
        (RelayDriver { boards: boards.clone() }, RelayWatch { usb, paths, boards })
    }
}

#[async_trait]
impl Driver for RelayDriver {
    /// Touches nothing: a relay is at its defaults before it can be granted.
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal> {
        let (uid, profile) = (granted.item.value.clone(), granted.profile.clone());
        Ok(Box::new(RelayUnit::new(uid, profile, self.boards.clone())))
    }

    fn methods(&self) -> &[Signature] {
        unit::methods()
    }

    async fn reset(&self, item: &Identity, _known: &Profile) -> Result<(), String> {
        rest(&self.boards, &item.value, true).await
    }
}

/// Resets one relay. If its board is not there and somebody has `switched` it, the reset is owed. A relay
/// without a board has nothing to reset.
async fn rest(boards: &Boards, uid: &str, switched: bool) -> Result<(), String> {
    let Some(relay) = boards.relay(uid) else { return Ok(()) };
    match relay.reset().await {
        Ok(_) => boards.settle(&relay),
        Err(_) if !switched => {}
        Err(reason) => {
            boards.owe(&relay);
            return Err(format!("a reset is owed: {reason}"));
        }
    }
    Ok(())
}
