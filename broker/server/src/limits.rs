//! The broker's own limits, each with its reason. Those of the wire are in `ave_protocol::limits`.

use std::time::Duration;

/// How many orders of the hub may wait at one session. A session only routes, so a full queue means that
/// it is stuck.
pub(crate) const ORDERS_MAX: usize = 256;

/// How many questions of connections may wait at one session; further ones wait at their connection.
pub(crate) const QUESTIONS_MAX: usize = 32;

/// How much one call may give back, as `Value::weight` has it: ten thousand pieces with all their members.
/// The hub looks at each.
pub(crate) const YIELD_WEIGHT_MAX: usize = 1 << 18;

/// How much of what a peer said goes into the log, in characters.
pub(crate) const LOGGED_CHARS_MAX: usize = 300;

/// How many calls may wait at one piece, which makes one at a time.
pub(crate) const CALLS_WAITING_MAX: usize = 64;

/// How many threads the pieces of one session may keep busy at once with work on files: more than one disk can
/// use, and far from all there are.
pub(crate) const SESSION_THREADS_MAX: usize = 16;

/// How many threads all of them may keep busy. The runtime has 512; the others are for what takes less long.
pub(crate) const FILE_THREADS_MAX: usize = 448;

/// How long an answer waits for pieces to be closed and connections to be cut; then it goes out anyway
/// and closing goes on. Original clients allow 5 s for a reply.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// How long a piece may take to open after its client was refused because of that; then nobody knows its
/// state, and it is not lent again.
pub(crate) const OPEN_GIVE_UP: Duration = Duration::from_secs(60);

/// How long a piece may take to close; then it is not lent again. Deleting a large workspace takes time.
pub(crate) const CLOSE_GIVE_UP: Duration = Duration::from_secs(60);

/// How long the other pieces of a session that ends wait for one that is being closed. What takes longer is
/// stuck, and they are free of it; a large workspace goes on being deleted meanwhile.
pub(crate) const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// How long a broken piece may take to be reset; then it stays broken, and may be reset again.
pub(crate) const RESET_GIVE_UP: Duration = Duration::from_secs(60);

/// How many broken pieces are reset at once without being asked for: when many break together, their drivers
/// must not start a process for each.
pub(crate) const RESETS_AT_ONCE: usize = 16;

/// How many connections may be in beyond the limit if they show a key: administrators have to get in just then,
/// and who holds something goes on using it.
pub(crate) const KEYED_CONNECTIONS_MORE: usize = 64;

/// How much of what it is sent or sends a connection may keep without taking room from others: most frames fit.
pub(crate) const ROOM_FREE_BYTES: usize = 16 << 10;

/// How long a peer's frame waits for room among those of others before it is refused. A frame of 10 MiB takes
/// a second where networks are slow.
pub(crate) const ROOM_WAIT: Duration = Duration::from_secs(10);

/// How long a peer may take nothing of what it is sent. It may be stopped in a debugger, but the memory of
/// its answer cannot be kept for ever.
pub(crate) const SEND_STALL_LIMIT: Duration = Duration::from_secs(120);

/// How long a frame that was begun may take to come, however short it is, for the same reason.
pub(crate) const FRAME_LIMIT: Duration = Duration::from_secs(120);

/// How much slower a frame may travel, either way, if it is long: slower than any network of a lab.
pub(crate) const PACE_BYTES_PER_S: usize = 16 << 10;

/// How long a peer that is turned away has to read why and to close the connection.
pub(crate) const PART_LIMIT: Duration = Duration::from_secs(1);

/// How often at most the log repeats a complaint.
pub(crate) const COMPLAINT_PAUSE: Duration = Duration::from_secs(60);

/// How long to leave the listener alone after it could not accept, usually for want of descriptors.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How many handshakes may try the original's digest against all sessions at once: it costs a hash for
/// each session, and must not take the processor from those who are already in.
pub(crate) const DIGEST_TRIALS_MAX: usize = 1;

/// How many of those hashes are made before others have their turn: a tenth of a millisecond's worth.
pub(crate) const DIGESTS_AT_ONCE: usize = 128;

/// A frame above this is read in its turn: the others would notice the milliseconds it takes.
pub(crate) const LARGE_FRAME_BYTES: usize = 1 << 20;

/// How long another broker may take before somebody else is asked too: a dead one must not delay what another
/// can serve by more than 5 ms, and one hop takes less than one.
pub(crate) const PEER_SLOW_AFTER: Duration = Duration::from_millis(3);

/// How long another broker may take to answer a question, from dialling to the last reply. Original clients
/// and sessions allow 5 s for a reply.
pub(crate) const PEER_ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// How much less time a question has for each broker it has come through: the one behind gives up first, so
/// that what it knows, perhaps that something is busy, is still heard.
pub(crate) const PEER_ANSWER_LESS: Duration = Duration::from_millis(250);

/// How long every question has, however far it has come.
pub(crate) const PEER_ANSWER_LEAST: Duration = Duration::from_millis(500);

/// How long the message of another broker's refusal may be; it is kept while others are asked, and told.
pub(crate) const REFUSAL_BYTES_MAX: usize = 64 << 10;

/// How much its further members may weigh, as `Value::weight` has it: what a failed tool has printed.
pub(crate) const REFUSAL_WEIGHT_MAX: usize = 1 << 12;

/// How many questions may be under way to one other broker at once; further ones wait within their time.
/// Original brokers do not pass on where a question has been: this bounds a loop through them.
pub(crate) const ASKS_AT_ONCE_MAX: usize = 64;

/// The longest reply to a question: 64 profiles with all their members need a tenth of it.
pub(crate) const PEER_FRAME_BYTES_MAX: usize = 4 << 20;

/// Values in one reply to a question.
pub(crate) const PEER_VALUES_MAX: usize = 1 << 18;

/// How many brokers a question may come through: more than any lab has in a row.
pub(crate) const VIA_MAX: usize = 16;

/// Work on more pieces than this is done in its turn, for the same reason.
pub(crate) const FEW_PIECES: usize = 1000;
