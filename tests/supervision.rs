//! Tools that replace the broker by hand: `serialize`, `begin_handover`, `end_handover`. (7.2)

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::support::{Lab, only, piece, raised, wait_until};

/// A key and the descriptor that comes with it.
fn receive(socket: &UnixStream) -> (String, UnixStream) {
    let mut key = [0; 64];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut key)], &mut control, RecvFlags::CMSG_CLOEXEC)
        .expect("a key");
    let mut descriptors: Vec<OwnedFd> = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let [descriptor] = descriptors.try_into().expect("one descriptor");
    (String::from_utf8(key[..received.bytes].to_vec()).expect("a key"), UnixStream::from(descriptor))
}

#[test]
fn the_state_is_what_sessions_hold_of_this_host_c6() {
    let lab = Lab::of(&["h1", "r1", "h2"], &[&["h1", "r1"]]);
    let mut client = lab.client();
    let _idle = lab.client();
    let got = client.get(json!([piece("h1")]));
    let state = lab.admin().result("serialize", json!([]));
    let [(key, session)] = &Vec::from_iter(state.as_object().expect("sessions"))[..] else {
        panic!("{state}")
    };
    assert_eq!(**key, got["authkey"]);
    assert_eq!((&session["pid"], &session["address"]), (&json!(lab.pid()), &got["address"]));
    let allocation = &session["allocations"][0];
    assert_eq!(allocation["profile"], got["resources"][0]);
    assert_eq!(allocation["collateral"], json!([only("r1")]));
}

#[test]
fn a_reign_ended_by_hand_passes_on_each_session_and_ends_with_the_last_199() {
    let mut lab = Lab::of(&["h1", "h2"], &[]);
    let (mut client, mut admin) = (lab.client(), lab.admin());
    let got = client.get(json!([piece("h1")]));
    let begun = admin.result("begin_handover", json!([]));
    assert_eq!(begun[0].as_object().expect("a state").len(), 1);
    assert_eq!(begun[1]["type"], "broker");
    let path = begun[2].as_str().expect("a path");
    assert_eq!(std::fs::metadata(path).expect("a socket").permissions().mode() & 0o777, 0o600);
    assert_eq!(
        raised(&client.call("get", json!([piece("h2")]))),
        ("Restarting".into(), "broker is restarting".into())
    );
    let socket = UnixStream::connect(path).expect("somebody listens");
    assert_eq!(admin.result("end_handover", json!([5])), Value::Null);
    let (key, mut session) = receive(&socket);
    assert_eq!(key, got["authkey"]);
    client.close();
    assert_eq!(session.read(&mut [0]).expect("the end"), 0);
    let farewell = admin.reply().expect("a word before the end");
    assert_eq!(raised(&farewell), ("Exit".into(), "broker restarted. please reconnect".into()));
    wait_until("the broker has ended", || lab.has_ended());
    assert!(!std::path::Path::new(path).exists());
}

#[test]
fn a_reign_without_sessions_ends_at_once_201() {
    let mut lab = Lab::of(&["h1"], &[]);
    let mut admin = lab.admin();
    let begun = admin.result("begin_handover", json!([lab.home().to_str()]));
    assert_eq!(begun[0], json!({}));
    admin.call_in_vain("end_handover", json!([1]));
    wait_until("the broker has ended", || lab.has_ended());
}

#[test]
fn what_cannot_be_handed_over_stays() {
    let lab = Lab::of(&["h1"], &[]);
    let mut admin = lab.admin();
    let refused = |reply: &Value| raised(reply).1;
    let nowhere = lab.home().join("nowhere");
    let reply = admin.call("begin_handover", json!([nowhere.to_str()]));
    assert_eq!(refused(&reply), format!("directory not writable: {}", nowhere.display()));
    let reply = admin.call("begin_handover", json!([""]));
    assert_eq!(refused(&reply), "directory not writable: ", "who asks has another working directory");
    assert_eq!(refused(&admin.call("end_handover", json!([1]))), "call begin_handover() first");
    assert!(refused(&admin.call("begin_handover", json!([7]))).starts_with("wanted a directory"));
    lab.client().get(json!([piece("h1")]));
    admin.result("begin_handover", json!([]));
    assert!(!refused(&admin.call("begin_handover", json!([]))).is_empty());
    assert!(refused(&admin.call("end_handover", json!(["soon"]))).starts_with("wanted a timeout"));
}
