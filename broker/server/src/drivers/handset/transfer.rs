//! `push` and `pull`: files and whole trees between this host and a handset, as the `adb` command does it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use ave_adb::{AdbError, Stat};
use ave_profile::Refusal;
use ave_protocol::arguments::Bound;
use tokio::fs;
use tokio::time::Instant;

use super::device::{Answer, Handset};
use super::limits::TRANSFERRED_MAX;
use crate::drivers::arguments::Take;

/// The broker's own folders below `.ave`: keys and state are not for handsets, nor theirs to write.
const OWN_FOLDERS: [&str; 6] = ["config", "equipment.d", "run", "log", "state", "hickup"];

/// What was moved.
#[derive(Default)]
struct Moved {
    files: u64,
    skipped: u64,
    bytes: u64,
    /// Files and directories that were looked at.
    seen: usize,
}

impl Handset {
    pub(super) async fn push(&self, arguments: &mut Bound) -> Answer {
        let (src, dst, limit) = (arguments.text("src")?, arguments.text("dst")?, arguments.limit("timeout")?);
        let source = self.host_path(&src)?;
        refuse_tempfile(&src, &source)?;
        let begun = Instant::now();
        let moved = self.adb(&["push", &src, &dst], limit, self.push_all(source, &dst)).await?;
        Ok(self.shown(&moved.summary(&src, "pushed", begun.elapsed())))
    }

    pub(super) async fn pull(&self, arguments: &mut Bound) -> Answer {
        let (src, dst, limit) = (arguments.text("src")?, arguments.text("dst")?, arguments.limit("timeout")?);
        let target = self.host_path(&dst)?;
        let begun = Instant::now();
        let moved = self.adb(&["pull", &src, &dst], limit, self.pull_all(&src, target)).await?;
        Ok(self.shown(&moved.summary(&src, "pulled", begun.elapsed())))
    }

    /// A path of this host, absolute, that is not among the broker's own files.
    pub(super) fn host_path(&self, path: &str) -> Result<PathBuf, Refusal> {
        let wrong = |error| Refusal::exception(format!("not a path of this host: \"{path}\": {error}"));
        let absolute = std::path::absolute(path).map_err(wrong)?;
        self.refuse_own(&absolute).map_err(|error| Refusal::exception(error.to_string()))?;
        Ok(absolute)
    }

    /// Refuses a path that leads, by whatever links, to what is the broker's alone.
    fn refuse_own(&self, path: &Path) -> Result<(), AdbError> {
        if path.is_symlink() && !path.exists() {
            return Err(AdbError::Refused(format!("a link that leads nowhere: {}", path.display())));
        }
        let own = self.site.own.canonicalize().unwrap_or_else(|_| self.site.own.clone());
        // A step up may lead out of a directory that is only about to be made.
        for path in [path, &lexically_normal(path)] {
            // Where it really is: itself, or what it will be made in.
            let real = path.ancestors().find_map(|place| place.canonicalize().ok()).unwrap_or_default();
            if OWN_FOLDERS.iter().any(|folder| real.starts_with(own.join(folder))) {
                let text = format!("the broker's own files are not for handsets: {}", path.display());
                return Err(AdbError::Refused(text));
            }
        }
        Ok(())
    }

    async fn push_all(&self, source: PathBuf, dst: &str) -> Result<Moved, AdbError> {
        let found = fs::metadata(&source).await.map_err(|error| cannot("stat", &source, &error))?;
        let inside = dst.ends_with('/') || self.is_directory(dst).await?;
        let target = match source.file_name() {
            Some(name) if inside => below(dst, &name.to_string_lossy()),
            _ => dst.to_owned(),
        };
        let mut moved = Moved::default();
        let mut waiting = vec![(source, target, found.is_dir())];
        while let Some((source, target, is_dir)) = waiting.pop() {
            moved.see(waiting.len())?;
            self.refuse_own(&source)?;
            if !is_dir {
                self.push_file(&source, &target, &mut moved).await?;
                continue;
            }
            let mut entries = fs::read_dir(&source).await.map_err(|error| cannot("read", &source, &error))?;
            while let Some(entry) = entries.next_entry().await? {
                let target = below(&target, &entry.file_name().to_string_lossy());
                waiting.push((entry.path(), target, entry.file_type().await?.is_dir()));
                moved.refuse_crowd(waiting.len())?;
            }
        }
        Ok(moved)
    }

