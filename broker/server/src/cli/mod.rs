//! The command line: which action is wanted, as whom, in which home. Options and messages are those of
//! Specification 7.3; every message goes to stdout.

mod ask;
mod check;
mod exit;
mod lists;
mod log_level;
mod replay;
mod reset;
mod status;
mod trial;
mod types;
pub(crate) mod user;

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::config::{Paths, USER_FILE, User};
use crate::daemon::{self, Daemon};
pub use exit::ExitCode;
pub(crate) use exit::{Failure, Outcome};

/// Lends lab equipment to test scripts.
#[derive(Parser)]
#[command(name = "ave-broker", version)]
struct Cli {
    /// Start a broker in the background; return when it answers or has failed
    #[arg(long)]
    start: bool,
    /// With --start: first end the broker the PID file names, and remove the file
    #[arg(long)]
    force: bool,
    /// Be the broker: say on stdout when it is ready, log to stderr
    #[arg(long)]
    foreground: bool,
    /// Have a new process take over from the broker that runs; nobody notices, and new configuration counts
    #[arg(long)]
    restart: bool,
    /// End the broker and all its sessions
    #[arg(long)]
    stop: bool,
    /// Make the broker write a dump of its state to ~/.ave/hickup
    #[arg(long)]
    hickup: bool,
    /// Show how the broker is: process, sessions, equipment, shares
    #[arg(long)]
    status: bool,
    /// Log what this lets through from now on: debug, or warn,ave_broker=debug
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// List the equipment that can be had now
    #[arg(long)]
    list: bool,
    /// List all equipment, lent or not
    #[arg(long)]
    list_all: bool,
    /// Describe every type of equipment, also those that are disabled, and why
    #[arg(long)]
    list_types: bool,
    /// Try a type's descriptor, listers and driver on a piece that is there; no broker may run
    #[arg(long, value_name = "TYPE")]
    try_driver: Option<String>,
    /// Read every configuration file and explain each fault
    #[arg(long)]
    check: bool,
    /// Say what a journal comes to: who held what at its end, and what was broken
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Have a piece that is broken made fit to be lent again; return when that is done or has failed
    #[arg(long, value_name = "TYPE=IDENTITY")]
    reset: Option<String>,
    /// Use this admin key instead of the one in authkeys.json
    #[arg(long, value_name = "KEY", require_equals = true)]
    admin: Option<String>,
    /// Use this home instead of that of /etc/ave/user or your own
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// With --status, --list, --list-all, --list-types, --check and --replay: print JSON
    #[arg(long)]
    json: bool,
    /// Run as root all the same (containers)
    #[arg(long)]
    allow_root: bool,
    /// With --foreground: leave the terminal behind
    #[arg(long, hide = true)]
    detached: bool,
    /// With --foreground: take over from the broker that runs
    #[arg(long, hide = true)]
    successor: bool,
}

/// What the program is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Start,
    Foreground,
    Restart,
    Stop,
    Hickup,
    Status,
    LogLevel,
    List,
    ListAll,
    Reset,
    ListTypes,
    TryDriver,
    Check,
    Replay,
}

/// Does what the arguments say; `arguments` begins with the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.action().and_then(|action| cli.act(action)),
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            answer(asked.to_string().trim_end())
        }
        Err(wrong) => {
            let message = wrong.to_string();
            let first = message.lines().next().unwrap_or_default();
            Err(misused(ExitCode::Failure, first.trim_start_matches("error: ")))
        }
    };
    match outcome {
        Ok(()) => ExitCode::Success,
        Err(failure) => {
            failure.print();
            failure.code
        }
    }
}

/// Prints what was asked for. Whoever closed stdout has read enough; a full disk is a failure.
fn answer(text: impl Display) -> Outcome {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            eprintln!("ERROR: could not write to stdout: {error}");
            Err(Failure::all(ExitCode::Failure, Vec::new()))
        }
        _ => Ok(()),
    }
}

/// Prints a line. Whoever closed stdout does not want to know.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Shows how the program is used.
fn misused(code: ExitCode, message: impl Display) -> Failure {
    say(Cli::command().render_usage());
    Failure::new(code, message)
}

