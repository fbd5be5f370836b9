//! Every bound of a driver program, with its reason.

use std::time::Duration;

/// The longest frame in either direction. As text of a JSON reply it still fits the frame of a client.
pub(super) const FRAME_BYTES_MAX: usize = 32 << 20;

/// Values in one frame of a driver: below 64 MiB of memory.
pub(super) const VALUES_MAX: usize = 1_000_000;

/// Methods of one driver; the largest type known has 120.
pub(super) const METHODS_MAX: usize = 512;

/// What a driver gets on top of the `timeout` it was called with, to say by itself that time is up.
pub(super) const CALL_GRACE: Duration = Duration::from_secs(5);

/// How long a driver whose outputs are closed may take to be gone, so that its last words are known.
pub(super) const LAST_WORDS_LIMIT: Duration = Duration::from_millis(500);

/// One line that a driver writes for people; what is longer goes on in the next.
pub(super) const LINE_BYTES_MAX: u64 = 4 << 10;

/// Lines of one driver that are logged; a log is no disk to be filled.
pub(super) const LINES_LOGGED_MAX: usize = 1_000;

/// How much longer the broker waits for a driver to open or to close than the driver's own limits add up
/// to.
pub(super) const MARGIN: Duration = Duration::from_secs(10);
