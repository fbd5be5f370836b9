//! A process of its own, which the broker is, and what keeps an adb server alive: its PID file, its log, its signals, and what others do to it.

mod control;
pub(crate) mod elders;
mod first;
mod hickup;
mod inherited;
mod log_file;
mod logging;
mod pid_file;
mod post;
pub(crate) mod service;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, getrlimit, setrlimit, setsid};
use tracing::{debug, error, info, warn};

use crate::bench::Start;
use crate::cli::{ExitCode, Failure, Outcome};
use crate::config::{Config, Paths, defaults};
use crate::wiring::{self, Surroundings};
pub(crate) use control::{Daemon, Launch, hickup, restart, running, start, stop};
use first::FirstProcess;
pub use hickup::Hickup;
pub(crate) use log_file::LogFile;
pub use logging::LogFilter;
pub(crate) use logging::log_to_stderr;
use pid_file::Found;
pub(crate) use pid_file::PidFile;
pub(crate) use post::Post;

/// What a broker says when it answers, before its address.
const READY: &str = "ave-broker listening on ";

/// How long what still runs on other threads may take after the broker has stopped.
const END_LIMIT: Duration = Duration::from_secs(1);

/// Is the broker until it is stopped. With `detached` it first leaves the terminal behind; as `successor` it takes
/// over from the one that runs.
pub(crate) fn foreground(paths: &Paths, detached: bool, successor: bool) -> Outcome {
    let could_not = |error: io::Error| Failure::of(format_args!("could not start: {error}"));
    inherited::close_inherited();
    if detached {
        leave_terminal().map_err(could_not)?;
    }
    let written = defaults::write_missing(paths).map_err(could_not)?;
    let config = Config::load(paths).map_err(|error| Failure::of_faults(&error.0))?;
    let log = log_to_stderr(config.broker.logging);
    let opened = service::opened_socket().map_err(could_not)?;
    for path in &written.created {
        info!(path = %path.display(), "default file written");
    }
    for path in &written.skipped {
        debug!(path = %path.display(), "the file exists, will not overwrite");
    }
    for warning in &config.warnings {
        warn!(file = %warning.file.display(), field = warning.field, wanted = warning.wanted, found = warning.found, "configuration");
    }
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(could_not)?;
    let outcome = runtime.block_on(serve(paths, config, (log, opened), successor));
    runtime.shutdown_timeout(END_LIMIT);
    outcome.inspect_err(|failure| error!(%failure, "failed"))
}

/// Serves as the only broker of its home, or as the one that takes over from it. The signal handler comes first:
/// whoever finds the number may use it.
async fn serve(
    paths: &Paths,
    config: Config,
    (log, opened): (LogFilter, Option<TcpListener>),
    successor: bool,
) -> Outcome {
    let could_not = |error| Failure::of(format_args!("could not start: {error}"));
    let hickup = Hickup::new(paths.hickup()).map_err(could_not)?;
    let (post, start) = match successor {
        true => (Post::to_be_taken(paths), Start::After),
        false => (Post::take(paths)?, Start::Fresh),
    };
    let _keeping = LogFile::of_stderr(paths.log_file()).map(LogFile::keep);
    let surroundings = Surroundings { hickup, log, opened };
    let first = FirstProcess::if_it_is().map_err(could_not)?;
    let served = wiring::serve(config, surroundings, Arc::new(post), start).await;
    served.map_err(|error| Failure::of(format_args!("{error:#}")))?;
    match first {
        Some(first) => first.outlive_all(paths).await,
        None => Ok(()),
    }
}

/// The process that rules in this home, as far as its PID file tells.
pub(crate) fn ruling(paths: &Paths) -> Option<Pid> {
    match pid_file::look(&paths.pid_file()) {
        Ok(Found::Live(pid)) => Some(pid),
        _ => None,
    }
}

/// Takes the home's PID file, so that no broker of it runs until that is dropped. `what` is refused if one
/// runs already.
pub(crate) fn alone(paths: &Paths, what: &str) -> Result<PidFile, Failure> {
    let pid_file = paths.pid_file();
    let taken = PidFile::take(&pid_file).map_err(|error| Failure::of(format_args!("{what}: {error}")))?;
    taken.ok_or_else(|| {
        let message = format!("{what}: pid file {} exists (its broker is running)", pid_file.display());
        Failure::new(ExitCode::PidFile, message)
    })
}

/// Leaves the terminal and the folder behind that it was started from.
pub(crate) fn leave_terminal() -> io::Result<()> {
    setsid()?;
    std::env::set_current_dir("/")
}

/// Every connection costs a descriptor; the default of many systems is 1024.
fn raise_descriptor_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open descriptors stays as it is");
    }
}
