//! How long the core takes to decide: one `Asked`, from the event to its effects, the grant committed.
//!
//! Prints one JSON line per figure; the ratio is that of the medians, to 1,000 pieces. Fails on ratios
//! only: no mix may be more than five times slower with 1,000,000 pieces than with 1,000. The absolute
//! targets are for 100,000 pieces and stand beside them.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ave_core::{Core, Effect, Event, Moment, Source};
use ave_profile::{BrokerId, KindTable, Profile, RequestId, SessionId, Value, Want};
use serde_json::json;

const PIECES: [usize; 3] = [1_000, 100_000, 1_000_000];
/// The lab that the absolute targets are for.
const TARGET_PIECES: usize = PIECES[1];
const ROUNDS: usize = 5_000;
const WARM_UP: usize = 500;
/// How many times slower the largest lab may be than the smallest.
const RATIO_MAX: f64 = 5.0;
/// One relay and four handsets.
const STACK: usize = 5;
/// Who has everything that is taken beforehand.
const CROWD: SessionId = SessionId(0);

/// A way to ask.
struct Mix {
    name: &'static str,
    target_us: f64,
    is_granted: bool,
    /// How many stacks, from the first, are taken beforehand.
    taken: fn(stacks: usize) -> usize,
    want: fn(round: usize, pieces: usize) -> serde_json::Value,
}

/// In the order of how much is taken.
const MIXES: [Mix; 8] = [
    Mix { name: "one by id", target_us: 5.0, is_granted: true, taken: |_| 0, want: one_by_id },
    Mix { name: "one of many", target_us: 5.0, is_granted: true, taken: |_| 0, want: one_of_many },
    Mix { name: "one, impossible", target_us: 5.0, is_granted: false, taken: |_| 0, want: one_impossible },
    Mix { name: "stack by id", target_us: 20.0, is_granted: true, taken: |_| 0, want: stack_by_id },
    Mix {
        name: "stack, impossible",
        target_us: 20.0,
        is_granted: false,
        taken: |_| 0,
        want: stack_impossible,
    },
    Mix { name: "one of many, 99 % taken", target_us: 5.0, is_granted: true, taken: most, want: one_of_many },
    Mix {
        name: "stack of many, 99 % taken",
        target_us: 20.0,
        is_granted: true,
        taken: most,
        want: stack_of_many,
    },
    Mix {
        name: "stack, only the last is free",
        target_us: 20.0,
        is_granted: true,
        taken: |n| n - 1,
        want: stack_of_many,
    },
];

fn most(stacks: usize) -> usize {
    stacks - stacks.div_ceil(100)
}

/// Some handset, all over the lab.
fn some_handset(round: usize, pieces: usize) -> usize {
    round.wrapping_mul(7_919) % (pieces / STACK) * STACK + 1 + round % (STACK - 1)
}

fn one_by_id(round: usize, pieces: usize) -> serde_json::Value {
    json!([{"type": "handset", "serial": serial(some_handset(round, pieces))}])
}

fn one_of_many(_: usize, _: usize) -> serde_json::Value {
    json!([{"type": "handset", "platform": "android"}])
}

/// The piece is there, but not like that.
fn one_impossible(round: usize, pieces: usize) -> serde_json::Value {
    json!([{"type": "handset", "serial": serial(some_handset(round, pieces)), "platform": "symbian"}])
}

fn stack_by_id(round: usize, pieces: usize) -> serde_json::Value {
    json!([{"type": "handset", "serial": serial(some_handset(round, pieces))}, {"type": "relay"}])
}

fn stack_of_many(_: usize, _: usize) -> serde_json::Value {
    json!([{"type": "handset", "platform": "android"}, {"type": "relay", "circuits": ["usb.pc.vcc"]}])
}

/// Every stack has such a relay; none has two.
fn stack_impossible(_: usize, _: usize) -> serde_json::Value {
    json!([{"type": "relay", "circuits": ["usb.pc.vcc"]}, {"type": "relay", "circuits": ["usb.pc.vcc"]}])
}

fn serial(nth: usize) -> String {
    format!("CB{nth:08X}")
}

/// A profile, read from text as from a file.
fn piece(nth: usize) -> Profile {
    let json = if nth.is_multiple_of(STACK) {
        json!({"type": "relay", "uid": serial(nth), "power_state": "online",
            "circuits": {"usb.pc.vcc": 1, "handset.battery": 2}})
    } else {
        json!({"type": "handset", "serial": serial(nth), "power_state": "boot_completed",
            "pretty": format!("pretty-{}", nth % 100), "product.model": format!("C{}", nth % 1_000),
            "platform": if nth.is_multiple_of(2) { "android" } else { "firefox" },
            "sysfs_path": format!("/sys/devices/usb/{nth}"), "workstation": "bench", "sw.label": "ICS-BLUE-FF-130516-1131"})
    };
    serde_json::from_str(&json.to_string()).expect("an object is a profile")
}

