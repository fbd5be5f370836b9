//! How long the core takes to find a share for a request, and to take in a share's change, with one share
//! and with a hundred, of 1,000 pieces each.
//!
//! Prints one JSON line per figure; the ratio is that of the medians, to one share. Fails on nothing: what
//! counts is the whole `get`, which `pytests/bench_network.py` measures.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ave_core::{Core, Effect, Event, Moment, Report, SharedPiece, Taken, Toward};
use ave_profile::{Address, BrokerId, KindTable, LinkId, Profile, RequestId, SessionId, Value, Want};
use serde_json::json;

const SHARES: [u64; 2] = [1, 100];
const PIECES: u64 = 1_000;
const ROUNDS: usize = 2_000;

type Ask = fn(shares: u64) -> serde_json::Value;

const MIXES: [(&str, Ask); 3] = [
    ("by id, of the last share", |shares| json!([{"type": "relay", "uid": format!("{}-7", shares - 1)}])),
    ("only the last share has one left", |_| json!([{"type": "relay"}])),
    ("impossible", |_| json!([{"type": "relay", "uid": "nowhere"}])),
];

fn main() {
    let mut one = Vec::new();
    for shares in SHARES {
        let mut core = lab(shares);
        for (nth, (name, ask)) in MIXES.iter().enumerate() {
            let p50 = median((0..ROUNDS).map(|_| round(&mut core, ask(shares))));
            one.push(p50);
            print(&format!("{name}, {shares} shares"), p50, p50 / one[nth]);
        }
        let p50 = median((0..ROUNDS).map(|nth| change(&mut core, nth as u64 % shares)));
        one.push(p50);
        print(&format!("a change, {shares} shares"), p50, p50 / one[MIXES.len()]);
    }
}

/// All pieces of all shares but the last are taken.
fn lab(shares: u64) -> Core {
    let mut core = Core::new(KindTable::builtin(), BrokerId(1));
    for share in 0..shares {
        let changed = (0..PIECES).map(|nth| piece(share, nth, share + 1 < shares)).collect();
        report(&mut core, share, Report { changed, ..Report::default() });
    }
    core
}

fn piece(share: u64, nth: u64, is_taken: bool) -> SharedPiece {
    let profile = Arc::new(Profile::of(json!({"type": "relay", "uid": format!("{share}-{nth}"),
        "power_state": "online", "circuits": {"usb.pc.vcc": 1, "handset.battery": 2}})));
    let taken = Taken { profile: profile.clone(), collateral: Vec::new() };
    SharedPiece { profile, taken: is_taken.then_some(taken).into_iter().collect(), origin: Arc::default() }
}

fn report(core: &mut Core, share: u64, report: Report) {
    let (share, link) = (Address::new(&format!("lab-{share:03}"), 4000), LinkId(share));
    let event = Event::ShareReported { share, link, broker: None, report, request: None };
    core.apply(Moment::default(), event);
}

fn round(core: &mut Core, want: serde_json::Value) -> Duration {
    let session = SessionId(1);
    core.apply(Moment::default(), Event::SessionOpened { session });
    let arguments = Value::from(want);
    let want = Want::of_get(arguments.as_list().expect("wants are written as lists"));
    let event = Event::Asked { session, request: RequestId(0), want, nonce: 0, via: Vec::new() };
    let start = Instant::now();
    let effects = black_box(core.apply(Moment::default(), black_box(event)));
    let took = start.elapsed();
    assert!(matches!(effects[..], [Effect::AskPeer { .. }] | [Effect::End { .. }, _]), "{effects:?}");
    core.apply(Moment::default(), Event::SessionEnded { session });
    took
}

/// One piece changes; whoever this broker shares with is told.
fn change(core: &mut Core, share: u64) -> Duration {
    let before = core.revision();
    let changed = vec![piece(share, 7, true)];
    let start = Instant::now();
    report(core, share, Report { changed, ..Report::default() });
    black_box(core.news(before, &Toward::default(), 256));
    let took = start.elapsed();
    report(core, share, Report { changed: vec![piece(share, 7, false)], ..Report::default() });
    took
}

fn median(rounds: impl Iterator<Item = Duration>) -> f64 {
    let mut took: Vec<Duration> = rounds.collect();
    took.sort_unstable();
    took[took.len() / 2].as_secs_f64() * 1e6
}

fn print(what: &str, p50: f64, ratio: f64) {
    let round = |figure: f64| (figure * 100.0).round() / 100.0;
    let figure = format!("shares: {what}, p50");
    println!("{}", json!({"figure": figure, "value": round(p50), "unit": "us", "ratio": round(ratio)}));
}
