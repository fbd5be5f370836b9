//! Zip archives: made, unpacked and checked. All of it blocks.
//!
//! Links are stored and made as links and never written through. An archive is judged whole before the first
//! entry is unpacked.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use ave_profile::Refusal;
use tokio_util::sync::CancellationToken;
use zip::read::ZipFile;
use zip::result::{ZipError, ZipResult};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::erase;
use super::files::{failed, open};
use super::limits::{NAMES_TRIED_MAX, PATH_BYTES_MAX, UNPACKED_BYTES_MAX, UNPACKED_ENTRIES_MAX};
use super::paths::{Ground, outside};

/// Packs files and directories, each named relative to its parent, and answers the archive's path.
///
/// # Errors
/// Paths that leave or are missing; a destination that is there already.
pub(super) fn pack(
    ground: &Ground,
    paths: &[String],
    dst: Option<&str>,
    stop: &CancellationToken,
) -> Result<PathBuf, Refusal> {
    let items = paths.iter().map(|path| existing(ground, path)).collect::<Result<Vec<_>, _>>()?;
    let first = items.first().ok_or_else(|| Refusal::exception("nothing to zip"))?;
    let base = first.file_name().unwrap_or_default().to_string_lossy();
    let (archive, file) = match dst {
        Some(dst) => {
            let archive = ground.entry(dst)?;
            let file = create(&archive, 0o666).map_err(|error| occupied(dst, &error))?;
            (archive, file)
        }
        None => numbered(ground, &base, ".zip", |path| create(path, 0o666))?,
    };
    let mut writer = ZipWriter::new(file);
    let mut packed = items.iter().try_for_each(|item| pack_item(&mut writer, item, &archive, stop));
    packed = packed.and_then(|()| writer.finish().map(drop));
    packed.map_err(|error| {
        // What is not whole is no archive.
        let _ = fs::remove_file(&archive);
        Refusal::exception(format!("cannot zip to {}: {error}", archive.display()))
    })?;
    Ok(archive)
}

