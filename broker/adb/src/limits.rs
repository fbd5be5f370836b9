//! Every limit of this crate, with its reason.

use std::time::Duration;

/// How long a connection to the adb server may take. It is on this host: a server that needs longer is stuck.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long an answer to a request may take. `host:connect:` waits 10 s for a device that does not exist; a device
/// that does not accept a service in three times that is stuck.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// How long a service that only says a few words (`root:`, `remount:`, ...) may take to say them.
pub const WORDS_LIMIT: Duration = Duration::from_secs(60);

/// The longest request, in bytes: its length is four hexadecimal digits.
pub const REQUEST_BYTES_MAX: usize = 0xffff;

/// The longest request to a device that may be an old one, in bytes. Before Android 6 a device took packets of 4 KiB,
/// a closing NUL included, and the adb server aborts, for every device, when it is to send a longer one.
pub const OLD_DEVICE_REQUEST_BYTES_MAX: usize = 4095;

/// The most text, in bytes, read of a service that says a few words or of a package installation.
pub const WORDS_BYTES_MAX: usize = 1 << 20;

/// The longest path the sync service of a device takes, in bytes.
pub const SYNC_PATH_BYTES_MAX: usize = 1024;

/// The most bytes one packet of the sync service carries, either way.
pub const SYNC_CHUNK_BYTES_MAX: usize = 64 * 1024;

/// The longest file name in a directory listing, in bytes. A longer one could not be asked for; [`ENTRIES_MAX`] of
/// them are 100 MiB.
pub const NAME_BYTES_MAX: usize = SYNC_PATH_BYTES_MAX;

/// The most entries read of one directory.
pub const ENTRIES_MAX: usize = 100_000;

/// What is read or written at a time when whole files move, in bytes: enough that the calls do not show.
pub(crate) const TRANSFER_BUFFER_BYTES: usize = 1 << 20;
