//! Framing, handshake and connections. (10.1)
//!
//! The mean of a call's latency (22) is a figure of `make bench`; that nothing delays small frames is
//! asserted where sockets are made.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;
use std::{fs, thread};

use ave_client::{ClientError, Connection, Credential, Options};
use ave_protocol::arguments::Arguments;
use ave_protocol::handshake::Secret;
use ave_protocol::message::Request;
use serde_json::{Value, json};

use crate::support::{
    ADMIN, Lab, PATIENCE, Peer, SHARE, framed, free_ports, only, piece_with, raised, request, wait_until,
};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

#[test]
fn a_challenge_has_31_bytes_and_no_two_have_the_same_salt_1_2() {
    let lab = Lab::of(&[], &[]);
    let salts: Vec<_> = (0..3).map(|_| Peer::challenged(lab.address()).salt).collect();
    assert!(salts.iter().all(|salt| salt.len() == 31 && salt.starts_with(b"#CHALLENGE#")));
    assert!(salts[0] != salts[1] && salts[1] != salts[2]);
}

#[test]
fn every_configured_key_is_let_in_as_its_own_account_3_4_7() {
    let keys = json!({"admin": ADMIN, "share": SHARE, "guest": "å"});
    let lab = Lab::plan().authkeys(keys).start();
    for (key, lists, reports) in [(ADMIN, true, false), (SHARE, false, true), ("å", false, false)] {
        let mut peer = Peer::connect(lab.address(), key);
        assert!(peer.authenticated, "{key}");
        let refusal = "not authorized to make this call";
        assert_eq!(peer.call("list_stacks", json!([])) != json!({"exception": refusal}), lists, "{key}");
        let report = peer.call("add_equipment", json!(["local", []]));
        assert_eq!(report != json!({"exception": refusal}), reports, "{key}");
    }
}

#[test]
fn an_unknown_key_leaves_the_connection_usable_5() {
    let lab = Lab::of(&[], &[]);
    let mut peer = Peer::connect(lab.address(), "nobody's");
    assert!(!peer.authenticated);
    assert_eq!(peer.result("get_profile", json!([]))["type"], "broker");
}

#[test]
fn after_a_failed_attempt_a_new_connection_gets_in_6() {
    let lab = Lab::of(&[], &[]);
    assert!(!Peer::connect(lab.address(), "wrong").authenticated);
    assert!(lab.admin().authenticated);
}

#[test]
fn handshakes_do_not_wait_for_each_other_8() {
    let lab = Lab::of(&[], &[]);
    let mut first = Peer::challenged(lab.address());
    let mut second = Peer::challenged(lab.address());
    second.send(&second.digest(ADMIN));
    assert!(second.read_verdict().authenticated);
    first.send(&first.digest(ADMIN));
    assert!(first.read_verdict().authenticated);
}

#[test]
fn a_peer_may_vanish_at_any_step_of_the_handshake_9() {
    let lab = Lab::of(&["h1"], &[]);
    for sent in [0, 2, 4, 10, 20] {
        let mut peer = Peer::challenged(lab.address());
        let digest = framed(&peer.digest(""));
        peer.send_raw(&digest[..sent]);
        peer.close();
    }
    assert_eq!(lab.list("list_allocations_all"), [""; 0]);
    assert_eq!(lab.client().get(json!([only("h1")]))["resources"][0]["serial"], "h1");
}

#[test]
fn a_digest_of_an_impossible_length_is_a_failed_attempt_10() {
    let lab = Lab::of(&[], &[]);
    for length in [0, 1, 15, 17, 31, 97, 4096] {
        let mut peer = Peer::challenged(lab.address());
        peer.send(&vec![b'x'; length]);
        let mut peer = peer.read_verdict();
        assert!(!peer.authenticated, "{length} bytes");
        assert_eq!(peer.result("get_version", json!([])), 1, "{length} bytes");
    }
}

#[test]
fn a_digest_in_four_pieces_is_understood_and_so_is_a_request_11_12() {
    let lab = Lab::of(&[], &[]);
    let mut peer = Peer::challenged(lab.address());
    let digest = framed(&peer.digest(ADMIN));
    send_in_four_pieces(&mut peer, &digest);
    let mut peer = peer.read_verdict();
    assert!(peer.authenticated);
    let request = request("get_version", Value::Null, json!([])).to_string();
    send_in_four_pieces(&mut peer, &framed(request.as_bytes()));
    assert_eq!(peer.reply(), Some(json!({"result": 1})));
}

