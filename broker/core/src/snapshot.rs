//! All that a broker knows, to be kept or passed on: for the process that takes over, and for the beginning of
//! a journal. Readable by programs before and after this one. (Specification 7.1.)

mod questions;
mod remainder;
mod restore;
mod write;

use std::sync::Arc;

use ave_profile::{Address, BrokerId, Generation, Identity, LinkId, Profile, SessionId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use self::questions::Asked;
use crate::equipment::{Fault, ItemId};
use crate::sessions::Far;
use crate::{Moment, SharedPiece, Source};

pub use remainder::{Changes, Remainder};

/// How deep a snapshot may be nested: profiles by what a message may be, and a few levels above them.
const DEPTH_MAX: usize = 160;

/// A broker without its types, which its configuration says. The order of pieces is that of the lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    now: Moment,
    pieces: Vec<Piece>,
    stacks: Vec<Vec<Arc<Profile>>>,
    workspace: Option<Profile>,
    workspaces: Vec<Made>,
    sessions: Vec<Kept>,
    elders: Vec<(SessionId, Generation)>,
    shares: Vec<Shared>,
    forward: Option<Address>,
    slow: Vec<Address>,
    asked_last: u64,
    granted_last: u64,
    /// Since version 2: until when equipment is listed of which nobody has spoken to this process.
    #[serde(default)]
    settles_at: Option<Moment>,
}

/// One piece of equipment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Piece {
    item: Identity,
    known: Option<Known>,
    holds: Vec<Lent>,
    fault: Option<Broken>,
    /// Its short form, if it is collateral by stacks that are not there any more.
    written: Option<Arc<Profile>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    profile: Arc<Profile>,
    source: Source,
    /// Since version 2.
    #[serde(default)]
    hearsay: bool,
}

/// One allocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lent {
    session: SessionId,
    closing: bool,
    granted: Arc<Profile>,
    collateral: Vec<Identity>,
    number: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Broken {
    reason: String,
    mending: bool,
    collateral: Vec<Identity>,
    /// Since version 2; otherwise it is time.
    #[serde(default)]
    retry_at: Option<Moment>,
    /// Since version 2.
    #[serde(default)]
    failed: u32,
}

impl Broken {
    fn restored(self, now: Moment, collateral: Vec<ItemId>) -> Fault {
        let retry_at = (!self.mending).then(|| self.retry_at.unwrap_or(now));
        Fault { reason: self.reason, retry_at, failed: self.failed, collateral }
    }
}

/// One workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    item: Identity,
    profile: Arc<Profile>,
    session: SessionId,
    closing: bool,
    number: u64,
    fault: Option<Broken>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    session: SessionId,
    items: Vec<Identity>,
    far: Vec<Far>,
    marks: Vec<Identity>,
    /// What other brokers are being asked for it; in journals alone, of either version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    asking: Option<Box<Asked>>,
}

/// One share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shared {
    address: Address,
    link: LinkId,
    broker: Option<BrokerId>,
    pieces: Vec<SharedPiece>,
    stacks: Vec<Vec<Arc<Profile>>>,
    workspace: Option<Profile>,
    /// What this broker's sessions have of it.
    lent: Vec<(Identity, Lent)>,
    absent: Vec<(Moment, SharedPiece)>,
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They were written by another program.
    #[error("snapshot version: wanted {} to {}, found {found}", Snapshot::OLDEST, Snapshot::NEWEST)]
    Version {
        /// The version they say.
        found: u32,
    },
    /// They are not what a program of that version writes.
    #[error("not a snapshot: {0}")]
    Malformed(String),
    /// What they say cannot be.
    #[error("a snapshot that cannot be true: {0}")]
    Untrue(String),
}

impl Snapshot {
    /// The oldest version that this program reads and writes.
    pub const OLDEST: u32 = 1;
    /// The newest one.
    pub const NEWEST: u32 = if cfg!(feature = "previous-snapshot") { 1 } else { 2 };

    /// As bytes, for a program that reads this version.
    ///
    /// # Errors
    /// If this program does not write that version.
    pub fn encode(&self, version: u32) -> Result<Vec<u8>, SnapshotError> {
        let malformed = |error: rmp_serde::encode::Error| SnapshotError::Malformed(error.to_string());
        match version {
            2 if Snapshot::NEWEST >= 2 => rmp_serde::to_vec_named(&(version, self)).map_err(malformed),
            1 => rmp_serde::to_vec_named(&(version, self.as_first_version())).map_err(malformed),
            found => Err(SnapshotError::Version { found }),
        }
    }

    /// Reads what [`Snapshot::encode`] wrote, by this program or another one.
    ///
    /// # Errors
    /// If the version is not one of this program's, or the bytes are not of that version.
    pub fn decode(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        let malformed = |error: rmp_serde::decode::Error| SnapshotError::Malformed(error.to_string());
        let (found, _): (u32, IgnoredAny) = read(bytes).map_err(malformed)?;
        if !(Snapshot::OLDEST..=Snapshot::NEWEST).contains(&found) {
            return Err(SnapshotError::Version { found });
        }
        let (_, snapshot): (u32, Snapshot) = read(bytes).map_err(malformed)?;
        Ok(snapshot)
    }

    /// The first version does not know that word of equipment can be hearsay, nor when what is broken is reset.
    fn as_first_version(&self) -> Snapshot {
        let mut first = Snapshot { settles_at: None, ..self.clone() };
        for known in first.pieces.iter_mut().filter_map(|piece| piece.known.as_mut()) {
            known.hearsay = false;
        }
        let made = first.workspaces.iter_mut().map(|made| &mut made.fault);
        let faults = first.pieces.iter_mut().map(|piece| &mut piece.fault).chain(made);
        for broken in faults.flatten() {
            (broken.retry_at, broken.failed) = (None, 0);
        }
        first
    }
}

fn read<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    T::deserialize(&mut deserializer)
}
