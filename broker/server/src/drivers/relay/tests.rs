//! Relays of an imitated board on a pipe: what sessions can do with them, and how they are left behind. What
//! the USB has to do with it is tested with the real binary, in `tests/relays.rs`.

use std::path::Path;
use std::sync::Mutex;

use ave_profile::Value;
use ave_protocol::arguments::Arguments;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::board::obey;
use super::boards::{ORDERS_MAX, Order};
use super::devantech::Devantech;
use super::*;
use crate::config::devantech::DevantechConfig;

const SERIAL: &str = "00099001";

/// One board, its relays, and what is known of them.
struct Bench {
    driver: RelayDriver,
    states: Arc<Mutex<u8>>,
    obeying: JoinHandle<(String, mpsc::Receiver<Order>)>,
}

/// Groups `left` (relays 2, 6) and `right` (relay 5), all on but relay 6 by default.
fn configuration() -> Json {
    json!({"*": {
        "groups": {"left": {"usb.pc.vcc": 2, "usb.wall.vcc": 6}, "right": {"usb.pc.vcc": 5}},
        "defaults": [1, 1, 1, 1, 1, 0, 1, 1],
    }})
}

/// Answers like a board until the pipe is closed; a stuck one answers but never switches.
async fn imitate(mut line: DuplexStream, states: Arc<Mutex<u8>>, stuck: bool) {
    while let Ok(byte) = line.read_u8().await {
        let now = *states.lock().unwrap();
        let next = match byte {
            0x5B => {
                let _ = line.write_u8(now).await;
                now
            }
            _ if stuck => now,
            0x65..=0x6C => now | 1 << (byte - 0x65),
            0x6F..=0x76 => now & !(1 << (byte - 0x6F)),
            other => panic!("no board understands {other:#x}"),
        };
        *states.lock().unwrap() = next;
    }
}

impl Bench {
    /// A board at its defaults.
    fn new() -> Bench {
        Bench::with(0b1101_1111, false)
    }

    fn with(states: u8, stuck: bool) -> Bench {
        let driver = RelayDriver { boards: Arc::new(Boards::default()) };
        let states = Arc::new(Mutex::new(states));
        let obeying = plug(&driver.boards, states.clone(), stuck);
        Bench { driver, states, obeying }
    }

    /// The board is not there any more.
    fn unplug(&self) {
        self.driver.boards.went(SERIAL, "was unplugged");
        self.obeying.abort();
    }

    /// It is back, and all its relays were reset.
    fn replug(&mut self) {
        *self.states.lock().unwrap() = 0b1101_1111;
        self.obeying = plug(&self.driver.boards, self.states.clone(), false);
    }

    fn states(&self) -> u8 {
        *self.states.lock().unwrap()
    }

    /// A relay in the hands of somebody who asked for these circuits.
    async fn open(&self, uid: &str, circuits: Json) -> Box<dyn Unit> {
        let profile = Profile::of(json!({"type": "relay", "uid": uid, "circuits": circuits}));
        let profile = Arc::new(profile);
        let granted = Granted {
            item: Identity::new(KIND, uid),
            known: profile.clone(),
            profile,
            again: false,
            at: None,
            number: 1,
        };
        self.driver.open(&granted).await.unwrap()
    }

    async fn left(&self) -> Box<dyn Unit> {
        self.open("00099001.left", json!({"usb.pc.vcc": 2, "usb.wall.vcc": 6})).await
    }

    async fn reset(&self, uid: &str) -> Result<(), String> {
        self.driver.reset(&Identity::new(KIND, uid), &Profile::default()).await
    }
}

fn plug(boards: &Boards, states: Arc<Mutex<u8>>, stuck: bool) -> JoinHandle<(String, mpsc::Receiver<Order>)> {
    let folder = tempfile::tempdir().unwrap();
    let paths = Paths::new(folder.path());
    std::fs::create_dir_all(paths.config()).unwrap();
    std::fs::write(paths.devantech_json(), configuration().to_string()).unwrap();
    let plan = DevantechConfig::load(&paths).unwrap().plan(SERIAL).unwrap();
    let (line, mut orders) = mpsc::channel(ORDERS_MAX);
    boards.came(SERIAL, Arc::new(plan), line);
    let (ours, theirs) = duplex(64);
    tokio::spawn(imitate(theirs, states, stuck));
    tokio::spawn(async move { (obey(&mut Devantech::new(ours), &mut orders).await, orders) })
}

