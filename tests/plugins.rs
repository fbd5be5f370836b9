//! Pieces driven by a lab's own programs, and the two examples of such types: the items P-6 to P-17 of the
//! equipment checklist, and what C1 to C7 ask of every call. How the driver behaves is said in its file.

mod examples;
mod shared;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::support::{Lab, Peer, Plan, any, plain, raised, wait_until, with};

/// Does what its caller wants.
const DRIVER: &str = include_str!("../broker/server/src/drivers/plugin/tests/driver.py");

/// An interpreter that starts at once: a version manager's stand-in for it takes long.
pub(crate) fn python() -> &'static str {
    let usual = "/usr/bin/python3";
    if Path::new(usual).exists() { usual } else { "python3" }
}

fn toaster(members: Value) -> Value {
    let driver = json!({"command": [python(), "./driver.py"]});
    let toaster = json!({"type": "toaster", "identity": "uid", "driver": driver, "limits": {"open_s": 30}});
    with(toaster, members)
}

fn one(uid: &str, fault: &str) -> Value {
    json!({"type": "toaster", "uid": uid, "fault": fault})
}

pub(crate) fn plan(members: Value, pieces: &[(&str, &str)]) -> Plan {
    let pieces: Value = pieces.iter().map(|(uid, fault)| one(uid, fault)).collect();
    Lab::plan()
        .broker(json!({"open_limit_s": 30}))
        .file("equipment.d/toaster.json", toaster(members))
        .file("equipment.d/driver.py", DRIVER)
        .equipment(pieces)
}

/// A session that holds one piece.
pub(crate) struct Held {
    pub(crate) client: Peer,
    pub(crate) session: Peer,
    pub(crate) resource: Value,
}

impl Held {
    fn of(lab: &Lab, profile: Value) -> Held {
        let mut client = lab.client();
        let granted = client.get(json!([profile]));
        let session = Peer::session_of(&granted);
        Held { client, session, resource: granted["resources"][0].clone() }
    }

    pub(crate) fn toaster(lab: &Lab, uid: &str) -> Held {
        Held::of(lab, json!({"type": "toaster", "uid": uid}))
    }

    fn call(&mut self, method: &str, vargs: Value) -> Value {
        self.session.call_on(&self.resource, method, vargs)
    }

    fn result(&mut self, method: &str, vargs: Value) -> Value {
        self.session.result_on(&self.resource, method, vargs)
    }

    pub(crate) fn pid(&mut self) -> Pid {
        let pid = self.result("where", json!([]))[1].as_i64().expect("a number");
        Pid::from_raw(i32::try_from(pid).expect("a process")).expect("a process")
    }
}

/// What happened to the drivers of a lab, in order.
pub(crate) fn story(lab: &Lab) -> Vec<String> {
    let story = fs::read_to_string(lab.home().join("story")).unwrap_or_default();
    story.lines().map(str::to_owned).collect()
}

