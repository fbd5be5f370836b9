//! What a client without any key may try against everybody else.

use serde_json::{Value, json};

use crate::support::{Lab, Peer};

/// One argument of `get` heavier than a broker compares.
const HEAVY: usize = 100_000;

#[test]
fn a_refusal_neither_floods_the_log_nor_writes_entries_of_its_own() {
    let lab = Lab::plan().start();
    let long = json!({"type": "relay", "uid": "x".repeat(100_000)});
    assert_eq!(Peer::connect(lab.address(), "").call("get", json!([long]))["exception"]["type"], "NoSuch");
    let mut forger = Peer::connect(lab.address(), "");
    let named = json!({"vargs": [], "kwargs": {"x\n2026 INFO forged": 1}});
    let request = json!({"method": "get", "resource": null, "params": named, "async": false});
    assert_eq!(forger.request(&request)["exception"]["type"], "TypeError");
    let mut silent = Peer::connect(lab.address(), "");
    let params = json!({"vargs": ["a session's key"]});
    silent.send(
        json!({"method": "get_version", "resource": null, "params": params, "async": true})
            .to_string()
            .as_bytes(),
    );
    assert_eq!(silent.call("get_version", json!([]))["result"], 1);
    let log = lab.stop();
    assert!(log.contains("refused") && log.contains("malformed arguments"), "{log}");
    assert!(log.lines().all(|line| line.len() < 2000), "a line is too long");
    assert!(!log.lines().any(|line| line.starts_with("2026 INFO forged")), "{log}");
    assert!(!log.contains("a session's key"), "{log}");
}

#[test]
fn what_is_too_much_to_compare_is_refused_before_it_is_compared() {
    let lab = Lab::plan().start();
    let circuits = vec!["usb.pc.vcc"; HEAVY];
    let mut client = Peer::connect(lab.address(), "");
    let refused = client.call("get", json!([{"type": "relay", "circuits": circuits}, {"type": "handset"}]));
    let message = refused["exception"]["message"].as_str().expect("a message");
    assert!(message.starts_with("too much in one call: at most 8192 "), "{message}");
    assert_eq!(client.call("list_allocations", json!([]))["exception"]["message"], "session closed");
    let mut client = Peer::connect(lab.address(), "");
    let many: Vec<Value> = (0..HEAVY).map(|nth| json!({"type": "relay", "uid": nth.to_string()})).collect();
    let refused = client.call("yield_resources", json!(many));
    let message = refused["exception"]["message"].as_str().expect("a message");
    assert!(message.starts_with("too much in one call: "), "{message}");
}
