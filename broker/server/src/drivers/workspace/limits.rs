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

/// What Jenkins tells of a job or a build: ten thousand artifacts and as many past builds fit.
pub(super) const JENKINS_ANSWER_BYTES_MAX: usize = 32 << 20;

/// Artifacts of one build.
pub(super) const ARTIFACTS_MAX: usize = 10_000;

/// Redirects followed by a download.
pub(super) const REDIRECTS_MAX: usize = 10;

/// Until a download's server has to answer the connection.
pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(30);

/// How long a download may receive nothing, even without a limit of its own.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(900);

/// A file's path on the file server; what servers commonly take in one line.
pub(super) const REMOTE_PATH_BYTES_MAX: usize = 1024;

/// Directories above it, each of which costs a round trip.
pub(super) const REMOTE_DEPTH_MAX: usize = 32;

/// What the file server keeps as the description of a key.
pub(super) const METADATA_BYTES_MAX: usize = 256 << 10;

/// Pause before a text is pushed again (Specification 4.3).
pub(super) const PUSH_PAUSE: Duration = Duration::from_secs(1);

/// How long `aapt` may take for one package.
pub(super) const AAPT_LIMIT: Duration = Duration::from_secs(60);

/// How long a coverage report may take, and packing it again.
pub(super) const REPORT_LIMIT: Duration = Duration::from_secs(900);

/// How long `copy` may take (Specification 4.3).
pub(super) const COPY_LIMIT: Duration = Duration::from_secs(10);

/// A mark holds one path.
pub(super) const MARK_BYTES_MAX: u64 = 2 * PATH_BYTES_MAX as u64;
