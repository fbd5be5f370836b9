//! The server's listings: which devices it sees, which ports it forwards. Text in, lists out.

use crate::error::AdbError;

/// A device as the adb server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighted {
    /// Its serial number, or `host:port` of one attached over TCP.
    pub serial: String,
    /// `device`, `offline`, `unauthorized`, `bootloader`, ...
    pub state: String,
}

/// A port of this host that leads to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forward {
    /// The device.
    pub serial: String,
    /// This host's end, e.g. `tcp:49152`.
    pub local: String,
    /// The device's end, e.g. `tcp:8080` or `localabstract:name`.
    pub remote: String,
}

/// The devices of one listing: a line each, serial and state with a tab between them.
pub(crate) fn sighted(text: &str) -> Result<Vec<Sighted>, AdbError> {
    text.lines()
        .map(|line| match line.split_once('\t') {
            Some((serial, state)) => Ok(Sighted { serial: serial.to_owned(), state: state.to_owned() }),
            None => Err(AdbError::protocol("a serial, a tab and a state", line.as_bytes())),
        })
        .collect()
}

/// The forwards of one listing: a line each, three words. A serial may hold blanks, the other two may not.
pub(crate) fn forwards(text: &str) -> Result<Vec<Forward>, AdbError> {
    text.lines()
        .map(|line| {
            let mut words = line.rsplitn(3, ' ').map(str::to_owned);
            match (words.next(), words.next(), words.next()) {
                (Some(remote), Some(local), Some(serial)) => Ok(Forward { serial, local, remote }),
                _ => Err(AdbError::protocol("a serial and two addresses", line.as_bytes())),
            }
        })
        .collect()
}
