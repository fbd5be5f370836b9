//! A small lab: phones that hang on the relays of one board, each with its USB supply. When its relay opens, a
//! phone goes, and it comes back when the relay closes.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::background::Task;
use crate::{Board, Phone, PhoneBuilder, UsbDevice, UsbTree};

/// Devantech's USB-RLY16L.
const BOARD: (&str, &str, &str) = ("04d8", "ffee", "USB-RLY16L");

/// A phone's vendor and product.
const PHONE: (&str, &str) = ("0fce", "51bb");

const TTY: &str = "ttyACM0";

/// The lab. Dropping it pulls everything out.
pub struct Bench {
    _power: Task,
    /// The phones; the first hangs on relay 1.
    pub phones: Vec<Arc<Phone>>,
    /// The board.
    pub board: Board,
}

impl Bench {
    /// Plugs a board with this serial number into `tree`. The phones, which the adb server at `server` gets, come
    /// when somebody closes their relays.
    ///
    /// # Errors
    ///
    /// A phone or the board does not start.
    pub fn new(
        tree: &UsbTree,
        server: SocketAddr,
        serial: &str,
        phones: Vec<PhoneBuilder>,
    ) -> io::Result<Bench> {
        let phones = phones.into_iter().map(|phone| phone.attach_to(server).start().map(Arc::new));
        let phones = phones.collect::<io::Result<Vec<_>>>()?;
        let board = Board::new()?;
        let mut relays = board.watch();
        let (tree_of_phones, plugged) = (tree.clone(), phones.clone());
        for phone in &phones {
            phone.unplug();
        }
        let power = Task::spawn(async move {
            let mut on = 0;
            loop {
                let now = *relays.borrow_and_update();
                for (n, phone) in plugged.iter().enumerate() {
                    let bit = 1 << n;
                    if (on ^ now) & bit != 0 {
                        // A tree that has been removed has no more devices to show.
                        let _ = supply(&tree_of_phones, n, phone, now & bit != 0);
                    }
                }
                on = now;
                if relays.changed().await.is_err() {
                    return;
                }
            }
        });
        if let Some(tty) = board.tty() {
            let device = device(BOARD.0, BOARD.1, serial);
            let tty = Some((TTY.to_owned(), tty.to_owned()));
            tree.plug("1-1", &UsbDevice { product_name: Some(BOARD.2.to_owned()), tty, ..device })?;
        }
        Ok(Bench { _power: power, phones, board })
    }
}

/// Gives a phone its USB supply, or takes it away.
fn supply(tree: &UsbTree, n: usize, phone: &Phone, on: bool) -> io::Result<()> {
    let place = format!("1-2.{}", n + 1);
    if on {
        tree.plug(&place, &device(PHONE.0, PHONE.1, &phone.serial()))?;
        phone.plug();
    } else {
        phone.unplug();
        tree.unplug(&place)?;
    }
    Ok(())
}

fn device(vendor: &str, product: &str, serial: &str) -> UsbDevice {
    let (vendor, product) = (vendor.to_owned(), product.to_owned());
    UsbDevice { vendor, product, serial: Some(serial.to_owned()), ..UsbDevice::default() }
}
