//! How much peers may ask of another before they are refused.

use serde::Deserialize;

/// Levels of lists and objects in one message: the level of this number is refused. Reading a value
/// recurses once per level, and nothing a lab describes comes near it.
pub const NESTING_MAX: usize = 128;

/// The longest payload anybody may send. Original peers read the length as a signed number.
/// (Specification 1.1.)
pub const PAYLOAD_BYTES_MAX: usize = 0x7fff_ffff;

/// How much of what cannot be understood is echoed in the answer: enough to recognise it.
pub const ECHO_BYTES_MAX: usize = 200;

/// The longest key id of a named answer, so that the frame's length alone tells the forms apart.
pub const KEY_ID_BYTES_MAX: usize = 64;

/// The limits a lab may set for itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The longest frame of a peer that has finished the handshake. 256 MiB: pictures and logs travel
    /// as results.
    pub frame_bytes_max: usize,
    /// The longest frame of a peer that has not. 4 KiB: an answer to the challenge has 96 bytes.
    pub handshake_frame_bytes_max: usize,
    /// Values in one message; an object counts as ten. A value of one byte on the wire may take sixty-four in
    /// memory, which keeps a message below 256 MiB.
    pub values_max: usize,
    /// Seconds until the challenge must be answered. A minute: original clients may be slow, and silent
    /// ones must not stay for ever.
    pub handshake_limit_s: u64,
    /// Connections at once, if the descriptors of the process allow that. 50,000: ten thousand sessions with
    /// four pieces each, and a connection for each of them.
    pub connections_max: usize,
    /// Connections at once that have not answered the challenge; then one of the host that has most goes.
    /// 4096: as many as may wait to be accepted.
    pub unauthenticated_max: usize,
    /// Sessions at once of one host. 10,000: all sessions of a large lab may come from one Jenkins machine.
    pub sessions_per_host_max: usize,
    /// Bytes of all connections that are received and not yet understood or answered, and as many that are
    /// answered and not yet taken. At least one frame always fits. 1 GiB: four frames of the longest kind, or a
    /// thousand of one MiB.
    pub queued_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            frame_bytes_max: 256 << 20,
            handshake_frame_bytes_max: 4 << 10,
            values_max: 4_000_000,
            handshake_limit_s: 60,
            connections_max: 50_000,
            unauthenticated_max: 4096,
            sessions_per_host_max: 10_000,
            queued_bytes_max: 1 << 30,
        }
    }
}
