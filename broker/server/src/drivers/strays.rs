//! Finds and kills what programs that were started here left running.
//!
//! A process belongs to whoever started it by its process group, or by a mark that the program found in its
//! environment, so that one that made itself a daemon is found too. One that also cleared its environment is
//! not.

use std::collections::HashSet;
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

/// Which of them: the number of the broker's process.
pub(crate) const BROKER_PID: &str = "AVE_BROKER_PID";

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
    let mark = mark(name, value.as_os_str().as_encoded_bytes());
    let killed = kill_all(|variables| variables.contains(&&*mark), groups);
    killed.map_err(|left| format!("{left} processes of {} cannot be killed", value.display()))
}

/// Kills what one process of the broker at home in `home` has started for a lab. It blocks.
///
/// # Errors
/// How many would not go.
pub(crate) fn kill_programs_of(home: &Path, broker: Pid) -> Result<(), String> {
    let home = mark(BROKER_HOME, home.as_os_str().as_encoded_bytes());
    let pid = mark(BROKER_PID, broker.as_raw_nonzero().to_string().as_bytes());
    let killed = kill_all(|variables| [&home, &pid].iter().all(|mark| variables.contains(&&***mark)), &[]);
    killed.map_err(|left| format!("{left} programs of process {broker} cannot be killed"))
}

/// Kills the tools of all these workspaces. It blocks.
///
/// # Errors
/// How many would not go.
pub(crate) fn kill_tools(workspaces: &HashSet<&[u8]>) -> Result<(), String> {
    let prefix = mark(WORKSPACE, b"");
    let is_one = |variable: &&[u8]| {
        variable.strip_prefix(&*prefix).is_some_and(|workspace| workspaces.contains(workspace))
    };
    let killed = kill_all(|variables| variables.iter().any(is_one), &[]);
    killed.map_err(|left| format!("{left} processes of {} workspaces cannot be killed", workspaces.len()))
}

/// Kills every process with such an environment, and those of the process groups `groups`.
///
/// # Errors
/// How many would not go.
fn kill_all(is_marked: impl Fn(&[&[u8]]) -> bool, groups: &[Pid]) -> Result<(), usize> {
    let (mut found, mut none_before) = (0, false);
    for _ in 0..KILL_ROUNDS_MAX {
        found = others().filter(|pid| kill_if(*pid, |pid| belongs(pid, &is_marked, groups))).count();
        // Once is not enough: a process that is just starting a program shows no environment.
        if found == 0 && none_before {
            return Ok(());
        }
        none_before = found == 0;
        thread::sleep(KILL_PAUSE);
    }
    Err(found)
}

/// How many such processes there are once those that are ending have had time for it. It blocks.
pub(crate) fn settled(name: &str, value: &Path) -> usize {
    let mark = mark(name, value.as_os_str().as_encoded_bytes());
    let mut left = 0;
    for _ in 0..KILL_ROUNDS_MAX {
        left = others().filter(|pid| belongs(*pid, |variables| variables.contains(&&*mark), &[])).count();
        if left == 0 {
            break;
        }
        thread::sleep(KILL_PAUSE);
    }
    left
}

fn mark(name: &str, value: &[u8]) -> Vec<u8> {
    [name.as_bytes(), b"=", value].concat()
}

/// All processes but this one.
fn others() -> impl Iterator<Item = Pid> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw).filter(|pid| *pid != getpid())
}

/// The handle is opened first: what is judged is what is killed, even if the number is used anew.
fn kill_if(pid: Pid, belongs: impl Fn(Pid) -> bool) -> bool {
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return false };
    belongs(pid) && pidfd_send_signal(handle, Signal::KILL).is_ok()
}

fn belongs(pid: Pid, is_marked: impl Fn(&[&[u8]]) -> bool, groups: &[Pid]) -> bool {
    let process = Path::new("/proc").join(pid.as_raw_nonzero().to_string());
    if !groups.is_empty() && group(&process).is_some_and(|group| groups.contains(&group)) {
        return true;
    }
    let mut environment = Vec::new();
    let opened = fs::File::open(process.join("environ"));
    let read = opened.and_then(|file| file.take(ENVIRONMENT_BYTES_MAX).read_to_end(&mut environment));
    read.is_ok() && is_marked(&environment.split(|byte| *byte == 0).collect::<Vec<_>>())
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
