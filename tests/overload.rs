//! Too many of everything: whoever is too many is told so, and everybody else is served as ever.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ave_client::ClientError;
use ave_protocol::arguments::Arguments;
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::{ADMIN, Lab, Peer, any, framed, names, only, raised, request, wait_until};

/// A lab with two pieces and these limits.
fn lab(limits: Value) -> Lab {
    Lab::having(&["h1", "r1"]).broker(json!({"limits": limits})).start()
}

/// Connects without a key, and says what the broker says instead of the verdict.
fn refusal(lab: &Lab) -> String {
    let mut peer = Peer::challenged(lab.address());
    peer.send(&peer.digest(""));
    let (kind, message) = raised(&peer.reply().expect("a reason"));
    assert_eq!(kind, "Exception");
    assert!(peer.ends());
    message
}

/// A client gets a piece, uses it and is gone.
fn is_served(lab: &Lab) {
    let mut client = lab.client();
    let got = client.get(json!([any("relay")]));
    assert_eq!(names(&got["resources"]), ["r1"]);
    Peer::session_of(&got).result_on(&only("r1"), "get_profile", json!([]));
    client.close();
    wait_until("the relay is free again", || lab.available().contains(&"r1".to_owned()));
}

#[test]
fn who_is_too_many_is_told_so_and_an_administrator_still_gets_in() {
    const MANY: usize = 8;
    let lab = lab(json!({"connections_max": MANY}));
    let mut clients: Vec<_> = (0..MANY).map(|_| lab.client()).collect();
    let got = clients[0].get(json!([only("h1")]));
    let told = "too many connections: the limit is 8 (limits.connections_max)";
    assert_eq!(refusal(&lab), told);
    let refused = lab.broker().call("list_allocations", Arguments::default());
    assert!(matches!(&refused, Err(ClientError::Fault(fault)) if fault.message == told), "{refused:?}");
    // Who administers, and who holds something, gets in all the same.
    assert_eq!(lab.list("list_allocations_all"), ["h1"]);
    Peer::session_of(&got).result_on(&only("h1"), "get_profile", json!([]));
    assert_eq!(Peer::connect(lab.address(), ADMIN).result("get_version", json!([])), 1);
    clients.pop().expect("a client").close();
    wait_until("there is room again", || {
        let mut peer = Peer::challenged(lab.address());
        peer.send(&peer.digest(""));
        peer.reply().expect("a verdict or a reason").get("authenticated").is_some()
    });
    assert_eq!(names(&clients[0].result("list_allocations", json!([]))), ["h1"]);
    let log = lab.stop();
    assert_eq!(log.matches("connections are refused").count(), 1, "{log}");
}

#[test]
fn a_host_has_so_many_sessions_and_no_more() {
    let lab = lab(json!({"sessions_per_host_max": 2}));
    let mut first = lab.client();
    first.get(json!([only("h1")]));
    let mut second = lab.client();
    assert_eq!(second.result("list_allocations", json!([])), json!([]));
    let mut third = lab.client();
    let (kind, message) = third.get_refused(json!([only("r1")]));
    assert_eq!(kind, "Exception");
    let told = "too many sessions of host 127.0.0.1: the limit is 2 (limits.sessions_per_host_max)";
    assert_eq!(message, told);
    assert_eq!(lab.list("list_available"), ["r1"], "nothing is lent, and who has a key needs no session");
    first.close();
    wait_until("another session may begin", || {
        third.call("get", json!([only("r1")])).get("result").is_some()
    });
    assert_eq!(lab.list("list_allocations_all"), ["r1"]);
}

#[test]
fn of_idle_strangers_only_so_many_stay_and_whoever_answers_gets_in() {
    const STAY: usize = 50;
    const COME: usize = 500;
    let lab = lab(json!({"unauthenticated_max": STAY}));
    let mut idle = Vec::new();
    for _ in 0..COME {
        idle.push(Peer::challenged(lab.address()));
        if idle.len() % 100 == 0 {
            is_served(&lab);
        }
    }
    assert_eq!(idle.len(), COME);
    for stranger in &mut idle[..COME - STAY] {
        let (_, message) = raised(&stranger.reply().expect("a reason"));
        assert!(message.contains("at most 50 may wait (limits.unauthenticated_max)"), "{message}");
        assert!(stranger.ends());
    }
    let late = idle.pop().expect("a stranger");
    assert_eq!(answer(late).result("get_version", json!([])), 1, "who is among the last still can");
}

