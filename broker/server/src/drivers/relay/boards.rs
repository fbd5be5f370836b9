//! Which boards this broker knows, how to reach them, and what they still owe. Sessions find their relays
//! here; the boards' own tasks and the watch keep it up to date.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ave_profile::{Identity, Map, Profile, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::record::Pass;
use super::stamp::Stamp;
use super::{KIND, identity};
use crate::config::devantech::{BoardPlan, Port};

/// How many orders may wait at one board. Each takes milliseconds, and each session has one at a time.
pub(super) const ORDERS_MAX: usize = 16;

/// How long to wait for the boards that are there at the start; one of them may be silent.
const FIRST_LIMIT: Duration = Duration::from_secs(3);

/// What is asked of a board's task: to switch these relays, all of one group. The answer is when they were.
pub(super) struct Order {
    pub(super) group: String,
    pub(super) pass: Pass,
    pub(super) relays: Vec<(Port, bool)>,
    pub(super) reply: oneshot::Sender<Result<Stamp, Refused>>,
}

/// Why relays are not switched.
#[derive(Debug)]
pub(super) enum Refused {
    /// Something is wrong with the board: a sentence about it, without a subject.
    Board(String),
    /// Whoever asks has had his time.
    Over(String),
}

/// All boards that were ever there, by serial number. Nothing waits while it is locked.
#[derive(Default)]
pub(super) struct Boards {
    known: Mutex<BTreeMap<Arc<str>, Board>>,
    /// Those that were there at the start and have not been tried yet.
    first: TaskTracker,
}

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
    /// The relay with this `uid`, if it is a board's, which may have to be found first.
    pub(super) async fn relay(&self, uid: &str) -> Option<Relay> {
        if let Some(relay) = self.known(uid) {
            return Some(relay);
        }
        self.first_tried().await;
        self.known(uid)
    }

    /// Waits until those that were there at the start have been tried, each of which takes milliseconds.
    pub(super) async fn first_tried(&self) {
        let _ = timeout(FIRST_LIMIT, self.first.wait()).await;
    }

    /// The relays of a board.
    pub(super) fn relays(&self, serial: &str) -> Vec<Identity> {
        let boards = self.lock();
        let groups = boards.get(serial).into_iter().flat_map(|board| board.plan.groups.keys());
        groups.map(|group| identity(serial, group)).collect()
    }

    /// To be kept until a board that was there at the start has been tried.
    pub(super) fn trying(&self) -> TaskTrackerToken {
        self.first.token()
    }

    /// All that were there at the start are known, or being tried.
    pub(super) fn have_been_looked_for(&self) {
        self.first.close();
    }

    fn known(&self, uid: &str) -> Option<Relay> {
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

    /// How the relays of a board are lent that can be used.
    pub(super) fn online(&self, serial: &str) -> Vec<Profile> {
        self.lock().get(serial).map(|board| profiles(serial, &board.plan, "online")).unwrap_or_default()
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
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Relay {
    /// The relay of the board that a circuit hangs on.
    pub(super) fn port(&self, circuit: &str) -> Option<Port> {
        self.plan.groups.get(&self.group)?.get(circuit).copied()
    }

    /// Lets nobody else switch its circuits who was granted it before.
    ///
    /// # Errors
    /// As for [`Relay::switch`].
    pub(super) async fn hold(&self, grant: u64) -> Result<(), Refused> {
        self.order(Pass::Holder(grant), Vec::new()).await.map(drop)
    }

    /// Has a circuit switched.
    ///
    /// # Errors
    /// `device is offline`, and why; or that the grant is over.
    pub(super) async fn switch(&self, grant: u64, port: Port, on: bool) -> Result<Stamp, Refused> {
        self.order(Pass::Holder(grant), vec![(port, on)]).await
    }

    /// Has all circuits of the group switched to their defaults, and no others.
    ///
    /// # Errors
    /// As for one circuit.
    pub(super) async fn reset(&self, pass: Pass) -> Result<Stamp, Refused> {
        let ports = self.plan.groups.get(&self.group).into_iter().flat_map(BTreeMap::values);
        self.order(pass, ports.map(|port| (*port, self.plan.default_of(*port))).collect()).await
    }

    async fn order(&self, pass: Pass, relays: Vec<(Port, bool)>) -> Result<Stamp, Refused> {
        let offline =
            |reason: &str| Refused::Board(format!("device is offline: board {} {reason}", self.board));
        let line = self.line.as_ref().map_err(|reason| offline(reason))?;
        let (reply, answer) = oneshot::channel();
        let order = Order { group: self.group.clone(), pass, relays, reply };
        line.send(order).await.map_err(|_| offline("was lost"))?;
        let answer = answer.await.map_err(|_| offline("was lost"))?;
        answer.map_err(|refused| match refused {
            Refused::Board(reason) => offline(&reason),
            over => over,
        })
    }
}

impl Refused {
    /// For the client.
    pub(super) fn into_message(self) -> String {
        match self {
            Refused::Board(message) | Refused::Over(message) => message,
        }
    }
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
