//! Every bound of a workspace, with its reason.

use std::time::Duration;

/// A path argument; the kernel takes no longer one.
pub(super) const PATH_BYTES_MAX: usize = 4096;

/// Symbolic links followed for one path; the kernel's own bound.
pub(super) const LINKS_MAX: usize = 40;

/// What `cat` answers at most. Each byte can take six in a JSON reply, and a frame holds 256 MiB.
pub(super) const READ_BYTES_MAX: u64 = 32 << 20;

/// What is kept of a tool's output, for the same reason.
pub(super) const OUTPUT_BYTES_MAX: usize = READ_BYTES_MAX as usize;

/// What is still read from a tool's pipe after its end: more than a pipe holds, so that a child it left in
/// the background cannot keep the call busy.
pub(super) const DRAIN_BYTES_MAX: usize = 2 << 20;

/// Paths that `ls` answers at most, far below the values a message may hold.
pub(super) const LISTED_MAX: usize = 500_000;

/// Names tried for a new file or directory before giving up.
pub(super) const NAMES_TRIED_MAX: u32 = 10_000;

/// What all entries of an archive may unpack to: flash images fit, a bomb fills no disk.
pub(super) const UNPACKED_BYTES_MAX: u64 = 16 << 30;

/// Entries of an archive.
pub(super) const UNPACKED_ENTRIES_MAX: usize = 250_000;

/// An archive's directory, which costs memory before the first entry is looked at.
pub(super) const ARCHIVE_DIRECTORY_BYTES_MAX: u64 = 32 << 20;

/// A downloaded file.
pub(super) const DOWNLOAD_BYTES_MAX: u64 = 16 << 30;

/// Redirects followed by a download.
pub(super) const REDIRECTS_MAX: usize = 10;

/// Until a download's server has to answer the connection.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// How long a download may receive nothing, even without a limit of its own.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(900);

/// How long `copy` may take (Specification 4.3).
pub(super) const COPY_LIMIT: Duration = Duration::from_secs(10);

/// A mark holds one path.
pub(super) const MARK_BYTES_MAX: u64 = 2 * PATH_BYTES_MAX as u64;
