//! A file that arrives bit by bit: it has its name only once it is whole. All of it blocks.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use ave_profile::Refusal;

use super::files::{failed, make_tempfile};
use super::limits::DOWNLOAD_BYTES_MAX;
use super::paths::Ground;

/// What arrived so far. It goes with this value, unless it was finished.
#[derive(Debug)]
pub(super) struct Part {
    path: PathBuf,
    target: PathBuf,
    file: File,
    length: u64,
}

impl Part {
    /// The beginning of the file that is to be at `target`, whose directories are made.
    ///
    /// # Errors
    /// A path that leaves the workspace or cannot be written.
    pub(super) fn of(ground: &Ground, target: &str) -> Result<Part, Refusal> {
        let entry = ground.entry(target)?;
        let directory = entry.parent().unwrap_or(ground.root());
        fs::create_dir_all(directory).map_err(|error| failed(target, &error))?;
        let (path, file) = make_tempfile(ground, &directory.to_string_lossy())?;
        Ok(Part { path, target: entry, file, length: 0 })
    }

    /// With these bytes as well.
    ///
    /// # Errors
    /// If they are too many, or cannot be written.
    pub(super) fn with(mut self, chunk: &[u8]) -> Result<Part, Refusal> {
        self.length += chunk.len() as u64;
        bounded(self.length)?;
        self.file.write_all(chunk).map_err(|error| failed(&self.path.to_string_lossy(), &error))?;
        Ok(self)
    }

    /// Gives it its name, in the place of an older file, and says how long it is.
    ///
    /// # Errors
    /// If something else has that name.
    pub(super) fn finish(self) -> Result<(PathBuf, u64), Refusal> {
        fs::rename(&self.path, &self.target)
            .map_err(|error| failed(&self.target.to_string_lossy(), &error))?;
        Ok((self.target.clone(), self.length))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the renaming there is nothing there.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether files of this length in total may still arrive.
///
/// # Errors
/// If they may not.
pub(super) fn bounded(length: u64) -> Result<(), Refusal> {
    if length > DOWNLOAD_BYTES_MAX {
        return Err(Refusal::exception(format!("the file has more than {DOWNLOAD_BYTES_MAX} bytes")));
    }
    Ok(())
}
