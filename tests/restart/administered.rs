//! What administrators see and do of sessions that older processes serve, and how all generations end.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use super::restarting;
use crate::sessions::both;
use crate::support::{
    Client, Lab, Lent, any, brokers, names, only, outcome, pause, pieces, raised, stacks, wait_until,
};

/// A lab, and a client of each of three generations of it, holding `h1`, `h2` and `h3`.
fn three_generations(lab: &Lab) -> Vec<(Client, Lent)> {
    let names = ["h1", "h2", "h3"];
    let mut clients = Vec::new();
    for (at, name) in names.into_iter().enumerate() {
        if at > 0 {
            lab.hand_over();
        }
        let mut client = Client::of(lab);
        let lent = client.lent_one(only(name));
        clients.push((client, lent));
    }
    assert_eq!(brokers(lab.home()).len(), names.len());
    clients
}

#[test]
fn the_new_broker_lists_what_old_sessions_hold() {
    let lab = Lab::plan()
        .equipment(pieces(&["h1", "r1", "h2"]))
        .broker(json!({"stacks": stacks(&[&["h1", "r1"]])}))
        .start();
    let mut client = Client::of(&lab);
    client.lent_one(only("h1"));
    let workspace = client.lent_one(any("workspace"));
    let lists =
        ["list_equipment", "list_available", "list_allocations_all", "list_collateral_all", "list_holders"];
    let of = |lab: &Lab| lists.map(|list| (list, lab.admin().result(list, json!([]))));
    let before = of(&lab);
    lab.hand_over();
    assert_eq!(of(&lab), before);
    lab.hand_over();
    assert_eq!(of(&lab), before);
    assert!(lab.list("list_allocations_all").contains(&workspace.name));
    client.close();
    lab.wait_available(&["h1", "r1", "h2"]);
    assert_eq!(lab.list("list_collateral_all"), [""; 0]);
}

#[test]
fn an_administrator_closes_sessions_of_every_generation() {
    for lab in both(&["h1", "h2", "h3"]) {
        let mut clients = three_generations(&lab);
        for at in [1, 0, 2] {
            let (client, lent) = &mut clients[at];
            let mut used = lent.proxy();
            used.result_on(&lent.profile, "get_profile", json!([]));
            assert_eq!(lab.admin().result("close_session", json!([lent.door().1])), Value::Null);
            wait_until("its piece can be had", || lab.available().contains(&lent.name));
            assert!(client.is_over() && used.ends() && !lent.is_usable());
            let (kind, _) = raised(&lab.admin().call("close_session", json!([lent.door().1])));
            assert_eq!(kind, "KeyError", "it is closed already");
        }
        lab.wait_available(&["h1", "h2", "h3"]);
        let (kind, _) = raised(&lab.admin().call("close_session", json!(["0123456789012345"])));
        assert_eq!(kind, "KeyError");
    }
}

#[test]
fn a_closed_old_session_loses_the_tool_that_runs_for_it() {
    let lab = Lab::of(&[], &[]);
    let mut client = Client::of(&lab);
    let workspace = client.lent_one(any("workspace"));
    let mut proxy = workspace.proxy();
    let path = proxy.result_on(&workspace.profile, "get_path", json!([]));
    let path = PathBuf::from(path.as_str().expect("a path"));
    proxy.ask(&workspace.profile, "run", json!([["sh", "-c", "touch begun; sleep 600"]]));
    wait_until("the tool runs", || path.join("begun").exists());
    lab.hand_over();
    lab.admin().result("close_session", json!([workspace.door().1]));
    assert!(proxy.ends());
    wait_until("the workspace is deleted", || !path.exists());
    assert!(client.is_over());
}

#[test]
fn an_old_administrator_still_sees_and_closes_what_the_old_broker_serves() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let mut elder = lab.admin();
    let mut client = Client::of(&lab);
    let h1 = client.lent_one(only("h1"));
    lab.hand_over();
    assert_eq!(names(&elder.result("list_allocations_all", json!([]))), ["h1"]);
    elder.result("close_session", json!([h1.door().1]));
    lab.wait_available(&["h1", "h2"]);
    assert!(client.is_over());
}

