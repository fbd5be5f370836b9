//! The broker's binary on a free port of loopback, with its own home, killed and swept at the end, with all that
//! has replaced it meanwhile.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use ave_client::{Broker, Credential, Options};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{PATIENCE, Peer, Plan, kill_brokers, names, pause, pieces, stacks, wait_until};

pub(crate) const ADMIN: &str = "admin key";
pub(crate) const SHARE: &str = "share key";

/// A running broker and its home.
pub(crate) struct Lab {
    home: TempDir,
    child: Child,
    address: SocketAddr,
    log: Log,
}

fn start(home: &Path, launcher: Option<&str>) -> (Child, SocketAddr, Log) {
    let broker = command(home);
    let mut command = match launcher {
        None => broker,
        Some(script) => {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(script).arg(home).arg(broker.get_program()).args(broker.get_args());
            shell.stdin(Stdio::null());
            shell
        }
    };
    let mut child = command
        .arg("--foreground")
        .env("AVE_LOG", "ave_broker=trace")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the broker starts");
    let mut log = Log::of(child.stderr.take().expect("stderr"));
    let (line, announced) = mpsc::channel();
    let stdout = child.stdout.take().expect("stdout");
    thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|l| line.send(l))
    });
    let Ok(ready) = announced.recv_timeout(PATIENCE) else {
        let _ = child.kill();
        panic!("the broker did not start:\n{}", log.whole());
    };
    let Some(address) = ready.strip_prefix("ave-broker listening on ") else {
        let _ = child.kill();
        panic!("the broker did not start: {ready}");
    };
    (child, address.parse().expect("an address"), log)
}

/// This broker's binary, for a command in this home.
pub(crate) fn command(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ave-broker"));
    command.arg("--home").arg(home).arg("--allow-root").stdin(Stdio::null());
    command
}

/// What a broker logs, collected all the while, so that its pipe never fills.
struct Log {
    text: Arc<Mutex<String>>,
    reading: Option<thread::JoinHandle<()>>,
}

impl Log {
    fn of(stderr: impl Read + Send + 'static) -> Log {
        let text = Arc::new(Mutex::new(String::new()));
        let kept = text.clone();
        let reading = thread::spawn(move || {
            let mut lines = BufReader::new(stderr);
            let mut line = Vec::new();
            while lines.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                kept.lock().expect("the log").push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Log { text, reading: Some(reading) }
    }

    fn so_far(&self) -> String {
        self.text.lock().expect("the log").clone()
    }

    /// All of it, once the broker has ended.
    fn whole(&mut self) -> String {
        let _ = self.reading.take().map(thread::JoinHandle::join);
        self.so_far()
    }
}

impl Lab {
    /// A lab with both keys, no equipment, and workspaces that may run a few tools.
    pub(crate) fn plan() -> Plan {
        Plan::usual()
    }

    /// A lab whose home is there already.
    pub(crate) fn start_in(home: TempDir) -> Lab {
        Lab::launch(home, None)
    }

    /// The same, started by a script ([`Plan::launched_by`]) if there is one.
    pub(super) fn launch(home: TempDir, launcher: Option<&str>) -> Lab {
        let (child, address, log) = start(home.path(), launcher);
        Lab { home, child, address, log }
    }

    /// A running lab with this equipment and these stacks.
    pub(crate) fn with(equipment: Value, stacks: Value) -> Lab {
        Lab::plan().equipment(equipment).broker(json!({"stacks": stacks})).start()
    }

    /// The plan of a lab with these pieces, by name.
    pub(crate) fn having(names: &[&str]) -> Plan {
        Lab::plan().equipment(pieces(names))
    }

    /// A running lab with these pieces and stacks of them, by name.
    pub(crate) fn of(names: &[&str], stacked: &[&[&str]]) -> Lab {
        Lab::with(pieces(names), stacks(stacked))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The broker's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// An anonymous client.
    pub(crate) fn client(&self) -> Peer {
        Peer::connect(self.address, "")
    }

    /// A client with the `admin` key.
    pub(crate) fn admin(&self) -> Peer {
        Peer::connect(self.address, ADMIN)
    }

    /// A client with the `share` key.
    pub(crate) fn lister(&self) -> Peer {
        Peer::connect(self.address, SHARE)
    }

    /// The identities (`serial` or `uid`) in one of the broker's lists.
    pub(crate) fn list(&self, call: &str) -> Vec<String> {
        names(&self.admin().result(call, json!([])))
    }

    /// What can be had now.
    pub(crate) fn available(&self) -> Vec<String> {
        self.list("list_available")
    }

    /// Waits until exactly this can be had.
    pub(crate) fn wait_available(&self, names: &[&str]) {
        self.wait_for_list("list_available", names);
    }

    /// Waits until its list of equipment is exactly this.
    pub(crate) fn wait_listed(&self, names: &[&str]) {
        self.wait_for_list("list_equipment", names);
    }

    /// In any order: what shares tell of several changes may come at once, and one that returns is listed last.
    fn wait_for_list(&self, call: &str, names: &[&str]) {
        let mut names = names.to_vec();
        names.sort();
        wait_until(&format!("{call} is exactly {names:?}"), || {
            let mut listed = self.list(call);
            listed.sort();
            listed == names
        });
    }

    /// Its address as it announces itself.
    pub(crate) fn announced(&self) -> Value {
        json!([self.address.ip().to_string(), self.address.port()])
    }

    /// A client with our own library.
    pub(crate) fn broker(&self) -> Broker {
        self.broker_as(Credential::Anonymous)
    }

    /// A client with our own library and a key.
    pub(crate) fn broker_as(&self, credential: Credential) -> Broker {
        let options = Options { reply_limit: Some(PATIENCE), ..Options::default() };
        Broker::new((self.address.ip().to_string(), self.address.port()), credential, options)
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.so_far()
    }

    /// How many descriptors the broker has.
    pub(crate) fn descriptors(&self) -> u64 {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).expect("a process").count() as u64
    }

    /// How long the broker's process has used the processors so far.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a process");
        // After the name in parentheses; times are in hundredths of a second.
        let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<u64>().expect("a number");
        Duration::from_millis((ticks(11) + ticks(12)) * 10)
    }

    /// Stops the broker by a signal and returns what it logged.
    pub(crate) fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        wait_until("the broker has ended", || self.has_ended());
        self.log.whole()
    }

    /// How many descriptors the broker may have from now on.
    pub(crate) fn limit_descriptors(&self, current: u64) {
        let limit = Rlimit { current: Some(current), maximum: getrlimit(Resource::Nofile).maximum };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Nofile, limit).expect("a limit");
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a process");
    }

    /// Stops the broker's process in the middle of what it does, and waits until it stands still.
    pub(crate) fn pause(&self) {
        pause(Pid::from_child(&self.child));
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Kills the broker, so that it cannot clean up.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("a process");
        self.child.wait().expect("it was killed");
    }

    /// Starts a broker again in the home of one that has ended.
    pub(crate) fn restart(&mut self) {
        let (child, address, log) = start(self.home.path(), None);
        (self.child, self.address, self.log) = (child, address, log);
    }

    /// This broker's binary, for another command in the same home.
    pub(crate) fn command(&self) -> Command {
        command(self.home.path())
    }

    /// Whether the broker's process has ended by itself.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        kill_brokers(self.home());
        if thread::panicking() {
            eprintln!(
                "the broker's log:
{}{}",
                self.log.whole(),
                self.later_logs()
            );
        }
    }
}
