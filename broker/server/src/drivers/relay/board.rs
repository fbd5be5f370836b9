//! The task of one plugged-in board, its only owner: opens its line, brings it to a known state, obeys
//! orders one by one, and begins again when something is wrong with it.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;
use serial2_tokio::SerialPort;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::boards::{Boards, ORDERS_MAX, Order};
use super::devantech::Devantech;
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
    pub(super) tty: PathBuf,
    pub(super) paths: Paths,
    pub(super) boards: Arc<Boards>,
    pub(super) sightings: Sightings,
}

impl PluggedBoard {
    /// Never returns; it is dropped when the board is unplugged.
    pub(super) async fn attend(self) {
        let mut said = String::new();
        let mut lapses = Lapses::default();
        loop {
            let (fault, pause) = match self.prepare().await {
                Ok((mut board, mut orders, _claim)) => {
                    said.clear();
                    let ready = Instant::now();
                    let fault = obey(&mut board, &mut orders).await;
                    (fault, lapses.pause(ready.elapsed()))
                }
                Err(fault) => (fault, PAUSE),
            };
            if fault != said {
                self.sightings.report(self.boards.went(&self.serial, &fault)).await;
                warn!(board = self.serial, tty = %self.tty.display(), fault, "a relay board is of no use");
                said = fault;
            }
            sleep(pause).await;
        }
    }

    /// Brings all relays of the board to their defaults, then lets it be used: whatever they did before,
    /// nobody gets them in an unknown state.
    async fn prepare(&self) -> Result<(Devantech<SerialPort>, mpsc::Receiver<Order>, File), String> {
        let config = DevantechConfig::load(&self.paths);
        let plan = config.and_then(|config| config.plan(&self.serial));
        let plan = Arc::new(plan.map_err(|fault| format!("is not configured: {fault}"))?);
        let (line, claim) = open(&self.tty)?;
        let mut board = Devantech::new(line);
        board.switch(&defaults(&plan)).await.map_err(|fault| fault.to_string())?;
        let (line, orders) = mpsc::channel(ORDERS_MAX);
        let (online, gone) = self.boards.came(&self.serial, plan, line);
        info!(board = self.serial, tty = %self.tty.display(), relays = online.len(), "a relay board is ready");
        self.sightings.gone(gone).await;
        self.sightings.report(online).await;
        Ok((board, orders, claim))
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
) -> String {
    while let Some(Order { relays, reply }) = orders.recv().await {
        if reply.is_closed() {
            continue; // nobody wants it any more
        }
        match board.switch(&relays).await {
            Ok(()) => drop(reply.send(Ok(Stamp::now()))),
            Err(fault) => {
                let fault = fault.to_string();
                let _ = reply.send(Err(fault.clone()));
                return fault;
            }
        }
    }
    "is not wanted any more".to_owned()
}

fn defaults(plan: &BoardPlan) -> Vec<(Port, bool)> {
    Port::all().map(|port| (port, plan.default_of(port))).collect()
}

/// The board's line, and the claim to it: another broker on this host would switch the same relays.
fn open(tty: &Path) -> Result<(SerialPort, File), String> {
    let failed = |error: std::io::Error| format!("cannot be opened at {}: {error}", tty.display());
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let claim = File::options().read(true).write(true).custom_flags(flags.bits() as i32).open(tty);
    let claim = claim.map_err(failed)?;
    claim.try_lock().map_err(|error| failed(error.into()))?;
    let line = SerialPort::open(tty, BAUD).map_err(failed)?;
    line.discard_buffers().map_err(failed)?;
    Ok((line, claim))
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