/// Header and payload, each in two; every piece has left before the next is written.
fn send_in_four_pieces(peer: &mut Peer, frame: &[u8]) {
    for piece in [&frame[..1], &frame[1..4], &frame[4..9], &frame[9..]] {
        peer.send_raw(piece);
    }
}

#[test]
fn an_answer_thirty_times_the_sockets_buffer_arrives_whole_13() {
    let long = "å\u{1}\"x".repeat(30 * 16_384 / 4);
    let lab = Lab::with(json!([piece_with("h1", json!({"long": long}))]), json!([]));
    let mut admin = lab.admin();
    admin.ask(&Value::Null, "list_equipment", json!([]));
    let answer = admin.receive().expect("an answer");
    assert!(answer.len() > 30 * 16_384 && answer.is_ascii());
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    assert_eq!(answer["result"][0]["long"], long);
}

/// Scaled down: the same 90 clients at once and the same megabyte both ways, one call each instead of more
/// than a thousand.
#[test]
fn a_megabyte_each_way_works_for_90_clients_at_once_14() {
    let lab = Lab::of(&[], &[]);
    let method = "x".repeat(1_000_000);
    let request = framed(request(&method, Value::Null, json!([])).to_string().as_bytes());
    let expected = format!("{{\"exception\": \"no such RPC: {method}\"}}").into_bytes();
    let mut peers: Vec<_> = (0..90).map(|_| lab.client()).collect();
    let (all_but_the_end, end) = request.split_at(request.len() - 1);
    // All requests are on their way before the first one is complete.
    for peer in &mut peers {
        peer.send_raw(all_but_the_end);
    }
    for peer in &mut peers {
        peer.send_raw(end);
    }
    for mut peer in peers {
        assert!(peer.receive().expect("an answer") == expected);
    }
}

#[test]
fn a_frame_beyond_the_limit_is_an_overflow_error_and_the_end_15() {
    let lab = Lab::of(&["h1"], &[]);
    for header in [[0x80, 0, 0, 0], [0xff; 4], [0x7f, 0xff, 0xff, 0xff]] {
        let mut peer = lab.client();
        peer.get(json!([only("h1")]));
        peer.send_raw(&header);
        let answer = peer.reply().expect("an answer");
        let message = "got invalid RPC from client, signed integer is greater than maximum. disconnect";
        assert_eq!(raised(&answer), ("OverflowError".to_owned(), message.to_owned()));
        assert!(peer.ends());
        lab.wait_available(&["h1"]); // its session ended with it
    }
}

#[test]
fn an_empty_frame_is_malformed_and_costs_nothing_16() {
    let lab = Lab::of(&[], &[]);
    let mut peer = lab.client();
    peer.send(b"");
    assert_eq!(peer.reply(), Some(json!({"exception": "malformed JSON: "})));
    peer.send_raw(&[0, 0]); // and half a header after it
    assert_idle(&lab);
    assert_eq!(lab.client().result("get_version", json!([])), 1);
}

#[test]
fn the_end_of_a_client_costs_no_cpu_time_afterwards_76() {
    let lab = Lab::of(&["h1"], &[]);
    let mut peer = lab.client();
    peer.get(json!([only("h1")]));
    peer.close();
    lab.wait_available(&["h1"]);
    assert_idle(&lab);
}

/// Somebody who spins would use a whole processor. Time has to pass for that to be seen.
fn assert_idle(lab: &Lab) {
    let before = lab.cpu_time();
    thread::sleep(Duration::from_millis(300));
    let spent = lab.cpu_time() - before;
    assert!(spent < Duration::from_millis(100), "{spent:?}");
}

#[test]
fn digest_and_first_request_may_come_together_17() {
    let lab = Lab::of(&[], &[]);
    let mut peer = Peer::challenged(lab.address());
    let request = request("list_stacks", Value::Null, json!([])).to_string();
    let both = [framed(&peer.digest(ADMIN)), framed(request.as_bytes())].concat();
    peer.send_raw(&both);
    let mut peer = peer.read_verdict();
    assert!(peer.authenticated);
    assert_eq!(peer.reply(), Some(json!({"result": []})));
}

fn open(port: u16, options: &Options) -> Result<Connection, ClientError> {
    Connection::open(("127.0.0.1", port), &Credential::Anonymous, options)
}

