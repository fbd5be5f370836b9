//! Clients as scripts are: they come, borrow, give back and go, over the blocking client.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use ave_client::{Broker, Connection, Credential, Options};
use ave_profile::{Profile, Want};
use ave_protocol::arguments::Arguments;
use ave_protocol::message::Request;
use serde_json::json;

use crate::figure::{Figure, percentile_ms};

const SLICE: Duration = Duration::from_millis(700);
/// How many times a piece is got in a row.
pub(crate) const ROUNDS: usize = 5_000;
const ENDS: usize = 1_000;
/// As long as the frame of a small request.
const ECHOED: &[u8] = b"\x00\x00\x00\x3cconnect, get one resource, disconnect: as long as a request.";

/// Somebody without a key.
pub(crate) fn broker(address: &str) -> Broker {
    Broker::new(host_and_port(address), Credential::Anonymous, Options::default())
}

/// Any of the pieces of type `wlan`.
pub(crate) fn any_piece() -> Want {
    Want { groups: vec![vec![Profile::of(json!({"type": "wlan"}))]] }
}

/// How many times a second so many clients connect, get one piece and disconnect.
pub(crate) fn cycles(clients: usize, broker: &str) -> f64 {
    rate(clients, || cycle(broker))
}

/// How many times a second so many clients connect to the echo and are answered as often.
pub(crate) fn echo_cycles(clients: usize, echo: &str) -> f64 {
    rate(clients, || echo_cycle(echo))
}

fn cycle(address: &str) {
    broker(address).get(&any_piece()).expect("a free piece");
}

/// `get` makes two connections and hears two answers on each, the first of which is the challenge.
fn echo_cycle(address: &str) {
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).expect("the echo listens");
        stream.set_nodelay(true).expect("a socket has that option");
        (0..2).for_each(|_| echo(&mut stream));
        streams.push(stream);
    }
}

fn echo(stream: &mut TcpStream) {
    let mut answer = [0; ECHOED.len()];
    stream.write_all(ECHOED).and_then(|()| stream.read_exact(&mut answer)).expect("the echo answers");
}

fn rate(clients: usize, cycle: impl Fn() + Sync) -> f64 {
    let together = Barrier::new(clients);
    let client = || {
        together.wait();
        let begin = Instant::now();
        let mut count = 0;
        while begin.elapsed() < SLICE {
            cycle();
            count += 1;
        }
        f64::from(count) / begin.elapsed().as_secs_f64()
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().expect("a client that does not fail")).sum()
    })
}

/// Getting a piece and giving it back, by a client that is there already: four requests and answers. How long
/// getting it took each time, and figures of both together.
pub(crate) fn get_and_yield(address: &str, echo_address: &str) -> (Vec<Duration>, [Figure; 2]) {
    let mut broker = broker(address);
    let mut stream = TcpStream::connect(echo_address).expect("the echo listens");
    stream.set_nodelay(true).expect("a socket has that option");
    let (mut got, mut took, mut echoed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        echoed.push(timed(|| (0..4).for_each(|_| echo(&mut stream))));
        took.push(timed(|| {
            let begin = Instant::now();
            let grants = broker.get(&any_piece()).expect("a free piece");
            got.push(begin.elapsed());
            let profiles = grants.into_iter().map(|grant| grant.profile).collect();
            broker.yield_resources(profiles).expect("what was got can be given back");
        }));
    }
    let figures =
        [("get and yield, warm, p50", 0.5), ("get and yield, warm, p99", 0.99)].map(|(name, share)| {
            let us = |times| percentile_ms(times, share) * 1e3;
            Figure::new(name, us(&mut took), "us").beside(us(&mut echoed))
        });
    (got, figures)
}

/// From a client's end until the next one has got its equipment, connecting included.
pub(crate) fn end_until_next(address: &str) -> f64 {
    let the_one = Want { groups: vec![vec![Profile::of(json!({"type": "beryllium", "uid": "one"}))]] };
    let mut holder = broker(address);
    holder.get(&the_one).expect("nobody holds it yet");
    let ends = (0..ENDS).map(|_| {
        timed(|| {
            holder.close();
            while {
                holder = broker(address);
                holder.get(&the_one).is_err() // busy, and the end of that client too
            } {}
        })
    });
    percentile_ms(&mut ends.collect::<Vec<_>>(), 0.99)
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

/// Connects so many clients, each of which makes one call, and keeps them until stdin ends. A role of its
/// own, so that none of this is the broker's memory.
pub(crate) fn hold(address: &str, method: &str, count: usize) -> io::Result<()> {
    let arguments = match method {
        "get" => Arguments::positional([Profile::of(json!({"type": "wlan"}))]),
        _ => Arguments::default(),
    };
    let request = Request::new(method, arguments);
    let (host, port) = host_and_port(address);
    let mut held = Vec::new();
    for _ in 0..count {
        let guest = Connection::open((&host, port), &Credential::Anonymous, &Options::default());
        let mut guest = guest.map_err(io::Error::other)?;
        guest.call(&request).map_err(io::Error::other)?;
        held.push(guest);
    }
    println!("held {}", held.len());
    io::copy(&mut io::stdin(), &mut io::sink()).map(drop)
}

fn host_and_port(address: &str) -> (String, u16) {
    let address: std::net::SocketAddr = address.parse().expect("a process says where it listens");
    (address.ip().to_string(), address.port())
}
