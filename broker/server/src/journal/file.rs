//! One file of a journal while it is written, and its place among the files of a home. Whoever writes it
//! never waits for the disk to have it.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ave_core::{Core, Remainder, Snapshot};
use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use tracing::debug;

use super::entry::{Start, encode, encode_remainder};
use super::record::{header, record};
use super::{Origin, too_long};

/// A file is replaced by a new one when it is larger than this and than twice what it began with: the work
/// of beginning a new one is then less than that of all the events between.
pub(super) const FILE_BYTES: u64 = 16 << 20;

/// As much space is always reserved ahead. Once no more can be had, nothing is lent any more; this is enough
/// to record how everything that is lent comes back.
const RESERVE_BYTES: u64 = 1 << 20;

/// What the names of journals begin with that do not count yet; the process that writes one follows, and how many
/// it has begun before.
const NEW: &str = "journal.new-";

/// The folder of a home's journals.
#[derive(Clone, Debug)]
pub struct Place {
    folder: PathBuf,
    begun: Arc<AtomicU64>,
}

impl Place {
    /// The journals in this folder.
    pub fn new(folder: PathBuf) -> Place {
        Place { folder, begun: Arc::default() }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The journal.
    pub(crate) fn current(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// The one before it.
    pub(crate) fn previous(&self) -> PathBuf {
        self.folder.join("journal.1")
    }

    /// A journal that does not count yet. Two processes may each have some, and two threads of one.
    fn new_one(&self) -> PathBuf {
        let nth = self.begun.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{NEW}{}-{nth}", std::process::id()))
    }

    /// Removes what processes have left that died while they began a journal.
    pub(super) fn forget_strays(&self) {
        let is_stray = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(NEW);
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten().filter(is_stray) {
            let _ = fs::remove_file(entry.path()); // it is in nobody's way
        }
    }
}

/// A file to which events are appended.
#[derive(Debug)]
pub(super) struct JournalFile {
    file: File,
    /// Where it is as long as it does not count.
    path: PathBuf,
    bytes: u64,
    reserved: u64,
    full_at: u64,
}

impl JournalFile {
    /// A new file that begins with this state. The journal of this place stays what it is.
    pub(super) fn create(place: &Place, origin: &Origin, core: &Core) -> io::Result<JournalFile> {
        JournalFile::begin_with(place, &Start::now(origin, false), &core.snapshot())
    }

    /// A new file that begins with a draft of a state. It means nothing before [`JournalFile::complete`].
    pub(super) fn draft(place: &Place, origin: &Origin, draft: &Snapshot) -> io::Result<JournalFile> {
        JournalFile::begin_with(place, &Start::now(origin, true), draft)
    }

    /// Adds what the draft lacks.
    pub(super) fn complete(&mut self, remainder: &Remainder) -> io::Result<()> {
        let remainder = encode_remainder(remainder).map_err(io::Error::other)?;
        self.append(&record(&remainder).ok_or_else(too_long)?)?;
        self.reserve()
    }

    fn begin_with(place: &Place, start: &Start, state: &Snapshot) -> io::Result<JournalFile> {
        let state = state.encode(Snapshot::NEWEST).map_err(io::Error::other)?;
        let start = record(&encode(start)).ok_or_else(too_long)?;
        let state = record(&state).ok_or_else(too_long)?;
        let content = [&header()[..], &start, &state];
        match JournalFile::begin(place, content) {
            Err(error) if error.kind() == io::ErrorKind::StorageFull => {
                fs::remove_file(place.previous()).map_err(|_| error)?; // what is now counts for more than what was
                JournalFile::begin(place, content)
            }
            outcome => outcome,
        }
    }

    fn begin(place: &Place, content: [&[u8]; 3]) -> io::Result<JournalFile> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(place.folder())?;
        let path = place.new_one();
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let mut begun = JournalFile { file, path, bytes: 0, reserved: 0, full_at: u64::MAX };
        let written =
            content.into_iter().try_for_each(|part| begun.append(part)).and_then(|()| begun.reserve());
        if let Err(error) = written {
            begun.discard();
            return Err(error);
        }
        begun.full_at = FILE_BYTES.max(2 * begun.bytes);
        Ok(begun)
    }

    /// Adds records. After a failure the last of them may be there in part.
    pub(super) fn append(&mut self, records: &[u8]) -> io::Result<()> {
        self.file.write_all_at(records, self.bytes)?;
        self.bytes += records.len() as u64;
        Ok(())
    }

    /// Makes sure that there is space for a while.
    pub(super) fn reserve(&mut self) -> io::Result<()> {
        if self.bytes + RESERVE_BYTES <= self.reserved {
            return Ok(());
        }
        let wanted = self.bytes + 2 * RESERVE_BYTES;
        match fallocate(&self.file, FallocateFlags::KEEP_SIZE, self.bytes, wanted - self.bytes) {
            Ok(()) => self.reserved = wanted,
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.reserved = u64::MAX, // not on this file system
            Err(Errno::INTR) => {}                                            // the next time, then
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Whether a new file should follow.
    pub(super) fn is_full(&self) -> bool {
        self.bytes > self.full_at
    }

    /// From now on this is the journal; the one until now is kept as the one before it. At no instant is
    /// there none.
    pub(super) fn put_in_place(&mut self, place: &Place) -> io::Result<()> {
        let (current, previous) = (place.current(), place.previous());
        if current.exists() {
            let _ = fs::remove_file(&previous);
            if let Err(error) = fs::hard_link(&current, &previous) {
                debug!(%error, "the previous journal is not kept"); // not every file system can
            }
        }
        fs::rename(&self.path, &current)
    }

    /// Removes a file that does not count and never will.
    pub(super) fn discard(self) {
        let _ = fs::remove_file(self.path);
    }

    /// The file, for somebody who waits until the disk has it.
    pub(super) fn share(&self) -> io::Result<File> {
        self.file.try_clone()
    }
}
