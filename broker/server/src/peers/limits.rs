//! How much other brokers may ask of this one, each with its reason.

use ave_protocol::limits::NESTING_MAX;

use crate::limits::VIA_MAX;

/// How many addresses one connection may speak for. A broker speaks for its own; a test may play several.
pub(crate) const ADDRESSES_PER_LINK_MAX: usize = 8;

/// How many shares one broker takes: ten times as many sites as any company has.
pub(crate) const SHARES_MAX: usize = 1024;

/// How many pieces one share may have: all the equipment of a company, if a master of masters reports it.
pub(crate) const PIECES_PER_SHARE_MAX: usize = 100_000;

/// How much may be said of one piece, those who have it included, as `Value::weight` has it: some thousand
/// sessions, or thousands of members. The hub takes it in one go.
pub(crate) const PIECE_WEIGHT_MAX: usize = 1 << 16;

/// How many lists and objects may be within one another in a profile: half of what a message may have, since
/// the messages that carry it further wrap it in more.
pub(crate) const PIECE_LEVELS_MAX: usize = NESTING_MAX / 2;

/// How many pieces one stack of a share may have. Whenever one of them changes, the core counts them again.
pub(crate) const STACK_PIECES_MAX: usize = 32;

/// In how many stacks of a share one piece may be, for the same reason.
pub(crate) const STACKS_PER_PIECE_MAX: usize = 64;

/// How much all stacks of a share may say, as `Value::bytes` has it: that every piece is in one, by type and
/// identity. With [`UPDATE_BYTES_MAX`] it stays below what a master reads as one message.
pub(crate) const STACKS_BYTES_MAX: usize = 96 << 20;

/// When an update says enough, as `Value::bytes` has it: about when it has as many pieces as one may have.
/// What is still to be told is the next one's.
pub(crate) const UPDATE_BYTES_MAX: usize = 64 << 20;

/// How many pieces the hub is told of at once: about a millisecond's worth. Clients are served in between.
pub(crate) const PIECES_AT_ONCE: usize = 256;

/// How much the hub is told at once, if few pieces say much.
pub(crate) const WEIGHT_AT_ONCE: usize = 1 << 14;

/// How many brokers a word may have come through; longer ways are loops or lies.
pub(crate) const PATH_MAX: usize = VIA_MAX;

/// The longest host name there is.
pub(crate) const HOST_BYTES_MAX: usize = 255;
