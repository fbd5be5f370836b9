//! The command: what it says, what keeps it from its work, and who is served meanwhile.

use std::fs;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::restarting;
use crate::support::{
    Client, Lab, any, brokers, command, free_ports, kill_brokers, only, outcome, wait_until,
};

/// Changes members of this lab's `broker.json`.
fn reconfigure(lab: &Lab, members: Value) {
    let path = lab.home().join(".ave/config/broker.json");
    let mut all: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    for (name, value) in members.as_object().expect("members") {
        all[name] = value.clone();
    }
    fs::write(&path, all.to_string()).expect("a file");
}

#[test]
fn without_a_broker_the_missing_pid_file_is_named_213() {
    let lab = Lab::of(&[], &[]);
    let stopped = outcome(lab.command().arg("--stop"));
    assert_eq!(stopped.status, Some(0), "{stopped:?}");
    let ended = outcome(&mut lab.restarting());
    assert_eq!(ended.status, Some(8), "{ended:?}");
    assert!(ended.said.starts_with("ERROR: could not restart: pid file "), "{ended:?}");
    assert!(ended.said.contains("does not exist"), "{ended:?}");
    lab.wait_generations(0);
}

#[test]
fn success_names_the_new_process() {
    let lab = Lab::of(&[], &[]);
    let ended = outcome(&mut lab.restarting());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    let line = format!("restarted pid = {}", lab.serving().as_raw_nonzero());
    assert!(ended.said.contains(&line), "{ended:?}");
}

#[test]
fn a_wrong_configuration_leaves_the_old_broker_untouched_and_is_explained() {
    type Break = fn(&Lab);
    let breaks: [(&str, Break); 5] = [
        ("broker attribute \"port\" must be on the form", |lab| reconfigure(lab, json!({"port": "invalid"}))),
        ("authkeys.json: ", |lab| {
            fs::write(lab.home().join(".ave/config/authkeys.json"), "[]").expect("a file");
        }),
        ("workspace root directory is not configured", |lab| {
            fs::write(lab.home().join(".ave/config/workspace.json"), "{}").expect("a file");
        }),
        ("equipment.json: Expecting", |lab| {
            fs::write(lab.home().join(".ave/config/equipment.json"), "[{").expect("a file");
        }),
        ("the stacked profile", |lab| reconfigure(lab, json!({"stacks": [[{"type": "relay"}]]}))),
    ];
    for (says, damage) in breaks {
        let lab = Lab::of(&["h1", "h2"], &[]);
        let mut client = Client::of(&lab);
        let h1 = client.lent_one(only("h1"));
        damage(&lab);
        let said = lab.fails_to_hand_over();
        assert!(said.starts_with("ERROR: ") && said.contains(says), "{says}: {said}");
        assert_eq!(brokers(lab.home()), [lab.serving()]);
        assert!(h1.is_usable());
        assert_eq!(client.lent_one(only("h2")).name, "h2", "it lends as before");
    }
}

#[test]
fn a_changed_port_needs_a_stop_and_a_start_and_the_command_says_so() {
    let (port, other) = free_ports();
    let lab = Lab::having(&["h1"]).port(port).start();
    reconfigure(&lab, json!({"port": other}));
    let ended = outcome(&mut lab.restarting());
    assert_eq!(ended.status, Some(0), "{ended:?}");
    assert!(ended.said.contains("warning") && ended.said.contains(&other.to_string()), "{ended:?}");
    assert!(Client::of(&lab).lent_one(only("h1")).is_usable(), "at the old port");
}

#[test]
fn clients_that_connect_meanwhile_are_served() {
    // Enough that what is being closed is not missed.
    let names = ["h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9"];
    let lab = Lab::of(&names, &[]);
    let is_over = AtomicBool::new(false);
    let client = || {
        let (mut served, mut too_late) = (0, 0);
        while !is_over.load(Ordering::SeqCst) {
            let mut client = Client::of(&lab);
            match client.get(json!([any("handset")])) {
                Ok(lent) => served += usize::from(lent[0].is_usable()),
                Err(raised) => {
                    assert_eq!(raised, restarting());
                    too_late += 1;
                }
            }
        }
        (served, too_late)
    };
    let counts: Vec<_> = thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(client)).collect();
        for _ in 0..10 {
            lab.hand_over();
        }
        is_over.store(true, Ordering::SeqCst);
        clients.into_iter().map(|client| client.join().expect("no panic")).collect()
    });
    assert!(
        counts.iter().all(|(served, _)| *served > 0),
        "served, or refused and to connect anew: {counts:?}"
    );
    lab.wait_available(&names);
    lab.wait_generations(1);
}

#[test]
fn two_restarts_at_once_leave_one_broker_that_lends() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let mut client = Client::of(&lab);
    let h1 = client.lent_one(only("h1"));
    for _ in 0..4 {
        let commands: Vec<_> = (0..3)
            .map(|_| lab.restarting().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it runs"))
            .collect();
        let ended: Vec<_> =
            commands.into_iter().map(|command| command.wait_with_output().expect("a child")).collect();
        assert!(ended.iter().any(|ended| ended.status.success()), "{ended:?}");
        for late in ended.iter().filter(|ended| !ended.status.success()) {
            let said = String::from_utf8_lossy(&late.stdout) + String::from_utf8_lossy(&late.stderr);
            let is_clear = ["another process has just taken over: ", ", which rules, has not opened "]
                .iter()
                .any(|words| said.contains(words));
            assert!(is_clear, "{said}");
        }
        lab.wait_generations(2);
        lab.wait_available(&["h2"]);
        let mut other = Client::of(&lab);
        assert_eq!(other.lent_one(only("h2")).name, "h2");
        assert_eq!(other.broker.call("get", json!([only("h1")]))["exception"]["type"], "Busy");
    }
    assert!(h1.is_usable());
}

#[test]
fn a_stop_at_any_moment_of_a_restart_leaves_nobody() {
    for round in 0..16 {
        let lab = Lab::of(&["h1"], &[]);
        let mut holder = Client::of(&lab);
        holder.lent_one(only("h1"));
        let mut restarting = lab.restarting();
        let mut restarting = restarting.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        thread::sleep(Duration::from_millis(8 * round)); // the moment differs, and none is wrong
        let stopped = outcome(lab.command().arg("--stop"));
        assert_eq!(stopped.status, Some(0), "round {round}: {stopped:?}");
        restarting.wait().expect("a child");
        lab.wait_generations(0);
    }
}

/// A home whose brokers end with it.
struct Home(TempDir);

impl Drop for Home {
    fn drop(&mut self) {
        kill_brokers(self.0.path());
    }
}

#[test]
fn a_broker_that_was_started_as_a_daemon_restarts_too() {
    let home = Home(Lab::having(&["h1"]).home());
    let run = |option: &str| {
        let ended = outcome(command(home.0.path()).arg(option));
        assert_eq!(ended.status, Some(0), "{option}: {ended:?}");
        ended.said
    };
    run("--start");
    for _ in 0..3 {
        run("--restart");
        assert!(run("--list").contains("h1"));
    }
    run("--stop");
    wait_until("every process has ended", || brokers(home.0.path()).is_empty());
}