pub(crate) fn runs(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// A folder of the examples.
fn examples(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config-examples").join(folder)
}

#[test]
fn c1_p_7_arguments_are_given_by_place_by_name_and_mixed() {
    let raised = json!({"type": "ValueError", "message": "x"});
    let lab = plan(json!({}), &[("a", "")]).start();
    let mut held = Held::toaster(&lab, "a");
    assert_eq!(held.result("echo", json!([1])), 1);
    assert_eq!(held.result("echo", json!([])), Value::Null);
    let mut named = |method: &str, vargs: Value, kwargs: Value| {
        let params = json!({"vargs": vargs, "kwargs": kwargs});
        held.session
            .request(&json!({"method": method, "resource": held.resource, "params": params, "async": false}))
    };
    assert_eq!(named("echo", json!([]), json!({"value": [2]}))["result"], json!([2]));
    assert_eq!(named("tell", json!(["hello"]), json!({"lines": 2}))["result"], Value::Null);
    assert_eq!(named("fail", json!([]), json!({"exception": raised}))["exception"]["type"], "ValueError");
    let wrong = named("echo", json!([]), json!({"valeu": 1}));
    assert_eq!(wrong["exception"]["type"], "TypeError");
}

#[test]
fn c2_p_7_nothing_is_executed_that_the_driver_does_not_list() {
    let lab = plan(json!({}), &[("a", "")]).start();
    let mut held = Held::toaster(&lab, "a");
    for name in ["_story", "story", "toast", "__class__", ""] {
        assert_eq!(plain(&held.call(name, json!([]))), format!("no such RPC: {name}"));
    }
    assert_eq!(held.result("echo", json!([1])), 1);
    assert_eq!(story(&lab), ["open"]);
}

#[test]
fn c3_a_resource_is_found_by_type_and_identity_alone() {
    let lab = plan(json!({}), &[("a", ""), ("b", "")]).start();
    let mut held = Held::toaster(&lab, "a");
    let shortest = json!({"type": "toaster", "uid": "a", "colour": "not looked at"});
    assert_eq!(held.session.result_on(&shortest, "echo", json!([1])), 1);
    let foreign = held.session.call_on(&json!({"type": "toaster", "uid": "b"}), "echo", json!([1]));
    assert!(plain(&foreign).contains("no such resource"), "{foreign}");
}

#[test]
fn c7_p_6_long_calls_of_two_clients_delay_nobody() {
    let lab = plan(json!({}), &[("a", ""), ("b", ""), ("c", "")]).start();
    let mut hanging = [Held::toaster(&lab, "a"), Held::toaster(&lab, "b")];
    for held in &mut hanging {
        held.session.ask(&held.resource, "hang", json!([]));
    }
    wait_until("both hang", || story(&lab).iter().filter(|word| *word == "hang").count() == 2);
    let mut third = Held::toaster(&lab, "c");
    assert_eq!(third.result("echo", json!([1])), 1);
    assert_eq!(lab.available(), [""; 0]);
    drop(hanging);
    lab.wait_available(&["a", "b"]);
}

#[test]
fn p_6_a_driver_killed_in_a_call_costs_its_piece_alone_until_it_is_reset() {
    let lab = plan(json!({}), &[("a", ""), ("b", "")]).start();
    let (mut held, mut bystander) = (Held::toaster(&lab, "a"), Held::toaster(&lab, "b"));
    let pid = held.pid();
    held.session.ask(&held.resource, "hang", json!([]));
    wait_until("it hangs", || story(&lab).contains(&"hang".to_owned()));
    kill_process(pid, Signal::KILL).expect("a process");
    let (kind, message) = raised(&held.session.reply().expect("an answer"));
    let how = "the driver of toaster:a ended by itself with signal: 9 (SIGKILL)";
    assert_eq!((kind.as_str(), message), ("Exception", format!("{how}; the piece is out until it is reset")));
    assert_eq!(bystander.result("echo", json!([1])), 1);
    drop((held, bystander));
    lab.wait_available(&["b"]);
    let known = || lab.admin().result("list_equipment", json!([any("toaster")]))[0].clone();
    wait_until("its reason is visible", || {
        known()["broken"] == "its driver ended by itself with signal: 9 (SIGKILL)"
    });
    lab.admin().result("reset_equipment", json!([{"type": "toaster", "uid": "a"}]));
    lab.wait_available(&["a", "b"]);
    assert_eq!(Held::toaster(&lab, "a").result("echo", json!([2])), 2);
}

#[test]
fn p_8_a_call_beyond_its_limit_is_a_timeout_and_p_10_the_reset_brings_the_piece_back() {
    let further = json!({"limits": {"open_s": 30, "call_s": 3}, "reset": {"method": "reset"}});
    let lab = plan(further, &[("a", "")]).start();
    let mut held = Held::toaster(&lab, "a");
    let pid = held.pid();
    let (kind, message) = raised(&held.call("hang", json!([])));
    assert!(kind == "Timeout" && message.contains("hang() took longer than 3 s"), "{message}");
    wait_until("it is gone", || !runs(pid));
    assert_eq!(raised(&held.call("echo", json!([]))).1, message);
    assert_eq!(held.session.result("get_version", json!([])), 1, "the session goes on");
    drop(held);
    lab.wait_available(&["a"]);
    assert_eq!(story(&lab), ["open", "hang", "open", "reset", "end"]);
}

#[test]
fn p_9_a_lazy_piece_is_granted_before_its_driver_is_ready_and_the_first_call_waits() {
    let lab = plan(json!({"open": "lazy"}), &[("a", "waits while opening")]).start();
    let mut held = Held::toaster(&lab, "a");
    held.session.ask(&held.resource, "echo", json!([7]));
    wait_until("the driver opens", || story(&lab) == ["open"]);
    assert_eq!(lab.admin().result("get_version", json!([])), 1, "the broker waits for nobody");
    fs::write(lab.home().join("go"), "").expect("a file");
    assert_eq!(held.session.reply().expect("an answer")["result"], 7);
}

#[test]
fn p_6_a_driver_that_does_not_open_refuses_in_its_own_words_or_in_the_brokers() {
    let lab = plan(json!({}), &[("a", "refuses"), ("b", "dies while opening")]).start();
    let refused = lab.client().call("get", json!([{"type": "toaster", "uid": "a"}]));
    assert_eq!(raised(&refused), ("Offline".to_owned(), "no such cable".to_owned()));
    assert_eq!(refused["exception"]["cable"], 7); // P-11
    let refused = raised(&lab.client().call("get", json!([{"type": "toaster", "uid": "b"}])));
    assert!(refused.1.contains("exit status: 1: no module named luck"), "{refused:?}");
    lab.wait_available(&["a"]);
}

#[test]
fn p_6_a_killed_broker_leaves_no_driver_behind_for_long() {
    let mut lab = plan(json!({}), &[("a", ""), ("b", "")]).start();
    let (mut waiting, mut busy) = (Held::toaster(&lab, "a"), Held::toaster(&lab, "b"));
    let (waits, hangs) = (waiting.pid(), busy.pid());
    busy.session.ask(&busy.resource, "hang", json!([]));
    wait_until("it hangs", || story(&lab).contains(&"hang".to_owned()));
    lab.kill();
    wait_until("one that waits for a call sees the end of its input", || !runs(waits));
    assert!(runs(hangs), "nobody was there to end it");
    lab.restart();
    wait_until("both can be had again", || lab.available() == ["a", "b"]);
    assert!(!runs(hangs), "it is gone before its piece is lent");
    assert_eq!(Held::toaster(&lab, "b").result("echo", json!([1])), 1);
}
