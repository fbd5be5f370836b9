//! How a master comes to know what its shares have, and how it forgets it. (10.11) What it lends of that is
//! in `shared_lending`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Cable, Client, Lab, Peer, any, assert_within, free_ports, names, only, piece, piece_with, pieces, raised,
    stacks, wait_until, with,
};

/// A master with `h1`, and a share of it with `h2`.
fn master_and_share() -> [Lab; 2] {
    let master = Lab::of(&["h1"], &[]);
    let share = Lab::having(&["h2"]).share(master.address()).start();
    master.wait_listed(&["h1", "h2"]);
    [master, share]
}

fn shares(master: &Lab) -> Value {
    master.admin().result("list_shares", json!([]))
}

fn wait_shares(master: &Lab, shares_wanted: &[&Lab]) {
    let mut wanted: Vec<_> = shares_wanted.iter().map(|lab| lab.announced()).collect();
    wanted.sort_by_key(Value::to_string);
    wait_until(&format!("its shares are {wanted:?}"), || shares(master) == json!(wanted));
}

fn power_state(lab: &Lab, name: &str) -> Value {
    lab.admin().result("list_equipment", json!([only(name)]))[0]["power_state"].clone()
}

/// Changes a piece at its broker.
pub(crate) fn set_power_state(lab: &Lab, name: &str, state: &str) {
    let piece = piece_with(name, json!({"power_state": state}));
    lab.lister().result("add_equipment", json!(["local", [piece]]));
}

pub(crate) fn wait_power_state(lab: &Lab, name: &str, state: &str) {
    wait_until(&format!("{name} is {state}"), || power_state(lab, name) == state);
}

pub(crate) fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

#[test]
fn equipment_stacks_and_workspaces_reach_the_master_169() {
    let master = Lab::of(&["h1", "r1"], &[&["h1", "r1"]]);
    let stacked = json!({"stacks": stacks(&[&["h2", "r2"]])});
    let share = Lab::having(&["h2", "r2", "h3"]).broker(stacked).workspace(json!({"pretty": "share"}));
    let share = share.share(master.address()).start();
    let started = Instant::now();
    master.wait_listed(&["h1", "r1", "h2", "r2", "h3"]);
    assert_within(Duration::from_secs(3), started);
    let mut admin = master.admin();
    wait_until("its stacks are known", || {
        admin.result("list_stacks", json!([])) == stacks(&[&["h1", "r1"], &["h2", "r2"]])
    });
    assert_eq!(admin.result("list_shares", json!([])), json!([share.announced()]));
    assert_eq!(admin.result("list_allocators", json!([])), json!(["local", share.announced()]));
    let of_share = admin.result("list_equipment", json!([null, share.announced()]));
    let of_share = of_share.as_array().expect("a list");
    assert_eq!(of_share.len(), 3);
    assert!(
        ["h2", "r2", "h3"].iter().all(|name| of_share.contains(&piece(name))),
        "all that is known of them"
    );
    assert_eq!(names(&admin.result("list_equipment", json!([null, "local"]))), ["h1", "r1"]);
    assert_eq!(admin.result("list_equipment", json!([null, ["nobody", 1]])), json!([]));
    assert_eq!(names(&admin.result("list_handsets", json!([]))), ["h1"], "only of this host");
    let workspace = Client::of(&master).lent_one(with(any("workspace"), json!({"pretty": "share"})));
    assert_eq!(workspace.at, share.address());
}

#[test]
fn a_master_that_rejects_connections_shows_nothing_until_it_stops_24_173() {
    let master = Lab::of(&[], &[]);
    let cable = Cable::to(master.address());
    cable.cut();
    let share = Lab::having(&["h2"]).share(cable.address()).start();
    wait_until("it tries again", || cable.tried() >= 2);
    assert_eq!((shares(&master), master.list("list_equipment").len()), (json!([]), 0));
    assert_eq!(share.available(), ["h2"]);
    cable.mend();
    master.wait_listed(&["h2"]);
    // The same when the connection breaks later on.
    cable.cut();
    master.wait_listed(&[]);
    assert_eq!(shares(&master), json!([]));
    cable.mend();
    master.wait_listed(&["h2"]);
}

