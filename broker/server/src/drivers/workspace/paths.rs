//! The ground a workspace stands on, and the one check that every path argument goes through.
//!
//! A path is followed link by link, as the kernel would, and what it leads to is compared by components. A
//! tool that swaps a directory for a link between check and use could still lead a call astray; tools run
//! with the broker's own rights anyway.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use ave_profile::Refusal;

use super::limits::{LINKS_MAX, PATH_BYTES_MAX};

/// The directory of one workspace.
#[derive(Clone, Debug)]
pub(super) struct Ground {
    root: PathBuf,
}

impl Ground {
    /// The ground at `root`, an existing directory whose path holds no links.
    pub(super) fn new(root: PathBuf) -> Ground {
        Ground { root }
    }

    /// The workspace's directory.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Where `path` leads once every link is followed; nothing needs to exist there.
    ///
    /// # Errors
    /// `path cannot be outside workspace: P`.
    pub(super) fn inside(&self, path: &str) -> Result<PathBuf, Refusal> {
        self.check(path, resolve(&self.root.join(bounded(path)?)))
    }

    /// The entry that `path` names, which may itself be a link: only the directories before it are followed.
    ///
    /// # Errors
    /// `path cannot be outside workspace: P`.
    pub(super) fn entry(&self, path: &str) -> Result<PathBuf, Refusal> {
        let joined = self.root.join(bounded(path)?);
        let entry = match (joined.parent(), joined.components().next_back()) {
            (Some(parent), Some(Component::Normal(name))) => resolve(parent).map(|real| real.join(name)),
            _ => resolve(&joined),
        };
        self.check(path, entry)
    }

    /// Whether a path that exists leads here.
    pub(super) fn holds(&self, path: &Path) -> bool {
        resolve(path).is_ok_and(|real| real.starts_with(&self.root))
    }

    fn check(&self, path: &str, real: io::Result<PathBuf>) -> Result<PathBuf, Refusal> {
        real.ok().filter(|real| real.starts_with(&self.root)).ok_or_else(|| outside(path))
    }
}

/// The refusal of a path that leaves the workspace.
pub(super) fn outside(path: &str) -> Refusal {
    Refusal::exception(format!("path cannot be outside workspace: {path}"))
}

/// The path, or pattern, if no limit forbids it.
pub(super) fn bounded(path: &str) -> Result<&str, Refusal> {
    if path.len() > PATH_BYTES_MAX || path.contains('\0') {
        return Err(Refusal::exception(format!(
            "a path must have at most {PATH_BYTES_MAX} bytes and no null byte, found {} bytes",
            path.len()
        )));
    }
    Ok(path)
}

/// Follows an absolute path to its end. What does not exist counts as a plain name.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut real = PathBuf::from("/");
    let mut ahead: Vec<OsString> = steps(path);
    let mut links = 0;
    while let Some(step) = ahead.pop() {
        if step == ".." {
            real.pop();
            continue;
        }
        real.push(&step);
        let Ok(target) = fs::read_link(&real) else { continue };
        links += 1;
        if links > LINKS_MAX {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        real.pop();
        if target.is_absolute() {
            real = PathBuf::from("/");
        }
        ahead.extend(steps(&target));
    }
    Ok(real)
}

/// The names of a path and its `..`, the first one last.
fn steps(path: &Path) -> Vec<OsString> {
    let named = |step: &Component<'_>| matches!(step, Component::Normal(_) | Component::ParentDir);
    path.components().rev().filter(named).map(|step| step.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn w6_every_way_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        for directory in ["1234/sub", "1234x"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        let root = base.join("1234");
        symlink(&base, root.join("out")).unwrap();
        symlink("../1234x", root.join("sibling")).unwrap();
        symlink("/nowhere/at/all", root.join("dangling")).unwrap();
        symlink("sub/..", root.join("inside")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        let ground = Ground::new(root.clone());

        let sibling = format!("{}x/file", root.display());
        let ways = [
            "/etc/passwd",
            "..",
            "sub/../../1234x",
            &sibling,
            "out",
            "out/x",
            "sub/../out/1234x",
            "sibling/x",
            "dangling",
            "inside/../x",
            "loop",
            "loop/x",
            "/",
            "new/../../x",
        ];
        for way in ways {
            let message = ground.inside(way).unwrap_err().message;
            assert_eq!(message, format!("path cannot be outside workspace: {way}"));
        }
        for (path, real) in [
            ("", ""),
            (".", ""),
            ("sub", "sub"),
            ("sub/../new/x", "new/x"),
            ("inside/sub", "sub"),
            ("out/1234/sub", "sub"),
            ("sub//./x", "sub/x"),
        ] {
            assert_eq!(ground.inside(path).unwrap(), root.join(real), "{path}");
        }
        let absolute = root.join("sub/x");
        assert_eq!(ground.inside(absolute.to_str().unwrap()).unwrap(), absolute);
    }

    #[test]
    fn w6_an_entry_may_be_a_link_but_not_lie_behind_one_that_leads_out() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        symlink("/etc", root.join("out")).unwrap();
        let ground = Ground::new(root.clone());
        assert_eq!(ground.entry("out").unwrap(), root.join("out"));
        assert!(ground.entry("out/passwd").is_err());
        assert!(ground.entry("out/..").is_err());
        assert!(ground.entry("..").is_err());
    }

    #[test]
    fn a_path_has_a_limit_and_no_null_byte() {
        let ground = Ground::new("/tmp".into());
        assert!(ground.inside(&"a/".repeat(PATH_BYTES_MAX)).unwrap_err().message.contains("at most 4096"));
        assert!(ground.entry("a\0b").unwrap_err().message.contains("null byte"));
    }
}