#[test]
fn every_generation_logs_what_the_command_says() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let _clients = three_generations(&lab);
    let changed = outcome(lab.command().args(["--log-level", "warn,ave_broker=info"]));
    assert_eq!(changed.status, Some(0), "{changed:?}");
    let count = |log: &str| log.matches("the log level has changed").count();
    wait_until("all have", || count(&lab.log()) == 1 && count(&lab.later_logs()) == 2);
}

#[test]
fn stop_ends_every_generation_and_leaves_no_process_212() {
    for lab in both(&["h1", "h2", "h3"]) {
        let mut clients = three_generations(&lab);
        let ended = outcome(lab.command().arg("--stop"));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        for (client, _) in &mut clients {
            assert!(client.broker.ends());
        }
        lab.wait_generations(0);
        let left = fs::read_dir(lab.home().join(".ave/run")).expect("a folder");
        assert_eq!(left.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>(), [""; 0]);
    }
}

#[test]
fn stop_ends_a_generation_that_hangs() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let first = lab.serving();
    let mut clients = three_generations(&lab);
    pause(first);
    let ended = outcome(lab.command().arg("--stop"));
    assert_eq!(ended.status, Some(0), "{ended:?}");
    lab.wait_generations(0);
    assert!(clients.iter_mut().all(|(client, _)| client.broker.ends()));
}

#[test]
fn an_administrators_stop_ends_every_generation_too() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let mut clients = three_generations(&lab);
    lab.admin().ask(&Value::Null, "stop", json!([]));
    for (client, _) in &mut clients {
        assert!(client.broker.ends());
    }
    lab.wait_generations(0);
}

#[test]
fn when_the_lending_process_is_killed_the_old_sessions_end_and_the_next_start_is_clean() {
    let mut lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let mut clients = three_generations(&lab);
    kill_process(lab.serving(), Signal::KILL).expect("a process");
    for (client, lent) in &mut clients {
        assert!(client.broker.ends(), "{}", lent.name);
    }
    lab.wait_generations(0);
    let _ = fs::remove_file(lab.home().join(".ave/run/ave-broker.pid"));
    lab.restart();
    lab.wait_available(&["h1", "h2", "h3"]);
}

#[test]
fn when_an_old_process_is_killed_its_pieces_are_reset_and_lent_again() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let first = lab.serving();
    let mut clients = three_generations(&lab);
    kill_process(first, Signal::KILL).expect("a process");
    assert!(clients[0].0.broker.ends());
    lab.wait_available(&["h1"]);
    for (client, lent) in &mut clients[1..] {
        assert!(lent.is_usable());
        assert_eq!(client.allocations(), [lent.name.as_str()]);
    }
    assert_eq!(clients[1].0.refused(json!([only("h1")])), restarting());
    assert!(Client::of(&lab).lent_one(only("h1")).is_usable());
}

#[test]
fn when_an_old_process_is_killed_its_tools_die_and_its_workspaces_are_deleted() {
    let lab = Lab::of(&[], &[]);
    let first = lab.serving();
    let mut client = Client::of(&lab);
    let workspace = client.lent_one(any("workspace"));
    let mut proxy = workspace.proxy();
    let path = proxy.result_on(&workspace.profile, "get_path", json!([]));
    let path = PathBuf::from(path.as_str().expect("a path"));
    proxy.ask(&workspace.profile, "run", json!([["sh", "-c", "echo $$ > pid; sleep 600"]]));
    let pid = || fs::read_to_string(path.join("pid")).ok()?.trim().parse::<u32>().ok();
    wait_until("the tool runs", || pid().is_some());
    let tool = PathBuf::from(format!("/proc/{}", pid().expect("a number")));
    lab.hand_over();
    kill_process(first, Signal::KILL).expect("a process");
    assert!(client.broker.ends() && proxy.ends());
    wait_until("the tool is gone", || !tool.exists());
    wait_until("the workspace is deleted", || !path.exists());
    wait_until("nothing is lent", || lab.list("list_allocations_all").is_empty());
}

#[test]
fn when_an_old_process_hangs_it_is_killed_and_its_pieces_are_lent_again() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let first = lab.serving();
    let mut clients = three_generations(&lab);
    pause(first);
    assert!(clients[0].0.broker.ends());
    lab.wait_available(&["h1"]);
    assert!(Client::of(&lab).lent_one(only("h1")).is_usable());
    assert!(clients[1].1.is_usable() && clients[2].1.is_usable());
}