#[test]
fn stopping_takes_exactly_that_shares_pieces_and_starting_brings_them_back_56_174() {
    let [master, share] = master_and_share();
    let other = Lab::having(&["n3"]).share(master.address()).start();
    wait_shares(&master, &[&share, &other]);
    for _ in 0..2 {
        // 56
        assert_eq!(share.client().result("get_profile", json!([]))["remote"].get("authkey"), None);
        assert_eq!(share.admin().result("stop_sharing", json!([])), Value::Null);
        wait_shares(&master, &[&other]);
        master.wait_listed(&["h1", "n3"]);
        let started = share.admin().result("start_sharing", json!([]));
        assert_eq!((&started[0], started[1].is_u64()), (&json!(""), true), "{started}");
        wait_shares(&master, &[&share, &other]);
        let mut listed = master.list("list_equipment");
        listed.sort();
        assert_eq!(listed, ["h1", "h2", "n3"]);
    }
    assert_eq!(master.admin().result("start_sharing", json!([])), Value::Null, "it has no rule");
}

#[test]
fn a_dropped_share_comes_back_by_itself_175() {
    let [master, share] = master_and_share();
    for (call, arguments) in [
        ("drop_share", json!([share.announced()])),
        ("drop_all_shares", json!([])),
        ("drop_share", json!([share.announced()])),
    ] {
        assert_eq!(master.admin().result(call, arguments), Value::Null);
        wait_shares(&master, &[&share]);
        master.wait_listed(&["h1", "h2"]);
    }
    assert_eq!(master.admin().result("drop_share", json!([["nobody", 4000]])), Value::Null);
    assert_eq!(shares(&master), json!([share.announced()]));
}

#[test]
fn a_share_whose_master_is_away_serves_its_clients_and_shares_later_177() {
    let (port, _) = free_ports();
    let share = Lab::having(&["h2"]).share(at(port)).start();
    let mut client = Client::of(&share);
    assert_eq!(client.lent_one(any("handset")).name, "h2");
    let mut master = Lab::having(&["h1"]).port(port).start();
    master.wait_listed(&["h1", "h2"]);
    assert_eq!(master.available(), ["h1"]);
    client.close();
    master.wait_available(&["h1", "h2"]);
    // Also when it was there before.
    master.kill();
    assert_eq!(Client::of(&share).lent_one(any("handset")).name, "h2");
    master.restart();
    master.wait_available(&["h1", "h2"]);
}

#[test]
fn a_change_reaches_the_master_183() {
    let [master, share] = master_and_share();
    for state in ["offline", "adb", "boot_completed", "draining"] {
        set_power_state(&share, "h2", state);
        wait_power_state(&master, "h2", state);
    }
    share.lister().result("add_equipment", json!(["local", pieces(&["n3", "r4"])]));
    master.wait_listed(&["h1", "h2", "n3", "r4"]);
    share.lister().result("set_stacks", json!(["local", stacks(&[&["n3", "r4"]])]));
    let stacks_of = || master.admin().result("list_stacks", json!([]));
    wait_until("the new stack is known", || stacks_of() == stacks(&[&["n3", "r4"]]));
    share.lister().result("set_stacks", json!(["local", []]));
    wait_until("it is forgotten", || stacks_of() == json!([]));
}

#[test]
fn starting_again_and_again_makes_one_share_184() {
    let [master, share] = master_and_share();
    for _ in 0..3 {
        share.admin().result("start_sharing", json!([]));
        share.admin().result("restart_sharing", json!([]));
    }
    set_power_state(&share, "h2", "adb");
    wait_power_state(&master, "h2", "adb");
    wait_shares(&master, &[&share]);
    master.wait_listed(&["h1", "h2"]);
    // There is no second notifier that goes on when the one is stopped.
    share.admin().result("stop_sharing", json!([]));
    master.wait_listed(&["h1"]);
    share.admin().result("restart_sharing", json!([]));
    set_power_state(&share, "h2", "offline");
    assert_eq!(shares(&master), json!([]));
}

