//! What another process does to a daemon: start, stop, make the broker dump its state.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::pid_file::{Found, PidFile, look};
use super::{READY, elders, log_file, service};
use crate::adb_server;
use crate::cli::{ExitCode, Failure, Outcome};
use crate::config::Paths;

/// How long a new daemon may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How often a daemon is asked to end, and how long it is given each time.
const STOP_TRIES: usize = 3;
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// How long the system may take to remove a killed process.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// How long the older brokers of a home may take to end after the one that came after them.
const ELDERS_LIMIT: Duration = Duration::from_secs(3);

/// How many processes may take over from each other while the daemon is being ended. More restarts at that moment
/// are no accident.
const SUCCESSORS_MAX: usize = 8;

/// How often to look whether it has ended.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// The lines of the log shown when a daemon fails without a word.
const TAIL_LINES: usize = 10;

/// The part of the log that is searched for them.
const TAIL_BYTES_MAX: u64 = 64 << 10;

/// A program in the background of one home, known by its PID file.
#[derive(Clone, Debug)]
pub(crate) struct Daemon {
    /// What messages call it.
    noun: &'static str,
    /// The beginning of the line in which it says that it answers.
    ready: &'static str,
    paths: Paths,
    pid_file: PathBuf,
    log_file: PathBuf,
    /// What it leaves behind when it is killed.
    trace: Option<PathBuf>,
    /// Older ones of it may still serve their sessions.
    has_elders: bool,
}

impl Daemon {
    /// The broker of this home.
    pub(crate) fn broker(paths: &Paths) -> Daemon {
        let (pid_file, log_file, trace) = (paths.pid_file(), paths.log_file(), Some(paths.port_file()));
        let (noun, paths) = ("broker", paths.clone());
        Daemon { noun, ready: READY, paths, pid_file, log_file, trace, has_elders: true }
    }

    /// What keeps this home's adb server alive.
    pub(crate) fn adb_server(paths: &Paths) -> Daemon {
        let (pid_file, log_file) = (paths.adb_server_pid_file(), paths.adb_server_log_file());
        let (noun, ready) = ("supervisor", adb_server::READY);
        Daemon { noun, ready, paths: paths.clone(), pid_file, log_file, trace: None, has_elders: false }
    }
}

/// How to start a daemon.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Launch {
    /// It may run as root.
    pub(crate) allow_root: bool,
    /// Its `HOME` is the broker's home: the user has changed since `HOME` was set.
    pub(crate) adopt_home: bool,
}

/// Starts a daemon in the background, waits until it answers, and returns what it then says.
pub(crate) fn start(daemon: &Daemon, force: bool, launch: Launch) -> Result<String, Failure> {
    clear_the_place(daemon, force)?;
    launch_it(daemon, Purpose::Start, launch).map(|(_, said)| said)
}

/// Has a new process of this program take over from the one that runs, and waits until it has.
pub(crate) fn restart(daemon: &Daemon, launch: Launch) -> Outcome {
    running(daemon, "restart")?;
    let (pid, _) = launch_it(daemon, Purpose::Restart, launch)?;
    eprintln!("restarted pid = {pid}");
    Ok(())
}

/// What a new process is for.
#[derive(Clone, Copy)]
enum Purpose {
    Start,
    Restart,
}

impl Purpose {
    fn verb(self) -> &'static str {
        match self {
            Purpose::Start => "start",
            Purpose::Restart => "restart",
        }
    }
}

/// What starts a process in the background.
fn command(daemon: &Daemon, purpose: Purpose, launch: Launch, log: File) -> std::io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--foreground", "--detached", "--home"]).arg(daemon.paths.home());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
    if launch.allow_root {
        command.arg("--allow-root");
    }
    if launch.adopt_home {
        command.env("HOME", daemon.paths.home());
    }
    match purpose {
        Purpose::Start => {
            for name in service::ENVIRONMENT {
                command.env_remove(name);
            }
        }
        Purpose::Restart => {
            command.arg("--successor");
            if service::is_there() {
                command.stderr(Stdio::inherit()); // it goes on where the service manager wants it
            }
        }
    }
    Ok(command)
}

/// Starts a process in the background and waits until it answers: its number, and what it says.
fn launch_it(daemon: &Daemon, purpose: Purpose, launch: Launch) -> Result<(u32, String), Failure> {
    let verb = purpose.verb();
    daemon.paths.make().map_err(Failure::of)?;
    let could_not = |error: std::io::Error| Failure::of(format_args!("could not {verb}: {error}"));
    let log = log_file::open(&daemon.log_file).map_err(could_not)?;
    let written_before = log.metadata().map_err(could_not)?.len();
    let command = command(daemon, purpose, launch, log);
    let mut child = command.and_then(|mut command| command.spawn()).map_err(could_not)?;
    let no_stdout = || Failure::of(format_args!("could not {verb}: no stdout"));
    let said = child.stdout.take().map(lines_of).ok_or_else(no_stdout)?;
    match wait_until_ready(daemon, &said) {
        Ready::Yes(line) => Ok((child.id(), line)),
        Ready::No(errors) => {
            let (status, noun) = (child.wait().map_err(could_not)?, daemon.noun);
            let code = ExitCode::of_status(status.code().filter(|code| *code != 0));
            if errors.is_empty() {
                let tail = tail(daemon, written_before);
                let message = format!("could not {verb}: {noun} ended with {status}{tail}");
                return Err(Failure::new(code, message));
            }
            Err(Failure::all(code, errors))
        }
        Ready::Late => {
            let _ = child.kill();
            let _ = child.wait();
            let (limit, tail) = (START_LIMIT.as_secs(), tail(daemon, written_before));
            Err(Failure::of(format_args!("could not {verb}: no answer within {limit} s{tail}")))
        }
    }
}

