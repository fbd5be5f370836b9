//! How a type's pieces are found, driven and made clean again, as its descriptor says it. Only said here:
//! whoever keeps the pieces acts on it. (docs/new-equipment.md)

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Map;

/// A program and its arguments. A first word with a slash is relative to the descriptor's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// At least the program's name.
    pub command: Vec<String>,
}

/// Who finds the pieces of a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Lister {
    /// A file that lists them: `[{...}, ...]`, read again whenever it changes.
    File(FileLister),
    /// Devices on the host's USB, found by what they say they are.
    Usb(UsbLister),
    /// A program that prints them, run again and again.
    Command(CommandLister),
}

/// See [`Lister::File`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileLister {
    /// Relative to the home's configuration folder.
    pub path: String,
}

/// See [`Lister::Usb`]. A piece is reported with what is read of its device, `power_state: online`, and
/// `power_state: offline` when it is unplugged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsbLister {
    /// `idVendor`, 4 lower-case hex digits.
    pub vendor: String,
    /// `idProduct`, 4 lower-case hex digits; any product where it is missing.
    #[serde(default)]
    pub product: Option<String>,
    /// Members of the profile, each read from an attribute of the device: `serial`, `product`,
    /// `manufacturer`, `idVendor`, `idProduct`, `sysfs_path`, or `tty` for its `/dev/tty...`.
    pub fields: BTreeMap<String, String>,
    /// Members that are the same for all.
    #[serde(default)]
    pub constants: Map,
}

/// See [`Lister::Command`]. It prints the list that a file would hold.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandLister {
    /// The program and its arguments, as in [`Program`].
    pub command: Vec<String>,
    /// The pause between two runs.
    #[serde(default = "ten")]
    pub every_s: u64,
    /// For how long nothing may come out of it before its pieces are offline.
    #[serde(default = "thirty")]
    pub grace_s: u64,
}

/// When the client is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opening {
    /// Once the piece is open.
    #[default]
    Eager,
    /// At once; the first call waits.
    Lazy,
}

/// What makes a piece clean again. Until it has succeeded nobody gets the piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reset {
    /// A method of the driver, without arguments.
    Method(String),
    /// A program that gets the profile as JSON on its standard input and exits with 0.
    Command(Vec<String>),
}

/// How long a driver may take, in seconds; 0 is for ever.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriverLimits {
    /// From the start of the program to its list of methods.
    pub open_s: u64,
    /// For a call that does not say `timeout` itself.
    pub call_s: u64,
    /// From the end of its input to its own end.
    pub close_s: u64,
    /// For the reset.
    pub reset_s: u64,
}

impl Default for DriverLimits {
    fn default() -> DriverLimits {
        DriverLimits { open_s: 3, call_s: 60, close_s: 5, reset_s: 30 }
    }
}

fn ten() -> u64 {
    10
}

fn thirty() -> u64 {
    30
}
