//! Removes a tree whatever is in it: hidden files, directories without any permission, any depth.
//!
//! Links are removed, never followed. Directories within directories are first lifted to the top, so that
//! neither stack nor descriptors nor path lengths grow with the depth.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::path::Arg;

/// Removes what is at `path`; nothing there is fine.
///
/// # Errors
/// What could not be removed, as the system says it.
pub(super) fn tree(path: &Path) -> io::Result<()> {
    match unlink(CWD, path) {
        Ok(true) => return Ok(()),
        Ok(false) => {}
        Err(error) => return Err(error.into()),
    }
    let top = open(CWD, path)?;
    let mut lifted = 0;
    loop {
        let names = names(&top)?;
        if names.is_empty() {
            break;
        }
        for name in &names {
            if !unlink(&top, name)? {
                lift(&open(&top, name)?, &top, &mut lifted)?;
                unlinkat(&top, name, AtFlags::REMOVEDIR)?;
            }
        }
    }
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

/// Empties a directory: its files go, its directories move to `top`.
fn lift(from: &OwnedFd, top: &OwnedFd, lifted: &mut u64) -> rustix::io::Result<()> {
    for name in names(from)? {
        if unlink(from, &name)? {
            continue;
        }
        open(from, &name)?;
        loop {
            *lifted += 1;
            match renameat(from, &name, top, format!(".erased-{lifted}")) {
                Ok(()) => break,
                Err(Errno::EXIST | Errno::NOTEMPTY | Errno::NOTDIR) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

/// Whether that was anything but a directory, which is then gone.
fn unlink<P: Arg>(at: impl AsFd, name: P) -> rustix::io::Result<bool> {
    match unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Opens a directory that may forbid even that to its owner.
fn open<P: Arg>(at: impl AsFd, name: P) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = openat(at, name, flags | OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())?;
    // Through the handle, because a name could have become a link by now.
    let entry = format!("/proc/self/fd/{}", handle.as_raw_fd());
    // Of somebody else's directory the removal itself says more.
    let _ = fs::set_permissions(entry, fs::Permissions::from_mode(0o700));
    openat(&handle, ".", flags | OFlags::RDONLY, Mode::empty())
}

fn names(directory: &OwnedFd) -> rustix::io::Result<Vec<CString>> {
    let directory: BorrowedFd<'_> = directory.as_fd();
    let entries = Dir::read_from(directory)?.map(|entry| entry.map(|entry| entry.file_name().to_owned()));
    entries
        .filter(|name| !matches!(name, Ok(name) if name.as_bytes() == b"." || name.as_bytes() == b".."))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn w2_hidden_files_and_closed_directories_go_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (outside, tree_path) = (folder.path().join("outside"), folder.path().join("tree"));
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "").unwrap();
        fs::create_dir_all(tree_path.join("a/b/.c")).unwrap();
        fs::create_dir(tree_path.join(".erased-1")).unwrap();
        fs::write(tree_path.join(".erased-1/x"), "").unwrap();
        fs::write(tree_path.join(".hidden"), "").unwrap();
        fs::write(tree_path.join("a/b/.c/file"), "").unwrap();
        symlink(&outside, tree_path.join("a/link")).unwrap();
        for closed in ["a/b/.c", "a/b", "a"] {
            fs::set_permissions(tree_path.join(closed), fs::Permissions::from_mode(0o000)).unwrap();
        }
        tree(&tree_path).unwrap();
        assert!(!tree_path.exists());
        assert!(outside.join("kept").exists());
        tree(&tree_path).unwrap();
    }

    #[test]
    fn a_link_in_the_tree_s_place_goes_alone() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("kept"), "").unwrap();
        let link = folder.path().join("link");
        symlink(folder.path(), &link).unwrap();
        tree(&link).unwrap();
        assert!(!link.is_symlink() && folder.path().join("kept").exists());
    }

    #[test]
    fn depth_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("deep");
        fs::create_dir(&top).unwrap();
        let mut at = open(CWD, &top).unwrap();
        // More than a process may hold open, and longer than any path may be.
        for _ in 0..1100 {
            rustix::fs::mkdirat(&at, "down", Mode::RWXU).unwrap();
            at = open(&at, "down").unwrap();
        }
        drop(at);
        tree(&top).unwrap();
        assert!(!top.exists());
    }
}
