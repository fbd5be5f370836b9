//! Every bound of handsets, with its reason.

use std::time::Duration;

/// What is kept of a command's output. Each byte can take six in a JSON reply, and a frame holds 256 MiB.
pub(super) const OUTPUT_BYTES_MAX: usize = 32 << 20;

/// What a call may take that has no limit of its own: a large tree is deleted, a bug report is written.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(600);

/// What a short look at a handset may take before it counts as not answering (Specification 1.4).
pub(super) const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// What the watch's look at everything may take: a handset that boots is slow.
pub(super) const PROBE_LIMIT: Duration = Duration::from_secs(10);

/// What the watch reads of one look. A real handset's properties take 50 KiB.
pub(super) const PROBE_BYTES_MAX: usize = 1 << 20;

/// What a profile shows of a property. Real ones are shorter.
pub(super) const PROPERTY_CHARS_MAX: usize = 1024;

/// The pause between two looks at a handset's properties, so that a change is seen within two seconds.
pub(super) const PROBE_PAUSE: Duration = Duration::from_millis(1500);

/// How long a handset may enumerate before its battery is to blame (Specification 1.3).
pub(super) const ENUMERATION_LIMIT: Duration = Duration::from_secs(120);

/// For how long that is said before it is watched for as long again.
pub(super) const DRAINING_SHOWN: Duration = Duration::from_secs(10);

/// The pause between two looks at the adb server's list for what it does not push.
pub(super) const LIST_PAUSE: Duration = Duration::from_millis(500);

/// The pause before an adb server that is not there is looked for again.
pub(super) const SERVER_PAUSE: Duration = Duration::from_secs(1);

/// Handsets known to one broker, with those that are gone: an adb server may name ever new ones.
pub(super) const HANDSETS_MAX: usize = 4096;

/// Reports on their way from the handsets' tasks to the hub.
pub(super) const REPORTS_MAX: usize = 256;

/// What it may take until adbd is back as root (Specification 12, defect 16).
pub(super) const ROOT_LIMIT: Duration = Duration::from_secs(60);

/// How long adbd, asked to become root, takes to leave at most.
pub(super) const ROOT_LEAVES: Duration = Duration::from_secs(3);

/// The pause before root is asked for once more.
pub(super) const ROOT_RETRY: Duration = Duration::from_millis(250);

/// The pause between two looks for an adbd that is to come back.
pub(super) const ADB_PAUSE: Duration = Duration::from_millis(500);

/// The pause between two looks for an adbd that is to go, which may be back soon.
pub(super) const LOST_PAUSE: Duration = Duration::from_millis(50);

/// The pause between two looks of a waiting call.
pub(super) const WAIT_PAUSE: Duration = Duration::from_secs(1);

/// The size of the list of forwards, and the number of them, up to which new ones are made: beyond 64 KiB the
/// list of all adb servers breaks.
pub(super) const FORWARDS_BYTES_MAX: usize = 63 << 10;

/// See [`FORWARDS_BYTES_MAX`].
pub(super) const FORWARDS_MAX: usize = 900;

/// How often a forward is tried.
pub(super) const FORWARD_TRIES_MAX: usize = 10;

/// What removing one session's forwards may take when it ends.
pub(super) const FORWARDS_CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// Background commands of one session.
pub(super) const BACKGROUND_MAX: usize = 64;

/// Files and directories of one push or pull.
pub(super) const TRANSFERRED_MAX: usize = 100_000;
