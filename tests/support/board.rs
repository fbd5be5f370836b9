//! A host's USB for a test, and relay boards that are plugged into it.

use ave_simulated::{Board, UsbDevice, UsbTree};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What is plugged into a host, and the nodes of it.
pub(crate) struct Bus {
    tree: UsbTree,
    _folder: TempDir,
}

impl Bus {
    pub(crate) fn new() -> Bus {
        let folder = tempfile::tempdir().expect("a folder");
        Bus { tree: UsbTree::new(folder.path()).expect("a tree"), _folder: folder }
    }

    /// What a broker has to be told to see this and nothing else.
    pub(crate) fn members(&self) -> Value {
        json!({"usb_devices": self.tree.devices(), "device_nodes": self.tree.nodes()})
    }

    /// Shows a board that is plugged in, as `tty`.
    pub(crate) fn plug(&self, serial: &str, tty: &str, board: &Board) {
        let device = UsbDevice {
            vendor: "04d8".to_owned(),
            product: "ffee".to_owned(),
            serial: Some(serial.to_owned()),
            tty: Some((tty.to_owned(), board.tty().expect("it is plugged in").to_owned())),
            ..UsbDevice::default()
        };
        self.tree.plug(serial, &device).expect("a device");
    }

    /// Shows no board of this serial number any more.
    pub(crate) fn unplug(&self, serial: &str) {
        self.tree.unplug(serial).expect("a device");
    }
}
