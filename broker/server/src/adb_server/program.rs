//! The program `adb`: which one it is, how a server of it is started, and what ends that when nobody else can.

use std::env;
use std::ffi::OsString;
use std::io::{self, PipeWriter};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

use crate::config::Paths;
use crate::config::workspace::{WorkspaceConfig, is_executable};
use crate::daemon::service;
use crate::drivers::strays;

/// The key that debug builds of Android trust, where it is installed.
const VENDOR_KEY: &str = "/usr/share/ave/handset/adbkey_userdebug";

/// The adb to run: `tools.adb` of `workspace.json`, else the first in `PATH` (Specification 2).
///
/// # Errors
/// Why there is none, for people.
pub(super) fn find(paths: &Paths) -> Result<PathBuf, String> {
    let file = paths.workspace_json();
    let configured = match file.exists() {
        true => WorkspaceConfig::load(&file, paths.home())
            .map_err(|fault| fault.to_string())?
            .tool("adb")
            .map(Path::to_owned),
        false => None,
    };
    let wanted = format!("{}: tools.adb: wanted the program adb", file.display());
    match configured {
        Some(adb) if is_executable(&adb) => Ok(adb),
        Some(adb) => Err(format!("{wanted}, found none at {}", adb.display())),
        None => {
            let folders = env::var_os("PATH").unwrap_or_default();
            let mut places = env::split_paths(&folders).map(|folder| folder.join("adb"));
            places
                .find(|adb| is_executable(adb))
                .ok_or(format!("{wanted}, found no such key, and none in PATH"))
        }
    }
}

/// The command that is an adb server on this port of loopback, in the foreground, and dies with this process. It has
/// to be started by the main thread, whose end counts as that of the process. What it says goes to `said`.
pub(super) fn server(adb: &Path, port: u16, paths: &Paths, said: PipeWriter) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command.arg(format!("--bound-to={}", std::process::id())).arg("--").arg(adb);
    command.args(["-L", &format!("tcp:localhost:{port}"), "nodaemon", "server"]);
    command.env("HOME", paths.home()).env("ADB_CPU_AFFINITY_BUG6558362", "1");
    command.env(strays::ADB_SERVER, paths.home());
    if Path::new(VENDOR_KEY).is_file() {
        command.env("ADB_VENDOR_KEYS", VENDOR_KEY);
    }
    for name in service::ENVIRONMENT {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
    Ok(command)
}

/// Becomes `program`, which the system kills when the process `parent` ends, however it does.
pub(super) fn bind(parent: u32, program: &[OsString]) -> io::Error {
    if let Err(error) = set_parent_process_death_signal(Some(Signal::KILL)) {
        return error.into();
    }
    // It may have died before the signal was asked for.
    if getppid().map(Pid::as_raw_nonzero).and_then(|pid| u32::try_from(pid.get()).ok()) != Some(parent) {
        return io::Error::other(format!("process {parent} has ended"));
    }
    match program {
        [adb, arguments @ ..] => Command::new(adb).args(arguments).exec(),
        [] => io::ErrorKind::InvalidInput.into(),
    }
}
