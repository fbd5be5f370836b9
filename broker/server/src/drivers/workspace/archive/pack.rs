//! Makes archives. Links are stored as links, never read through.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ave_profile::Refusal;
use tokio_util::sync::CancellationToken;
use zip::result::ZipResult;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{Ground, copy, create, numbered, occupied};

/// Packs files and directories, each named relative to its parent, and answers the archive's path.
///
/// # Errors
/// Paths that leave or are missing; a destination that is there already.
pub(in crate::drivers::workspace) fn pack(
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
