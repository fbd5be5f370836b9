//! Equipment without hardware, for tests and for `make demo`: phones that the real adb server talks to, a relay
//! board on a pseudo terminal, and the USB tree they appear in. Everything listens on loopback only, runs what
//! it is told to run, and is gone when its handle is dropped.

mod adb_server;
mod background;
mod phone;

pub use adb_server::AdbServer;
pub use phone::{Authorization, Phone, PhoneBuilder};