/// Makes a call as a script would.
async fn call(unit: &mut Box<dyn Unit>, method: &str, arguments: Json) -> Result<Json, String> {
    let signature = unit.methods().iter().find(|signature| signature.name() == method);
    let signature = signature.ok_or_else(|| format!("no such RPC: {method}"))?.clone();
    let arguments = match Value::from(arguments) {
        Value::Map(named) => Arguments { positional: Vec::new(), named },
        Value::List(positional) => Arguments::positional(positional),
        _ => panic!("neither positional nor named"),
    };
    let bound = signature.bind(arguments).map_err(|fault| fault.message)?;
    let answer = unit.call(method, bound).await.map_err(|refusal| refusal.message)?;
    Ok(serde_json::to_value(answer).unwrap())
}

#[test]
fn c1_every_call_is_documented() {
    let documented = include_str!("../../../../../docs/relay.md");
    for signature in unit::methods() {
        assert!(documented.contains(&format!("`{signature}`")), "{signature}");
    }
    assert_eq!(unit::methods().len(), 3);
    assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/drivers/relay/README.md").is_file());
}

#[tokio::test]
async fn r3_a_circuit_is_switched_by_position_and_by_either_name() {
    let bench = Bench::new();
    let mut unit = bench.left().await;
    let calls = [
        (json!(["usb.pc.vcc", false]), 0b1101_1101),
        (json!(["usb.pc.vcc", true]), 0b1101_1111),
        (json!({"circuit": "usb.wall.vcc", "high": true}), 0b1111_1111),
        (json!({"circuit": "usb.wall.vcc", "closed": false}), 0b1101_1111),
        (json!(["usb.wall.vcc", 1]), 0b1111_1111),
    ];
    for (arguments, states) in calls {
        call(&mut unit, "set_circuit", arguments.clone()).await.unwrap();
        assert_eq!(bench.states(), states, "{arguments}");
    }
    let wrong = [
        (json!(["usb.pc.vcc"]), "missing 1 required positional argument: 'high'"),
        (json!(["usb.pc.vcc", true, false]), "found both"),
        (json!(["usb.pc.vcc", "yes"]), "high must be a boolean, found"),
        (json!([2, true]), "circuit must be a string, found"),
    ];
    for (arguments, fragment) in wrong {
        let message = call(&mut unit, "set_circuit", arguments).await.unwrap_err();
        assert!(message.contains(fragment), "{message}");
    }
}

#[tokio::test]
async fn r6_only_allocated_circuits_can_be_switched() {
    let bench = Bench::new();
    let mut unit = bench.open("00099001.left", json!({"usb.pc.vcc": 2})).await;
    for circuit in ["usb.wall.vcc", "handset.power"] {
        let message = call(&mut unit, "set_circuit", json!([circuit, false])).await.unwrap_err();
        assert_eq!(message, format!("named circuit not in allocated relay: {circuit}"));
    }
    assert_eq!(bench.states(), 0b1101_1111);
    let profile = call(&mut unit, "get_profile", json!([])).await.unwrap();
    assert_eq!(profile, json!({"type": "relay", "uid": "00099001.left", "circuits": {"usb.pc.vcc": 2}}));
}

#[tokio::test]
async fn r7_a_relay_is_closed_by_resetting_exactly_its_group() {
    let bench = Bench::with(0, false);
    let mut unit = bench.left().await;
    call(&mut unit, "set_circuit", json!(["usb.wall.vcc", true])).await.unwrap();
    assert_eq!(bench.states(), 0b0010_0000);
    unit.close().await.unwrap();
    assert_eq!(bench.states(), 0b0000_0010);
    let mut right = bench.open("00099001.right", json!({})).await;
    call(&mut right, "reset", json!([])).await.unwrap();
    assert_eq!(bench.states(), 0b0001_0010);
}

