//! Relays: groups of circuits on USB boards, switched by scripts and back at their defaults before anybody
//! else gets them. `docs/relay.md` says what scripts can do with one.

mod board;
mod boards;
mod devantech;
mod record;
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

use self::boards::{Boards, Refused};
use self::record::Pass;
use self::unit::RelayUnit;
pub(super) use self::unit::methods;
use self::watch::Inherited;
pub(crate) use self::watch::RelayWatch;
use super::{Driver, Unit};
use crate::bench::Start;
use crate::config::Paths;
use crate::usb::Usb;

/// The type of what is lent.
const KIND: &str = "relay";

/// Drives the relays of this host's boards.
pub(crate) struct RelayDriver {
    boards: Arc<Boards>,
}

impl RelayDriver {
    /// The driver for the boards on this bus, configured in this home, and the watch that finds them. `bus` has
    /// been looked at. It blocks.
    pub(crate) fn new(bus: Usb, paths: Paths, start: Start) -> (RelayDriver, RelayWatch) {
        let boards = Arc::new(Boards::default());
        let inherited = match start {
            Start::Fresh => {
                record::forget_all(&paths);
                Inherited::new()
            }
            Start::After => watch::inherit(&boards, &paths),
        };
        (RelayDriver { boards: boards.clone() }, RelayWatch { usb: bus, paths, boards, inherited })
    }
}

#[async_trait]
impl Driver for RelayDriver {
    /// Switches nothing: a relay is at its defaults before it can be granted. A board that is not there has
    /// nobody to be kept from it.
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal> {
        if let Some(relay) = self.boards.relay(&granted.item.value).await
            && let Err(Refused::Over(message)) = relay.hold(granted.number).await
        {
            return Err(Refusal::exception(message));
        }
        Ok(Box::new(RelayUnit::new(granted, self.boards.clone())))
    }

    fn methods(&self) -> &[Signature] {
        unit::methods()
    }

    async fn reset(&self, item: &Identity, _known: &Profile) -> Result<(), String> {
        rest(&self.boards, &item.value, Pass::Broker, true).await
    }
}

/// Resets one relay. If its board is not there and somebody has `switched` it, the reset is owed. A relay
/// without a board has nothing to reset.
async fn rest(boards: &Boards, uid: &str, pass: Pass, switched: bool) -> Result<(), String> {
    let Some(relay) = boards.relay(uid).await else { return Ok(()) };
    match relay.reset(pass).await {
        Ok(_) => boards.settle(&relay),
        Err(Refused::Over(message)) => return Err(message),
        Err(Refused::Board(_)) if !switched => {}
        Err(Refused::Board(reason)) => {
            boards.owe(&relay);
            return Err(format!("a reset is owed: {reason}"));
        }
    }
    Ok(())
}

/// A group of a board's circuits, as it is lent.
fn identity(serial: &str, group: &str) -> Identity {
    Identity::new(KIND, &format!("{serial}.{group}"))
}
