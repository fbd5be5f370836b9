//! A broker that is the first process of a container: the container lasts as long as the broker, whichever process
//! of it rules. Where no container can be made nothing is tried.

use std::fs;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;

use crate::support::{Lab, Peer, command, outcome, wait_until};

/// A container, as far as processes go, with a broker for its first one.
struct Container {
    home: TempDir,
    child: Child,
    /// That broker, as seen from outside.
    first: Pid,
}

impl Container {
    /// `None` where that is not allowed.
    fn start() -> Option<Container> {
        let home = Lab::having(&["h1", "h2"]).home();
        let unshare = || {
            let mut unshare = Command::new("unshare");
            unshare.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).stdin(Stdio::null());
            unshare
        };
        if !unshare().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
            return None;
        }
        let broker = command(home.path());
        let mut contained = unshare();
        contained.arg(broker.get_program()).args(broker.get_args()).arg("--foreground");
        let child = contained.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        wait_until("it answers", || home.path().join(".ave/run/port").exists());
        let [first] = children(child.id().cast_signed())[..] else { panic!("one child") };
        Some(Container { home, child, first })
    }

    /// What this command of the broker says, in the container.
    fn run(&self, option: &str) -> (Option<i32>, String) {
        let inside = command(self.home.path());
        let mut entering = Command::new("nsenter");
        entering.arg(format!("--target={}", self.first)).args(["--pid", "--mount"]);
        let ended = outcome(entering.arg(inside.get_program()).args(inside.get_args()).arg(option));
        (ended.status, ended.said)
    }

    /// Has another process take over, and waits until the first one has nothing left to serve.
    fn hand_over(&self) {
        let (status, said) = self.run("--restart");
        assert_eq!(status, Some(0), "{said}");
        wait_until("it serves nobody", || !self.run("--status").1.contains("of generation 1"));
    }

    fn client(&self) -> Peer {
        let port = fs::read_to_string(self.home.path().join(".ave/run/port")).expect("a port");
        Peer::connect(([127, 0, 0, 1], port.trim().parse().expect("a port")).into(), "")
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.first, signal).expect("a process");
    }

    /// Waits for its end; whether that was in good order.
    fn ends(&mut self) -> bool {
        wait_until("the container ends", || self.child.try_wait().expect("a child").is_some());
        self.child.wait().expect("a child").success()
    }
}

/// The children of a process, dead ones included. Not every kernel has a list of them.
fn children(of: i32) -> Vec<Pid> {
    let parent = |pid: i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let processes = fs::read_dir("/proc").expect("processes").map_while(Result::ok);
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent(*pid) == Some(of)).filter_map(Pid::from_raw).collect()
}

impl Drop for Container {
    fn drop(&mut self) {
        let _ = self.child.kill(); // and with it everything in the container
        let _ = self.child.wait();
    }
}

#[test]
fn the_first_process_of_a_container_stays_until_the_broker_is_stopped() {
    let Some(mut container) = Container::start() else { return };
    container.hand_over();
    container.client().get(json!([{"type": "handset", "serial": "h1"}]));
    container.hand_over();
    let (status, said) = container.run("--stop");
    // Whatever runs in a container ends with it, perhaps this command too.
    assert!(matches!(status, Some(0) | None), "{said}");
    assert!(container.ends());
}

#[test]
fn who_ends_the_first_process_of_a_container_ends_the_broker() {
    for is_serving in [false, true] {
        let Some(mut container) = Container::start() else { return };
        let mut client = container.client();
        client.get(json!([{"type": "handset", "serial": "h2"}]));
        match is_serving {
            true => assert_eq!(container.run("--restart").0, Some(0)),
            false => {
                client.close();
                container.hand_over();
            }
        }
        container.signal(Signal::TERM);
        assert!(container.ends());
        assert!(!container.home.path().join(".ave/run/ave-broker.pid").exists(), "in good order");
    }
}

#[test]
fn the_container_of_a_broker_that_dies_fails() {
    let Some(mut container) = Container::start() else { return };
    container.hand_over();
    let rules = || children(container.first.as_raw_nonzero().get());
    wait_until("no dead ones are left", || rules().len() == 1);
    kill_process(rules()[0], Signal::KILL).expect("a process");
    assert!(!container.ends());
}
