//! Sees relay boards come and go on the USB, gives each a task of its own, and has what they owe put right
//! when they are back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use tracing::info;

use super::board::PluggedBoard;
use super::boards::{Boards, ORDERS_MAX, Order};
use super::record;
use crate::config::Paths;
use crate::drivers::Watch;
use crate::sightings::Sightings;
use crate::usb::{Usb, UsbDevice};

/// What a Devantech board says it is: vendor and product.
const DEVANTECH: (&str, &str) = ("04d8", "ffee");

/// How often it is seen to that what boards owe is asked for, and that no board's task has failed.
const PERIOD: Duration = Duration::from_secs(1);

/// The watch for all boards of this host.
pub(crate) struct RelayWatch {
    pub(super) usb: Usb,
    pub(super) paths: Paths,
    pub(super) boards: Arc<Boards>,
    /// What is left of them when all boards on the bus have been found is not there any more.
    pub(super) inherited: Inherited,
}

/// The boards that older processes of this broker know, by serial number, and what is asked of those that are
/// prepared before they are found.
pub(super) type Inherited = BTreeMap<String, Option<mpsc::Receiver<Order>>>;

/// Makes the boards known that older processes of this broker know. It blocks.
pub(super) fn inherit(boards: &Boards, paths: &Paths) -> Inherited {
    let inherited = record::all(paths).into_iter().map(|known| {
        let (line, orders) = mpsc::channel(ORDERS_MAX);
        boards.came(&known.serial, Arc::new(known.plan), line);
        if !known.prepared {
            boards.went(&known.serial, "is being brought to its defaults again");
        }
        (known.serial, known.prepared.then_some(orders))
    });
    inherited.collect()
}

/// Where a board is; another one each time it is plugged in.
#[derive(Clone, PartialEq, Eq)]
struct Place {
    instance: u64,
    sysfs_path: PathBuf,
    tty: PathBuf,
}

type Attended = BTreeMap<String, (Place, AbortOnDropHandle<()>)>;

#[async_trait]
impl Watch for RelayWatch {
    async fn watch(mut self: Box<Self>, sightings: Sightings) {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut attended, mut settled) = (Attended::new(), false);
        loop {
            let present = present(&self.usb.borrow_and_update());
            self.follow(&mut attended, present, &sightings).await;
            self.boards.have_been_looked_for();
            for (serial, _orders) in std::mem::take(&mut self.inherited) {
                sightings.report(self.boards.went(&serial, "was unplugged")).await;
            }
            tokio::select! {
                // Without the bus nothing changes any more, but boards that are there still have their orders.
                Ok(()) = self.usb.changed() => {}
                () = self.boards.first_tried(), if !settled => {
                    settled = true;
                    sightings.settled().await;
                }
                _ = ticks.tick() => for item in self.boards.owed() {
                    sightings.reset(item).await;
                },
            }
        }
    }
}

impl RelayWatch {
    async fn follow(
        &mut self,
        attended: &mut Attended,
        present: BTreeMap<String, Place>,
        sightings: &Sightings,
    ) {
        let is_lost = |serial: &&String| {
            attended
                .get(*serial)
                .is_some_and(|(place, task)| task.is_finished() || present.get(*serial) != Some(place))
        };
        let lost: Vec<String> = attended.keys().filter(is_lost).cloned().collect();
        for serial in lost {
            let Some((_, task)) = attended.remove(&serial) else { continue };
            let offline = self.boards.went(&serial, "was unplugged");
            task.abort();
            let _ = task.await; // so that it says nothing after us
            info!(board = serial, "a relay board is gone");
            sightings.report(offline).await;
        }
        for (serial, place) in present {
            attended.entry(serial.clone()).or_insert_with(|| {
                let board = PluggedBoard {
                    inherited: self.inherited.remove(&serial).flatten(),
                    serial,
                    place: (place.instance, place.tty.clone()),
                    paths: self.paths.clone(),
                    first: Some(self.boards.trying()),
                    boards: self.boards.clone(),
                    sightings: sightings.clone(),
                };
                (place, AbortOnDropHandle::new(tokio::spawn(board.attend())))
            });
        }
    }
}

/// The boards that can be told apart and talked to. Of two with one serial number only one is used.
fn present(devices: &[UsbDevice]) -> BTreeMap<String, Place> {
    let boards = devices.iter().filter(|device| (&*device.vendor, &*device.product) == DEVANTECH);
    let place = |device: &UsbDevice| {
        let place = Place {
            instance: device.instance,
            sysfs_path: device.sysfs_path.clone(),
            tty: device.tty.clone()?,
        };
        Some((device.serial.clone()?, place))
    };
    boards.rev().filter_map(place).collect()
}
