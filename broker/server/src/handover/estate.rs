//! What the old process knows, as files without a name: a draft of its core; then what that lacks, and the keys of
//! the sessions that go on. They never reach a disk.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use ave_core::{Changes, Remainder, Snapshot};
use ave_profile::{Generation, SessionId};
use ave_protocol::handshake::Secret;
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// More than this is no estate.
const ESTATE_BYTES_MAX: u64 = 1 << 30;

/// A session's key, for proxies that will connect to it.
#[derive(Clone, Debug)]
pub(crate) struct SessionKey {
    pub(crate) session: SessionId,
    pub(crate) key: Secret,
    /// The process that serves it.
    pub(crate) generation: Generation,
}

/// What is passed on.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) remainder: Remainder,
    pub(crate) keys: Vec<SessionKey>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(with = "serde_bytes")]
    snapshot: Vec<u8>,
    keys: Vec<(SessionId, String, Generation)>,
    /// Without a draft there are none.
    #[serde(default)]
    changes: Changes,
}

impl Estate {
    /// Writes it for a program that reads this version of snapshots.
    ///
    /// # Errors
    /// If that is none of this program's versions, or there is no memory.
    pub(crate) fn write(&self, version: u32) -> io::Result<OwnedFd> {
        let Remainder { changes, rest } = &self.remainder;
        let snapshot = rest.encode(version).map_err(io::Error::other)?;
        let key = |kept: &SessionKey| (kept.session, kept.key.expose().to_owned(), kept.generation);
        let keys = self.keys.iter().map(key).collect();
        let written = Written { snapshot, keys, changes: changes.clone() };
        nameless(&rmp_serde::to_vec_named(&written).map_err(io::Error::other)?)
    }

    /// Reads what the old process has written.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn read(file: OwnedFd) -> io::Result<Estate> {
        let written: Written =
            rmp_serde::from_slice(&content(file)?).map_err(|_| io::Error::other("not an estate"))?;
        let key = |(session, key, generation)| SessionKey { session, key: Secret::new(key), generation };
        let rest = Snapshot::decode(&written.snapshot).map_err(io::Error::other)?;
        Ok(Estate {
            remainder: Remainder { changes: written.changes, rest },
            keys: written.keys.into_iter().map(key).collect(),
        })
    }
}

/// Writes a draft for a program that reads this version of snapshots.
///
/// # Errors
/// As [`Estate::write`].
pub(crate) fn write_draft(draft: &Snapshot, version: u32) -> io::Result<OwnedFd> {
    nameless(&draft.encode(version).map_err(io::Error::other)?)
}

/// Reads what [`write_draft`] has written.
///
/// # Errors
/// If it is something else.
pub(crate) fn read_draft(file: OwnedFd) -> io::Result<Snapshot> {
    Snapshot::decode(&content(file)?).map_err(io::Error::other)
}

fn nameless(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("ave-estate", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    Ok(file.into())
}

fn content(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(file);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(ESTATE_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}