/// Unpacks an archive into a new directory and answers its path.
///
/// # Errors
/// No archive; a directory that is there already; entries that would leave it, or exceed a limit.
pub(super) fn unpack(
    ground: &Ground,
    zip_file: &str,
    path: Option<&str>,
    password: Option<&str>,
    stop: &CancellationToken,
) -> Result<PathBuf, Refusal> {
    let mut archive = archive(ground, zip_file)?;
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

/// Whether this is a zip archive, and with `check` whether every entry is whole.
pub(super) fn validate(
    ground: &Ground,
    path: &str,
    check: bool,
    stop: &CancellationToken,
) -> Result<bool, Refusal> {
    ground.inside(path)?;
    let Ok(mut archive) = archive(ground, path) else { return Ok(false) };
    let whole = |archive: &mut ZipArchive<_>, index| -> ZipResult<()> {
        copy(&mut archive.by_index(index)?, &mut io::sink(), stop)?;
        Ok(())
    };
    Ok(!check || (0..archive.len()).all(|index| whole(&mut archive, index).is_ok()))
}

fn existing(ground: &Ground, path: &str) -> Result<PathBuf, Refusal> {
    let item = ground.inside(path)?;
    if item.is_file() || item.is_dir() {
        return Ok(item);
    }
    Err(Refusal::exception(format!("not an existing file or directory: {path}")))
}

/// Writes one item with all below it, the archive itself excepted.
fn pack_item(
    writer: &mut ZipWriter<File>,
    item: &Path,
    archive: &Path,
    stop: &CancellationToken,
) -> ZipResult<()> {
    let parent = item.parent().unwrap_or(item);
    let mut ahead = vec![item.to_owned()];
    while let Some(path) = ahead.pop() {
        if path == archive {
            continue;
        }
        let name = path.strip_prefix(parent).unwrap_or(&path).to_string_lossy().into_owned();
        let found = path.symlink_metadata()?;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(found.permissions().mode() & 0o777)
            .large_file(found.len() >= u64::from(u32::MAX));
        if found.is_symlink() {
            writer.add_symlink(name, fs::read_link(&path)?.to_string_lossy(), options)?;
        } else if found.is_dir() {
            writer.add_directory(name, options)?;
            let mut below =
                fs::read_dir(&path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
            below.sort_by(|a, b| b.cmp(a));
            ahead.extend(below);
        } else if found.is_file() {
            writer.start_file(name, options)?;
            copy(&mut File::open(&path)?, writer, stop)?;
        }
    }
    Ok(())
}

fn archive(ground: &Ground, path: &str) -> Result<ZipArchive<BufReader<File>>, Refusal> {
    let file = open(ground, path)?;
    ZipArchive::new(BufReader::new(file)).map_err(|_| Refusal::exception(format!("not a zip file: {path}")))
}

/// One entry of an archive that may be unpacked.
struct Entry {
    name: PathBuf,
    /// What it points to, if it is a link.
    link: Option<String>,
}

/// What is to be unpacked, once no entry leaves, none lies behind a link, and all fit the limits.
fn plan(
    archive: &mut ZipArchive<BufReader<File>>,
    zip_file: &str,
    password: Option<&str>,
) -> Result<Vec<Entry>, Refusal> {
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
        return Err(Refusal::exception(format!(
            "{zip_file} unpacks to more than {UNPACKED_BYTES_MAX} bytes"
        )));
    }
    match entries.iter().find(|entry| entry.name.ancestors().skip(1).any(|above| links.contains(above))) {
        Some(entry) => Err(outside(&entry.name.to_string_lossy())),
        None => Ok(entries),
    }
}

fn plan_entry(
    archive: &mut ZipArchive<BufReader<File>>,
    index: usize,
    password: Option<&str>,
) -> ZipResult<(Entry, u64)> {
    let entry = archive.by_index_raw(index)?;
    let (name, size, is_link) = (PathBuf::from(entry.name()?.as_ref()), entry.size(), entry.is_symlink());
    drop(entry);
    let mut target = String::new();
    if is_link {
        decrypted(archive, index, password)?.take(PATH_BYTES_MAX as u64).read_to_string(&mut target)?;
    }
    Ok((Entry { name, link: is_link.then_some(target) }, size))
}

/// A relative path without `..`.
fn stays(name: &Path) -> bool {
    let bytes = name.as_os_str().as_encoded_bytes();
    name.components().all(|step| matches!(step, Component::Normal(_) | Component::CurDir))
        && !bytes.contains(&0)
        && bytes.len() <= PATH_BYTES_MAX
}

/// Goes up first, at most to the top of the archive, and then only down, so that no chain of such links
/// leads out either.
fn link_stays(name: &Path, target: &str) -> bool {
    let mut steps = Path::new(target).components().filter(|step| *step != Component::CurDir).peekable();
    let mut depth = name.components().filter(|step| *step != Component::CurDir).count().saturating_sub(1);
    while steps.next_if_eq(&Component::ParentDir).is_some() {
        match depth.checked_sub(1) {
            Some(above) => depth = above,
            None => return false,
        }
    }
    steps.all(|step| matches!(step, Component::Normal(_))) && !target.contains('\0')
}

fn unpack_entry(
    archive: &mut ZipArchive<BufReader<File>>,
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
    archive: &'a mut ZipArchive<BufReader<File>>,
    index: usize,
    password: Option<&str>,
) -> ZipResult<ZipFile<'a, BufReader<File>>> {
    match password {
        Some(password) => archive.by_index_decrypt(index, password.as_bytes()),
        None => archive.by_index(index),
    }
}

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

fn unreadable(zip_file: &str, error: ZipError) -> Refusal {
    Refusal::exception(format!("cannot unzip {zip_file}: {error}"))
}
