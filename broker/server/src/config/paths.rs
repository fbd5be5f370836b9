//! Where everything of one broker lives: under `<home>/.ave/`, so that several homes on one machine do not
//! meet.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::{fs, io, process};

use std::os::unix::fs::{DirBuilderExt, PermissionsExt};

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

use super::user::{User, UserError};

/// How the names of files begin that have none yet; the number of who writes them follows, and something random.
const UNNAMED: &str = ".ave-";

/// The places of one home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    home: PathBuf,
}

/// Why no home is known.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// The configured user is no use.
    #[error(transparent)]
    User(#[from] UserError),
    /// Nobody says where home is.
    #[error("no home: neither --home, nor /etc/ave/user, nor $HOME says where it is")]
    Unknown,
    /// It is not there.
    #[error("no such home: wanted a directory, found none at {}", .0.display())]
    NoDirectory(PathBuf),
}

impl Paths {
    /// The places under `home`.
    pub fn new(home: impl Into<PathBuf>) -> Paths {
        Paths { home: home.into() }
    }

    /// The home to use: the one given, else that of the configured user, else that of whoever asks.
    ///
    /// # Errors
    /// If nobody says, or it is no directory.
    pub fn find(given: Option<&Path>, user: Option<&User>) -> Result<Paths, HomeError> {
        let home = match (given, user) {
            (Some(home), _) => home.to_owned(),
            (None, Some(user)) => user.home.clone(),
            (None, None) => directories::BaseDirs::new().ok_or(HomeError::Unknown)?.home_dir().to_owned(),
        };
        match fs::canonicalize(&home) {
            Ok(found) if found.is_dir() => Ok(Paths::new(found)),
            _ => Err(HomeError::NoDirectory(home)),
        }
    }

    /// The home itself.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The folder of configuration files.
    pub fn config(&self) -> PathBuf {
        self.ave("config")
    }

    /// The folder of what exists while a broker runs.
    pub fn run(&self) -> PathBuf {
        self.ave("run")
    }

    /// The folder of logs.
    pub fn log(&self) -> PathBuf {
        self.ave("log")
    }

    /// The folder of what outlives a broker.
    pub fn state(&self) -> PathBuf {
        self.ave("state")
    }

    /// The folder of dumps made on SIGUSR1.
    pub fn hickup(&self) -> PathBuf {
        self.ave("hickup")
    }

    /// `broker.json`.
    pub fn broker_json(&self) -> PathBuf {
        self.config().join("broker.json")
    }

    /// `authkeys.json`.
    pub fn authkeys_json(&self) -> PathBuf {
        self.config().join("authkeys.json")
    }

    /// `workspace.json`.
    pub fn workspace_json(&self) -> PathBuf {
        self.config().join("workspace.json")
    }

    /// `jenkins.json`.
    pub fn jenkins_json(&self) -> PathBuf {
        self.config().join("jenkins.json")
    }

    /// `adb_server.json`.
    pub fn adb_server_json(&self) -> PathBuf {
        self.config().join("adb_server.json")
    }

    /// `handset.json`.
    pub fn handset_json(&self) -> PathBuf {
        self.config().join("handset.json")
    }

    /// `equipment.json`.
    pub fn equipment_json(&self) -> PathBuf {
        self.config().join("equipment.json")
    }

    /// The folder of descriptors, one a type of equipment.
    pub fn equipment_d(&self) -> PathBuf {
        self.ave("equipment.d")
    }

    /// `relay.json`.
    pub fn relay_json(&self) -> PathBuf {
        self.config().join("relay.json")
    }

    /// `devantech.json`.
    pub fn devantech_json(&self) -> PathBuf {
        self.config().join("devantech.json")
    }

    /// The file that names the running broker.
    pub fn pid_file(&self) -> PathBuf {
        self.run().join("ave-broker.pid")
    }

    /// The socket at which the next process of this broker takes over from the one that runs.
    pub fn handover_socket(&self) -> PathBuf {
        self.run().join("handover")
    }

    /// The file that names the port it really listens on.
    pub fn port_file(&self) -> PathBuf {
        self.run().join("port")
    }

    /// What a broker in the background says.
    pub fn log_file(&self) -> PathBuf {
        self.log().join("ave-broker.log")
    }

    /// The file that names what keeps the adb server alive.
    pub fn adb_server_pid_file(&self) -> PathBuf {
        self.run().join("ave-adb-server.pid")
    }

