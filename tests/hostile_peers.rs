//! What other brokers may do out of malice: it costs those who deal with them, and nobody else. What merely
//! slow or broken ones cost is in `bad_peers`.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};

use crate::support::{
    ADMIN, Client, Lab, Peer, SHARE, any, framed, names_of, only, piece, piece_with, pieces, wait_until, with,
};

/// The key of every session that an impostor names.
const KEY: &str = "an impostor's key";

/// Whatever connects is answered by a function of method and arguments; whoever it is, it is let in.
struct Impostor(SocketAddr);

impl Impostor {
    fn new(answer: impl Fn(SocketAddr, &str, &Value) -> Value + Send + Sync + 'static) -> Impostor {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let answer = Arc::new(move |method: &str, asked: &Value| answer(address, method, asked));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let answer = answer.clone();
                thread::spawn(move || serve(stream, &*answer));
            }
        });
        Impostor(address)
    }

    /// Lends whatever it is asked for, as this.
    fn lending(lent: Value) -> Impostor {
        Impostor::new(move |address, method, asked| match method {
            "get" => with(entry(address), json!({"resources": asked})),
            "get_resources" => json!([with(entry(address), json!({"profile": lent}))]),
            _ => json!(1),
        })
    }

    /// Shares these pieces with a lab, for as long as the connection lasts.
    fn share(&self, lab: &Lab, pieces: Value) -> Peer {
        let mut share = lab.lister();
        share.result("set_equipment", json!([["127.0.0.1", self.0.port()], pieces, {}]));
        share
    }
}

fn entry(address: SocketAddr) -> Value {
    json!({"address": ["127.0.0.1", address.port()], "authkey": KEY})
}

