//! What the old process knows, as a file without a name: a snapshot of the core, and the keys of the sessions
//! that go on. It never reaches a disk.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;

use ave_core::Snapshot;
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
    pub(crate) snapshot: Snapshot,
    pub(crate) keys: Vec<SessionKey>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(with = "serde_bytes")]
    snapshot: Vec<u8>,
    keys: Vec<(SessionId, String, Generation)>,
}

impl Estate {
    /// Writes it for a program that reads this version of snapshots.
    ///
    /// # Errors
    /// If that is none of this program's versions, or there is no memory.
    pub(crate) fn write(&self, version: u32) -> io::Result<OwnedFd> {
        let snapshot = self.snapshot.encode(version).map_err(io::Error::other)?;
        let key = |kept: &SessionKey| (kept.session, kept.key.expose().to_owned(), kept.generation);
        let written = Written { snapshot, keys: self.keys.iter().map(key).collect() };
        let bytes = rmp_serde::to_vec_named(&written).map_err(io::Error::other)?;
        let mut file = File::from(memfd_create("ave-estate", MemfdFlags::CLOEXEC)?);
        file.write_all(&bytes)?;
        Ok(file.into())
    }

    /// Reads what the old process has written.
    ///
    /// # Errors
    /// If it is something else.
    pub(crate) fn read(file: OwnedFd) -> io::Result<Estate> {
        let mut file = File::from(file);
        file.rewind()?;
        let mut bytes = Vec::new();
        file.take(ESTATE_BYTES_MAX).read_to_end(&mut bytes)?;
        let written: Written =
            rmp_serde::from_slice(&bytes).map_err(|_| io::Error::other("not an estate"))?;
        let key = |(session, key, generation)| SessionKey { session, key: Secret::new(key), generation };
        Ok(Estate {
            snapshot: Snapshot::decode(&written.snapshot).map_err(io::Error::other)?,
            keys: written.keys.into_iter().map(key).collect(),
        })
    }
}
