//! What another process does to the broker: start, stop, make it dump its state.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::READY;
use super::pid_file::{Found, PidFile, look};
use crate::cli::{ExitCode, Failure, Outcome};
use crate::config::Paths;

/// How long a new broker may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a broker is asked to end, and how long it is given each time.
const STOP_TRIES: usize = 3;
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// How long the system may take to remove a killed process.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How often to look whether it has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// The lines of the log shown when a broker fails without a word.
const TAIL_LINES: usize = 10;

/// The part of the log that is searched for them.
const TAIL_BYTES_MAX: u64 = 64 << 10;

/// How to start a broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    /// It may run as root.
    pub(crate) allow_root: bool,
    /// Its `HOME` is the broker's home: the user has changed since `HOME` was set.
    pub(crate) adopt_home: bool,
}

/// Starts a broker in the background and waits until it answers.
pub(crate) fn start(paths: &Paths, force: bool, launch: Launch) -> Outcome {
    clear_the_place(paths, force)?;
    paths.make().map_err(Failure::of)?;
    let could_not = |error: std::io::Error| Failure::of(format_args!("could not start: {error}"));
    let log =
        OpenOptions::new().append(true).create(true).mode(0o600).open(paths.log_file()).map_err(could_not)?;
    let written_before = log.metadata().map_err(could_not)?.len();
    let mut command = Command::new(std::env::current_exe().map_err(could_not)?);
    command.args(["--foreground", "--detached", "--home"]).arg(paths.home());
    if launch.allow_root {
        command.arg("--allow-root");
    }
    if launch.adopt_home {
        command.env("HOME", paths.home());
    }
    let mut broker =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log).spawn().map_err(could_not)?;
    let said = broker.stdout.take().map(lines_of).ok_or_else(|| Failure::of("could not start: no stdout"))?;
    match wait_until_ready(&said) {
        Ready::Yes => Ok(()),
        Ready::No(errors) => {
            let status = broker.wait().map_err(could_not)?;
            let code = ExitCode::of_status(status.code().filter(|code| *code != 0));
            if errors.is_empty() {
                let tail = tail(paths, written_before);
                return Err(Failure::new(
                    code,
                    format_args!("could not start: broker ended with {status}{tail}"),
                ));
            }
            Err(Failure::all(code, errors))
        }
        Ready::Late => {
            let _ = broker.kill();
            let _ = broker.wait();
            let (limit, tail) = (START_LIMIT.as_secs(), tail(paths, written_before));
            Err(Failure::of(format_args!("could not start: no answer within {limit} s{tail}")))
        }
    }
}

/// Says that this cannot be done yet.
pub(crate) fn restart(paths: &Paths) -> Outcome {
    running(paths, "restart")?;
    Err(Failure::of("could not restart: not possible yet. use --stop and --start, which ends all sessions"))
}

/// Ends the broker: politely, then not.
pub(crate) fn stop(paths: &Paths) -> Outcome {
    let pid = running(paths, "stop")?;
    end(paths, pid)
}

/// Makes the broker dump its state.
pub(crate) fn hickup(paths: &Paths) -> Outcome {
    let pid = running(paths, "hickup")?;
    kill_process(pid, Signal::USR1)
        .map_err(|error| Failure::of(format_args!("could not hickup: process {pid}: {error}")))
}

/// The broker the PID file names.
fn running(paths: &Paths, action: &str) -> Result<Pid, Failure> {
    let path = paths.pid_file();
    let shown = path.display();
    let missing = |why: &str| {
        Failure::new(ExitCode::PidFile, format_args!("could not {action}: pid file {shown} {why}"))
    };
    match look(&path)
        .map_err(|error| Failure::of(format_args!("could not {action}: pid file {shown}: {error}")))?
    {
        Found::Live(pid) => Ok(pid),
        Found::Nothing => Err(missing("does not exist")),
        Found::Empty => Err(empty(paths)),
        Found::Stale => Err(missing("is stale: its broker is dead. --start --force replaces it")),
    }
}

