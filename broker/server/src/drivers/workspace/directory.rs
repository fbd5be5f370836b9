//! One workspace's directory on disk, and the mark that tells whose it is.
//!
//! The mark, `<home>/.ave/state/workspaces/<uid>`, holds the directory's path. It is written before the
//! directory is made and removed after it is gone, so that a later broker of the same home can sweep what a
//! dead one left behind and never touches anything else.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use tracing::{info, warn};

use super::erase;
use super::limits::MARK_BYTES_MAX;
use crate::drivers::strays;

/// A directory this broker made. It goes at the latest when this value does.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    mark: PathBuf,
    gone: bool,
}

impl Directory {
    /// Makes `<root>/<uid>`, readable for the broker's user alone, and its mark in `marks`.
    ///
    /// # Errors
    /// What stands in the way; then nothing is left behind.
    pub(super) fn make(root: &Path, uid: &str, marks: &Path) -> Result<Directory, String> {
        let mut steps = Path::new(uid).components();
        if !matches!((steps.next(), steps.next()), (Some(Component::Normal(name)), None) if name == uid) {
            return Err(format!("invalid workspace uid: {uid}"));
        }
        let failed =
            |path: &Path, error: io::Error| format!("cannot make workspace {}: {error}", path.display());
        fs::create_dir_all(root).map_err(|error| failed(root, error))?;
        let path = root.canonicalize().map_err(|error| failed(root, error))?.join(uid);
        let mark = marks.join(uid);
        let marked = private_directory(marks).and_then(|()| {
            // Somebody else's mark is not overwritten; one cut short by a full disk is no mark.
            let mut file = File::create_new(&mark)?;
            file.write_all(path.as_os_str().as_encoded_bytes()).inspect_err(|_| {
                let _ = fs::remove_file(&mark);
            })
        });
        marked.map_err(|error| failed(&mark, error))?;
        if let Err(error) = DirBuilder::new().mode(0o700).create(&path) {
            // Whatever is there already is not ours.
            let _ = fs::remove_file(&mark);
            return Err(failed(&path, error));
        }
        Ok(Directory { path, mark, gone: false })
    }

    /// Where it is, without links.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes the directory with everything in it, then the mark. Once is enough.
    ///
    /// # Errors
    /// What could not be removed; the mark stays for another try.
    pub(super) fn remove(&mut self) -> io::Result<()> {
        if !self.gone {
            erase::tree(&self.path)?;
            fs::remove_file(&self.mark)?;
            self.gone = true;
        }
        Ok(())
    }
}

/// Only an opening that was given up, or a panic, leaves the directory to this.
impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            warn!(path = %self.path.display(), %error, "workspace left behind");
        }
    }
}

/// What dead brokers of a home have left behind. It is not mixed up with what comes later.
#[derive(Debug)]
pub(super) struct LeftBehind(Vec<PathBuf>);

/// Finds what dead brokers of this home have left behind. No broker of the home may have begun to lend.
pub(super) fn left_behind(marks: &Path) -> LeftBehind {
    let entries = fs::read_dir(marks).into_iter().flatten().flatten();
    LeftBehind(entries.map(|entry| entry.path()).collect())
}

impl LeftBehind {
    /// Kills and removes it. It blocks.
    pub(super) fn remove(self) {
        let places: Vec<_> = self.0.iter().filter_map(|mark| place(mark).ok()?).collect();
        let tools = places.iter().map(|path| path.as_os_str().as_encoded_bytes()).collect();
        if let Err(reason) = strays::kill_tools(&tools) {
            warn!(reason, "cannot sweep the tools of workspaces");
            return; // what they write to is not removed under them
        }
        for mark in self.0 {
            match remove_one(&mark) {
                Ok(()) => info!(mark = %mark.display(), "swept a workspace"),
                Err(error) => warn!(mark = %mark.display(), %error, "cannot sweep a workspace"),
            }
        }
    }
}

/// Removes what a workspace left behind whose removal has failed. Nothing there is fine.
///
/// # Errors
/// What still could not be removed; the mark stays.
pub(super) fn remove_left_behind(mark: &Path) -> Result<(), String> {
    let removed = place(mark).and_then(|path| {
        if let Some(path) = path {
            strays::kill(strays::WORKSPACE, &path, &[]).map_err(io::Error::other)?;
        }
        remove_one(mark)
    });
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error.to_string()),
        _ => Ok(()),
    }
}

/// The directory that a mark stands for. One that was cut short names another directory or none; its own was
/// never made.
fn place(mark: &Path) -> io::Result<Option<PathBuf>> {
    let mut path = Vec::new();
    File::open(mark)?.take(MARK_BYTES_MAX).read_to_end(&mut path)?;
    let path = PathBuf::from(OsString::from_vec(path));
    Ok(Some(path).filter(|path| path.is_absolute() && path.file_name() == mark.file_name()))
}

