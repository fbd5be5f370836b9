//! What brokers tell each other about their equipment: which pieces there are, who has them, and where they
//! really are. (Specification 6.2 and 6.5.)

use std::sync::Arc;

use ave_profile::{Address, BrokerId, Identity, Profile};
use serde::{Deserialize, Serialize};

/// What has changed at a broker that shares its equipment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Pieces that are new or not what they were, each with all that is to be known of it.
    pub changed: Vec<SharedPiece>,
    /// Pieces that are there no longer.
    pub gone: Vec<Identity>,
    /// All stacks, if they have changed.
    pub stacks: Option<Vec<Arc<[Arc<Profile>]>>>,
    /// What its workspaces are made from, if that has changed; `Some(None)` if it has none.
    pub workspace: Option<Option<Profile>>,
}

/// One piece of equipment, or a workspace that exists, as a share reports it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedPiece {
    /// All that is known of it.
    pub profile: Arc<Profile>,
    /// Who has it: one entry for each session that does, whoever's that is.
    pub taken: Vec<Taken>,
    /// Where it is.
    pub origin: Arc<Origin>,
}

/// One allocation, as a share reports it.
#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
pub struct Taken {
    /// The piece as it was granted.
    pub profile: Arc<Profile>,
    /// What the allocation made collateral, in the short form of the stacks.
    pub collateral: Vec<Arc<Profile>>,
}

/// Where a shared piece is and how the word of it came here.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The broker that drives it, if it is known; else it is, or is behind, the share that reports it.
    pub holder: Option<Address>,
    /// The brokers the word came through, the holder first; those of original brokers are not known.
    pub path: Vec<BrokerId>,
}

/// How far somebody has followed what this broker has. Differs after every change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Revision {
    /// The last change that was told.
    pub(crate) place: u64,
    /// What was the last forgotten change when the telling began.
    pub(crate) forgotten: u64,
}

/// What [`Core::news`](crate::Core::news) found.
#[derive(Clone, Debug)]
pub struct News {
    /// Everything up to here is told.
    pub upto: Revision,
    /// Whether there is more to tell at once.
    pub more: bool,
    /// Whether this starts from the beginning: what was known before is to be forgotten.
    pub afresh: bool,
    /// What has changed.
    pub report: Report,
}

/// Whom news are for: what came from there is not told there.
#[derive(Clone, Debug, Default)]
pub struct Toward {
    /// The master's address, as configured.
    pub address: Option<Address>,
    /// The master's id, if it is known.
    pub broker: Option<BrokerId>,
}