fn short(nth: usize) -> Profile {
    Profile::of(if nth.is_multiple_of(STACK) {
        json!({"type": "relay", "uid": serial(nth)})
    } else {
        json!({"type": "handset", "serial": serial(nth)})
    })
}

/// A core, and who asks it next.
struct Lab {
    core: Core,
    pieces: usize,
    session: u64,
    crowded: usize,
}

impl Lab {
    fn new(pieces: usize) -> Lab {
        let mut lab =
            Lab { core: Core::new(KindTable::builtin(), BrokerId(1)), pieces, session: 0, crowded: 0 };
        let profiles = (0..pieces).map(piece).collect();
        lab.apply(Event::Reported { source: Source::File, profiles, request: None });
        let stacks = (0..pieces).step_by(STACK).map(|first| (first..first + STACK).map(short).collect());
        lab.apply(Event::StacksSet { stacks: stacks.collect() });
        lab.apply(Event::SessionOpened { session: CROWD });
        lab
    }

    fn apply(&mut self, event: Event) -> Vec<Effect> {
        self.core.apply(Moment::default(), event)
    }

    fn asked(&self, session: SessionId, json: serde_json::Value) -> Event {
        let arguments = Value::from(json);
        let want = Want::of_get(arguments.as_list().expect("wants are written as lists"));
        Event::Asked { session, request: RequestId(0), want, nonce: 0, via: Vec::new() }
    }

    /// Takes the first handset of so many stacks, from the first.
    fn crowd(&mut self, stacks: usize) {
        for stack in self.crowded..stacks {
            let event = self.asked(CROWD, json!([{"type": "handset", "serial": serial(stack * STACK + 1)}]));
            assert!(matches!(self.apply(event)[..], [Effect::Grant { .. }]), "stack {stack} is free");
        }
        self.crowded = stacks;
    }

    /// One request of a new client, timed; then everything is as before.
    fn round(&mut self, mix: &Mix, round: usize) -> Duration {
        self.session += 1;
        let session = SessionId(self.session);
        self.apply(Event::SessionOpened { session });
        let event = self.asked(session, (mix.want)(round, self.pieces));
        let start = Instant::now();
        let effects = black_box(self.core.apply(Moment::default(), black_box(event)));
        let took = start.elapsed();
        assert_eq!(
            matches!(effects[..], [Effect::Grant { .. }]),
            mix.is_granted,
            "{}: {effects:?}",
            mix.name
        );
        for effect in self.apply(Event::SessionEnded { session }) {
            let Effect::End { items, .. } = effect else { continue };
            for item in items {
                self.apply(Event::Closed { session, item, outcome: Ok(()) });
            }
        }
        took
    }

    /// Median and 99th percentile in microseconds.
    fn measure(&mut self, mix: &Mix) -> (f64, f64) {
        self.crowd((mix.taken)(self.pieces / STACK));
        let mut took: Vec<Duration> = (0..WARM_UP + ROUNDS).map(|round| self.round(mix, round)).collect();
        took.drain(..WARM_UP);
        took.sort_unstable();
        let at = |share: f64| took[(ROUNDS as f64 * share) as usize].as_secs_f64() * 1e6;
        (at(0.5), at(0.99))
    }
}

fn main() -> ExitCode {
    let mut smallest = Vec::new();
    let mut is_even = true;
    for pieces in PIECES {
        let mut lab = Lab::new(pieces);
        for (nth, mix) in MIXES.iter().enumerate() {
            let (p50, p99) = lab.measure(mix);
            if pieces == PIECES[0] {
                smallest.push(p50);
            }
            let ratio = p50 / smallest[nth];
            is_even &= ratio <= RATIO_MAX;
            let (target, ok) = match pieces {
                TARGET_PIECES => (Some(format!("at most {}", mix.target_us)), Some(p99 <= mix.target_us)),
                _ if pieces > TARGET_PIECES => {
                    (Some(format!("ratio at most {RATIO_MAX}")), Some(ratio <= RATIO_MAX))
                }
                _ => (None, None),
            };
            println!(
                "{}",
                json!({"figure": format!("decide: {}, {pieces} pieces, p99", mix.name), "value": round(p99),
                    "unit": "us", "p50": round(p50), "ratio": round(ratio),
                    "target": target, "ok": ok})
            );
        }
    }
    if !is_even {
        eprintln!(
            "decide: more than {RATIO_MAX} times slower with {} pieces than with {}",
            PIECES[2], PIECES[0]
        );
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn round(figure: f64) -> f64 {
    (figure * 100.0).round() / 100.0
}
