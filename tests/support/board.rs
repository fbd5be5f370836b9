//! A relay board on a pseudo-terminal, and a folder that stands in for the USB it is plugged into.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::{Value, json};
use tempfile::TempDir;

/// What is plugged into a host, and the nodes of it.
pub(crate) struct Bus(TempDir);

/// A board with 8 relays, all of them off.
#[derive(Clone)]
pub(crate) struct Board {
    node: PathBuf,
    inner: Arc<Mutex<Inner>>,
    /// Open as long as the board is there: a terminal that nobody has open hangs up.
    _terminal: Arc<OwnedFd>,
}

#[derive(Default)]
struct Inner {
    states: u8,
    received: Vec<u8>,
    silent: bool,
}

impl Bus {
    pub(crate) fn new() -> Bus {
        let bus = Bus(tempfile::tempdir().expect("a folder"));
        for folder in ["devices", "dev", "unplugged"] {
            fs::create_dir(bus.0.path().join(folder)).expect("a folder");
        }
        bus
    }

    /// What a broker has to be told to see this and nothing else.
    pub(crate) fn members(&self) -> Value {
        json!({"usb_devices": self.0.path().join("devices"), "device_nodes": self.0.path().join("dev")})
    }

    /// Plugs a board in, all at once, as `tty`.
    pub(crate) fn plug(&self, serial: &str, tty: &str, board: &Board) {
        symlink(&board.node, self.0.path().join("dev").join(tty)).expect("a node");
        let device = self.0.path().join("unplugged").join(serial);
        let interface = device.join("1-1:1.0");
        fs::create_dir_all(interface.join("tty").join(tty)).expect("folders");
        let attributes = [("idVendor", "04d8"), ("idProduct", "ffee"), ("serial", serial)];
        for (name, value) in attributes {
            fs::write(device.join(name), format!("{value}\n")).expect("an attribute");
        }
        fs::write(interface.join("bInterfaceNumber"), "00\n").expect("an attribute");
        fs::rename(device, self.0.path().join("devices").join(serial)).expect("a device");
    }

    /// Pulls it out.
    pub(crate) fn unplug(&self, serial: &str, tty: &str) {
        fs::remove_file(self.0.path().join("dev").join(tty)).expect("a node");
        let device = self.0.path().join("unplugged").join(serial);
        fs::rename(self.0.path().join("devices").join(serial), &device).expect("a device");
        fs::remove_dir_all(device).expect("an unplugged device");
    }
}

impl Board {
    pub(crate) fn new() -> Board {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a pty");
        grantpt(&master).expect("a pty");
        unlockpt(&master).expect("a pty");
        let node = ptsname(&master, Vec::new()).expect("a name").into_string().expect("a path");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = open(node.as_str(), flags, Mode::empty()).expect("a terminal");
        let mut raw = tcgetattr(&terminal).expect("a terminal");
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw).expect("a terminal");
        let board = Board { node: node.into(), inner: Arc::default(), _terminal: Arc::new(terminal) };
        let inner = board.inner.clone();
        thread::spawn(move || answer(File::from(master), &inner));
        board
    }

    /// Bit n - 1 is set if relay n is on.
    pub(crate) fn states(&self) -> u8 {
        self.inner.lock().expect("a board").states
    }

    /// Switches its relays behind everybody's back.
    pub(crate) fn set_states(&self, states: u8) {
        self.inner.lock().expect("a board").states = states;
    }

    /// What it was sent since it was last asked.
    pub(crate) fn received(&self) -> Vec<u8> {
        std::mem::take(&mut self.inner.lock().expect("a board").received)
    }

    /// Whether it does as it is told, but never answers.
    pub(crate) fn be_silent(&self, silent: bool) {
        self.inner.lock().expect("a board").silent = silent;
    }
}

/// Does what a Devantech board does, until its terminal is gone.
fn answer(mut master: File, inner: &Mutex<Inner>) {
    let mut byte = [0];
    while let Ok(1) = master.read(&mut byte) {
        let mut board = inner.lock().expect("a board");
        board.received.push(byte[0]);
        match byte[0] {
            on @ 0x65..=0x6C => board.states |= 1 << (on - 0x65),
            off @ 0x6F..=0x76 => board.states &= !(1 << (off - 0x6F)),
            0x5B if !board.silent => master.write_all(&[board.states]).expect("the answer"),
            _ => {}
        }
    }
}
