//! What can go wrong between this process, the adb server and a device.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a request to the adb server or a device failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdbError {
    /// Nothing accepted a connection at the server's address.
    #[error("no adb server at {address}: {source}")]
    NoServer {
        /// Where it was looked for.
        address: SocketAddr,
        /// What the operating system said.
        source: io::Error,
    },

    /// The server or the device said no, in these words, e.g. `device 'x' not found`.
    #[error("{0}")]
    Refused(String),

    /// The answer is not one of the protocol: what was wanted, what was found.
    #[error("answer of the adb server: {0}")]
    Protocol(String),

    /// No answer in time. The connection was closed.
    #[error("{request}: no answer within {} s", .limit.as_secs())]
    Silent {
        /// The service that was asked for.
        request: String,
        /// How long it was waited for.
        limit: Duration,
    },

    /// Something is larger than a named limit of [`crate::limits`], and was not sent or not read.
    #[error("{what}: more than {bytes_max} bytes")]
    TooLong {
        /// What it was.
        what: &'static str,
        /// The limit.
        bytes_max: usize,
    },

    /// A file of this host could not be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// The connection to the server broke or ended too early.
    #[error("connection to the adb server: {0}")]
    Io(#[from] io::Error),
}

impl AdbError {
    /// `wanted` was expected, `found` came instead.
    pub(crate) fn protocol(wanted: &str, found: &[u8]) -> Self {
        AdbError::Protocol(format!("wanted {wanted}, found \"{}\"", found.escape_ascii()))
    }

    /// Names the file of this host an operation was about.
    pub(crate) fn file(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| AdbError::File { path: path.to_owned(), source }
    }
}
