//! Who may call what. (10.3)

use serde_json::{Value, json};

use crate::support::{ADMIN, Lab, Peer, SHARE, any, names, only, piece, pieces, plain, wait_until};

const REFUSED: &str = "not authorized to make this call";

fn refused() -> Value {
    json!({"exception": REFUSED})
}

#[test]
fn stop_is_refused_to_clients_and_ends_the_broker_for_an_admin_47() {
    let mut lab = Lab::of(&["h1"], &[]);
    assert_eq!(lab.client().call("stop", json!([])), refused());
    assert_eq!(Peer::connect(lab.address(), "wrong").call("stop", json!([])), refused());
    assert_eq!(lab.lister().call("stop", json!([])), refused());
    let mut admin = lab.admin();
    admin.ask(&Value::Null, "stop", json!([]));
    assert!([None, Some(json!({"result": true}))].contains(&admin.reply()));
    wait_until("the broker has ended", || lab.has_ended());
}

#[test]
fn without_an_admin_key_everybody_is_an_administrator_48() {
    for keys in [json!({"admin": null, "share": SHARE}), json!({"share": SHARE}), json!({})] {
        let lab = Lab::plan().authkeys(keys).start();
        let mut anybody = lab.client();
        for call in ["list_equipment", "list_available", "list_allocations_all", "serialize"] {
            assert!(anybody.call(call, json!([])).get("result").is_some(), "{call}");
        }
    }
}

#[test]
fn where_an_account_has_no_key_unknown_keys_are_let_in_49() {
    let lab = Lab::plan().authkeys(json!({"admin": null, "share": SHARE})).start();
    let mut stranger = Peer::connect(lab.address(), "nobody's");
    assert!(!stranger.authenticated);
    assert_eq!(stranger.result("list_stacks", json!([])), json!([]));
    // It might be a client that wants to stop a session which has ended, not the broker.
    assert_eq!(stranger.call("stop", json!([])), refused());
}

#[test]
fn a_key_of_another_account_is_refused_50_51() {
    let lab = Lab::plan().authkeys(json!({"admin": ADMIN, "share": SHARE, "guest": "guest key"})).start();
    for key in [SHARE, "guest key", "nobody's", ""] {
        let mut peer = Peer::connect(lab.address(), key);
        for call in ["list_stacks", "list_equipment", "list_available", "list_allocators", "stop"] {
            assert_eq!(peer.call(call, json!([])), refused(), "{call} with {key:?}");
        }
    }
    for key in [ADMIN, "guest key", "nobody's", ""] {
        let mut peer = Peer::connect(lab.address(), key);
        for call in ["add_equipment", "set_equipment", "set_stacks", "set_ws_profile", "add_workspaces"] {
            assert_eq!(peer.call(call, json!(["local", []])), refused(), "{call} with {key:?}");
        }
    }
    assert_eq!(lab.lister().result("add_equipment", json!(["local", [piece("h1")]])), Value::Null);
    assert_eq!(lab.available(), ["h1"]);
}

