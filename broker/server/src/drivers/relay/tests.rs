//! Relays of an imitated board on a pipe: what sessions can do with them, and how they are left behind. What
//! the USB has to do with it is tested with the real binary, in `tests/relays.rs`.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use ave_profile::Value;
use ave_protocol::arguments::Arguments;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::board::obey;
use super::boards::{ORDERS_MAX, Order};
use super::devantech::Devantech;
use super::record::{Known, Record};
use super::*;
use crate::config::devantech::DevantechConfig;

const SERIAL: &str = "00099001";

/// One board, its relays, and what is known of them.
struct Bench {
    home: Arc<tempfile::TempDir>,
    /// The number of the last grant.
    grants: Arc<AtomicU64>,
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
        let home = Arc::new(tempfile::tempdir().unwrap());
        Bench::at(home, Arc::default(), Arc::new(Mutex::new(states)), stuck)
    }

    fn at(
        home: Arc<tempfile::TempDir>,
        grants: Arc<AtomicU64>,
        states: Arc<Mutex<u8>>,
        stuck: bool,
    ) -> Bench {
        let driver = RelayDriver { boards: Arc::new(Boards::default()) };
        driver.boards.have_been_looked_for();
        let obeying = plug(home.path(), &driver.boards, states.clone(), stuck);
        Bench { home, grants, driver, states, obeying }
    }

    /// The same board, as a later process of this home has it.
    fn successor(&self) -> Bench {
        Bench::at(self.home.clone(), self.grants.clone(), self.states.clone(), false)
    }

    /// The board is not there any more.
    fn unplug(&self) {
        self.driver.boards.went(SERIAL, "was unplugged");
        self.obeying.abort();
    }

    /// It is back, and all its relays were reset.
    fn replug(&mut self) {
        *self.states.lock().unwrap() = 0b1101_1111;
        self.obeying = plug(self.home.path(), &self.driver.boards, self.states.clone(), false);
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
            number: self.grants.fetch_add(1, Ordering::Relaxed) + 1,
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

/// A board that is ready, as a broker at home in `home` sees it.
fn plug(
    home: &Path,
    boards: &Boards,
    states: Arc<Mutex<u8>>,
    stuck: bool,
) -> JoinHandle<(String, mpsc::Receiver<Order>)> {
    let paths = Paths::new(home);
    paths.make().unwrap();
    std::fs::write(paths.devantech_json(), configuration().to_string()).unwrap();
    let plan = DevantechConfig::load(&paths).unwrap().plan(SERIAL).unwrap();
    let place = (1, home.join("tty"));
    let known = Known::prepared(SERIAL, place.clone(), plan.clone());
    let record = Record::open(&paths, SERIAL).unwrap();
    let (line, mut orders) = mpsc::channel(ORDERS_MAX);
    boards.came(SERIAL, Arc::new(plan), line);
    let (ours, theirs) = duplex(64);
    tokio::spawn(imitate(theirs, states, stuck));
    tokio::spawn(async move {
        let mut turn = record.turn().await.unwrap();
        turn.known = Some(known.after(turn.known.take()));
        turn.end().unwrap();
        (obey(&mut Devantech::new(ours), &mut orders, &record, &place).await, orders)
    })
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
async fn r9_two_processes_drive_one_board_and_disturb_no_group_of_the_other() {
    let elder = Bench::new();
    let mut left = elder.left().await;
    call(&mut left, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap();
    let successor = elder.successor();
    let mut right = successor.open("00099001.right", json!({"usb.pc.vcc": 5})).await;
    assert_eq!(elder.states(), 0b1101_1101, "nothing was touched");
    for on in [false, true, false] {
        let (one, other) = tokio::join!(
            call(&mut left, "set_circuit", json!(["usb.wall.vcc", on])),
            call(&mut right, "set_circuit", json!(["usb.pc.vcc", on])),
        );
        one.and(other).unwrap();
    }
    assert_eq!(elder.states(), 0b1100_1101);
    right.close().await.unwrap();
    assert_eq!(elder.states(), 0b1101_1101);
    left.close().await.unwrap();
    assert_eq!(elder.states(), 0b1101_1111);
}

#[tokio::test]
async fn a_late_command_of_an_older_process_changes_nothing() {
    let elder = Bench::new();
    let mut old = elder.left().await;
    let successor = elder.successor();
    successor.reset("00099001.left").await.unwrap();
    let mut late = async |number: &str| {
        for (method, arguments) in [("set_circuit", json!(["usb.pc.vcc", false])), ("reset", json!([]))] {
            let message = call(&mut old, method, arguments).await.unwrap_err();
            assert_eq!(message, format!("grant 1 of relay:00099001.left is over{number}"));
        }
        assert_eq!(elder.states() & 0b10, 0b10);
    };
    late("").await;
    let mut new = successor.left().await;
    late(": 2 is newer").await;
    call(&mut new, "set_circuit", json!(["usb.wall.vcc", true])).await.unwrap();
    let message = old.close().await.unwrap_err();
    assert_eq!(message, "grant 1 of relay:00099001.left is over: 2 is newer");
    assert_eq!(elder.states(), 0b1111_1111, "nobody has reset what the newest holds");
    new.close().await.unwrap();
    assert_eq!(elder.states(), 0b1101_1111);
}

#[tokio::test]
async fn a_fault_that_one_process_sees_keeps_the_other_from_the_board_until_it_is_at_its_defaults() {
    let elder = Bench::with(0b1101_1111, true);
    let mut left = elder.left().await;
    let successor = elder.successor();
    let mut right = successor.open("00099001.right", json!({"usb.pc.vcc": 5})).await;
    call(&mut left, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap_err();
    let message = call(&mut right, "set_circuit", json!(["usb.pc.vcc", false])).await.unwrap_err();
    assert_eq!(message, "device is offline: board 00099001 is being brought to its defaults again");
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