/// Answers the challenge at last.
fn answer(mut stranger: Peer) -> Peer {
    stranger.send(&stranger.digest(""));
    stranger.read_verdict()
}

#[test]
fn frames_wait_for_room_and_short_ones_need_none() {
    const LONG: usize = 1 << 20;
    let lab = lab(json!({"frame_bytes_max": LONG, "queued_bytes_max": LONG}));
    let mut hog = lab.client();
    hog.send_raw(&framed(&vec![b' '; LONG])[..LONG - 1000]);
    is_served(&lab);
    let mut client = lab.client();
    let long = request("get_version", Value::Null, json!(["x".repeat(LONG / 2)])).to_string();
    client.send(long.as_bytes());
    is_served(&lab);
    hog.close();
    assert_eq!(raised(&client.reply().expect("an answer")).0, "TypeError");
}

#[test]
fn an_answer_for_which_there_is_no_room_is_an_answer_that_says_so() {
    const LONG: usize = 1 << 20;
    let lab = lab(json!({"frame_bytes_max": LONG, "queued_bytes_max": LONG}));
    let mut client = lab.client();
    // Six bytes for every two.
    let reply = client.call(&"\u{e5}".repeat(LONG / 3), json!([]));
    let told = "too many bytes wait to be sent: the limit is 1048576 (limits.queued_bytes_max)";
    assert_eq!(raised(&reply), ("Exception".to_owned(), told.to_owned()));
    assert_eq!(client.result("get_version", json!([])), 1);
    is_served(&lab);
}

/// So many calls of a well-behaved client, each of which must succeed, and how long they took.
fn calls(lab: &Lab) -> Duration {
    const CALLS: usize = 200;
    let begun = Instant::now();
    let mut client = lab.client();
    for _ in 0..CALLS {
        let got = client.get(json!([any("relay")]));
        client.result("yield_resources", got["resources"].clone());
    }
    begun.elapsed()
}

#[test]
fn hostile_clients_of_every_kind_leave_the_others_their_calls() {
    let lab = lab(json!({"unauthenticated_max": 2000}));
    let quiet = calls(&lab);
    let (over, hasty) = (AtomicBool::new(false), AtomicUsize::new(0));
    let request = framed(request(&"x".repeat(100_000), Value::Null, json!([])).to_string().as_bytes());
    thread::scope(|scope| {
        // Another host, with hundreds that say nothing, and as many that connect and leave.
        for _ in 0..2 {
            scope.spawn(|| {
                let mut silent = std::collections::VecDeque::new();
                while !over.load(Ordering::Relaxed) {
                    silent.extend(from_elsewhere(lab.address()));
                    hasty.fetch_add(1, Ordering::Relaxed);
                    if silent.len() > 300 {
                        silent.pop_front();
                    }
                }
            });
        }
        // Some that begin frames and send a byte now and then, and some that read no answers.
        let mut slow: Vec<_> = (0..50).map(|_| lab.client().into_stream()).collect();
        let deaf: Vec<_> = (0..50).map(|_| lab.client().into_stream()).collect();
        for mut stream in &deaf {
            stream.set_nonblocking(true).expect("a socket");
            while stream.write(&request).is_ok_and(|written| written == request.len()) {}
        }
        let over = &over;
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                for stream in &mut slow {
                    stream.write_all(&[0]).expect("a connection");
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        let _ends = Ends(over);
        wait_until("they are at it", || hasty.load(Ordering::Relaxed) > 1200);
        let beset = calls(&lab);
        let ratio = beset.as_secs_f64() / quiet.as_secs_f64();
        println!("200 gets and yields: quiet {quiet:?}, beset {beset:?}, ratio {ratio:.1}");
    });
    is_served(&lab);
}

/// A connection from another host, as far as a broker can tell.
fn from_elsewhere(address: SocketAddr) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).ok()?;
    socket.connect_timeout(&address.into(), Duration::from_secs(1)).ok()?;
    Some(socket.into())
}

/// Lets the hostile ones go, whatever happens.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
