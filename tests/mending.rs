//! What cannot be closed, seen from the command line: shown with its reason, and reset.

use std::fs;

use ave_simulated::{Answer, Board};
use serde_json::{Value, json};

use crate::support::{Bus, Lab, Peer, wait_until};

/// What `ave-broker` ended with and printed.
fn run(lab: &Lab, options: &[&str]) -> (Option<i32>, String) {
    let ended = lab.command().args(options).output().expect("it runs");
    (ended.status.code(), String::from_utf8(ended.stdout).expect("text"))
}

#[test]
fn a_broken_piece_is_shown_and_reset_from_the_command_line_220() {
    let lab = Lab::plan().start();
    let mut client = lab.client();
    let uid = client.get(json!([{"type": "workspace"}]))["resources"][0]["uid"].clone();
    let named = format!("workspace={}", uid.as_str().expect("a uid"));
    let healthy = run(&lab, &["--reset", &named]);
    assert_eq!(healthy.0, Some(1), "{healthy:?}");
    assert!(
        healthy.1.starts_with("ERROR: could not reset: ") && healthy.1.contains("is not broken"),
        "{healthy:?}"
    );
    // Without its mark a workspace cannot be removed as it should.
    fs::remove_file(lab.home().join(".ave/state/workspaces").join(uid.as_str().expect("a uid")))
        .expect("a mark");
    client.close();
    let broken = || {
        let (_, listed) = run(&lab, &["--list-all", "--json"]);
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        listed
            .as_array()
            .expect("a list")
            .iter()
            .find(|piece| piece["uid"] == uid)
            .map(|piece| piece["broken"].clone())
    };
    wait_until("the workspace is broken", || broken().is_some_and(|reason| reason.is_string())); // 219
    assert_eq!(run(&lab, &["--reset", &named]), (Some(0), format!("{} is reset\n", named.replace('=', ":"))));
    assert_eq!(broken(), None);
    for (wrong, why) in [("workspace", "wanted TYPE=IDENTITY"), ("toaster=1", "no such type")] {
        let (status, text) = run(&lab, &["--reset", wrong]);
        assert!(status == Some(1) && text.contains(&format!("ERROR: --reset {wrong}: {why}")), "{text}");
    }
}

#[test]
fn a_relay_that_lies_is_broken_until_it_speaks_the_truth_221() {
    let (bus, board) = (Bus::new(), Board::new().expect("a board"));
    bus.plug("00099001", "ttyACM0", &board);
    let groups = json!({"*": {"groups": {"left": {"usb.pc.vcc": 2}}, "defaults": [1, 1, 1, 1, 1, 1, 1, 1]}});
    let lab = Lab::plan().broker(bus.members()).devantech(groups).start();
    lab.wait_available(&["00099001.left"]);
    let mut client = lab.client();
    let got = client.get(json!([{"type": "relay", "circuits": ["usb.pc.vcc"]}]));
    let relay = &got["resources"][0];
    Peer::session_of(&got).result_on(relay, "set_circuit", json!(["usb.pc.vcc", false]));
    board.answers(Answer::Falsely);
    client.close();
    let shown = || run(&lab, &["--list-all"]).1;
    wait_until("the relay is broken", || shown().contains("    broken  "));
    assert_eq!(run(&lab, &["--reset", "relay=00099001.left"]).0, Some(1), "it still lies");
    assert!(lab.available().is_empty());
    board.answers(Answer::Truly);
    lab.wait_available(&["00099001.left"]);
    assert!(!shown().contains("broken"));
}
