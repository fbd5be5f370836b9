//! The command line of `ave-adb-server`: what is to be done, as whom, in which home.

use std::ffi::OsString;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{ArgGroup, Parser};

use super::{ExitCode, READY, program, supervisor};
use crate::cli::{Failure, Outcome, say, user};
use crate::config::adb_server::AdbServerConfig;
use crate::config::{Paths, USER_FILE, User};
use crate::daemon::{self, Daemon, Launch};

/// Keeps this host's adb server alive.
#[derive(Parser)]
#[command(name = "ave-adb-server", version)]
#[command(group = ArgGroup::new("action").required(true).args(["start", "foreground", "restart", "stop", "bound_to"]))]
struct Cli {
    /// Start in the background; return when an adb server answers, or there can be none
    #[arg(long)]
    start: bool,
    /// With --start: first end the process the PID file names, and remove the file
    #[arg(long, requires = "start")]
    force: bool,
    /// Stay: say on stdout when an adb server answers, log to stderr
    #[arg(long)]
    foreground: bool,
    /// Stop and start: every connection and forward of running jobs is lost
    #[arg(long)]
    restart: bool,
    /// End the adb server that was started here; another one goes on
    #[arg(long)]
    stop: bool,
    /// Use this home instead of that of /etc/ave/user or your own
    #[arg(long, value_name = "DIR")]
    home: Option<PathBuf>,
    /// Run as root all the same (containers)
    #[arg(long)]
    allow_root: bool,
    /// With --foreground: leave the terminal behind
    #[arg(long, hide = true)]
    detached: bool,
    /// Become `program`, which dies when the process of this number does
    #[arg(long, hide = true, requires = "program")]
    bound_to: Option<u32>,
    #[arg(last = true, hide = true)]
    program: Vec<OsString>,
}

/// Does what the arguments say; `arguments` begins with the program's name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let acted = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli.act(),
        Err(asked) if matches!(asked.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            say(asked.to_string().trim_end());
            Ok(())
        }
        Err(wrong) => Err((ExitCode::Failure, Failure::of(wrong.to_string().trim_start_matches("error: ")))),
    };
    match acted {
        Ok(()) => ExitCode::Success,
        Err((code, failure)) => {
            failure.print();
            code
        }
    }
}

impl Cli {
    fn act(&self) -> Result<(), (ExitCode, Failure)> {
        if let Some(parent) = self.bound_to {
            return Err(failed(program::bind(parent, &self.program)));
        }
        let user = match self.home {
            Some(_) => None,
            None => User::read_if_any(Path::new(USER_FILE)).map_err(not_the_user)?,
        };
        let paths = Paths::find(self.home.as_deref(), user.as_ref()).map_err(failed)?;
        let config = AdbServerConfig::load(&paths.adb_server_json()).map_err(failed)?;
        let mut became = false;
        if config.demote {
            became = user.as_ref().map_or(Ok(false), user::become_user).map_err(not_the_user)?;
            if user::is_root() && !self.allow_root {
                let message = format!(
                    "cannot execute as root. set {USER_FILE} properly, or \"demote\" to false in {}",
                    paths.adb_server_json().display()
                );
                return Err((ExitCode::StillRoot, Failure::of(message)));
            }
        }
        let launch = Launch { allow_root: self.allow_root, adopt_home: became };
        self.supervise(&paths, config, launch).map_err(|failure| (ExitCode::Failure, failure))
    }

    fn supervise(&self, paths: &Paths, config: AdbServerConfig, launch: Launch) -> Outcome {
        let daemon = Daemon::adb_server(paths);
        if self.foreground {
            return supervisor::foreground(paths, config, self.detached);
        }
        if self.restart || self.stop {
            daemon::stop(&daemon)?;
        }
        if self.restart || self.start {
            let said = daemon::start(&daemon, self.force, launch)?;
            say(said.strip_prefix(READY).unwrap_or(&said));
        }
        Ok(())
    }
}

fn not_the_user(error: impl Display) -> (ExitCode, Failure) {
    (ExitCode::NotTheUser, Failure::of(error))
}

fn failed(error: impl Display) -> (ExitCode, Failure) {
    (ExitCode::Failure, Failure::of(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_is_well_formed() {
        Cli::command().debug_assert();
    }
}
