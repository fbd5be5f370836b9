//! The task of one plugged-in board, this process's only way to it: opens its line, brings it to a known state
//! unless an older broker of this home has, obeys orders one by one, and begins again when something is wrong.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock};
use serial2_tokio::SerialPort;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{info, warn};

use super::boards::{Boards, ORDERS_MAX, Order, Refused};
use super::devantech::Devantech;
use super::record::{Known, Record};
use super::stamp::Stamp;
use crate::config::Paths;
use crate::config::devantech::{BoardPlan, DevantechConfig, Port};
use crate::sightings::Sightings;

/// How long to leave a board alone with which something is wrong. Its part of the configuration is read
/// again, too.
const PAUSE: Duration = Duration::from_secs(2);

/// How long to leave a board alone that fails again and again although it says that it is ready. For as long it
/// has to work until that is forgotten.
const PAUSE_MAX: Duration = Duration::from_secs(64);

/// Any rate does: there is no real line behind the USB.
const BAUD: u32 = 9600;

/// A board on the bench.
pub(super) struct PluggedBoard {
    pub(super) serial: String,
    /// What tells this plug-in from others, and the line.
    pub(super) place: (u64, PathBuf),
    pub(super) paths: Paths,
    pub(super) boards: Arc<Boards>,
    pub(super) sightings: Sightings,
    /// The orders for a board that an older broker of this home has prepared.
    pub(super) inherited: Option<mpsc::Receiver<Order>>,
    /// Dropped when the board has been tried once.
    pub(super) first: Option<TaskTrackerToken>,
}

/// A board that does what it is told.
struct Prepared {
    board: Devantech<SerialPort>,
    orders: mpsc::Receiver<Order>,
    record: Record,
}

impl PluggedBoard {
    /// Never returns; it is dropped when the board is unplugged.
    pub(super) async fn attend(mut self) {
        let mut said = String::new();
        let mut lapses = Lapses::default();
        let mut claim = None;
        loop {
            let prepared = self.prepare(&mut claim).await;
            self.inherited = None;
            let (fault, pause) = match prepared {
                Ok(Prepared { mut board, mut orders, record }) => {
                    said.clear();
                    self.first = None;
                    let ready = Instant::now();
                    let fault = obey(&mut board, &mut orders, &record, &self.place).await;
                    (fault, lapses.pause(ready.elapsed()))
                }
                Err(fault) => (fault, PAUSE),
            };
            if fault != said {
                self.sightings.report(self.boards.went(&self.serial, &fault)).await;
                warn!(board = self.serial, tty = %self.place.1.display(), fault, "a relay board is of no use");
                said = fault;
            }
            self.first = None;
            sleep(pause).await;
        }
    }

    /// Brings all relays of the board to their defaults, then lets it be used: whatever they did before,
    /// nobody gets them in an unknown state. Where a process of this home has done that, they are not touched.
    ///
    /// The claim is kept through all faults, so that no broker of another home comes in between.
    async fn prepare(&mut self, claim: &mut Option<File>) -> Result<Prepared, String> {
        let record = Record::open(&self.paths, &self.serial)?;
        let mut turn = record.turn().await?;
        let ours = turn.known.as_ref().filter(|known| known.place == self.place);
        let tty = &self.place.1;
        if claim.is_none() {
            *claim = Some(take(tty, ours.is_some())?);
        }
        let as_it_is = ours.filter(|known| known.prepared).map(|known| known.plan.clone());
        let plan = as_it_is.clone().map_or_else(|| self.plan(), Ok)?;
        let line = SerialPort::open(tty, BAUD).map_err(|error| not_opened(tty, error))?;
        if as_it_is.is_some() {
            drop(turn); // and says what it said
            let waiting = self.inherited.take();
            let orders = self.announce(plan, waiting).await;
            return Ok(Prepared { board: Devantech::new(line), orders, record });
        }
        line.discard_buffers().map_err(|error| not_opened(tty, error))?;
        let mut board = Devantech::new(line);
        switch(&mut board, turn.interrupted, &defaults(&plan)).await?;
        let known = Known::prepared(&self.serial, self.place.clone(), plan.clone());
        turn.known = Some(known.after(turn.known.take()));
        turn.end()?;
        let orders = self.announce(plan, None).await;
        Ok(Prepared { board, orders, record })
    }

    fn plan(&self) -> Result<BoardPlan, String> {
        let config = DevantechConfig::load(&self.paths);
        config
            .and_then(|config| config.plan(&self.serial))
            .map_err(|fault| format!("is not configured: {fault}"))
    }

