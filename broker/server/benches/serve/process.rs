//! Processes of their own, so that nobody's memory or time is taken for somebody else's: the real broker
//! in a scratch home, and other roles of this program. All are killed when dropped.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::json;
use tempfile::TempDir;

/// A running process that has said on its first line that it is ready.
pub(crate) struct Process {
    child: Child,
    said: String,
}

impl Process {
    /// This program in another role.
    pub(crate) fn in_role(arguments: &[&str]) -> Process {
        let program = std::env::current_exe().expect("this program has a file");
        Process::start(Command::new(program).args(arguments))
    }

    fn start(command: &mut Command) -> Process {
        // Roles end with their stdin, should this process be killed.
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the process starts");
        let mut said = String::new();
        let stdout = child.stdout.take().expect("stdout is a pipe");
        BufReader::new(stdout).read_line(&mut said).expect("the process says something");
        Process { child, said: said.trim_end().to_owned() }
    }

    /// The last word of its first line.
    pub(crate) fn said(&self) -> &str {
        self.said.rsplit(' ').next().unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The real broker, with pieces that nobody drives.
pub(crate) struct BrokerProcess {
    process: Process,
    _home: TempDir,
}

impl BrokerProcess {
    /// A broker with so many pieces of type `wlan`, and one of type `beryllium`.
    pub(crate) fn start(pieces: usize) -> BrokerProcess {
        let home = tempfile::tempdir().expect("a scratch home");
        let config = home.path().join(".ave/config");
        let broker = json!({"port": 0, "listen": "127.0.0.1", "host": "127.0.0.1"});
        let wlan = |nth| json!({"type": "wlan", "uid": format!("wlan-{nth}")});
        let equipment: Vec<_> =
            (0..pieces).map(wlan).chain([json!({"type": "beryllium", "uid": "one"})]).collect();
        fs::create_dir_all(&config).expect("a scratch home is writable");
        fs::write(config.join("broker.json"), broker.to_string()).expect("a scratch home is writable");
        fs::write(config.join("adb_server.json"), r#"{"port": 0}"#).expect("a scratch home is writable");
        fs::write(config.join("equipment.json"), json!(equipment).to_string())
            .expect("a scratch home is writable");
        let log = File::create(home.path().join("log")).expect("a scratch home is writable");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ave-broker"));
        command.args(["--foreground", "--allow-root", "--home"]).arg(home.path()).stderr(log);
        BrokerProcess { process: Process::start(&mut command), _home: home }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        self.process.said()
    }

    /// Its resident memory.
    pub(crate) fn resident_kib(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id()));
        let status = status.expect("a running process has a status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse().ok());
        kib.expect("a process has resident memory")
    }
}
