//! Where the programs run that a lab brings for a type: what they find around them, and what marks them as
//! started by this broker.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::strays;

/// The place of one type's programs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder of the type's descriptor.
    pub(crate) folder: PathBuf,
    /// The broker's home.
    pub(crate) home: PathBuf,
}

impl Place {
    /// A program, ready to be started: in the descriptor's folder, in a process group of its own, with
    /// little environment.
    ///
    /// # Errors
    /// If there is no first word.
    pub(crate) fn command(&self, words: &[String]) -> io::Result<Command> {
        let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let inherited = |name, default: &str| env::var_os(name).unwrap_or_else(|| default.into());
        let mut command = Command::new(self.program(program));
        command.args(arguments).current_dir(&self.folder).process_group(0).kill_on_drop(true);
        command.env_clear().env("HOME", &self.home).env(strays::BROKER_HOME, &self.home);
        command.env("PATH", inherited("PATH", "/usr/local/bin:/usr/bin:/bin"));
        command.env("LANG", inherited("LANG", "C.UTF-8"));
        Ok(command)
    }

    /// A first word with a slash is a path, relative to the folder; any other is looked up in `PATH`.
    fn program(&self, word: &str) -> PathBuf {
        if word.contains('/') { self.folder.join(word) } else { word.into() }
    }
}

/// Kills what a dead broker of this home left running. It blocks; no other broker of the home may live.
///
/// # Errors
/// How many processes would not go.
pub(crate) fn sweep(home: &Path) -> Result<(), String> {
    strays::kill(strays::BROKER_HOME, home, &[])
}