#[test]
fn stopping_again_and_again_harms_nothing_185() {
    let [master, share] = master_and_share();
    for _ in 0..3 {
        assert_eq!(share.admin().result("stop_sharing", json!([])), Value::Null);
        master.wait_listed(&["h1"]);
        assert_eq!(Client::of(&share).lent_one(any("handset")).name, "h2");
    }
    assert_eq!(master.admin().result("stop_sharing", json!([])), Value::Null, "it never shared");
}

#[test]
fn a_wrong_key_shares_nothing_and_is_retried_ever_more_slowly_187() {
    let master = Lab::of(&["h1"], &[]);
    let cable = Cable::to(master.address());
    let address = cable.address();
    let remote = json!({"host": address.ip(), "port": address.port(), "policy": "share", "authkey": "wrong"});
    let share = Lab::having(&["h2"]).broker(json!({"remote": remote})).start();
    let pauses: Vec<_> = (1..=3)
        .map(|tried| {
            let before = Instant::now();
            wait_until("it tries again", || cable.tried() >= tried);
            before.elapsed()
        })
        .collect();
    assert!(pauses[2] > pauses[1], "{pauses:?}");
    assert_eq!((shares(&master), master.list("list_equipment")), (json!([]), vec!["h1".to_owned()]));
    assert_eq!(Client::of(&share).lent_one(any("handset")).name, "h2");
}

#[test]
fn a_share_stays_listed_when_its_old_connection_ends_late_188() {
    let master = Lab::of(&["h1"], &[]);
    let cable = Cable::to(master.address());
    let share = Lab::having(&["h2"]).share(cable.address()).broker(json!({"silence_limit_s": 3})).start();
    master.wait_listed(&["h1", "h2"]);
    cable.freeze();
    let before = cable.tried();
    wait_until("it connects anew", || cable.tried() > before);
    set_power_state(&share, "h2", "adb");
    wait_power_state(&master, "h2", "adb");
    cable.break_frozen();
    for state in ["offline", "boot_completed"] {
        assert_eq!(master.list("list_equipment"), ["h1", "h2"]);
        set_power_state(&share, "h2", state);
        wait_power_state(&master, "h2", state);
    }
    assert_eq!(shares(&master), json!([share.announced()]));
}

#[test]
fn lists_say_which_broker_holds_each_piece() {
    let top = Lab::having(&["h1"]).port(free_ports().0).start();
    let middle = Lab::having(&["h2"]).share(top.address()).start();
    let bottom = Lab::having(&["h3"]).share(middle.address()).start();
    top.wait_listed(&["h1", "h2", "h3"]);
    let mut client = Client::of(&top);
    client.lent(json!([only("h3")]));
    let held = top.admin().result("list_holders", json!([]));
    let holder = |name| {
        let entries = held.as_array().expect("a list").iter();
        let mut of_piece = entries.filter(|entry| entry["profile"]["serial"] == name);
        of_piece.next().expect("an entry")["holder"].clone()
    };
    assert_eq!(["h1", "h2", "h3"].map(holder), [json!("local"), middle.announced(), bottom.announced()]);
    let listed = |option| {
        let output = top.command().arg(option).output().expect("the binary runs");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let brokers = text.lines().filter_map(|line| line.trim().strip_prefix("broker"));
        brokers.map(|broker| broker.trim_start_matches([' ', ':']).to_owned()).collect::<Vec<_>>()
    };
    let [at_middle, at_bottom] = [&middle, &bottom].map(|lab| lab.address().to_string());
    assert_eq!(listed("--list-all"), [at_middle.clone(), at_bottom]);
    assert_eq!(listed("--list"), [at_middle]);
}

/// What a share of the original's kind reports, over a connection of the test's own.
struct Reporter {
    peer: Peer,
    address: Value,
}

