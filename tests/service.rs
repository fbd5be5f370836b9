//! The broker as a service: what a service manager hears of it, sockets that were opened for it, what administrators
//! see of it, and its log.

use std::fs::{self, File};
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{iter, thread};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Lab, PATIENCE, Peer, command, only, plain, wait_until};

/// A service manager, as far as a service can tell. It reads all the while, as managers do: there is little room for what
/// they have not read.
struct Manager {
    home: TempDir,
    heard: mpsc::Receiver<String>,
}

/// A broker that it has started.
struct Service(Child);

impl Manager {
    fn new() -> Manager {
        let home = Lab::plan().home();
        let socket = UnixDatagram::bind(home.path().join("notify")).expect("a socket");
        let (said, heard) = mpsc::channel();
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length) = socket.recv(&mut bytes)
                && said.send(String::from_utf8_lossy(&bytes[..length]).into_owned()).is_ok()
            {}
        });
        Manager { home, heard }
    }

    fn command(&self) -> Command {
        let mut command = command(self.home.path());
        command.arg("--foreground").env("NOTIFY_SOCKET", self.home.path().join("notify"));
        command.env("WATCHDOG_USEC", "100000").stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn start(&self) -> Service {
        Service(self.command().spawn().expect("the broker starts"))
    }

    /// Starts it with a socket as its descriptor 3, which says that it is for this process.
    fn start_with(&self, socket: OwnedFd) -> Service {
        let broker = self.command();
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec "$@""#, "sh"]);
        shell.arg(broker.get_program()).args(broker.get_args()).stdin(socket);
        shell.envs(broker.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Service(shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a shell"))
    }

    /// Waits for a word, and tells what came with it.
    fn hears(&self, word: &str) -> Vec<String> {
        loop {
            let said = self.heard.recv_timeout(PATIENCE).unwrap_or_else(|error| panic!("{word}: {error}"));
            let said: Vec<String> = said.lines().map(str::to_owned).collect();
            if said.iter().any(|said| said == word) {
                return said;
            }
        }
    }

    /// All that was said so far and not yet heard.
    fn hears_the_rest(&self) -> Vec<String> {
        const MARK: &str = "of the test";
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.send_to(MARK.as_bytes(), self.home.path().join("notify")).expect("it listens");
        let said = iter::repeat_with(|| self.heard.recv_timeout(PATIENCE).expect("the mark"));
        said.take_while(|said| said != MARK).collect()
    }

    fn client(&self) -> Peer {
        let port = fs::read_to_string(self.home.path().join(".ave/run/port")).expect("a port");
        Peer::connect(([127, 0, 0, 1], port.trim().parse().expect("a port")).into(), "")
    }
}

impl Service {
    fn terminate(&self) {
        kill_process(Pid::from_child(&self.0), Signal::TERM).expect("a process");
    }

    /// Waits for its end, and tells whether it was a success, and what it had logged.
    fn ends(mut self) -> (bool, String) {
        let mut log = String::new();
        self.0.stderr.take().expect("stderr").read_to_string(&mut log).expect("text");
        (self.0.wait().expect("a child").success(), log)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_service_manager_hears_that_the_broker_answers_that_it_lives_and_that_it_stops() {
    let manager = Manager::new();
    let service = manager.start();
    let said = manager.hears("READY=1");
    assert!(said.contains(&format!("MAINPID={}", service.0.id())), "{said:?}");
    let mut client = manager.client();
    client.get(json!([{"type": "workspace"}]));
    assert_eq!(manager.hears("STATUS=1 sessions")[0], "WATCHDOG=1");
    manager.hears("WATCHDOG=1");
    service.terminate();
    manager.hears("STOPPING=1");
    let (success, log) = service.ends();
    assert!(success, "{log}");
    assert_eq!(manager.hears_the_rest(), [""; 0], "nothing more is said");
}

#[test]
fn after_a_restart_the_new_process_speaks_to_the_service_manager() {
    let manager = Manager::new();
    let service = manager.start();
    manager.hears("READY=1");
    let mut client = manager.client();
    client.get(json!([{"type": "workspace"}]));
    let (code, said) = run(manager.home.path(), &["--restart"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("its manager would not know the new process"), "{said}");
    client.get(json!([{"type": "workspace"}]));
    let mut reload = command(manager.home.path());
    reload.arg("--restart").env("NOTIFY_SOCKET", manager.home.path().join("notify"));
    let reloaded = reload.stderr(Stdio::null()).status().expect("it runs");
    assert!(reloaded.success());
    let said = manager.hears("READY=1");
    let pid = fs::read_to_string(manager.home.path().join(".ave/run/ave-broker.pid")).expect("a PID file");
    assert!(said.contains(&format!("MAINPID={}", pid.trim())), "{said:?}");
    assert_ne!(pid.trim(), service.0.id().to_string());
    assert!(run(manager.home.path(), &["--status"]).1.contains("1 of generation 1, process"));
    client.close();
    let (success, log) = service.ends();
    assert!(success, "{log}");
    let elders = || run(manager.home.path(), &["--status"]).1.contains("of generation");
    wait_until("it is no longer among those that live", || !elders());
    let rest = manager.hears_the_rest().concat();
    let since = Instant::now();
    for _ in 0..5 {
        manager.hears("WATCHDOG=1");
    }
    assert!(since.elapsed() < Duration::from_secs(15), "as often as the first process was told to");
    assert_eq!(run(manager.home.path(), &["--stop"]).0, Some(0));
    assert!(!rest.contains("STOPPING"), "the old process has ended, not the service");
    manager.hears("STOPPING=1");
}

#[test]
fn a_manager_that_does_not_read_holds_up_nobody() {
    let home = Lab::plan().home();
    let deaf = UnixDatagram::bind(home.path().join("notify")).expect("a socket");
    let stranger = UnixDatagram::unbound().expect("a socket");
    stranger.set_nonblocking(true).expect("a socket");
    while stranger.send_to(b"STATUS=full", home.path().join("notify")).is_ok() {}
    let manager = Manager { home, heard: mpsc::channel().1 };
    let mut service = manager.start();
    wait_until("it answers", || manager.home.path().join(".ave/run/port").exists());
    manager.client().get(json!([{"type": "workspace"}]));
    service.terminate();
    wait_until("it has ended", || service.0.try_wait().expect("a child").is_some());
    drop(deaf);
}

#[test]
fn tools_and_daemons_are_no_services() {
    let manager = Manager::new();
    let _service = manager.start();
    manager.hears("READY=1");
    let mut client = manager.client();
    let result = client.get(json!([{"type": "workspace"}]));
    let workspace = &result["resources"][0];
    let told = Peer::session_of(&result).result_on(workspace, "run", json!([["sh", "-c", "env"]]));
    assert!(told.to_string().contains("HOME="), "{told}");
    assert!(!told.to_string().contains("NOTIFY_SOCKET") && !told.to_string().contains("WATCHDOG"), "{told}");

    let other = Manager::new();
    let mut starting = command(other.home.path());
    starting.arg("--start").env("NOTIFY_SOCKET", other.home.path().join("notify"));
    assert!(starting.status().expect("it runs").success());
    let heard = other.hears_the_rest();
    assert!(command(other.home.path()).arg("--stop").status().expect("it runs").success());
    assert_eq!(heard, [""; 0], "a daemon says nothing");
}

#[test]
fn a_socket_that_was_opened_for_the_broker_is_used() {
    let manager = Manager::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let config = manager.home.path().join(".ave/config/broker.json");
    fs::write(&config, json!({"port": 1, "listen": "127.0.0.1", "host": "127.0.0.1"}).to_string())
        .expect("a file");
    let early = thread::spawn(move || Peer::connect(address, "").call("get_profile", json!([])));
    let service = manager.start_with(listener.into());
    manager.hears("READY=1");
    let profile = early.join().expect("a client that came before the broker is served");
    assert_eq!(profile["result"]["port"], json!(address.port()));
    service.terminate();
    let (success, log) = service.ends();
    assert!(success, "{log}");
    assert!(
        log.contains("the service manager's socket is used") && log.contains("wanted=127.0.0.1:1"),
        "{log}"
    );
}

#[test]
fn a_descriptor_that_is_no_listening_socket_keeps_the_broker_from_starting() {
    let manager = Manager::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let connection =
        std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("a listener");
    let file = File::open("/dev/null").expect("a file");
    for (wrong, why) in [(connection.into(), "the socket does not listen"), (file.into(), "is not a socket")]
    {
        let mut service = manager.start_with(wrong);
        let mut said = String::new();
        service.0.stdout.take().expect("stdout").read_to_string(&mut said).expect("text");
        let (success, log) = service.ends();
        assert!(!success && said.starts_with("ERROR: ") && said.contains(why), "{said}{log}");
    }
}

/// What `ave-broker` ended with and printed.
fn run(home: &Path, options: &[&str]) -> (Option<i32>, String) {
    let ended = command(home).args(options).output().expect("it runs");
    (ended.status.code(), String::from_utf8(ended.stdout).expect("text"))
}

fn status(lab: &Lab) -> Value {
    let (code, shown) = run(lab.home(), &["--status", "--json"]);
    assert_eq!(code, Some(0), "{shown}");
    serde_json::from_str(&shown).expect("JSON")
}

#[test]
fn the_status_tells_how_the_broker_is() {
    let lab = Lab::having(&["h1", "h2", "r1"]).start();
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    client.get(json!([{"type": "workspace"}]));
    let known = status(&lab);
    assert_eq!((&known["pid"], &known["version"]), (&json!(lab.pid()), &json!(env!("CARGO_PKG_VERSION"))));
    assert_eq!((&known["address"], &known["sessions"]), (&lab.announced(), &json!(1)));
    assert_eq!(known["log_level"], json!("ave_broker=trace"));
    let equipment = &known["equipment"];
    assert_eq!(
        (&equipment["known"], &equipment["lent"], &equipment["broken"]),
        (&json!(4), &json!(2), &json!(0))
    );
    assert_eq!(equipment["types"]["workspace"], json!({"known": 1, "lent": 1, "broken": 0}));
    assert!(known["connections"].as_u64().is_some_and(|count| count >= 2), "{known}");
    assert!(
        known["uptime_s"].is_u64() && known["remote"].is_null() && known["shares"] == json!([]),
        "{known}"
    );
    let (code, shown) = run(lab.home(), &["--status"]);
    assert_eq!(code, Some(0));
    assert!(shown.starts_with(&format!(
        "ave-broker {}, process {}, for 0 d ",
        env!("CARGO_PKG_VERSION"),
        lab.pid()
    )));
    assert!(shown.contains("equipment      4 known, 2 lent, 0 broken"), "{shown}");
    let refused = lab.client().call("get_status", json!([]));
    assert_eq!(plain(&refused), "not authorized to make this call");
}

#[test]
fn the_status_tells_a_broker_that_does_not_run_from_one_that_does_not_answer() {
    let mut lab = Lab::plan().start();
    lab.pause();
    let (code, said) = run(lab.home(), &["--status"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.starts_with("ERROR: could not show the status: ") && said.contains("timed out"), "{said}");
    lab.resume();
    let (code, said) = run(lab.home(), &["--status", "--admin=another"]);
    assert_eq!(code, Some(1), "{said}");
    lab.kill();
    let (code, said) = run(lab.home(), &["--status"]);
    assert_eq!(code, Some(8), "{said}");
    assert!(said.contains("is stale"), "{said}");
    for option in ["--status", "--log-level=info"] {
        let (code, said) = run(Lab::plan().home().path(), &[option]);
        assert_eq!(code, Some(8), "{said}");
        assert!(said.contains("does not exist"), "{said}");
    }
}

#[test]
fn a_broker_whose_file_has_become_wrong_still_tells_how_it_is() {
    let lab = Lab::having(&["h1"]).start();
    std::fs::write(lab.home().join(".ave/config/broker.json"), r#"{"port": "invalid"}"#)
        .expect("a wrong file");
    let (code, said) = run(lab.home(), &["--check"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(status(&lab)["pid"], json!(lab.pid()));
    let (code, listed) = run(lab.home(), &["--list"]);
    assert_eq!(code, Some(0), "{listed}");
    assert!(listed.starts_with("Handset"), "{listed}");
}

#[test]
fn the_log_level_is_changed_while_the_broker_runs() {
    let lab = Lab::plan().start();
    let (code, said) = run(lab.home(), &["--log-level", "error"]);
    assert_eq!((code, &*said), (Some(0), ""));
    assert_eq!(status(&lab)["log_level"], json!("error"));
    let (code, said) = run(lab.home(), &["--log-level", "debgu"]);
    assert_eq!(code, Some(1));
    assert!(said.contains("\"debgu\" is no filter of logs: wanted LEVEL or TARGET=LEVEL"), "{said}");
    assert_eq!(status(&lab)["log_level"], json!("error"));
    lab.client().get(json!([{"type": "workspace"}]));
    assert_eq!(run(lab.home(), &["--log-level", "off,ave_broker=info"]).0, Some(0));
    let log = lab.stop();
    assert!(log.contains("the log level has changed") && !log.contains("granted"), "{log}");
}

#[test]
fn a_log_that_is_full_is_put_aside() {
    let home = Lab::plan().home();
    let log = home.path().join(".ave/log/ave-broker.log");
    fs::create_dir_all(log.parent().expect("a folder")).expect("a folder");
    File::create(&log).expect("a log").set_len(9 << 20).expect("a long log");
    assert_eq!(run(home.path(), &["--start"]).0, Some(0));
    let old = log.with_extension("log.1");
    wait_until("the log is put aside", || old.exists() && log.exists());
    let stopped = || {
        assert_eq!(run(home.path(), &["--log-level", "info"]).0, Some(0));
        fs::read_to_string(&log).expect("a log").contains("the log level has changed")
    };
    wait_until("the broker writes to the new one", stopped);
    assert_eq!(run(home.path(), &["--stop"]).0, Some(0));
    assert!(fs::read_to_string(&log).expect("a log").contains("stopped"));
}

#[test]
fn a_process_before_a_restart_and_one_after_it_write_to_one_log() {
    let home = Lab::plan().home();
    let file = |path: &str| home.path().join(".ave").join(path);
    let read = |path: &str| fs::read_to_string(file(path)).unwrap_or_default();
    assert_eq!(run(home.path(), &["--start"]).0, Some(0));
    let old = read("run/ave-broker.pid");
    let port = read("run/port").trim().parse::<u16>().expect("a port");
    let mut client = Peer::connect(([127, 0, 0, 1], port).into(), "");
    client.get(json!([{"type": "workspace"}]));
    assert_eq!(run(home.path(), &["--restart"]).0, Some(0));
    let new = read("run/ave-broker.pid");
    assert_ne!(old, new);
    File::options()
        .write(true)
        .open(file("log/ave-broker.log"))
        .expect("a log")
        .set_len(9 << 20)
        .expect("room");
    wait_until("the log is put aside", || file("log/ave-broker.log.1").exists());
    for pid in [&old, &new] {
        let process = Pid::from_raw(pid.trim().parse().expect("a number")).expect("a process");
        let dumped = format!("-ave-broker-{}", pid.trim());
        wait_until("it writes to the new log", || {
            kill_process(process, Signal::USR1).expect("a process");
            read("log/ave-broker.log").contains(&dumped)
        });
    }
    assert_eq!(run(home.path(), &["--stop"]).0, Some(0));
    assert_eq!(client.reply(), None);
}

/// Needs systemd's own tool, and says so where it is missing.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    if let Err(error) = Command::new("systemd-analyze").arg("--version").output() {
        eprintln!("SKIPPED: systemd-analyze cannot be run: {error}");
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd");
    let copies = tempfile::tempdir().expect("a folder");
    let mut units = Vec::new();
    for unit in fs::read_dir(folder).expect("the units") {
        let unit = unit.expect("a unit").path();
        let copy = copies.path().join(unit.file_name().expect("a name"));
        let text = fs::read_to_string(&unit).expect("a unit");
        let text = text.replace("/usr/bin/ave-broker", env!("CARGO_BIN_EXE_ave-broker"));
        let text = text.replace("/usr/bin/ave-adb-server", env!("CARGO_BIN_EXE_ave-adb-server"));
        fs::write(&copy, text).expect("a copy");
        units.push(copy);
    }
    assert_eq!(units.len(), 3);
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=no"]).args(&units);
    let verified = verify.output().expect("it runs");
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}