fn empty(paths: &Paths) -> Failure {
    let message = format!(
        "The pid file({}) size is zero. No broker is known by it; --start --force replaces it",
        paths.pid_file().display()
    );
    Failure::new(ExitCode::EmptyPidFile, message)
}

/// Makes sure that no broker of this home is running.
fn clear_the_place(paths: &Paths, force: bool) -> Outcome {
    let path = paths.pid_file();
    let found = look(&path).map_err(|error| {
        Failure::of(format_args!("could not start: pid file {}: {error}", path.display()))
    })?;
    let exists = |why: &str| {
        let message = format!("could not start: pid file {} exists ({why})", path.display());
        Err(Failure::new(ExitCode::PidFile, message))
    };
    match (found, force) {
        (Found::Nothing, _) => Ok(()),
        (Found::Empty, false) => Err(empty(paths)),
        (Found::Live(pid), false) => exists(&format!("broker {pid} is running; --force ends it first")),
        (Found::Stale, false) => exists("stale: its broker is dead; --force replaces it"),
        (Found::Live(pid), true) => end(paths, pid),
        (Found::Empty | Found::Stale, true) => {
            remove_traces(paths);
            Ok(())
        }
    }
}

fn end(paths: &Paths, pid: Pid) -> Outcome {
    let send = |signal: Signal| match kill_process(pid, signal) {
        Err(error) if error != rustix::io::Errno::SRCH => {
            Err(Failure::of(format_args!("could not stop: process {pid}: {error}")))
        }
        _ => Ok(()),
    };
    for _ in 0..STOP_TRIES {
        send(Signal::TERM)?;
        if has_ended(paths, pid, STOP_LIMIT) {
            remove_traces(paths);
            return Ok(());
        }
    }
    send(Signal::KILL)?;
    if !has_ended(paths, pid, KILL_LIMIT) {
        return Err(Failure::of(format_args!("could not stop: process {pid} does not end")));
    }
    remove_traces(paths);
    Ok(())
}

/// Waits for the process: it has ended when it does not hold the PID file any more.
fn has_ended(paths: &Paths, pid: Pid, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while matches!(look(&paths.pid_file()), Ok(Found::Live(holder)) if holder == pid) {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK_PERIOD);
    }
    true
}

/// Removes what a broker that was killed leaves in `run`, unless a new one has come: whoever holds the PID
/// file, which goes at the end, is alone there.
fn remove_traces(paths: &Paths) {
    if let Ok(Some(_alone)) = PidFile::take(&paths.pid_file()) {
        let _ = fs::remove_file(paths.port_file());
    }
}

/// What came of a start.
enum Ready {
    Yes,
    /// It ended; these are its complaints.
    No(Vec<String>),
    Late,
}

fn wait_until_ready(said: &Receiver<String>) -> Ready {
    let deadline = Instant::now() + START_LIMIT;
    let mut errors = Vec::new();
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.starts_with(READY) => return Ready::Yes,
            Ok(line) => errors.extend(line.strip_prefix("ERROR: ").map(str::to_owned)),
            Err(RecvTimeoutError::Disconnected) => return Ready::No(errors),
            Err(RecvTimeoutError::Timeout) => return Ready::Late,
        }
    }
}

/// The lines of a process, so that waiting for the next one can have a limit.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (line, lines) = mpsc::channel();
    thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|said| line.send(said))
    });
    lines
}

/// The last lines of the log after `from`, each on a line of its own.
fn tail(paths: &Paths, from: u64) -> String {
    let read = || {
        let mut log = File::open(paths.log_file())?;
        let start = from.max(log.metadata()?.len().saturating_sub(TAIL_BYTES_MAX));
        log.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        log.take(TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    last.iter().map(|line| format!("\n    {line}")).collect()
}
