//! The broker of a lab, replaced under its clients: which of its processes run, and which one lends.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::{Lab, command, wait_until};

/// What `ave-broker --restart` came to.
#[derive(Debug)]
pub(crate) struct Restarted {
    pub(crate) status: Option<i32>,
    /// What it said, errors included.
    pub(crate) said: String,
}

/// Stops a process in the middle of what it does, and waits until it stands still.
pub(crate) fn pause(pid: Pid) {
    kill_process(pid, Signal::STOP).expect("it lives");
    wait_until("every thread stands still", || {
        let threads = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())).expect("a process");
        // One that has ended meanwhile does nothing any more.
        let mut stats =
            threads.flatten().filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
        stats.all(|stat| stat.contains(") T "))
    });
}

/// The brokers of a home that run, older generations included, in no order.
pub(crate) fn brokers(home: &Path) -> Vec<Pid> {
    let processes = fs::read_dir("/proc").expect("processes").map_while(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| serves(*pid, home)).filter_map(Pid::from_raw).collect()
}

/// Whether the process is a broker of this home, and no other command of the program.
fn serves(pid: i32, home: &Path) -> bool {
    // That of a process which has ended is empty.
    let Ok(line) = fs::read_to_string(format!("/proc/{pid}/cmdline")) else { return false };
    let words: Vec<_> = line.split('\0').collect();
    words.contains(&"--foreground")
        && words.windows(2).any(|pair| pair[0] == "--home" && Path::new(pair[1]) == home)
}

/// Kills every broker of a home.
pub(crate) fn kill_brokers(home: &Path) {
    for pid in brokers(home) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Runs a command to its end.
pub(crate) fn outcome(command: &mut Command) -> Restarted {
    let output = command.stdin(Stdio::null()).output().expect("the binary runs");
    let said = [output.stdout, output.stderr].concat();
    Restarted { status: output.status.code(), said: String::from_utf8(said).expect("UTF-8") }
}

impl Lab {
    /// `ave-broker --restart`, for this lab.
    pub(crate) fn restarting(&self) -> Command {
        let mut restarting = command(self.home());
        restarting.arg("--restart").env("AVE_LOG", "ave_broker=trace");
        restarting
    }

    /// Replaces the broker's process, which must succeed. The old one goes on with what it has lent.
    pub(crate) fn hand_over(&self) {
        let before = self.serving();
        let ended = outcome(&mut self.restarting());
        assert_eq!(ended.status, Some(0), "{ended:?}");
        assert_ne!(self.serving(), before, "another process lends");
    }

    /// Tries to replace the broker's process, which must fail; returns what the command said.
    pub(crate) fn fails_to_hand_over(&self) -> String {
        let before = self.serving();
        let ended = outcome(&mut self.restarting());
        assert!(ended.status.is_some_and(|status| status != 0), "{ended:?}");
        assert_eq!(self.serving(), before, "the same process lends");
        ended.said
    }

    /// The process that lends.
    pub(crate) fn serving(&self) -> Pid {
        let pid = fs::read_to_string(self.home().join(".ave/run/ave-broker.pid")).expect("a PID file");
        Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process")
    }

    /// Waits until so many generations of the broker run.
    pub(crate) fn wait_generations(&self, count: usize) {
        wait_until(&format!("{count} generations run"), || brokers(self.home()).len() == count);
    }

    /// What the brokers that are not children of this test have logged.
    pub(crate) fn later_logs(&self) -> String {
        fs::read_to_string(self.home().join(".ave/log/ave-broker.log")).unwrap_or_default()
    }
}
