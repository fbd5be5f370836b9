//! Equipment without hardware, for tests and for `make demo`: phones that the real adb server talks to, a relay
//! board on a pseudo terminal, and the USB tree they appear in. Everything listens on loopback only, runs what
//! it is told to run, and is gone when its handle is dropped.

mod adb_server;
mod background;
mod bench;
mod board;
mod phone;
mod usb_tree;

pub use adb_server::AdbServer;
pub use bench::Bench;
pub use board::{Answer, Board};
pub use phone::{Authorization, Phone, PhoneBuilder};
pub use usb_tree::{UsbDevice, UsbTree};
