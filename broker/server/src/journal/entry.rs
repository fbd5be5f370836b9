//! What the records of a journal say: first who wrote it, then the state at its beginning, as a whole or as a draft and
//! what that lacks, then one event after the other. Neither events nor states hold keys of sessions.

use std::time::{SystemTime, UNIX_EPOCH};

use ave_core::{Changes, Event, Moment, Remainder, Snapshot, SnapshotError};
use ave_profile::{BrokerId, Generation, Kind, KindTable};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::Origin;

/// The first record.
#[derive(Debug, Serialize, Deserialize)]
pub struct Start {
    /// The version of the program that wrote it.
    pub program: String,
    /// When, in seconds since 1970.
    pub written: u64,
    /// What it called itself among others.
    pub broker: BrokerId,
    /// Its number among the processes of its broker.
    pub generation: Generation,
    /// The version of the state in the second record.
    pub snapshot: u32,
    /// That is a draft, and what it lacks is in the third one.
    #[serde(default)]
    pub drafted: bool,
    /// The types that the events speak of.
    kinds: Vec<Kind>,
}

impl Start {
    /// The beginning of a journal that is written now.
    pub(super) fn now(origin: &Origin, drafted: bool) -> Start {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Start {
            program: env!("CARGO_PKG_VERSION").to_owned(),
            written: since_1970.as_secs(),
            broker: origin.broker,
            generation: origin.generation,
            snapshot: Snapshot::NEWEST,
            drafted,
            kinds: origin.kinds.iter().map(|kind| Kind::clone(kind)).collect(),
        }
    }

    /// The types that the events speak of.
    pub fn kinds(&self) -> KindTable {
        KindTable::new(self.kinds.iter().cloned())
    }
}

/// The payload of a record.
pub(super) fn encode(entry: &impl Serialize) -> Vec<u8> {
    rmp_serde::to_vec_named(entry).expect("what is recorded has names for members, and a Vec takes all of it")
}

/// The payload of an event's record.
pub(super) fn encode_event(now: Moment, event: &Event) -> Vec<u8> {
    encode(&(now, event))
}

/// The first record's content.
pub(super) fn start_of(payload: &[u8]) -> Result<Start, rmp_serde::decode::Error> {
    rmp_serde::from_slice(payload)
}

/// An event's record's content.
pub(super) fn event_of(payload: &[u8]) -> Result<(Moment, Event), rmp_serde::decode::Error> {
    rmp_serde::from_slice(payload)
}

/// The payload that says what a draft lacks.
pub(super) fn encode_remainder(Remainder { changes, rest }: &Remainder) -> Result<Vec<u8>, SnapshotError> {
    Ok(encode(&(changes, ByteBuf::from(rest.encode(Snapshot::NEWEST)?))))
}

/// That record's content.
pub(super) fn remainder_of(payload: &[u8]) -> Result<Remainder, SnapshotError> {
    let (changes, rest): (Changes, &Bytes) =
        rmp_serde::from_slice(payload).map_err(|error| SnapshotError::Malformed(error.to_string()))?;
    Ok(Remainder { changes, rest: Snapshot::decode(rest)? })
}