/// One connection, until it ends.
fn serve(mut stream: TcpStream, answer: &dyn Fn(&str, &Value) -> Value) -> Option<()> {
    stream.write_all(&framed(&[&b"#CHALLENGE#"[..], &[7; 20]].concat())).ok()?;
    read(&mut stream)?;
    stream.write_all(&framed(br#"{"authenticated": true}"#)).ok()?;
    loop {
        let request: Value = serde_json::from_slice(&read(&mut stream)?).ok()?;
        let answer = answer(request["method"].as_str()?, &request["params"]["vargs"]);
        let reply = if answer.get("exception").is_some() { answer } else { json!({"result": answer}) };
        stream.write_all(&framed(reply.to_string().as_bytes())).ok()?;
    }
}

fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some(payload)
}

/// What our own kind says of a piece.
fn told(profile: Value, path: usize) -> Value {
    let path: Vec<String> = (0..path).map(|n| format!("{n:016x}")).collect();
    json!({"profile": profile, "taken": [], "holder": null, "path": path})
}

fn update(changed: Value) -> Value {
    json!([["s", 4000], {"whole": false, "changed": changed, "gone": []}])
}

#[test]
fn nothing_that_one_share_says_stops_what_its_master_shares_upwards() {
    let top = Lab::of(&[], &[]);
    let middle = Lab::having(&["h1"]).share(top.address()).start();
    let mut share = middle.lister();
    // The top would be one broker further than a word may come.
    share.result("share_update", update(json!([told(piece("n1"), 16), told(piece("n2"), 1)])));
    top.wait_listed(&["h1", "n2"]);
    // Each of these is not too much, but all of them are more than one message may say.
    for nth in 3..10 {
        let heavy = piece_with(&format!("n{nth}"), json!({"much": vec![json!({}); 65_000]}));
        share.result("share_update", update(json!([told(heavy, 1)])));
    }
    middle.admin().result("restart_sharing", json!([])); // now they are all to be told at once
    top.wait_listed(&["h1", "n2", "n3", "n4", "n5", "n6", "n7", "n8", "n9"]);
    // Two shares may put a piece into so many stacks, but not one.
    let stacks: Vec<_> =
        (3..43).map(|nth| json!([only("n2"), {"type": "relay", "uid": nth.to_string()}])).collect();
    let mut other = middle.lister();
    for (peer, host) in [(&mut share, "s"), (&mut other, "t")] {
        peer.result("set_stacks", json!([[host, 4000], stacks]));
        peer.result("set_equipment", json!([[host, 4000], [piece("n2")], {}]));
    }
    share.result("set_equipment", json!([["s", 4000], pieces(&["n2", "r1"]), {}]));
    top.wait_listed(&["h1", "n2", "r1"]);
    let log = top.stop();
    assert_eq!(log.matches("a share has joined").count(), 2, "once for each start: {log}");
}

#[test]
fn a_broker_that_lends_more_than_a_piece_is_not_believed() {
    let top = Lab::of(&[], &[]);
    let middle = Lab::having(&["h1"]).share(top.address()).start();
    let nested = (0..100).fold(json!(1), |inner, _| json!([inner]));
    for much in [json!(vec![0; 100_000]), nested] {
        let impostor = Impostor::lending(piece_with("n1", json!({"much": much})));
        let _share = impostor.share(&middle, pieces(&["n1"]));
        top.wait_listed(&["h1", "n1"]);
        let mut client = Client::of(&middle);
        let (class, message) = client.refused(json!([only("n1")]));
        assert!(class == "Exit" && message.starts_with("Broker connection failed"), "{class}: {message}");
        assert_eq!(Client::of(&middle).lent_one(only("h1")).name, "h1");
    }
    top.wait_listed(&["h1"]);
}

/// 58: keys are secrets, whoever they belong to.
#[test]
fn what_peers_say_neither_fills_nor_forges_the_log_58() {
    let lab = Lab::of(&["h1"], &[]);
    let forged = "\u{1b}[31m\nFORGED\u{9b}2J";
    let texts = [forged.to_owned(), "n".repeat(100_000)];
    for text in &texts {
        let lent = json!({"type": "wlan", "uid": text});
        let impostor = Impostor::lending(lent.clone());
        let _share = impostor.share(&lab, json!([lent]));
        assert_eq!(Client::of(&lab).lent_one(lent.clone()).name, *text);
    }
    for text in &texts {
        let refusal = json!({"exception": {"type": text, "message": text, "group": u64::MAX, KEY: KEY}});
        let impostor = Impostor::new(move |_, _, _| refusal.clone());
        let _share = impostor.share(&lab, pieces(&["n1"]));
        let (_, message) = Client::of(&lab).refused(json!([only("n1")]));
        let beginning = &text[..text.len().min(10_000)];
        assert!(message.contains(beginning), "the client may hear it, if not all of it");
    }
    let mut share = lab.lister();
    let refused = share.call("set_equipment", json!([[forged, 4000], pieces(&["n1"]), {}]));
    assert!(refused.get("exception").is_some(), "it would be listed as a holder");
    assert_eq!(Client::of(&lab).lent_one(only("h1")).name, "h1");
    drop(share);
    let log = lab.stop();
    assert!(log.contains("granted by another broker") && log.contains("refused by another broker"), "{log}");
    assert!(log.lines().all(|line| line.len() < 4000), "a line is too long");
    assert!(
        !log.lines().any(|line| line.starts_with("FORGED")) && !log.contains(['\u{1b}', '\u{9b}']),
        "{log}"
    );
    assert!([KEY, ADMIN, SHARE].iter().all(|key| !log.contains(key)), "{log}");
    assert!(!log.contains("panicked"), "{log}");
}

#[test]
fn a_door_that_leads_back_harms_nobody() {
    let lab = Lab::of(&["h1", "n1"], &[]);
    // An accomplice's session at the same broker: its key is known.
    let mut accomplice = lab.client();
    let held = accomplice.get(json!([only("h1")]));
    let doors = [
        held.clone(),
        with(held.clone(), json!({"authkey": "0000000000000000"})),
        with(held.clone(), json!({"address": ["127.0.0.1", 0]})),
        with(held, json!({"address": ["no such host.invalid", 1], "authkey": "k".repeat(1 << 20)})),
    ];
    for door in doors {
        let impostor = Impostor::new(move |_, method, _| match method {
            "get" => door.clone(),
            _ => json!(1),
        });
        let share = impostor.share(&lab, pieces(&["h2"]));
        let mut client = Client::of(&lab);
        let _ = client.get(json!([only("h2")])); // at most it is lent what the accomplice has
        assert_eq!(Client::of(&lab).lent_one(only("n1")).name, "n1");
        wait_until("n1 is free again", || lab.available().contains(&"n1".to_owned()));
        client.close();
        drop(share);
        lab.wait_listed(&["h1", "n1"]);
    }
    assert_eq!(accomplice.result("list_allocations", json!([])).as_array().expect("a list").len(), 1);
    accomplice.close();
    lab.wait_available(&["h1", "n1"]);
    assert_eq!(lab.list("list_allocations_all"), [""; 0]);
}

#[test]
fn shares_that_come_and_go_while_they_are_asked_leave_nothing_behind() {
    let master = Lab::of(&["n1"], &[]);
    let slave = Lab::having(&["h1", "h2"]).share(master.address()).start();
    master.wait_listed(&["n1", "h1", "h2"]);
    thread::scope(|scope| {
        let storm = scope.spawn(|| {
            let (mut above, mut below) = (master.admin(), slave.admin());
            for nth in 0..40 {
                match nth % 4 {
                    0 => drop(above.result("drop_all_shares", json!([]))),
                    1 => drop(below.result("stop_sharing", json!([]))),
                    2 => drop(below.result("restart_sharing", json!([]))),
                    _ => drop(below.result("start_sharing", json!([]))),
                }
            }
        });
        while !storm.is_finished() {
            let mut client = Client::of(&master);
            let lent = client.get(json!([[any("handset")], [only("n1")]]));
            assert!(lent.is_err() || names_of(&lent.expect("it is lent")).contains(&"n1"));
            client.close();
        }
    });
    slave.admin().result("start_sharing", json!([]));
    slave.wait_available(&["h1", "h2"]);
    master.wait_available(&["n1", "h1", "h2"]);
    assert_eq!(master.list("list_allocations_all"), [""; 0]);
}
