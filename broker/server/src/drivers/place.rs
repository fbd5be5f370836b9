//! Where the programs run that a lab brings for a type: what they find around them, what marks them as started
//! by this broker, and how those of dead ones go.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use rustix::process::Pid;
use tokio::process::Command;
use tokio_util::task::TaskTracker;
use tracing::warn;

use super::strays;
use crate::config::{Paths, remove_unnamed};

/// The place of one type's programs.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The folder of the type's descriptor.
    pub(crate) folder: PathBuf,
    /// The broker's home.
    pub(crate) home: PathBuf,
    /// Nothing is started before it is done: it would not be told from what dead brokers have left.
    pub(crate) sweep: Sweep,
}

impl Place {
    /// A program, ready to be started once nothing of dead brokers runs any more: in the descriptor's folder, in a process group of its own, with
    /// little environment.
    ///
    /// # Errors
    /// If there is no first word.
    pub(crate) async fn command(&self, words: &[String]) -> io::Result<Command> {
        self.sweep.done().await;
        let (program, arguments) = words.split_first().ok_or_else(|| io::Error::other("no command"))?;
        let inherited = |name, default: &str| env::var_os(name).unwrap_or_else(|| default.into());
        let mut command = Command::new(self.program(program));
        command.args(arguments).current_dir(&self.folder).process_group(0).kill_on_drop(true);
        command.env_clear().env("HOME", &self.home).env(strays::BROKER_HOME, &self.home);
        command.env(strays::BROKER_PID, process::id().to_string());
        command.env("PATH", inherited("PATH", "/usr/local/bin:/usr/bin:/bin"));
        command.env("LANG", inherited("LANG", "C.UTF-8"));
        Ok(command)
    }

    /// A first word with a slash is a path, relative to the folder; any other is looked up in `PATH`.
    fn program(&self, word: &str) -> PathBuf {
        if word.contains('/') { self.folder.join(word) } else { word.into() }
    }
}

/// What dead brokers of a home have left running, while it is being killed. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Sweep {
    home: Arc<Path>,
    tasks: TaskTracker,
}

impl Sweep {
    /// Nothing is being killed yet.
    pub(crate) fn new(home: &Path) -> Sweep {
        let tasks = TaskTracker::new();
        tasks.close();
        Sweep { home: home.into(), tasks }
    }

    /// Kills the programs of all brokers of this home, and removes the files that they were about to name; none may
    /// live.
    pub(crate) fn all(&self) {
        self.start(|home| {
            remove_unnamed(&Paths::new(home));
            strays::kill(strays::BROKER_HOME, home, &[])
        });
    }

    /// Kills the programs of one process of this home, which is dead.
    pub(crate) fn of(&self, dead: Pid) {
        self.start(move |home| strays::kill_programs_of(home, dead));
    }

    /// Waits until nothing is being killed. That takes seconds at the most.
    pub(crate) async fn done(&self) {
        self.tasks.wait().await;
    }

    fn start(&self, kill: impl FnOnce(&Path) -> Result<(), String> + Send + 'static) {
        let home = self.home.clone();
        self.tasks.spawn_blocking(move || {
            if let Err(reason) = kill(&home) {
                warn!(reason, "a dead broker left something behind");
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_started_while_dead_brokers_are_swept() {
        let sweep = Sweep::new(Path::new("/nowhere"));
        let place = Place { folder: "/".into(), home: "/nowhere".into(), sweep: sweep.clone() };
        let words = ["true".to_owned()];
        let sweeping = sweep.tasks.token();
        let mut starting = Box::pin(place.command(&words));
        assert!(futures::poll!(&mut starting).is_pending());
        drop(sweeping);
        starting.await.unwrap();
    }
}