impl Cli {
    fn action(&self) -> Result<Action, Failure> {
        let all = [
            (self.start, "--start", Action::Start),
            (self.foreground, "--foreground", Action::Foreground),
            (self.restart, "--restart", Action::Restart),
            (self.stop, "--stop", Action::Stop),
            (self.hickup, "--hickup", Action::Hickup),
            (self.status, "--status", Action::Status),
            (self.log_level.is_some(), "--log-level", Action::LogLevel),
            (self.list, "--list", Action::List),
            (self.list_all, "--list-all", Action::ListAll),
            (self.reset.is_some(), "--reset", Action::Reset),
            (self.list_types, "--list-types", Action::ListTypes),
            (self.try_driver.is_some(), "--try-driver", Action::TryDriver),
            (self.check, "--check", Action::Check),
            (self.replay.is_some(), "--replay", Action::Replay),
        ];
        let mut wanted = all.iter().filter(|(wanted, ..)| *wanted);
        match (wanted.next(), wanted.next()) {
            (Some((_, _, action)), None) => Ok(*action),
            (Some((_, a, _)), Some((_, b, _))) => {
                Err(misused(ExitCode::Refused, format!("cannot combine {b} and {a}")))
            }
            (None, _) => Err(misused(ExitCode::NoAction, "no action specified")),
        }
    }

    fn act(&self, action: Action) -> Outcome {
        if let Some(journal) = self.replay.as_deref().filter(|_| action == Action::Replay) {
            return replay::print(journal, self.json);
        }
        let user = match self.home {
            Some(_) => None,
            None => User::read_if_any(Path::new(USER_FILE)).map_err(Failure::of)?,
        };
        let became = user.as_ref().map_or(Ok(false), user::become_user).map_err(Failure::of)?;
        if user::is_root() && !self.allow_root {
            return Err(Failure::new(
                ExitCode::Refused,
                format!("cannot execute as root. set {USER_FILE} properly"),
            ));
        }
        let paths = Paths::find(self.home.as_deref(), user.as_ref()).map_err(Failure::of)?;
        match action {
            Action::Start => {
                let launch = daemon::Launch { allow_root: self.allow_root, adopt_home: became };
                daemon::start(&Daemon::broker(&paths), self.force, launch).map(drop)
            }
            Action::Foreground => daemon::foreground(&paths, self.detached, self.successor),
            Action::Restart => {
                let launch = daemon::Launch { allow_root: self.allow_root, adopt_home: became };
                daemon::restart(&Daemon::broker(&paths), launch)
            }
            Action::Stop => daemon::stop(&Daemon::broker(&paths)),
            Action::Hickup => daemon::hickup(&Daemon::broker(&paths)),
            Action::Status => status::print(&paths, self.admin.as_deref(), self.json),
            Action::LogLevel => {
                let filter = self.log_level.as_deref().unwrap_or_default();
                log_level::set(&paths, filter, self.admin.as_deref())
            }
            Action::List => lists::print(&paths, true, self.admin.as_deref(), self.json),
            Action::ListAll => lists::print(&paths, false, self.admin.as_deref(), self.json),
            Action::Reset => {
                let named = self.reset.as_deref().unwrap_or_default();
                reset::reset(&paths, named, self.admin.as_deref())
            }
            Action::ListTypes => types::print(&paths, self.json),
            Action::TryDriver => {
                trial::try_driver(&paths, self.try_driver.as_deref().unwrap_or_default(), self.json)
            }
            Action::Check => check::print(&paths, self.json),
            Action::Replay => Ok(()), // done above: it needs no home
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn action(options: &[&str]) -> Result<Action, (ExitCode, String)> {
        let arguments = std::iter::once("ave-broker").chain(options.iter().copied());
        let Ok(cli) = Cli::try_parse_from(arguments) else { panic!("unknown options") };
        cli.action().map_err(|failure| (failure.code, failure.to_string()))
    }

    #[test]
    fn one_action_at_a_time() {
        assert_eq!(action(&["--start", "--force"]), Ok(Action::Start));
        assert_eq!(action(&["--list-all", "--json", "--admin=key"]), Ok(Action::ListAll));
        let both = action(&["--stop", "--start"]);
        assert_eq!(both, Err((ExitCode::Refused, "cannot combine --stop and --start".into())));
        assert_eq!(action(&["--force"]), Err((ExitCode::NoAction, "no action specified".into())));
    }

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