/// Ends the daemon: politely, then not.
pub(crate) fn stop(daemon: &Daemon) -> Outcome {
    let pid = running(daemon, "stop")?;
    end(daemon, pid)
}

/// Makes the broker dump its state.
pub(crate) fn hickup(daemon: &Daemon) -> Outcome {
    let pid = running(daemon, "hickup")?;
    kill_process(pid, Signal::USR1)
        .map_err(|error| Failure::of(format_args!("could not hickup: process {pid}: {error}")))
}

/// The daemon the PID file names.
pub(crate) fn running(daemon: &Daemon, action: &str) -> Result<Pid, Failure> {
    let path = &daemon.pid_file;
    let (shown, noun) = (path.display(), daemon.noun);
    let missing = |why: &str| {
        Failure::new(ExitCode::PidFile, format_args!("could not {action}: pid file {shown} {why}"))
    };
    match look(path)
        .map_err(|error| Failure::of(format_args!("could not {action}: pid file {shown}: {error}")))?
    {
        Found::Live(pid) => Ok(pid),
        Found::Nothing => Err(missing("does not exist")),
        Found::Empty => Err(empty(daemon)),
        Found::Stale => Err(missing(&format!("is stale: its {noun} is dead. --start --force replaces it"))),
    }
}

fn empty(daemon: &Daemon) -> Failure {
    let noun = daemon.noun;
    let message = format!(
        "The pid file({}) size is zero. No {noun} is known by it; --start --force replaces it",
        daemon.pid_file.display()
    );
    Failure::new(ExitCode::EmptyPidFile, message)
}

/// Makes sure that no such daemon of this home is running.
fn clear_the_place(daemon: &Daemon, force: bool) -> Outcome {
    let path = &daemon.pid_file;
    let found = look(path).map_err(|error| {
        Failure::of(format_args!("could not start: pid file {}: {error}", path.display()))
    })?;
    let exists = |why: &str| {
        let message = format!("could not start: pid file {} exists ({why})", path.display());
        Err(Failure::new(ExitCode::PidFile, message))
    };
    let noun = daemon.noun;
    match (found, force) {
        (Found::Nothing, _) => Ok(()),
        (Found::Empty, false) => Err(empty(daemon)),
        (Found::Live(pid), false) => exists(&format!("{noun} {pid} is running; --force ends it first")),
        (Found::Stale, false) => exists(&format!("stale: its {noun} is dead; --force replaces it")),
        (Found::Live(pid), true) => end(daemon, pid),
        (Found::Empty | Found::Stale, true) => {
            remove_traces(daemon);
            Ok(())
        }
    }
}

/// Ends the daemon, whoever takes over from it meanwhile, and with it its elders.
fn end(daemon: &Daemon, pid: Pid) -> Outcome {
    end_one(daemon, pid)?;
    if daemon.has_elders {
        for _ in 0..SUCCESSORS_MAX {
            let Ok(Found::Live(successor)) = look(&daemon.pid_file) else { break };
            end_one(daemon, successor)?;
        }
        let ended = elders::wait_or_end(&daemon.paths, ELDERS_LIMIT);
        ended.map_err(|error| Failure::of(format_args!("could not stop: {error}")))?;
    }
    Ok(())
}

fn end_one(daemon: &Daemon, pid: Pid) -> Outcome {
    let send = |signal: Signal| match kill_process(pid, signal) {
        Err(error) if error != rustix::io::Errno::SRCH => {
            Err(Failure::of(format_args!("could not stop: process {pid}: {error}")))
        }
        _ => Ok(()),
    };
    for _ in 0..STOP_TRIES {
        send(Signal::TERM)?;
        if has_ended(daemon, pid, STOP_LIMIT) {
            remove_traces(daemon);
            return Ok(());
        }
    }
    send(Signal::KILL)?;
    if !has_ended(daemon, pid, KILL_LIMIT) {
        return Err(Failure::of(format_args!("could not stop: process {pid} does not end")));
    }
    remove_traces(daemon);
    Ok(())
}

/// Waits for the process: it has ended when it does not hold the PID file any more.
fn has_ended(daemon: &Daemon, pid: Pid, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while matches!(look(&daemon.pid_file), Ok(Found::Live(holder)) if holder == pid) {
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(LOOK_PERIOD);
    }
    true
}

/// Removes what a daemon that was killed leaves in `run`, unless a new one has come: whoever holds the PID
/// file, which goes at the end, is alone there. After an orderly end there is nothing: others must not take this
/// process for a daemon.
fn remove_traces(daemon: &Daemon) {
    if matches!(look(&daemon.pid_file), Ok(Found::Nothing | Found::Live(_))) {
        return;
    }
    if let (Ok(Some(_alone)), Some(trace)) = (PidFile::take(&daemon.pid_file), &daemon.trace) {
        let _ = fs::remove_file(trace);
    }
}

/// What came of a start.
enum Ready {
    /// It answers, and said this.
    Yes(String),
    /// It ended; these are its complaints.
    No(Vec<String>),
    Late,
}

fn wait_until_ready(daemon: &Daemon, said: &Receiver<String>) -> Ready {
    let deadline = Instant::now() + START_LIMIT;
    let mut errors = Vec::new();
    loop {
        match said.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) if line.starts_with(daemon.ready) => return Ready::Yes(line),
            Ok(line) if line.starts_with("warning: ") => eprintln!("{line}"),
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
fn tail(daemon: &Daemon, from: u64) -> String {
    let read = || {
        let mut log = File::open(&daemon.log_file)?;
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