#[test]
fn without_patience_a_port_nobody_listens_on_is_refused_18() {
    let (port, _) = free_ports();
    assert!(matches!(open(port, &Options::default()), Err(ClientError::Refused)));
}

#[test]
fn with_patience_a_broker_that_comes_up_in_time_is_found_19() {
    let (port, _) = free_ports();
    let options = Options { connect_limit: Some(PATIENCE), optimistic: true, ..Options::default() };
    let client =
        thread::spawn(move || open(port, &options)?.call(&Request::new("get_version", Arguments::default())));
    let _lab = Lab::plan().broker(json!({"port": port})).start();
    assert_eq!(client.join().expect("a client").expect("a version"), 1_i64.into());
}

#[test]
fn the_broker_starts_and_stops_ten_times_in_a_row_on_one_port_21() {
    let (port, _) = free_ports();
    let plan = Lab::plan().broker(json!({"port": port}));
    for _ in 0..10 {
        let mut lab = plan.clone().start();
        assert_eq!(lab.address().port(), port);
        lab.admin().ask(&Value::Null, "stop", json!([]));
        wait_until("the broker has ended", || lab.has_ended());
    }
}

#[test]
fn keepalive_is_on_for_connections_of_the_broker_and_of_sessions_23() {
    let lab = Lab::plan().equipment(json!([piece_with("h1", json!({}))])).session_ports().start();
    let mut peer = lab.client();
    let session = Peer::session_of(&peer.get(json!([only("h1")])));
    let streams = [peer, session].map(Peer::into_stream);
    for stream in &streams {
        let (ours, theirs) = (stream.local_addr().expect("ours"), stream.peer_addr().expect("theirs"));
        let mut due = 0;
        wait_until("keepalive's timer is the one that runs", || {
            let (timer, hundredths) = timer(theirs, ours);
            due = hundredths;
            timer == 2
        });
        assert!(due <= 500, "{due}");
    }
}

/// Which timer of a socket is running, and in how many hundredths of a second it is due.
fn timer(local: SocketAddr, remote: SocketAddr) -> (u8, u64) {
    let hex = |address: SocketAddr| format!("0100007F:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("the table of sockets");
    let row = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = row.into_iter().find(|row| row[1] == hex(local) && row[2] == hex(remote));
    let (timer, due) = row.expect("the broker's socket")[5]
        .split_once(':')
        .map(|(timer, due)| {
            (timer.parse().expect("a number"), u64::from_str_radix(due, 16).expect("a number"))
        })
        .expect("a timer");
    (timer, due)
}

/// In part: shares do not exist yet.
#[test]
fn a_server_that_closes_each_connection_is_unreachable_for_clients_24() {
    let listener = TcpListener::bind((LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let rejecting = thread::spawn(move || drop(listener.accept()));
    let outcome = open(port, &Options::default());
    assert!(matches!(outcome, Err(ClientError::Closed)), "{:?}", outcome.err());
    rejecting.join().expect("it rejects");
}

#[test]
fn our_own_client_proves_keys_in_both_forms_and_speaks_both_encodings_3_4() {
    use ave_protocol::message::Encoding;
    let lab = Lab::of(&[], &[]);
    let account = |name: Option<&str>| Credential::Account {
        name: name.map(str::to_owned),
        key: Secret::new(ADMIN.to_owned()),
    };
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        for original_answer in [false, true] {
            for name in [None, Some("admin")] {
                let options = Options { encoding: Some(encoding), original_answer, ..Options::default() };
                let address = ("127.0.0.1", lab.address().port());
                let mut admin = Connection::open(address, &account(name), &options).expect("a broker");
                assert!(admin.authenticated().expect("a verdict"));
                let stacks = admin.call(&Request::new("list_stacks", Arguments::default()));
                assert_eq!(stacks.expect("stacks"), json!([]).into());
            }
        }
        let mut nobody = Connection::open(
            ("127.0.0.1", lab.address().port()),
            &account(Some("share")),
            &Options::default(),
        )
        .expect("a broker");
        assert!(!nobody.authenticated().expect("a verdict"), "a key opens its own account only");
        let refused = nobody.call(&Request::new("list_stacks", Arguments::default()));
        assert!(
            matches!(refused, Err(ClientError::Plain(text)) if text == "not authorized to make this call")
        );
    }
}
