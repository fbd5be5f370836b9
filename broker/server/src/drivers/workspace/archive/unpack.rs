//! Unpacks archives. Each is judged whole before its first entry is written, and nothing is written through a
//! link.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use ave_profile::Refusal;
use tokio_util::sync::CancellationToken;
use zip::read::ZipFile;
use zip::result::{ZipError, ZipResult};

use super::{Archive, Ground, Metered, copy, create, numbered, occupied, open, too_large};
use crate::drivers::workspace::erase;
use crate::drivers::workspace::files::failed;
use crate::drivers::workspace::limits::{PATH_BYTES_MAX, UNPACKED_BYTES_MAX, UNPACKED_ENTRIES_MAX};
use crate::drivers::workspace::paths::outside;

/// Unpacks an archive into a new directory and answers its path.
///
/// # Errors
/// No archive; a directory that is there already; entries that would leave it, or exceed a limit.
pub(in crate::drivers::workspace) fn unpack(
    ground: &Ground,
    zip_file: &str,
    path: Option<&str>,
    password: Option<&str>,
    stop: &CancellationToken,
) -> Result<PathBuf, Refusal> {
    let mut archive = open(ground, zip_file)?;
    let entries = plan(&mut archive, zip_file, password)?;
    let (directory, ()) = match path {
        Some(path) => {
            let directory = ground.entry(path)?;
            let parent = directory.parent().unwrap_or(ground.root());
            fs::create_dir_all(parent).map_err(|error| failed(path, &error))?;
            (directory.clone(), fs::create_dir(&directory).map_err(|error| occupied(path, &error))?)
        }
        None => {
            let name = Path::new(zip_file).file_stem().unwrap_or_default().to_string_lossy();
            numbered(ground, &name, "", |path| fs::create_dir(path))?
        }
    };
    let mut entries = entries.iter().enumerate();
    let unpacked =
        entries.try_for_each(|entry| unpack_entry(&mut archive, entry, &directory, password, stop));
    unpacked.map_err(|error| {
        let _ = erase::tree(&directory);
        unreadable(zip_file, error)
    })?;
    Ok(directory)
}

/// One entry of an archive that may be unpacked.
struct Entry {
    name: PathBuf,
    /// What it points to, if it is a link.
    link: Option<String>,
}

/// What is to be unpacked, once no entry leaves, none lies behind a link, and all fit the limits.
fn plan(archive: &mut Archive, zip_file: &str, password: Option<&str>) -> Result<Vec<Entry>, Refusal> {
    if archive.len() > UNPACKED_ENTRIES_MAX {
        return Err(Refusal::exception(format!("{zip_file} has more than {UNPACKED_ENTRIES_MAX} entries")));
    }
    let (mut entries, mut links, mut bytes) = (Vec::new(), BTreeSet::new(), 0u64);
    for index in 0..archive.len() {
        let (entry, size) =
            plan_entry(archive, index, password).map_err(|error| unreadable(zip_file, error))?;
        bytes = bytes.saturating_add(size);
        let target_stays = entry.link.as_ref().is_none_or(|target| link_stays(&entry.name, target));
        if !stays(&entry.name) || !target_stays {
            return Err(outside(&entry.name.to_string_lossy()));
        }
        if entry.link.is_some() {
            links.insert(entry.name.clone());
        }
        entries.push(entry);
    }
    if bytes > UNPACKED_BYTES_MAX {
        return Err(too_large(zip_file));
    }
    match entries.iter().find(|entry| entry.name.ancestors().skip(1).any(|above| links.contains(above))) {
        Some(entry) => Err(outside(&entry.name.to_string_lossy())),
        None => Ok(entries),
    }
}

fn plan_entry(archive: &mut Archive, index: usize, password: Option<&str>) -> ZipResult<(Entry, u64)> {
    let entry = archive.by_index_raw(index)?;
    let (name, size, is_link) = (tidy(&entry.name()?), entry.size(), entry.is_symlink());
    drop(entry);
    let mut target = String::new();
    if is_link {
        decrypted(archive, index, password)?.take(PATH_BYTES_MAX as u64).read_to_string(&mut target)?;
    }
    Ok((Entry { name, link: is_link.then_some(target) }, size))
}

/// The same name without `.`, so that names can be compared.
fn tidy(name: &str) -> PathBuf {
    Path::new(name).components().filter(|step| *step != Component::CurDir).collect()
}

/// A relative path without `..`.
fn stays(name: &Path) -> bool {
    let bytes = name.as_os_str().as_encoded_bytes();
    name.components().all(|step| matches!(step, Component::Normal(_)))
        && !bytes.contains(&0)
        && bytes.len() <= PATH_BYTES_MAX
}

/// Goes up first, at most to the top of the archive, and then only down, so that no chain of such links
/// leads out either.
fn link_stays(name: &Path, target: &str) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    let target_path = tidy(target);
    let mut steps = target_path.components().peekable();
    while steps.next_if_eq(&Component::ParentDir).is_some() {
        match depth.checked_sub(1) {
            Some(above) => depth = above,
            None => return false,
        }
    }
    steps.all(|step| matches!(step, Component::Normal(_))) && !target.contains('\0')
}

fn unpack_entry(
    archive: &mut Archive,
    (index, entry): (usize, &Entry),
    directory: &Path,
    password: Option<&str>,
    stop: &CancellationToken,
) -> ZipResult<()> {
    let path = directory.join(&entry.name);
    let mut packed = decrypted(archive, index, password)?;
    if packed.is_dir() {
        return Ok(fs::create_dir_all(path)?);
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if let Some(target) = &entry.link {
        return Ok(symlink(target, path)?);
    }
    // Whatever the archive says, its owner can read and delete it, and it never runs as somebody else.
    let mode = packed.unix_mode().map_or(0o666, |mode| mode & 0o777 | 0o600);
    let size = packed.size();
    let mut file = create(&path, mode)?;
    // One byte more than announced shows that the announcement, on which the limit relied, was wrong.
    match copy(&mut (&mut packed).take(size + 1), &mut file, stop)? {
        copied if copied > size => Err(ZipError::InvalidArchive("an entry is larger than it says".into())),
        _ => Ok(()),
    }
}

fn decrypted<'a>(
    archive: &'a mut Archive,
    index: usize,
    password: Option<&str>,
) -> ZipResult<ZipFile<'a, Metered>> {
    match password {
        Some(password) => archive.by_index_decrypt(index, password.as_bytes()),
        None => archive.by_index(index),
    }
}

fn unreadable(zip_file: &str, error: ZipError) -> Refusal {
    Refusal::exception(format!("cannot unzip {zip_file}: {error}"))
}
