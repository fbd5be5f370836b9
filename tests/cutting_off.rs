//! `close_session`: whatever a holder is doing, it is cut off at once, and what it held is free. (46)

use std::fs;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::plugins::{Held, plan, runs, story};
use crate::sessions::{both, busy};
use crate::support::{Lab, Manner, Original, Peer, any, assert_within, only, pieces, raised, wait_until};

/// How long an administrator waits at most for what does not close.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The key of the client's session.
fn key(client: &mut Peer) -> String {
    Peer::address_of(&client.get(json!([]))).1
}

/// Has an administrator close the session.
fn close(lab: &Lab, key: &str) {
    let begun = Instant::now();
    assert_eq!(lab.admin().result("close_session", json!([key])), Value::Null);
    assert_within(AT_ONCE, begun);
}

fn says_that_it_is_closed(reply: Option<Value>) {
    assert_eq!(raised(&reply.expect("an answer")).1, "session closed");
}

#[test]
fn a_running_tool_dies_and_open_proxies_end_46() {
    for lab in both(&["h1"]) {
        let mut client = lab.client();
        let got = client.get(json!([any("workspace"), only("h1")]));
        let (mut busy, mut idle) = (busy(&lab, &got), Peer::session_of(&got));
        idle.result_on(&only("h1"), "get_profile", json!([]));
        close(&lab, &Peer::address_of(&got).1);
        assert!(busy.ends() && idle.ends());
        assert_eq!(lab.available(), ["h1"]);
        let left = fs::read_dir(lab.home().join("workspaces")).expect("the root").count();
        assert_eq!(left, 0, "no workspace is left, nor anything that ran there");
        says_that_it_is_closed(Some(client.call("list_allocations", json!([]))));
    }
}

#[test]
fn a_driver_in_the_middle_of_a_call_dies_46() {
    let lab = plan(json!({}), &[("a", "")]).start();
    let mut held = Held::toaster(&lab, "a");
    let pid = held.pid();
    held.session.ask(&held.resource, "hang", json!([]));
    wait_until("it hangs", || story(&lab).contains(&"hang".to_owned()));
    let key = key(&mut held.client);
    close(&lab, &key);
    assert!(held.session.ends());
    wait_until("the driver is dead", || !runs(pid));
    lab.wait_available(&["a"]);
}

#[test]
fn a_client_whose_equipment_is_opening_hears_of_it_46() {
    let lab = plan(json!({}), &[("a", "waits while opening")]).start();
    let mut client = lab.client();
    let key = key(&mut client);
    client.ask(&Value::Null, "get", json!([{"type": "toaster", "uid": "a"}]));
    wait_until("it opens", || story(&lab) == ["open"]);
    close(&lab, &key);
    says_that_it_is_closed(client.reply());
    assert_eq!(lab.available(), [""; 0], "nobody else gets what is still opening");
    fs::write(lab.home().join("go"), "").expect("a file");
    lab.wait_available(&["a"]);
}

#[test]
fn a_client_that_waits_for_another_broker_hears_of_it_46() {
    let far = Original::of(pieces(&["h9"]));
    far.behave(Manner::Holding);
    let lab = Lab::having(&["h1"]).forward(far.address()).start();
    let mut client = lab.client();
    let key = Peer::address_of(&client.get(json!([only("h1")]))).1;
    client.ask(&Value::Null, "get", json!([only("h9")]));
    far.wait_heard("get");
    close(&lab, &key);
    says_that_it_is_closed(client.reply());
    assert_eq!(lab.available(), ["h1"]);
}

#[test]
fn a_session_that_is_closing_already_can_be_closed_and_so_can_one_by_two_at_once_46() {
    let lab = plan(json!({"limits": {"open_s": 30, "close_s": 6}}), &[("a", "ignores the end")]).start();
    let mut held = Held::toaster(&lab, "a");
    let key = key(&mut held.client);
    let mut admins = [lab.admin(), lab.admin()];
    for admin in &mut admins {
        admin.ask(&Value::Null, "close_session", json!([key]));
    }
    for admin in &mut admins {
        assert_eq!(admin.reply(), Some(json!({"result": null})));
    }
    assert!(held.session.ends());
    assert_eq!(lab.available(), [""; 0], "it is still closing");
    close(&lab, &key);
    wait_until("nothing is left of it", || {
        let reply = lab.admin().call("close_session", json!([key]));
        reply.get("exception").is_some_and(|exception| exception["type"] == "KeyError")
    });
}