impl Reporter {
    fn of(master: &Lab, host: &str) -> Reporter {
        Reporter { peer: master.lister(), address: json!([host, 4000]) }
    }

    fn call(&mut self, method: &str, what: Value) -> Value {
        self.peer.call(method, json!([self.address, what]))
    }

    fn equipment(&mut self, equipment: Value, taken: Value) -> Value {
        self.peer.call("set_equipment", json!([self.address, equipment, taken]))
    }
}

#[test]
fn the_newest_connection_of_an_address_counts_188() {
    let master = Lab::of(&[], &[]);
    let (mut old, mut new) = (Reporter::of(&master, "s"), Reporter::of(&master, "s"));
    old.equipment(pieces(&["h2", "h3"]), json!({}));
    assert_eq!(master.list("list_equipment"), ["h2", "h3"]);
    new.equipment(pieces(&["h2", "h4"]), json!({}));
    assert_eq!(master.list("list_equipment"), ["h2", "h4"]);
    old.peer.close();
    for names in [["h2", "h4", "h5"], ["h2", "h4", "h6"]] {
        new.equipment(pieces(&names), json!({}));
        assert_eq!(master.list("list_equipment"), names);
    }
    assert_eq!(shares(&master), json!([["s", 4000]]));
    new.peer.close();
    master.wait_listed(&[]);
}

#[test]
fn unknown_types_are_skipped_and_a_bad_report_changes_nothing_189() {
    let master = Lab::of(&["h1"], &[]);
    let mut share = Reporter::of(&master, "s");
    let toaster = json!({"type": "toaster", "uid": "t1", "slots": 2});
    let taken = json!({"0": [{"profile": toaster, "collateral": []}]});
    let reply = share.equipment(json!([piece("h2"), toaster, piece("n3")]), taken);
    assert_eq!(reply, json!({"result": null}));
    assert_eq!(master.list("list_equipment"), ["h1", "h2", "n3"]);
    for bad in [
        json!([piece("h4"), {"type": "handset"}]),
        json!([piece("h4"), {"serial": "h5"}]),
        json!([piece("h4"), "h5"]),
        json!({"h4": piece("h4")}),
        json!(4),
    ] {
        let reply = share.equipment(bad.clone(), json!({}));
        assert!(reply.get("exception").is_some(), "{bad}: {reply}");
        assert_eq!(master.list("list_equipment"), ["h1", "h2", "n3"], "{bad}");
    }
    let stacks_of = || master.admin().result("list_stacks", json!([]));
    assert_eq!(share.call("set_stacks", stacks(&[&["h2", "n3"]])), json!({"result": null}));
    let (_, message) = raised(&share.call("set_stacks", json!([only("h2")])));
    assert_eq!(message, "stacks must be a list of list of profiles");
    assert_eq!(stacks_of(), stacks(&[&["h2", "n3"]]));
    let with_uid = json!({"type": "workspace", "uid": "w-1"});
    let (_, message) = raised(&share.call("set_ws_profile", with_uid));
    assert!(message.starts_with("cannot set generic workspace profile with uid"), "{message}");
    assert_eq!(shares(&master), json!([["s", 4000]]));
}

#[test]
fn nothing_is_sent_when_nothing_changed_190() {
    let master = Lab::of(&["h1"], &[]);
    let cable = Cable::to(master.address());
    let share = Lab::having(&["h2"]).share(cable.address()).broker(json!({"silence_limit_s": 300})).start();
    master.wait_listed(&["h1", "h2"]);
    cable.wait_quiet();
    let before = cable.bytes();
    set_power_state(&share, "h2", "boot_completed");
    share.lister().result("set_stacks", json!(["local", []]));
    drop(Client::of(&share).refused(json!([only("h9")])));
    share.admin().result("list_equipment", json!([]));
    cable.wait_quiet();
    assert_eq!(cable.bytes(), before);
    set_power_state(&share, "h2", "adb");
    wait_power_state(&master, "h2", "adb");
    assert!(cable.bytes() > before, "this did change something");
}
