//! Which boards this broker knows, how to reach them, and what they still owe. Sessions find their relays
//! here; the boards' own tasks and the watch keep it up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ave_profile::{Identity, Map, Profile, Value};
use tokio::sync::{mpsc, oneshot};

use super::KIND;
use super::stamp::Stamp;
use crate::config::devantech::{BoardPlan, Port};

/// How many orders may wait at one board. Each takes milliseconds, and each session has one at a time.
pub(super) const ORDERS_MAX: usize = 16;

/// What is asked of a board's task: to switch these relays. The answer is when they were, or what is wrong
/// with the board.
pub(super) struct Order {
    pub(super) relays: Vec<(Port, bool)>,
    pub(super) reply: oneshot::Sender<Result<Stamp, String>>,
}

/// All boards that were ever there, by serial number. Nothing waits while it is locked.
#[derive(Default)]
pub(super) struct Boards(Mutex<BTreeMap<Arc<str>, Board>>);

struct Board {
    plan: Arc<BoardPlan>,
    /// The way to its task, or what is wrong with it.
    line: Result<mpsc::Sender<Order>, String>,
    /// The groups that could not be reset when they were given back.
    owed: BTreeSet<String>,
}

/// One group of a board's circuits, which is lent as a relay.
pub(super) struct Relay {
    board: Arc<str>,
    group: String,
    plan: Arc<BoardPlan>,
    line: Result<mpsc::Sender<Order>, String>,
}

impl Boards {
    /// The relay with this `uid`, if it is a board's.
    pub(super) fn relay(&self, uid: &str) -> Option<Relay> {
        self.lock().iter().find_map(|(serial, board)| {
            let group = uid.strip_prefix(&**serial)?.strip_prefix('.')?;
            board.plan.groups.contains_key(group).then(|| Relay {
                board: serial.clone(),
                group: group.to_owned(),
                plan: board.plan.clone(),
                line: board.line.clone(),
            })
        })
    }

    /// A board can be used from now on. Its profiles, and the relays it had before and has no more.
    pub(super) fn came(
        &self,
        serial: &str,
        plan: Arc<BoardPlan>,
        line: mpsc::Sender<Order>,
    ) -> (Vec<Profile>, Vec<Identity>) {
        let mut boards = self.lock();
        let before = boards.remove(serial);
        let (had, mut owed) = before.map(|board| (board.plan, board.owed)).unzip();
        let gone = |group: &&String| !plan.groups.contains_key(*group);
        let had = had.iter().flat_map(|plan| plan.groups.keys());
        let gone = had.filter(gone).map(|group| identity(serial, group)).collect();
        if let Some(owed) = &mut owed {
            owed.retain(|group| plan.groups.contains_key(group));
        }
        let profiles = profiles(serial, &plan, "online");
        let board = Board { plan, line: Ok(line), owed: owed.unwrap_or_default() };
        boards.insert(serial.into(), board);
        (profiles, gone)
    }

    /// A board cannot be used for now. Its profiles; none if it never could.
    pub(super) fn went(&self, serial: &str, reason: &str) -> Vec<Profile> {
        let mut boards = self.lock();
        let Some(board) = boards.get_mut(serial) else { return Vec::new() };
        board.line = Err(reason.to_owned());
        profiles(serial, &board.plan, "offline")
    }

    /// A relay was given back in a state that nobody knows.
    pub(super) fn owe(&self, relay: &Relay) {
        if let Some(board) = self.lock().get_mut(&relay.board) {
            board.owed.insert(relay.group.clone());
        }
    }

    /// A relay is known to be as it should again.
    pub(super) fn settle(&self, relay: &Relay) {
        if let Some(board) = self.lock().get_mut(&relay.board) {
            board.owed.remove(&relay.group);
        }
    }

    /// The relays that can be reset at last.
    pub(super) fn owed(&self) -> Vec<Identity> {
        let boards = self.lock();
        let reachable = boards.iter().filter(|(_, board)| board.line.is_ok());
        reachable.flat_map(|(serial, board)| board.owed.iter().map(|group| identity(serial, group))).collect()
    }

    /// Nothing is done under the lock that could fail half-way.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Board>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// The relay of the board that a circuit hangs on.
    pub(super) fn port(&self, circuit: &str) -> Option<Port> {
        self.plan.groups.get(&self.group)?.get(circuit).copied()
    }

    /// Has a circuit switched.
    ///
    /// # Errors
    /// `device is offline`, and why.
    pub(super) async fn switch(&self, port: Port, on: bool) -> Result<Stamp, String> {
        self.order(vec![(port, on)]).await
    }

    /// Has all circuits of the group switched to their defaults, and no others.
    ///
    /// # Errors
    /// As for one circuit.
    pub(super) async fn reset(&self) -> Result<Stamp, String> {
        let ports = self.plan.groups.get(&self.group).into_iter().flat_map(BTreeMap::values);
        self.order(ports.map(|port| (*port, self.plan.default_of(*port))).collect()).await
    }

    async fn order(&self, relays: Vec<(Port, bool)>) -> Result<Stamp, String> {
        let offline = |reason: &str| format!("device is offline: board {} {reason}", self.board);
        let line = self.line.as_ref().map_err(|reason| offline(reason))?;
        let (reply, answer) = oneshot::channel();
        let lost = || offline("was lost");
        line.send(Order { relays, reply }).await.map_err(|_| lost())?;
        answer.await.map_err(|_| lost())?.map_err(|reason| offline(&reason))
    }
}

fn identity(serial: &str, group: &str) -> Identity {
    Identity::new(KIND, &format!("{serial}.{group}"))
}

/// The relays of a board, as they are lent (Specification 3.5).
fn profiles(serial: &str, plan: &BoardPlan, power_state: &str) -> Vec<Profile> {
    let profile = |(group, circuits): (&String, &BTreeMap<String, Port>)| {
        let circuits = circuits.iter().map(|(name, port)| (name.clone(), i64::from(port.number()).into()));
        Profile(Map::from([
            ("type".into(), KIND.into()),
            ("uid".into(), format!("{serial}.{group}").into()),
            ("circuits".into(), Value::Map(circuits.collect())),
            ("power_state".into(), power_state.into()),
        ]))
    };
    plan.groups.iter().map(profile).collect()
}
