//! What a session drives: a [`Driver`] per type opens [`Unit`]s, one per granted piece.
//!
//! Drivers know nothing of clients, keys or who holds what. They own their pieces' processes and files,
//! and never leave any behind.

pub(crate) mod arguments;
#[cfg(test)]
pub(crate) mod fake;
pub(crate) mod fence;
pub(crate) mod group;
pub(crate) mod handset;
pub(crate) mod place;
pub(crate) mod plugin;
pub(crate) mod refusals;
pub(crate) mod relay;
pub(crate) mod strays;
mod undriven;
pub mod workspace;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal, Value};
use ave_protocol::arguments::{Bound, Signature};
use rustix::process::Pid;
use tokio::sync::Semaphore;

use self::fence::{Fence, Pass};
use self::place::Sweep;
use crate::limits::{CLOSE_GIVE_UP, OPEN_GIVE_UP};
use crate::sightings::Sightings;

/// Opens the pieces of one type.
#[async_trait]
pub trait Driver: Send + Sync {
    /// Makes a granted piece ready for its session.
    ///
    /// # Errors
    /// Refused with the driver's own type and message; then nothing is left open.
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal>;

    /// Whether the client is answered before its piece is open: then the first call waits.
    fn lazy(&self) -> bool {
        false
    }

    /// How long opening may take; then nobody knows the piece's state, and it is not lent again.
    fn open_limit(&self) -> Duration {
        OPEN_GIVE_UP
    }

    /// How long closing or a reset may take; then the piece is not lent again.
    fn close_limit(&self) -> Duration {
        CLOSE_GIVE_UP
    }

    /// The calls of every piece, if they are known before one is open. Documents and stubs are checked
    /// against them.
    fn methods(&self) -> &[Signature] {
        &[]
    }

    /// Makes a piece clean that nobody holds and that could not be closed, so that it can be lent again.
    ///
    /// # Errors
    /// Why it still cannot be lent.
    async fn reset(&self, item: &Identity, known: &Profile) -> Result<(), String>;
}

/// Sees what is on the bench and says so, for as long as the broker runs.
#[async_trait]
pub trait Watch: Send {
    /// Never returns by itself; it is dropped when the broker stops.
    async fn watch(self: Box<Self>, sightings: Sightings);
}

/// One opened piece. Its session makes one call at a time.
#[async_trait]
pub trait Unit: Send {
    /// The calls a client may make; any other name is `no such RPC`.
    fn methods(&self) -> &[Signature];

    /// What to say to a call that is none of [`Unit::methods`], if there is more to say than
    /// `no such RPC`.
    fn no_driver_for(&self, _method: &str) -> Option<Refusal> {
        None
    }

    /// Why the piece did not open, although something was started that has to be closed.
    fn failed_to_open(&self) -> Option<Refusal> {
        None
    }

    /// Whose turn it is, among the pieces of one session, to do what keeps a thread busy.
    fn take_turns(&mut self, _turns: &Arc<Semaphore>) {}

    /// Makes one call of [`Unit::methods`], its arguments already bound to the parameters.
    ///
    /// Dropping the future stops what the call started: no process outlives it.
    ///
    /// # Errors
    /// Whatever the call may say; the piece stays usable.
    async fn call(&mut self, method: &str, arguments: Bound) -> Result<Value, Refusal>;

    /// Leaves the piece clean for the next one.
    ///
    /// # Errors
    /// Why the piece cannot be lent again.
    async fn close(self: Box<Self>) -> Result<(), String>;
}

/// The calls of a type that the broker drives itself.
pub(crate) fn calls(kind: &str) -> Option<&'static [Signature]> {
    match kind {
        "handset" => Some(handset::methods()),
        "relay" => Some(relay::methods()),
        "workspace" => Some(workspace::methods()),
        _ => None,
    }
}

/// The drivers of a broker, by the type they drive. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Drivers {
    by_kind: Arc<BTreeMap<Arc<str>, Arc<dyn Driver>>>,
    undriven: Arc<dyn Driver>,
    fence: Arc<Fence>,
    sweep: Sweep,
}

impl Drivers {
    /// These drivers; a type that has none can be lent, but not driven. What dead brokers have left running is
    /// killed in this `sweep`.
    pub(crate) fn new(by_kind: BTreeMap<Arc<str>, Arc<dyn Driver>>, sweep: Sweep) -> Drivers {
        let (undriven, fence) = (Arc::new(undriven::Undriven), Arc::default());
        Drivers { by_kind: Arc::new(by_kind), undriven, fence, sweep }
    }

    /// The driver of a type.
    pub(crate) fn of(&self, kind: &str) -> Arc<dyn Driver> {
        self.by_kind.get(kind).unwrap_or(&self.undriven).clone()
    }

    /// What a granted piece is driven with: no other grant of it counts any more.
    pub(crate) fn enter(&self, granted: &Granted) -> Pass {
        self.fence.enter(granted)
    }

    /// Resets a piece that nobody holds, once nothing drives it any more.
    ///
    /// # Errors
    /// Why it still cannot be lent.
    pub(crate) async fn reset(&self, item: &Identity, known: &Profile) -> Result<(), String> {
        self.sweep.done().await;
        self.fence.clear(item);
        self.of(&item.kind).reset(item, known).await
    }

    /// Kills what a process of this home has started, which is dead. Resets wait for that.
    pub(crate) fn sweep_after(&self, dead: Pid) {
        self.sweep.of(dead);
    }
}
