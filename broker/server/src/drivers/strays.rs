//! Finds and kills what programs that were started here left running.
//!
//! A process belongs to whoever started it by its process group, or by a mark that the program found in its
//! environment, so that one that made itself a daemon is found too. One that also cleared its environment is
//! not.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, getpid, pidfd_open, pidfd_send_signal};

/// Marks the processes of a workspace's tools; the value is the workspace's path.
pub(crate) const WORKSPACE: &str = "AVE_WORKSPACE";

/// Marks the programs a lab brings, its listers and drivers; the value is the home of their broker.
pub(crate) const BROKER_HOME: &str = "AVE_BROKER_HOME";

/// Marks an adb server; the value is the home of its supervisor.
pub(crate) const ADB_SERVER: &str = "AVE_ADB_SERVER";

/// Rounds of killing; a process that forks on takes more than one.
const KILL_ROUNDS_MAX: u32 = 500;

/// Pause between those rounds, for the killed to go.
const KILL_PAUSE: Duration = Duration::from_millis(2);

/// What is read of a process's environment.
const ENVIRONMENT_BYTES_MAX: u64 = 1 << 20;

/// Kills every process whose environment has the variable `name` with this value, and those of the process
/// groups `groups`. It blocks.
///
/// # Errors
/// How many would not go.
pub(crate) fn kill(name: &str, value: &Path, groups: &[Pid]) -> Result<(), String> {
    let mark = [name.as_bytes(), b"=", value.as_os_str().as_encoded_bytes()].concat();
    let (mut found, mut none_before) = (0, false);
    for _ in 0..KILL_ROUNDS_MAX {
        found = kill_once(&mark, groups);
        // Once is not enough: a process that is just starting a program shows no environment.
        if found == 0 && none_before {
            return Ok(());
        }
        none_before = found == 0;
        thread::sleep(KILL_PAUSE);
    }
    Err(format!("{found} processes of {} cannot be killed", value.display()))
}

/// How many such processes there are once those that are ending have had time for it. It blocks.
pub(crate) fn settled(name: &str, value: &Path) -> usize {
    let mark = mark(name, value);
    let mut left = 0;
    for _ in 0..KILL_ROUNDS_MAX {
        left = others().filter(|pid| belongs(*pid, &mark, &[])).count();
        if left == 0 {
            break;
        }
        thread::sleep(KILL_PAUSE);
    }
    left
}

fn mark(name: &str, value: &Path) -> Vec<u8> {
    [name.as_bytes(), b"=", value.as_os_str().as_encoded_bytes()].concat()
}

/// All processes but this one.
fn others() -> impl Iterator<Item = Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(|pid| *pid != getpid())
}

fn kill_once(mark: &[u8], groups: &[Pid]) -> usize {
    others().filter(|pid| kill_if(*pid, |pid| belongs(pid, mark, groups))).count()
}

/// The handle is opened first: what is judged is what is killed, even if the number is used anew.
fn kill_if(pid: Pid, belongs: impl Fn(Pid) -> bool) -> bool {
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    belongs(pid) && pidfd_send_signal(handle, Signal::KILL).is_ok()
}

fn belongs(pid: Pid, mark: &[u8], groups: &[Pid]) -> bool {
    let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    if !groups.is_empty() && group(&process).is_some_and(|group| groups.contains(&group)) {
        return true;
    }
    let mut environment = Vec::new();
    let opened = fs::File::open(process.join("environ"));
    let read = opened.and_then(|file| file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment));
    read.is_ok() && environment.split(|byte| *byte == 0).any(|variable| variable == mark)
}

/// The process group of a process that still runs.
fn group(process: &Path) -> Option<Pid> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // `pid (any name) state parent group ...`
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    (state != "Z" && state != "X").then(|| Pid::from_raw(group))?
}
