//! Has an adb server on the port at all times: the one that is there, else one of its own, and the next when that
//! ends.

use std::fmt;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use ave_adb::Server;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

use super::{READY, program};
use crate::cli::{Failure, Outcome, say};
use crate::config::Paths;
use crate::config::adb_server::AdbServerConfig;
use crate::daemon::{LogFile, PidFile, leave_terminal, log_to_stderr};
use crate::drivers::strays;

/// How long a new server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(20);

/// How often it is asked.
const LOOK_PERIOD: Duration = Duration::from_millis(20);

/// How long a server is given to end before it is killed; less than this process is given itself.
const END_LIMIT: Duration = Duration::from_millis(500);

/// How long the last words of a server may take to come: whoever else may speak for it is not waited for.
const LAST_WORDS_LIMIT: Duration = Duration::from_millis(200);

/// How much of its words is passed on at once, in bytes: as much as a pipe holds.
const WORDS_BYTES_MAX: usize = 64 << 10;

/// The pause before the next server; doubled for each that ended at once, up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A server that lived this long did not end at once.
const LIFE_MIN: Duration = Duration::from_secs(10);

/// Is the supervisor until it is stopped, or the server has ended and is not to be followed by another. With
/// `detached` it first leaves the terminal behind.
pub(super) fn foreground(paths: &Paths, config: AdbServerConfig, detached: bool) -> Outcome {
    let could_not = |error: io::Error| Failure::of(format_args!("could not start: {error}"));
    if config.port == 0 {
        let file = paths.adb_server_json();
        let message =
            format!("could not start: {}: \"port\" is 0: this host has no adb server", file.display());
        return Err(Failure::of(message));
    }
    if detached {
        leave_terminal().map_err(could_not)?;
    }
    paths.make().map_err(could_not)?;
    log_to_stderr(config.logging);
    let pid_file = paths.adb_server_pid_file();
    let _taken = PidFile::take(&pid_file).map_err(could_not)?.ok_or_else(|| {
        let shown = pid_file.display();
        Failure::of(format_args!("could not start: pid file {shown} exists (its supervisor is running)"))
    })?;
    strays::kill(strays::ADB_SERVER, paths.home(), &[]).map_err(Failure::of)?;
    let adb = program::find(paths).map_err(Failure::of)?;
    // One thread, the main one: the server dies with the thread that started it.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(could_not)?;
    let supervisor = Supervisor { paths, config, adb, pause: PAUSE, announced: false };
    let outcome = runtime.block_on(supervisor.run_until_stopped());
    outcome.inspect_err(|failure| error!(%failure, "failed"))
}

struct Supervisor<'a> {
    paths: &'a Paths,
    config: AdbServerConfig,
    adb: PathBuf,
    pause: Duration,
    announced: bool,
}

/// Where the server comes from that now answers.
enum Source {
    Started(u32),
    Found,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Started(pid) => write!(f, "adb server started, process {pid}"),
            Source::Found => {
                f.write_str("using the adb server that is already there; it was not started here")
            }
        }
    }
}

impl Supervisor<'_> {
    async fn run_until_stopped(mut self) -> Outcome {
        let could_not = |error: io::Error| Failure::of(format_args!("could not start: {error}"));
        let mut terminated = signal(SignalKind::terminate()).map_err(could_not)?;
        let mut interrupted = signal(SignalKind::interrupt()).map_err(could_not)?;
        let _keeping = LogFile::of_stderr(self.paths.adb_server_log_file()).map(LogFile::keep);
        let mut own = None;
        let outcome = tokio::select! {
            outcome = self.supervise(&mut own) => outcome,
            _ = terminated.recv() => Ok(()),
            _ = interrupted.recv() => Ok(()),
        };
        if let Some(child) = own {
            end(child).await;
        }
        outcome
    }

    /// One server after the other; `own` is the one started here, while it lives.
    async fn supervise(&mut self, own: &mut Option<Child>) -> Outcome {
        let server = Server::new((Ipv4Addr::LOCALHOST, self.config.port).into());
        loop {
            if server.version().await.is_ok() {
                self.answers(Source::Found);
                let ended = follow(&server).await;
                warn!(address = %server.address(), reason = ended, "the adb server that was found is gone");
            } else {
                self.run_own(&server, own).await?;
            }
            if !self.config.persist {
                info!("no other follows: \"persist\" is false");
                return Ok(());
            }
            sleep(self.pause).await;
        }
    }

    /// Starts a server and stays with it to its end. One that never answers is a failure only if it is the first.
    async fn run_own(&mut self, server: &Server, own: &mut Option<Child>) -> Outcome {
        let begun = Instant::now();
        let ended = self.serve(server, own).await;
        if let Some(child) = own.take() {
            end(child).await;
        }
        let reason = match ended {
            Ok(status) => format!("it ended with {status}"),
            Err(error) => error.to_string(),
        };
        let address = server.address();
        if !self.announced {
            return Err(Failure::of(format_args!("could not start: no adb server at {address}: {reason}")));
        }
        self.pause = match begun.elapsed() >= LIFE_MIN {
            true => PAUSE,
            false => (self.pause * 2).min(PAUSE_MAX),
        };
        warn!(%address, reason, pause_s = self.pause.as_secs_f32(), "the adb server is gone");
        Ok(())
    }

    async fn serve(&mut self, server: &Server, own: &mut Option<Child>) -> io::Result<ExitStatus> {
        let (words, said) = io::pipe()?;
        let command = program::server(&self.adb, self.config.port, self.paths, said)?;
        let child = own.insert(Command::from(command).kill_on_drop(true).spawn()?);
        let mut words = JoinSet::from_iter([pass_on(pipe::Receiver::from_owned_fd(words.into())?)]);
        let ended = self.watch(server, child).await;
        let _ = timeout(LAST_WORDS_LIMIT, words.join_next()).await;
        ended
    }

    async fn watch(&mut self, server: &Server, child: &mut Child) -> io::Result<ExitStatus> {
        let pid = child.id().unwrap_or_default();
        let answered = async {
            while server.version().await.is_err() {
                sleep(LOOK_PERIOD).await;
            }
        };
        tokio::select! {
            status = child.wait() => return status,
            answered = timeout(START_LIMIT, answered) => answered?,
        }
        self.answers(Source::Started(pid));
        child.wait().await
    }

    fn answers(&mut self, source: Source) {
        let port = self.config.port;
        info!(port, "{source}");
        if !std::mem::replace(&mut self.announced, true) {
            say(format_args!("{READY}port {port}: {source}"));
        }
    }
}

/// Passes on what a server says, so that it reaches the log wherever that has moved.
async fn pass_on(mut words: pipe::Receiver) {
    let mut bytes = vec![0; WORDS_BYTES_MAX];
    while let Ok(length @ 1..) = words.read(&mut bytes).await {
        let _ = io::stderr().write_all(&bytes[..length]); // whom to tell?
    }
}

/// Waits for the end of a server; tells why it is thought to be gone.
async fn follow(server: &Server) -> String {
    let mut tracker = match server.track().await {
        Ok(tracker) => tracker,
        Err(error) => return error.to_string(),
    };
    loop {
        if let Err(error) = tracker.next().await {
            return error.to_string();
        }
    }
}

/// Ends a server: politely, then not.
async fn end(mut child: Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    if timeout(END_LIMIT, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}
