//! Requests, replies and exceptions. (10.2)
//!
//! That a service ends after `Exit` has no cause here: units with a driver that says so are tested where
//! sessions are made. `Restarting` has its tests in `restart.rs`.

use std::time::Duration;

use ave_client::{ClientError, Connection, Credential, Options};
use ave_profile::Value as Wire;
use ave_protocol::arguments::Arguments;
use ave_protocol::handshake::Secret;
use ave_protocol::message::Request;
use serde_json::{Value, json};

use crate::support::{ADMIN, Lab, Peer, any, only, piece, plain, raised, request};

/// A connection to the broker, one to a session, and the client that keeps the session.
fn broker_and_session(lab: &Lab) -> (Peer, Peer, Peer) {
    let mut client = lab.client();
    let session = Peer::session_of(&client.get(json!([only("h1")])));
    (lab.client(), session, client)
}

#[test]
fn a_result_is_bare_and_null_where_there_is_none_25() {
    let lab = Lab::of(&[], &[]);
    let mut admin = lab.admin();
    admin.ask(&Value::Null, "get_version", json!([]));
    assert_eq!(admin.receive().expect("a reply"), br#"{"result": 1}"#);
    admin.ask(&Value::Null, "drop_all_shares", json!([]));
    assert_eq!(admin.receive().expect("a reply"), br#"{"result": null}"#);
}

#[test]
fn what_is_no_object_in_json_is_malformed_and_echoed_26() {
    let lab = Lab::of(&["h1"], &[]);
    let (mut broker, mut session, _client) = broker_and_session(&lab);
    for peer in [&mut broker, &mut session] {
        for payload in ["", "{", "no", "[1, 2]", "17", "\"text\"", "null", "{\"method\": }"] {
            peer.send(payload.as_bytes());
            assert_eq!(peer.reply(), Some(json!({"exception": format!("malformed JSON: {payload}")})));
        }
        peer.send(&[b'x'; 1000]);
        let echo = format!("malformed JSON: {}", "x".repeat(200));
        assert_eq!(peer.reply(), Some(json!({"exception": echo})));
        assert_eq!(peer.result("get_version", json!([])), 1);
    }
}

#[test]
fn missing_members_are_named_in_order_27() {
    let lab = Lab::of(&["h1"], &[]);
    let (mut broker, mut session, _client) = broker_and_session(&lab);
    let missing = |name: &str| json!({"exception": format!("the \"{name}\" attribute is missing")});
    assert_eq!(broker.request(&json!({})), missing("method"));
    assert_eq!(broker.request(&json!({"params": {}})), missing("method"));
    assert_eq!(broker.request(&json!({"method": "no such"})), missing("params"));
    assert_eq!(session.request(&json!({})), missing("resource"));
    assert_eq!(session.request(&json!({"resource": null})), missing("method"));
    assert_eq!(session.request(&json!({"resource": null, "method": "no such"})), missing("params"));
}

#[test]
fn an_async_flag_that_is_no_boolean_is_refused_28() {
    let lab = Lab::of(&["h1"], &[]);
    let (mut broker, mut session, _client) = broker_and_session(&lab);
    for peer in [&mut broker, &mut session] {
        for flag in [json!(1), json!("true"), Value::Null] {
            let mut bad = request("get_version", Value::Null, json!([]));
            bad["async"] = flag;
            let reply = peer.request(&bad);
            assert!(plain(&reply).starts_with("RPC async flag is not a boolean: {"), "{reply}");
        }
    }
}

#[test]
fn an_unknown_method_is_named_whatever_its_name_29_30_31() {
    let lab = Lab::of(&["h1"], &[]);
    let (mut broker, mut session, _client) = broker_and_session(&lab);
    for peer in [&mut broker, &mut session] {
        for name in ["no_such", "", "åäö \u{1f30d}", "__init__", "serve_forever"] {
            let reply = peer.call(name, json!([]));
            assert_eq!(reply, json!({"exception": format!("no such RPC: {name}")}));
        }
    }
    let internal = broker.call("run", json!([]));
    assert!(plain(&internal).starts_with("not an RPC: "), "{internal}");
    assert_eq!(session.call("run", json!([])), json!({"exception": "no such RPC: run"}));
}

#[test]
fn missing_arguments_are_malformed_32() {
    let lab = Lab::of(&["h1"], &[]);
    let (mut broker, mut session, _client) = broker_and_session(&lab);
    for peer in [&mut broker, &mut session] {
        for params in [json!({}), json!({"vargs": []}), json!({"kwargs": {}}), json!(1), json!([[], {}])] {
            let bad = json!({"method": "get_version", "resource": null, "params": params});
            let reply = peer.request(&bad);
            assert!(plain(&reply).starts_with("malformed arguments"), "{reply}");
        }
    }
}

#[test]
fn missing_rights_are_told_before_arguments_are_looked_at_33() {
    let lab = Lab::of(&[], &[]);
    let bad = json!({"method": "list_stacks", "params": {}});
    assert_eq!(lab.client().request(&bad), json!({"exception": "not authorized to make this call"}));
}

#[test]
fn an_exception_has_a_message_a_type_and_an_empty_trace_34_45_46() {
    let lab = Lab::of(&[], &[]);
    let reply = lab.admin().call("close_session", json!(["0123456789012345"]));
    assert_eq!(raised(&reply).0, "KeyError");
    assert_eq!(reply["exception"]["trace"], json!([]));
    let message = lab.client().get_refused(json!([any("toaster")])).1;
    assert_eq!(message, "unknown profile type \"toaster\"");
}

#[test]
fn a_message_may_hold_any_text_35() {
    let lab = Lab::of(&[], &[]);
    let mut client = lab.client();
    let (_, message) = client.get_refused(json!([any("smörgås 🌍")]));
    assert_eq!(message, "unknown profile type \"smörgås 🌍\"");
}

#[test]
fn a_wrong_number_of_arguments_is_an_exception_and_the_session_lives_on_36() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    let mut session = Peer::session_of(&got);
    assert_eq!(raised(&client.call("list_allocations", json!([1]))).0, "TypeError");
    assert_eq!(raised(&session.call("yield_resources", json!([]))).0, "TypeError");
    assert_eq!(raised(&session.call("get_version", json!([1]))).0, "TypeError");
    let h1 = &got["resources"][0];
    assert_eq!(raised(&session.call_on(h1, "get_profile", json!([1]))).0, "TypeError");
    let unknown = json!({"method": "list_allocations", "params": {"vargs": [], "kwargs": {"x": 1}}});
    assert_eq!(raised(&client.request(&unknown)).0, "TypeError");
    assert_eq!(session.result_on(h1, "get_profile", json!([]))["serial"], "h1");
}

/// Everybody may do everything here.
fn open_lab() -> Lab {
    Lab::plan().authkeys(json!({"admin": null, "share": null})).start()
}

fn silently(method: &str, vargs: Value) -> Vec<u8> {
    let mut request = request(method, Value::Null, vargs);
    request["async"] = json!(true);
    request.to_string().into_bytes()
}

#[test]
fn an_asynchronous_call_is_not_answered_whatever_becomes_of_it_37_38() {
    let lab = open_lab();
    let mut client = lab.client();
    client.send(&silently("list_stacks", json!([]))); // succeeds
    client.send(&silently("close_session", json!(["nobody's"]))); // fails
    client.send(&silently("no such", json!([])));
    client.send(br#"{"async": true}"#);
    assert_eq!(client.result("get_version", json!([])), 1);
}

#[test]
fn calls_of_one_connection_are_made_in_the_order_sent_39() {
    let lab = open_lab();
    let mut client = lab.client();
    for pretty in ["one", "two", "three"] {
        let mut h1 = piece("h1");
        h1["pretty"] = json!(pretty);
        client.send(&silently("add_equipment", json!(["local", [h1]])));
    }
    assert_eq!(client.result("list_equipment", json!([]))[0]["pretty"], "three");
}

/// A connection to the session of a grant, with a limit for each reply.
fn impatient(granted: &Value, limit: Option<Duration>) -> Connection {
    let (address, key) = Peer::address_of(granted);
    let credential = Credential::Session { id: None, key: Secret::new(key) };
    let options = Options { reply_limit: limit, ..Options::default() };
    Connection::open(("127.0.0.1", address.port()), &credential, &options).expect("a session")
}

fn sleep(granted: &Value, seconds: &str) -> Request {
    let arguments = Arguments::positional([Wire::from(json!(["sleep", seconds]))]);
    Request { resource: granted["resources"][0].clone().into(), ..Request::new("run", arguments) }
}

/// Scaled down: half a second in the place of two.
#[test]
fn a_reply_is_waited_for_as_long_as_the_client_wants_and_others_are_not_affected_40_41() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    let granted = client.get(json!([any("workspace")]));
    let outcome = impatient(&granted, None).call(&sleep(&granted, "0.5"));
    assert!(outcome.is_ok(), "{outcome:?}");
    let outcome = impatient(&granted, Some(Duration::from_millis(50))).call(&sleep(&granted, "60"));
    assert!(matches!(outcome, Err(ClientError::TimedOut)), "{outcome:?}");
    assert_eq!(lab.client().get(json!([only("h1")]))["resources"][0]["serial"], "h1");
}

#[test]
fn unknown_members_of_a_request_are_ignored_42() {
    let lab = Lab::of(&[], &[]);
    let mut odd = request("get_version", Value::Null, json!([]));
    odd["via"] = json!(["a", {"b": [null]}]);
    odd["priority"] = json!(9);
    assert_eq!(lab.client().request(&odd), json!({"result": 1}));
}

#[test]
fn any_bytes_in_a_result_are_valid_json_43() {
    let lab = Lab::of(&[], &[]);
    let mut client = lab.client();
    let granted = client.get(json!([any("workspace")]));
    let workspace = &granted["resources"][0];
    let mut session = Peer::session_of(&granted);
    let script = r"printf '\001\033\377\000\200' > bytes";
    session.result_on(workspace, "run", json!([["sh", "-c", script]]));
    session.ask(workspace, "cat", json!(["bytes"]));
    let reply = session.receive().expect("a reply");
    assert!(reply.is_ascii());
    let reply: Value = serde_json::from_slice(&reply).expect("JSON");
    let text = reply["result"].as_str().expect("text");
    assert!(text.starts_with("\u{1}\u{1b}") && text.contains('\u{0}'), "{text:?}");
}

/// `Restarting` is tested with restarts; `Exit` has no cause here, `OverflowError` is an original client's matter.
#[test]
fn our_own_client_can_tell_exceptions_apart_44() {
    let lab = Lab::of(&["h1"], &[]);
    let mut holder = lab.client();
    let granted = holder.get(json!([only("h1"), any("workspace")]));
    for (want, kind) in [(only("h1"), "Busy"), (only("h2"), "NoSuch")] {
        let outcome = lab.broker().call("get", Arguments::positional([Wire::from(want)]));
        assert!(matches!(outcome, Err(ClientError::Fault(fault)) if fault.kind == kind));
    }
    let mut session = impatient(&granted, None);
    let workspace = Wire::from(granted["resources"][1].clone());
    let mut call = |method: &str, arguments: Value| {
        let arguments = Arguments::positional(arguments.as_array().expect("a list").clone());
        session.call(&Request { resource: workspace.clone(), ..Request::new(method, arguments) })
    };
    let late = call("run", json!([["sleep", "60"], 0.1]));
    assert!(matches!(late, Err(ClientError::Fault(fault)) if fault.kind == "Timeout"));
    let failed = call("download_git", json!(["/no/such/tree", "master"]));
    let Err(ClientError::Fault(fault)) = failed else { panic!("{failed:?}") };
    assert_eq!(fault.kind, "RunError");
    assert!(fault.details.contains_key("cmd") && fault.details.contains_key("out"), "{fault:?}");
}

#[test]
fn both_encodings_live_on_one_connection_and_a_reply_uses_its_requests() {
    let lab = Lab::of(&[], &[]);
    let mut admin = Peer::connect(lab.address(), ADMIN);
    let packed = b"\x82\xa6method\xabget_version\xa6params\x82\xa5vargs\x90\xa6kwargs\x80";
    admin.send(packed);
    assert_eq!(admin.receive().expect("a reply"), b"\x81\xa6result\x01");
    assert_eq!(admin.result("get_version", json!([])), 1);
    admin.send(packed);
    assert_eq!(admin.receive().expect("a reply"), b"\x81\xa6result\x01");
    // What cannot be read is answered in the last encoding that could.
    admin.send(b"\x81\xa1");
    let reply = admin.receive().expect("a reply");
    assert!(reply.starts_with(b"\x81\xa9exception"), "{}", String::from_utf8_lossy(&reply));
}
