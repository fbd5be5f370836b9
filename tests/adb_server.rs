//! `ave-adb-server` with the real adb: who starts a server, who ends it, and whose is left alone. The numbers are
//! those of the checks of the adb server.

use std::fs::{self, File, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ave_simulated::AdbServer;
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{assert_within, free_ports, wait_until};

/// A home with an adb server of its own, which ends with it.
struct Home {
    folder: TempDir,
    port: u16,
}

impl Home {
    fn new() -> Home {
        Home::on(free_ports().0, json!({}))
    }

    fn on(port: u16, members: Value) -> Home {
        let home = Home { folder: tempfile::tempdir().expect("a home"), port };
        let mut config = json!({"port": port});
        config.as_object_mut().expect("members").extend(members.as_object().expect("members").clone());
        home.configure("adb_server", &config);
        home
    }

    fn configure(&self, name: &str, content: &Value) {
        fs::create_dir_all(self.file("config")).expect("a folder");
        fs::write(self.file("config").join(format!("{name}.json")), content.to_string()).expect("a file");
    }

    fn file(&self, path: &str) -> PathBuf {
        self.folder.path().join(".ave").join(path)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ave-adb-server"));
        command.arg("--home").arg(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs the command; its status and what it said.
    fn run(&self, options: &[&str]) -> (Option<i32>, String) {
        let output = self.command().arg("--allow-root").args(options).output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    }

    fn start(&self) -> String {
        let (status, said) = self.run(&["--start"]);
        assert_eq!(status, Some(0), "{said}{}", self.log());
        said
    }

    fn log(&self) -> String {
        fs::read_to_string(self.file("log/ave-adb-server.log")).unwrap_or_default()
    }

    fn supervisor(&self) -> Option<Pid> {
        let pid = fs::read_to_string(self.file("run/ave-adb-server.pid")).ok()?;
        Pid::from_raw(pid.trim().parse().ok()?)
    }

    /// The servers on this home's port, by their command lines.
    fn servers(&self) -> Vec<Pid> {
        let place = format!("tcp:localhost:{}", self.port);
        adb_servers().into_iter().filter(|(_, words)| words.contains(&place)).map(|(pid, _)| pid).collect()
    }

    fn server(&self) -> Pid {
        let servers = self.servers();
        assert_eq!(servers.len(), 1, "{servers:?}");
        servers[0]
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if let Some(pid) = self.supervisor() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Every adb server of this host, and its command line.
fn adb_servers() -> Vec<(Pid, Vec<String>)> {
    let processes = fs::read_dir("/proc").expect("processes");
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = pids.filter_map(Pid::from_raw).filter_map(|pid| {
        let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).ok()?;
        let words: Vec<String> =
            line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned()).collect();
        let is_adb = words.first()?.rsplit('/').next() == Some("adb");
        is_adb.then_some((pid, words))
    });
    named.collect()
}

fn kill(pid: Pid) {
    kill_process(pid, Signal::KILL).expect("a process");
}

#[test]
fn a_member_of_the_wrong_type_is_named_a1() {
    for name in ["port", "persist", "demote"] {
        let home = Home::on(1, json!({name: "x"}));
        let (status, said) = home.run(&["--start"]);
        assert_eq!(status, Some(3));
        assert!(said.contains(&format!("\"{name}\" value in")), "{said}");
    }
}

#[test]
fn a_killed_server_is_followed_by_another_a2() {
    let home = Home::new();
    home.start();
    let first = home.server();
    let killed = Instant::now();
    kill(first);
    wait_until("there is another", || home.servers().iter().any(|pid| *pid != first));
    assert_within(Duration::from_secs(3), killed);
}

#[test]
fn without_persist_none_follows_a2() {
    let Home { port, .. } = Home::new();
    let home = Home::on(port, json!({"persist": false}));
    home.start();
    kill(home.server());
    wait_until("the supervisor has ended", || home.supervisor().is_none());
    assert_eq!(home.servers(), []);
}

#[test]
fn a_foreign_server_is_used_and_left_alone_a3() {
    let foreign = AdbServer::start().expect("adb");
    let home = Home::on(foreign.address().port(), json!({}));
    let there = home.servers();
    assert!(home.start().contains("already there"), "{}", home.log());
    assert!(home.log().contains("already there"), "{}", home.log());
    assert_eq!(home.run(&["--stop"]).0, Some(0));
    assert_eq!(home.servers(), there);
    foreign.ask("host:version").expect("it still answers");

    home.start();
    drop(foreign);
    wait_until("ours has come", || home.servers().iter().any(|pid| !there.contains(pid)));
}

#[test]
fn no_server_appears_where_none_is_configured_a4() {
    let habitual =
        || adb_servers().into_iter().filter(|(_, words)| words.iter().any(|word| word.ends_with(":5037")));
    let before = habitual().count();
    let home = Home::new();
    home.start();
    kill(home.server());
    wait_until("there is another", || !home.servers().is_empty());
    assert_eq!(habitual().count(), before);
}

#[test]
fn start_restart_stop_and_the_pid_file_a5() {
    let home = Home::new();
    assert_eq!(home.run(&["--stop"]).0, Some(3));
    assert_eq!(home.run(&[]).0, Some(3));
    home.start();
    let (first, supervisor) = (home.server(), home.supervisor());
    let (status, said) = home.run(&["--start"]);
    assert!(status == Some(3) && said.contains("is running"), "{said}");
    assert_eq!(home.run(&["--restart"]).0, Some(0));
    assert_ne!((home.server(), home.supervisor()), (first, supervisor));
    assert_eq!(home.run(&["--stop"]).0, Some(0));
    assert_eq!((home.servers(), home.supervisor()), (Vec::new(), None));
}

#[test]
fn a_server_does_not_outlive_its_supervisor_a5() {
    let home = Home::new();
    home.start();
    let server = home.server();
    kill(home.supervisor().expect("a supervisor"));
    wait_until("the server has ended", || test_kill_process(server).is_err() || home.servers().is_empty());
    let (status, said) = home.run(&["--start"]);
    assert!(status == Some(3) && said.contains("stale"), "{said}");
    assert_eq!(home.run(&["--start", "--force"]).0, Some(0));
    home.server();
}

#[test]
fn root_is_refused_where_it_is_to_be_given_up_a5() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = Home::new();
    let status = home.command().arg("--start").output().expect("it runs").status;
    assert_eq!(status.code(), Some(2));
}

#[test]
fn an_adb_that_is_not_there_is_an_error_that_names_the_key() {
    let home = Home::new();
    home.configure("workspace", &json!({"root": "~/w", "pretty": "lab", "tools": {"adb": "/none/adb"}}));
    let (status, said) = home.run(&["--start"]);
    assert!(status == Some(3) && said.contains("tools.adb") && said.contains("/none/adb"), "{said}");
}

#[test]
fn a_log_that_is_full_is_put_aside_and_a_server_s_words_reach_the_new_one() {
    let home = Home::new();
    let log = home.file("log/ave-adb-server.log");
    fs::create_dir_all(log.parent().expect("a folder")).expect("a folder");
    File::create(&log).expect("a log").set_len(9 << 20).expect("a long log");
    home.start();
    let old = log.with_extension("log.1");
    wait_until("the log is put aside", || old.exists() && log.exists());
    let server = home.server();
    let said = fs::read_link(format!("/proc/{}/fd/2", server.as_raw_nonzero())).expect("a process");
    assert!(said.to_string_lossy().starts_with("pipe:"), "{said:?}: it would write to the old one for ever");
    kill(server);
    wait_until("the supervisor writes to the new one", || home.log().contains("the adb server is gone"));
    assert_eq!(home.run(&["--stop"]).0, Some(0));
}

#[test]
fn the_last_words_of_a_server_that_cannot_start_are_in_the_log() {
    let home = Home::new();
    let adb = home.folder.path().join("adb");
    fs::write(&adb, "#!/bin/sh\necho out of order >&2\n").expect("a script");
    fs::set_permissions(&adb, Permissions::from_mode(0o755)).expect("a script");
    home.configure("workspace", &json!({"root": "~/w", "pretty": "lab", "tools": {"adb": adb}}));
    assert_eq!(home.run(&["--start"]).0, Some(3));
    assert!(home.log().contains("out of order"), "{}", home.log());
}

#[test]
fn in_the_foreground_it_says_when_a_server_answers() {
    let home = Home::new();
    let mut child: Child = home
        .command()
        .args(["--allow-root", "--foreground"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("stdout")).read_line(&mut line).expect("a line");
    assert!(line.starts_with("ave-adb-server ready: "), "{line}");
    kill_process(Pid::from_child(&child), Signal::TERM).expect("a process");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(home.servers(), []);
}
