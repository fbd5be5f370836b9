//! Zip archives: made, unpacked and checked. All of it blocks.

mod pack;
mod unpack;

use std::cell::Cell;
use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ave_profile::Refusal;
use tokio_util::sync::CancellationToken;
use zip::ZipArchive;
use zip::read::ZipFile;

pub(super) use self::pack::pack;
pub(super) use self::unpack::unpack;
use super::files::{self, failed};
use super::limits::{ARCHIVE_DIRECTORY_BYTES_MAX, NAMES_TRIED_MAX, UNPACKED_BYTES_MAX};
use super::paths::Ground;

type Archive = ZipArchive<Metered>;

/// Whether this is a zip archive, and with `check` whether every entry is whole.
pub(super) fn validate(
    ground: &Ground,
    path: &str,
    check: bool,
    stop: &CancellationToken,
) -> Result<bool, Refusal> {
    ground.inside(path)?;
    let Ok(mut archive) = open(ground, path) else { return Ok(false) };
    let mut left = UNPACKED_BYTES_MAX;
    for index in 0..if check { archive.len() } else { 0 } {
        let read = |entry: ZipFile<'_, _>| Ok(copy(&mut entry.take(left + 1), &mut io::sink(), stop)?);
        let Ok(length) = archive.by_index(index).and_then(read) else { return Ok(false) };
        left = left.checked_sub(length).ok_or_else(|| too_large(path))?;
    }
    Ok(true)
}

/// Reads an archive's directory, which is kept in memory.
fn open(ground: &Ground, path: &str) -> Result<Archive, Refusal> {
    let file = BufReader::new(files::open(ground, path)?);
    let left = Rc::new(Cell::new(ARCHIVE_DIRECTORY_BYTES_MAX));
    let archive = ZipArchive::new(Metered { file, left: Rc::clone(&left) });
    let archive = archive.map_err(|error| Refusal::exception(format!("not a zip file: {path}: {error}")))?;
    left.set(u64::MAX);
    Ok(archive)
}

/// A file of which only so much can be read.
struct Metered {
    file: BufReader<File>,
    left: Rc<Cell<u64>>,
}

impl Read for Metered {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.file.read(buffer)?;
        let left = self.left.get().checked_sub(length as u64);
        self.left.set(left.ok_or_else(|| io::Error::other("the archive's directory is too large"))?);
        Ok(length)
    }
}

impl Seek for Metered {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// Copies to the end, unless the call is given up.
fn copy(from: &mut impl Read, to: &mut impl Write, stop: &CancellationToken) -> io::Result<u64> {
    let mut buffer = vec![0; 64 << 10];
    let mut copied = 0;
    loop {
        if stop.is_cancelled() {
            return Err(io::Error::other("the call was given up"));
        }
        let length = from.read(&mut buffer)?;
        if length == 0 {
            return Ok(copied);
        }
        to.write_all(&buffer[..length])?;
        copied += length as u64;
    }
}

fn create(path: &Path, mode: u32) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Makes `<name><ending>` at the top of the workspace, else `<name>_1<ending>` and so on.
fn numbered<T>(
    ground: &Ground,
    name: &str,
    ending: &str,
    make: impl Fn(&Path) -> io::Result<T>,
) -> Result<(PathBuf, T), Refusal> {
    for number in 0..NAMES_TRIED_MAX {
        let suffix = if number == 0 { String::new() } else { format!("_{number}") };
        let path = ground.root().join(format!("{name}{suffix}{ending}"));
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&path.to_string_lossy(), &error)),
        }
    }
    Err(Refusal::exception(format!("no free name for {name}{ending}")))
}

fn occupied(path: &str, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::AlreadyExists => Refusal::exception(format!("path exists already: {path}")),
        _ => failed(path, error),
    }
}

fn too_large(path: &str) -> Refusal {
    Refusal::exception(format!("{path} unpacks to more than {UNPACKED_BYTES_MAX} bytes"))
}