#[test]
fn what_all_clients_hold_is_shown_to_administrators_only_52() {
    let lab = Lab::of(&["h1", "r1"], &[&["h1", "r1"]]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    for call in ["list_allocations_all", "list_collateral_all"] {
        assert_eq!(client.call(call, json!([])), refused(), "{call}");
        assert_eq!(lab.lister().call(call, json!([])), refused(), "{call}");
    }
    assert_eq!(lab.list("list_allocations_all"), ["h1"]);
    assert_eq!(lab.list("list_collateral_all"), ["r1"]);
}

#[test]
fn get_as_administrator_ends_the_connection_without_an_answer_53() {
    let lab = Lab::of(&["h1"], &[]);
    for key in [ADMIN, SHARE] {
        for call in ["get", "get_resource", "get_resources", "get_multi_resources"] {
            Peer::connect(lab.address(), key).call_in_vain(call, json!([only("h1")]));
        }
    }
    assert_eq!(lab.available(), ["h1"]);
}

#[test]
fn an_administrator_has_no_session_54() {
    let lab = Lab::of(&["h1"], &[]);
    let mut admin = lab.admin();
    for (call, arguments) in [
        ("list_allocations", json!([])),
        ("list_collateral", json!([])),
        ("yield_resources", json!([only("h1")])),
    ] {
        let reply = admin.call(call, arguments);
        assert_eq!(reply["exception"]["message"], "session closed", "{call}");
        assert_eq!(reply["exception"]["type"], "Exception", "{call}");
    }
}

#[test]
fn get_profile_tells_everybody_everything_but_the_key_55() {
    let remote = json!({"host": "localhost", "port": 4000, "policy": "share", "authkey": "a shared secret"});
    let stacks = json!([[only("h1"), only("r1")]]);
    let lab = Lab::plan().broker(json!({"stacks": stacks, "remote": remote})).start();
    for _ in 0..2 {
        let profile = lab.client().result("get_profile", json!([]));
        assert_eq!(profile["type"], "broker");
        assert_eq!(profile["host"], "127.0.0.1");
        assert!(profile.get("port").is_some());
        assert_eq!(profile["stacks"], stacks);
        assert_eq!(profile["remote"], json!({"host": "localhost", "port": 4000, "policy": "share"}));
    }
}

#[test]
fn serialize_and_handover_are_for_administrators_57() {
    let lab = Lab::of(&[], &[]);
    for call in ["serialize", "begin_handover", "end_handover"] {
        assert_eq!(plain(&lab.client().call(call, json!([]))), REFUSED, "{call}");
    }
    assert_eq!(lab.admin().result("serialize", json!([])), json!({}));
    assert_eq!(lab.admin().call("begin_handover", json!([7]))["exception"]["type"], "Exception");
}

#[test]
fn without_a_sharing_rule_the_sharing_calls_do_nothing() {
    let lab = Lab::of(&["h1"], &[]);
    let mut admin = lab.admin();
    for call in ["start_sharing", "stop_sharing", "restart_sharing", "drop_all_shares"] {
        assert_eq!(admin.result(call, json!([])), Value::Null, "{call}");
    }
    assert_eq!(admin.result("drop_share", json!([["nowhere", 4000]])), Value::Null);
    assert_eq!(admin.result("list_shares", json!([])), json!([]));
    assert_eq!(admin.result("list_allocators", json!([])), json!(["local"]));
    assert_eq!(lab.available(), ["h1"]);
}

#[test]
fn no_key_is_logged_or_shown_58() {
    let lab = Lab::plan().equipment(pieces(&["h1"])).start();
    let mut client = lab.client();
    let (_, key) = Peer::address_of(&client.get(json!([only("h1")])));
    let mut admin = lab.admin();
    // `serialize` names sessions by their keys, to an administrator. (7.2)
    for call in ["list_allocations_all", "get_profile", "list_shares", "get_status"] {
        let shown = admin.call(call, json!([])).to_string();
        for secret in [ADMIN, SHARE, &key] {
            assert!(!shown.contains(secret), "{call} shows {secret}");
        }
    }
    admin.result("close_session", json!([key]));
    admin.call("close_session", json!(["a wrong key"]));
    client.get_refused(json!([any("handset")]));
    let log = lab.stop();
    assert!(log.contains("h1"), "the log tells what happened: {log}");
    for secret in [ADMIN, SHARE, &key] {
        assert!(!log.contains(secret), "the log shows {secret}");
    }
}

#[test]
fn bad_reports_are_refused_whole_and_say_why() {
    let lab = Lab::of(&["h1"], &[]);
    let mut lister = lab.lister();
    let mut refused = |call: &str, arguments: Value| {
        let reply = lister.call(call, arguments);
        let text = |name: &str| reply["exception"][name].as_str().unwrap_or_default().to_owned();
        (text("type"), text("message"))
    };
    let exception = |message: &str| ("Exception".to_owned(), message.to_owned());
    let missing = refused("add_equipment", json!(["local", [piece("h2"), any("handset")]]));
    assert_eq!(missing, ("KeyError".to_owned(), "serial".to_owned()));
    for bad in [json!({"serial": "h2"}), any("toaster")] {
        let (kind, message) = refused("add_equipment", json!(["local", [piece("h2"), bad]]));
        assert_eq!(kind, "Exception");
        assert!(message.starts_with("invalid profile: "), "{message}");
    }
    let (_, message) = refused("add_equipment", json!([["elsewhere", 4000], [piece("h2")]]));
    assert!(message.contains("set_equipment()"), "{message}");
    let stacks = refused("set_stacks", json!(["local", ["h1"]]));
    assert_eq!(stacks, exception("stacks must be a list of list of profiles"));
    let (_, message) = refused("set_ws_profile", json!(["local", {"type": "workspace", "uid": "x"}]));
    assert!(message.starts_with("cannot set generic workspace profile with uid: "), "{message}");
    for obsolete in ["add_workspaces", "remove_workspaces"] {
        assert!(refused(obsolete, json!(["local", []])).1.contains("obsolete"), "{obsolete}");
    }
    assert_eq!(names(&lab.admin().result("list_equipment", json!([]))), ["h1"]);
    assert_eq!(lab.admin().result("list_shares", json!([])), json!([]));
}