#[tokio::test]
async fn r8_every_switch_is_stamped_later_than_the_one_before() {
    let bench = Bench::new();
    let mut unit = bench.left().await;
    let mut stamps = Vec::new();
    for on in [true, false, true] {
        stamps.push(call(&mut unit, "set_circuit", json!(["usb.pc.vcc", on])).await.unwrap());
        stamps.push(call(&mut unit, "reset", json!([])).await.unwrap());
    }
    let stamps: Vec<Vec<i64>> =
        stamps.into_iter().map(|stamp| serde_json::from_value(stamp).unwrap()).collect();
    assert!(stamps.iter().all(|stamp| stamp.len() == 7), "{stamps:?}");
    assert!(stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}

#[tokio::test]
async fn r10_an_unplugged_board_is_offline_and_comes_back() {
    let mut bench = Bench::new();
    let mut unit = bench.left().await;
    bench.unplug();
    let message = call(&mut unit, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap_err();
    assert_eq!(message, "device is offline: board 00099001 was unplugged");
    bench.replug();
    call(&mut unit, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap();
    assert_eq!(bench.states(), 0b1101_1101);
}

#[tokio::test]
async fn r10_a_board_that_does_not_obey_is_offline() {
    let bench = Bench::with(0b1101_1111, true);
    let mut unit = bench.left().await;
    let message = call(&mut unit, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap_err();
    let said = "says that relay 2 is on after it was switched off";
    assert_eq!(message, format!("device is offline: board 00099001 {said}"));
    assert_eq!(bench.obeying.await.unwrap().0, said);
}

#[tokio::test]
async fn r11_a_reset_that_failed_is_owed_until_it_is_done() {
    let mut bench = Bench::new();
    let mut unit = bench.left().await;
    call(&mut unit, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap();
    bench.unplug();
    let reason = "a reset is owed: device is offline: board 00099001 was unplugged";
    assert_eq!(unit.close().await.unwrap_err(), reason);
    assert_eq!(bench.reset("00099001.left").await.unwrap_err(), reason);
    assert_eq!(bench.driver.boards.owed(), [], "nothing can be done about it yet");
    bench.replug();
    assert_eq!(bench.driver.boards.owed(), [Identity::new(KIND, "00099001.left")]);
    *bench.states.lock().unwrap() = 0;
    bench.reset("00099001.left").await.unwrap();
    assert_eq!((bench.states(), bench.driver.boards.owed()), (0b0000_0010, vec![]));
}

#[tokio::test]
async fn r11_nothing_is_owed_by_a_session_that_switched_nothing() {
    let mut bench = Bench::new();
    let unit = bench.left().await;
    bench.unplug();
    unit.close().await.unwrap();
    bench.replug();
    assert_eq!(bench.driver.boards.owed(), []);
}

#[tokio::test]
async fn r12_a_script_reaches_three_calls_and_no_more() {
    let bench = Bench::new();
    let mut unit = bench.left().await;
    let admin = ["stop", "list_virtual", "set_board_circuit", "reset_board_group", "begin_handover", "close"];
    for method in admin {
        assert_eq!(call(&mut unit, method, json!([])).await.unwrap_err(), format!("no such RPC: {method}"));
        assert!(
            unit.call(method, Signature::parse("f()").bind(Arguments::default()).unwrap()).await.is_err()
        );
    }
}

#[tokio::test]
async fn a_relay_without_a_board_is_lent_and_given_back() {
    let bench = Bench::new();
    for uid in ["a", "00099001.middle", "00099001", "00099001left"] {
        let mut unit = bench.open(uid, json!({"usb.pc.vcc": 1})).await;
        let message = call(&mut unit, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap_err();
        assert_eq!(message, format!("no such group of circuits: no board of {uid} is known"));
        unit.close().await.unwrap();
    }
    assert_eq!(bench.states(), 0b1101_1111);
}

#[tokio::test]
async fn what_a_dead_client_still_wanted_does_not_disturb_the_reset() {
    for begun in [false, true] {
        let bench = Bench::new();
        let mut unit = bench.left().await;
        let mut switch = Box::pin(call(&mut unit, "set_circuit", json!(["usb.pc.vcc", false])));
        assert!(futures::poll!(&mut switch).is_pending());
        if begun {
            tokio::task::yield_now().await; // the board's task has its turn
        }
        drop(switch);
        unit.close().await.unwrap();
        assert_eq!(bench.states(), 0b1101_1111);
    }
}