    /// A file, or one that a link leads to. A link to a directory, a socket and the like are skipped.
    async fn push_file(&self, source: &Path, target: &str, moved: &mut Moved) -> Result<(), AdbError> {
        let found = fs::metadata(source).await.map_err(|error| cannot("stat", source, &error))?;
        if !found.is_file() {
            moved.skipped += 1;
            return Ok(());
        }
        moved.bytes += self.device.push(source, target, found.permissions().mode()).await?;
        moved.files += 1;
        Ok(())
    }

    async fn pull_all(&self, src: &str, target: PathBuf) -> Result<Moved, AdbError> {
        let found = self.followed(src).await?;
        let found =
            found.ok_or_else(|| AdbError::Refused(format!("remote object '{src}' does not exist")))?;
        let name = src.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let inside = target.is_dir() && is_plain(name);
        let target = if inside { target.join(name) } else { target };
        let mut moved = Moved::default();
        let mut waiting = vec![(src.to_owned(), target, found)];
        while let Some((source, target, found)) = waiting.pop() {
            moved.see(waiting.len())?;
            self.refuse_own(&target)?;
            if !is_readable(&found) {
                moved.skipped += 1;
            } else if !found.is_dir() {
                moved.bytes += self.device.pull(&source, &target).await?;
                moved.files += 1;
            } else {
                fs::create_dir_all(&target).await.map_err(|error| cannot("make", &target, &error))?;
                for entry in
                    self.device.list(&source).await?.into_iter().filter(|entry| is_plain(&entry.name))
                {
                    waiting.push((below(&source, &entry.name), target.join(&entry.name), entry.stat));
                    moved.refuse_crowd(waiting.len())?;
                }
            }
        }
        Ok(moved)
    }

    async fn is_directory(&self, path: &str) -> Result<bool, AdbError> {
        Ok(self.followed(path).await?.is_some_and(|found| found.is_dir()))
    }

    /// What a path is, or what it leads to if it is a link.
    pub(super) async fn followed(&self, path: &str) -> Result<Option<Stat>, AdbError> {
        let found = self.device.stat(path).await?;
        match found.is_some_and(|found| file_type(&found) == 0o120_000) {
            // A link to a directory is one, seen with a slash behind it; one to a file is nothing then.
            true => Ok(self.device.stat(&below(path, "")).await?.or(found)),
            false => Ok(found),
        }
    }
}

impl Moved {
    /// One more, while so many wait.
    fn see(&mut self, waiting: usize) -> Result<(), AdbError> {
        self.seen += 1;
        self.refuse_crowd(waiting)
    }

    fn refuse_crowd(&self, waiting: usize) -> Result<(), AdbError> {
        match self.seen + waiting > TRANSFERRED_MAX {
            true => Err(AdbError::Refused(format!("more than {TRANSFERRED_MAX} files and directories"))),
            false => Ok(()),
        }
    }

    /// In the words of the `adb` command.
    fn summary(&self, src: &str, what: &str, took: Duration) -> String {
        let Moved { files, skipped, bytes, .. } = self;
        let (plural, seconds) = (if *files == 1 { "" } else { "s" }, took.as_secs_f64());
        let rate = *bytes as f64 / seconds.max(0.001) / (1024.0 * 1024.0);
        format!(
            "{src}: {files} file{plural} {what}, {skipped} skipped. \
             {rate:.1} MB/s ({bytes} bytes in {seconds:.3}s)\n"
        )
    }
}

/// Refuses what a workspace made for itself, by whatever way it is named. A link is the name its maker chose.
fn refuse_tempfile(src: &str, source: &Path) -> Result<(), Refusal> {
    let is_temporary =
        |path: &Path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("tmp"));
    let named = lexically_normal(source);
    let real = if source.is_symlink() { None } else { source.canonicalize().ok() };
    match is_temporary(&named) || real.is_some_and(|real| is_temporary(&real)) {
        true => {
            let text = format!("pushing temp-files generated by the workspace are not possible: {src}");
            Err(Refusal::exception(text))
        }
        false => Ok(()),
    }
}

/// The path without `.` and `..`, by its text alone.
fn lexically_normal(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut normal, component| {
        match component {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
        normal
    })
}

/// Whether a name that a handset gave stays in the directory it is put in.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

fn file_type(stat: &Stat) -> u32 {
    stat.mode & 0o170_000
}

/// Whether it is a file, a directory or a link, and no device, which may have no end.
pub(super) fn is_readable(stat: &Stat) -> bool {
    matches!(file_type(stat), 0o100_000 | 0o040_000 | 0o120_000)
}

fn below(directory: &str, name: &str) -> String {
    format!("{}/{name}", directory.trim_end_matches('/'))
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> AdbError {
    AdbError::Refused(format!("adb: error: cannot {what} '{}': {error}", path.display()))
}