    /// Says that the board can be used. Its orders are those that are waiting already, if there are any.
    async fn announce(
        &self,
        plan: BoardPlan,
        waiting: Option<mpsc::Receiver<Order>>,
    ) -> mpsc::Receiver<Order> {
        let (orders, online, gone) = match waiting {
            Some(orders) => (orders, self.boards.online(&self.serial), Vec::new()),
            None => {
                let (line, orders) = mpsc::channel(ORDERS_MAX);
                let (online, gone) = self.boards.came(&self.serial, Arc::new(plan), line);
                (orders, online, gone)
            }
        };
        info!(board = self.serial, tty = %self.place.1.display(), relays = online.len(), "a relay board is ready");
        self.sightings.gone(gone).await;
        self.sightings.report(online).await;
        for relay in self.boards.relays(&self.serial) {
            self.sightings.reset(relay).await; // if an older process could not
        }
        orders
    }
}

/// How often in a row a board has failed soon after it was ready.
#[derive(Default)]
struct Lapses(u32);

impl Lapses {
    /// How long to leave it alone after it has worked for so long.
    fn pause(&mut self, worked: Duration) -> Duration {
        self.0 = if worked < PAUSE_MAX { self.0.saturating_add(1) } else { 1 };
        PAUSE.saturating_mul(2_u32.saturating_pow(self.0 - 1)).min(PAUSE_MAX)
    }
}

/// Obeys until something is wrong with the board, and says what.
pub(super) async fn obey<S: AsyncRead + AsyncWrite + Unpin>(
    board: &mut Devantech<S>,
    orders: &mut mpsc::Receiver<Order>,
    record: &Record,
    place: &(u64, PathBuf),
) -> String {
    while let Some(order) = orders.recv().await {
        if order.reply.is_closed() {
            continue; // nobody wants it any more
        }
        let outcome = carry_out(board, &order, record, place).await;
        let fault = match &outcome {
            Err(Refused::Board(fault)) => Some(fault.clone()),
            _ => None,
        };
        let _ = order.reply.send(outcome);
        if let Some(fault) = fault {
            return fault;
        }
    }
    "is not wanted any more".to_owned()
}

/// Carries one order out, in a turn of its own, if whoever gave it may still do so.
async fn carry_out<S: AsyncRead + AsyncWrite + Unpin>(
    board: &mut Devantech<S>,
    order: &Order,
    record: &Record,
    place: &(u64, PathBuf),
) -> Result<Stamp, Refused> {
    let mut turn = record.turn().await.map_err(Refused::Board)?;
    let wrong = |what: &str| Refused::Board(what.to_owned());
    let known = turn.known.as_mut().ok_or_else(|| wrong("has been forgotten"))?;
    match known {
        known if known.place != *place => return Err(wrong("was unplugged")),
        known if !known.prepared => return Err(wrong("is being brought to its defaults again")),
        known => known.admit(&order.group, &order.pass).map_err(Refused::Over)?,
    }
    turn.begin().map_err(Refused::Board)?;
    let switched = match &order.relays[..] {
        [] => Ok(()),
        relays => switch(board, turn.interrupted, relays).await,
    };
    if let (Err(_), Some(known)) = (&switched, &mut turn.known) {
        known.prepared = false;
    }
    turn.end().and(switched).map_err(Refused::Board)?;
    Ok(Stamp::now())
}

/// Switches relays, after what is left of an exchange that was `interrupted`.
async fn switch<S: AsyncRead + AsyncWrite + Unpin>(
    board: &mut Devantech<S>,
    interrupted: bool,
    relays: &[(Port, bool)],
) -> Result<(), String> {
    if interrupted {
        board.calm().await.map_err(|fault| fault.to_string())?;
    }
    board.switch(relays).await.map_err(|fault| fault.to_string())
}

fn defaults(plan: &BoardPlan) -> Vec<(Port, bool)> {
    Port::all().map(|port| (port, plan.default_of(port))).collect()
}

/// The claim to a board's line: a broker of another home would switch the same relays. It is `shared` with the
/// processes of this home that have it already; nobody else shares one.
fn take(tty: &Path, shared: bool) -> Result<File, String> {
    let failed = |error: std::io::Error| not_opened(tty, error);
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let claim = File::options().read(true).write(true).custom_flags(flags.bits() as i32).open(tty);
    let claim = claim.map_err(failed)?;
    if !shared {
        flock(&claim, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
    }
    flock(&claim, FlockOperation::NonBlockingLockShared).map_err(|error| failed(error.into()))?;
    Ok(claim)
}

fn not_opened(tty: &Path, error: std::io::Error) -> String {
    format!("cannot be opened at {}: {error}", tty.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_board_that_lies_again_and_again_is_asked_ever_less() {
        let mut lapses = Lapses::default();
        let soon = Duration::from_millis(1);
        let pauses: Vec<u64> = (0..100).map(|_| lapses.pause(soon).as_secs()).collect();
        assert_eq!(pauses[..7], [2, 4, 8, 16, 32, 64, 64]);
        assert_eq!(pauses[99], 64);
        assert_eq!(lapses.pause(PAUSE_MAX), PAUSE, "it has worked since");
        assert_eq!(lapses.pause(soon), PAUSE * 2);
    }
}
