//! Gives a file of the workspace a name of its own (Specification 4.3). All of it blocks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ave_profile::Refusal;

use super::files::{TEMPFILE_PREFIX, failed};
use super::paths::{Ground, bounded};

/// A file that got a name.
#[derive(Debug)]
pub(super) struct Promoted {
    /// The link, without links before its last name.
    pub(super) target: PathBuf,
    /// The same, seen from the workspace.
    pub(super) name: String,
}

/// Makes the link `target`, with its directories, to the file `source`, which stays what and where it is.
///
/// # Errors
/// Each reason in its own words.
pub(super) fn promote(ground: &Ground, source: &str, target: &str) -> Result<Promoted, Refusal> {
    let real = stored_file(ground, source, "source file")?;
    let link = ground
        .entry(target)
        .map_err(|_| Refusal::exception(format!("target must be within workspace: {target}")))?;
    if link.file_name().is_some_and(|name| name.to_string_lossy().starts_with(TEMPFILE_PREFIX)) {
        return Err(Refusal::exception(format!("tmpfile can not be target: {target}")));
    }
    if link.symlink_metadata().is_ok() {
        return Err(Refusal::exception(format!("target file exists: {target}")));
    }
    let directory = link.parent().unwrap_or(ground.root());
    fs::create_dir_all(directory)
        .and_then(|()| symlink(real, &link))
        .map_err(|error| failed(target, &error))?;
    let name = link.strip_prefix(ground.root()).unwrap_or(Path::new(target));
    Ok(Promoted { name: name.to_string_lossy().into_owned(), target: link })
}

/// Where a file of the workspace really is.
///
/// # Errors
/// `<what> does not exist: P`, `<what> is not a file: P`, `<what> not stored inside workspace: P`.
pub(super) fn stored_file(ground: &Ground, path: &str, what: &str) -> Result<PathBuf, Refusal> {
    let found = ground.root().join(bounded(path)?);
    let refused = |why: &str| Err(Refusal::exception(format!("{what} {why}: {path}")));
    match found.metadata() {
        Err(_) => refused("does not exist"),
        Ok(metadata) if !metadata.is_file() => refused("is not a file"),
        Ok(_) => ground.inside(path).or_else(|_| refused("not stored inside workspace")),
    }
}
