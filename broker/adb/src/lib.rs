//! A client of the adb server's socket protocol: handsets without the `adb` program.
//!
//! The adb server owns the USB and TCP links to devices and listens on a loopback port, 5037 by habit. This crate
//! speaks to it as the `adb` command does, over one TCP connection per service, and never starts a process: with no
//! server there is [`AdbError::NoServer`], not a second server behind somebody's back.
//!
//! - [`Server`] answers for the host: its version, the devices ([`Server::devices`] once, [`Server::track`] for every
//!   change), port forwards.
//! - [`Device`] names one serial in every request, so two handsets of one host never mix. It runs commands
//!   ([`Device::shell`], [`Device::exec`]), moves files, installs packages, restarts parts of the device.
//! - [`Stream`] is a running command's output and input. Dropping it ends the command.
//!
//! ```no_run
//! # async fn example() -> Result<(), ave_adb::AdbError> {
//! let server = ave_adb::Server::new(([127, 0, 0, 1], 5037).into());
//! for sighted in server.devices().await? {
//!     let model = server.device(&sighted.serial).shell("getprop ro.product.model").await?.text(4096).await?;
//!     println!("{}: {}", sighted.serial, String::from_utf8_lossy(&model));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! **Time.** Connecting, and the answer whether a request is accepted, have limits of their own ([`limits`]). What a
//! command or a transfer then takes is the device's affair and the caller's patience: dropping a future closes its
//! connection, upon which server and device stop what it had started.
//!
//! **Trust.** A device can write anything. Each length is checked against a named limit before memory is taken for
//! it, and text that is not UTF-8 is read with U+FFFD in place of what is wrong.

mod device;
mod error;
mod install;
pub mod limits;
mod listing;
mod server;
mod stream;
mod sync;
mod tracker;
mod transfer;
mod wire;

pub use device::Device;
pub use error::AdbError;
pub use install::quoted;
pub use listing::{Forward, Sighted};
pub use server::Server;
pub use stream::Stream;
pub use sync::{Entry, Stat};
pub use tracker::Tracker;