/// Removes a directory in which no tool runs any more, and its mark.
fn remove_one(mark: &Path) -> io::Result<()> {
    if let Some(path) = place(mark)? {
        erase::tree(&path)?;
    }
    fs::remove_file(mark)
}

fn private_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    struct Lab {
        _folder: tempfile::TempDir,
        root: PathBuf,
        marks: PathBuf,
    }

    fn lab() -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().canonicalize().unwrap();
        Lab { root: home.join(".ave"), marks: home.join(".ave/state/workspaces"), _folder: folder }
    }

    #[test]
    fn w2_a_directory_is_private_and_goes_with_its_mark() {
        let lab = lab();
        let mut directory = Directory::make(&lab.root, "lab-0123456789", &lab.marks).unwrap();
        let path = lab.root.join("lab-0123456789");
        assert_eq!(directory.path(), path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_to_string(lab.marks.join("lab-0123456789")).unwrap(), path.to_str().unwrap());
        fs::write(path.join(".hidden"), "").unwrap();
        directory.remove().unwrap();
        directory.remove().unwrap();
        assert!(!path.exists() && fs::read_dir(&lab.marks).unwrap().next().is_none());
    }

    #[test]
    fn what_exists_already_is_neither_taken_nor_removed() {
        let lab = lab();
        fs::create_dir_all(lab.root.join("config")).unwrap();
        let message = Directory::make(&lab.root, "config", &lab.marks).unwrap_err();
        assert!(message.starts_with("cannot make workspace"), "{message}");
        assert!(lab.root.join("config").exists() && fs::read_dir(&lab.marks).unwrap().next().is_none());
    }

    #[test]
    fn the_mark_of_a_living_workspace_is_respected() {
        let lab = lab();
        let mut directory = Directory::make(&lab.root, "1", &lab.marks).unwrap();
        assert!(Directory::make(&lab.root, "1", &lab.marks).is_err());
        assert!(directory.path().exists() && lab.marks.join("1").exists());
        directory.remove().unwrap();
    }

    #[test]
    fn a_uid_is_one_name() {
        let lab = lab();
        for uid in ["", ".", "..", "a/b", "/etc", "a/", "../x"] {
            let message = Directory::make(&lab.root, uid, &lab.marks).unwrap_err();
            assert_eq!(message, format!("invalid workspace uid: {uid}"));
        }
        assert!(!lab.root.exists());
    }

    #[test]
    fn a_sweep_removes_what_is_marked_and_nothing_else() {
        let lab = lab();
        for leftover in ["1", "2"] {
            std::mem::forget(Directory::make(&lab.root, leftover, &lab.marks).unwrap());
        }
        fs::create_dir_all(lab.root.join("config")).unwrap();
        fs::write(lab.marks.join("3"), "").unwrap();
        fs::write(lab.marks.join("4"), lab.root.to_str().unwrap()).unwrap();
        fs::write(lab.marks.join("config"), "config").unwrap();
        let left_behind = left_behind(&lab.marks);
        let later = Directory::make(&lab.root, "5", &lab.marks).unwrap();
        left_behind.remove();
        assert!(later.path().exists(), "it came later");
        drop(later);
        assert!(!lab.root.join("1").exists() && !lab.root.join("2").exists());
        assert!(lab.root.join("config").exists());
        assert!(fs::read_dir(&lab.marks).unwrap().next().is_none());
    }

    #[test]
    fn what_could_not_be_removed_is_removed_by_another_try() {
        let lab = lab();
        let mut directory = Directory::make(&lab.root, "1", &lab.marks).unwrap();
        let (path, mark) = (directory.path().to_owned(), lab.marks.join("1"));
        // A mark that cannot be removed stands for all that can be in the way.
        fs::remove_file(&mark).unwrap();
        fs::create_dir(&mark).unwrap();
        directory.remove().unwrap_err();
        drop(directory);
        remove_left_behind(&mark).unwrap_err();
        fs::remove_dir(&mark).unwrap();
        fs::create_dir(&path).unwrap();
        fs::write(&mark, path.to_str().unwrap()).unwrap();
        remove_left_behind(&mark).unwrap();
        assert!(!path.exists() && !mark.exists());
        remove_left_behind(&mark).unwrap();
    }

    #[test]
    fn an_abandoned_directory_goes_by_itself() {
        let lab = lab();
        drop(Directory::make(&lab.root, "1", &lab.marks).unwrap());
        assert!(!lab.root.join("1").exists());
    }
}