    /// What it and the adb server say.
    pub fn adb_server_log_file(&self) -> PathBuf {
        self.log().join("ave-adb-server.log")
    }

    /// Makes the folders that are missing. Clients of other users may read `config` and `run`; the rest is
    /// nobody's business.
    ///
    /// # Errors
    /// If one cannot be made.
    pub fn make(&self) -> io::Result<()> {
        let shared = [self.home.join(".ave"), self.config(), self.run()];
        let private = [self.log(), self.state(), self.hickup()];
        for (folders, mode) in [(&shared, 0o755), (&private, 0o700)] {
            for folder in folders {
                fs::DirBuilder::new().recursive(true).mode(mode).create(folder).map_err(|error| {
                    io::Error::new(error.kind(), format!("could not make {}: {error}", folder.display()))
                })?;
            }
        }
        Ok(())
    }

    fn ave(&self, folder: &str) -> PathBuf {
        self.home.join(".ave").join(folder)
    }
}

/// Puts `content` at `path` all at once: whoever reads sees the old or the new one, never a part.
///
/// # Errors
/// If the folder cannot be written.
pub fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    unnamed(path, content, mode)?.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Puts `content` at `path` all at once unless something is there, so that a loss of power leaves all of it or nothing;
/// tells whether it did.
///
/// # Errors
/// If the folder cannot be written.
pub fn put_new(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    let file = unnamed(path, content, mode)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

/// A finished file without its name yet, in the folder it will be named in. The disk need not have it: what says which
/// process runs is of no use after a loss of power, and a broker that takes over must not wait for a busy disk.
pub(crate) fn unnamed(path: &Path, content: &[u8], mode: u32) -> io::Result<tempfile::NamedTempFile> {
    use std::io::Write;

    let folder = path.parent().unwrap_or(Path::new("."));
    let permissions = fs::Permissions::from_mode(mode);
    let prefix = format!("{UNNAMED}{}-", process::id());
    let mut file = tempfile::Builder::new().prefix(&prefix).permissions(permissions).tempfile_in(folder)?;
    file.write_all(content)?;
    Ok(file)
}

/// Removes files that never get their names, because whoever wrote them has died.
pub(crate) fn remove_unnamed(paths: &Paths) {
    let folders = [paths.run(), paths.state(), paths.config(), paths.hickup()];
    for entry in folders.into_iter().flat_map(fs::read_dir).flatten().flatten() {
        if writer(&entry.file_name()).is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Who writes, or wrote, the file of this name, if that is none yet.
fn writer(name: &OsStr) -> Option<Pid> {
    let (pid, _) = name.to_str()?.strip_prefix(UNNAMED)?.split_once('-')?;
    Pid::from_raw(pid.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dead_process_left_without_a_name_is_removed() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        paths.make().unwrap();
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        for folder in [paths.run(), paths.state()] {
            let mine = unnamed(&folder.join("port"), b"", 0o600).unwrap();
            fs::write(folder.join(format!("{UNNAMED}{}-x", child.id())), "").unwrap();
            fs::write(folder.join(format!("{UNNAMED}other")), "").unwrap();
            remove_unnamed(&paths);
            let mut left: Vec<_> =
                fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            left.sort();
            assert_eq!(left, [mine.path().to_owned(), folder.join(".ave-other")]);
        }
    }

    #[test]
    fn a_home_that_is_given_wins_and_must_exist() {
        let home = tempfile::tempdir().unwrap();
        let user = User { name: "lab".into(), home: "/somewhere/else".into() };
        let paths = Paths::find(Some(home.path()), Some(&user)).unwrap();
        assert_eq!(paths.broker_json(), home.path().join(".ave/config/broker.json"));
        let error = Paths::find(None, Some(&user)).unwrap_err();
        assert!(error.to_string().starts_with("no such home: "), "{error}");
    }

    #[test]
    fn a_new_file_never_replaces_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        assert!(put_new(&path, b"first", 0o600).unwrap());
        assert!(!put_new(&path, b"second", 0o600).unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        replace(&path, b"third", 0o644).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn folders_are_made_once() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        paths.make().unwrap();
        paths.make().unwrap();
        assert_eq!(paths.log().metadata().unwrap().permissions().mode() & 0o777, 0o700);
        assert!(paths.hickup().is_dir() && paths.state().is_dir() && paths.run().is_dir());
    }
}
