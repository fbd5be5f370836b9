//! Relays of a board on a pseudo-terminal, plugged into a folder that stands in for the USB. The numbers are
//! those of `docs/relay.md`; what restarts have to do with it is tested in `relay_restarts.rs`.

use std::fs::File;
use std::io::Write;

use ave_simulated::{Answer, Board};
use serde_json::{Value, json};

use crate::support::{Bus, Lab, Peer, Plan, plain, raised, wait_until};

pub(crate) const SERIAL: &str = "00099001";
pub(crate) const LEFT: &str = "00099001.left";
pub(crate) const RIGHT: &str = "00099001.right";

/// How the board rests: all on but relay 6.
pub(crate) const AT_REST: u8 = 0b1101_1111;

/// What brings all of it there, and asks whether it is.
pub(crate) const WHOLE_RESET: [u8; 9] = [0x65, 0x66, 0x67, 0x68, 0x69, 0x74, 0x6B, 0x6C, 0x5B];

fn plan(bus: &Bus) -> Plan {
    Lab::plan().broker(bus.members()).devantech(json!({"*": {
        "groups": {"left": {"usb.pc.vcc": 2, "usb.wall.vcc": 6}, "right": {"usb.pc.vcc": 5}},
        "defaults": [1, 1, 1, 1, 1, 0, 1, 1],
    }}))
}

/// A broker with a board that is ready.
pub(crate) fn lab_with_board() -> (Lab, Bus, Board) {
    let (bus, board) = (Bus::new(), Board::new().expect("a board"));
    bus.plug(SERIAL, "ttyACM0", &board);
    let lab = plan(&bus).start();
    wait_listed(&lab, "online");
    assert_eq!(board.received(), WHOLE_RESET);
    (lab, bus, board)
}

/// The power state of each relay that is listed.
fn listed(lab: &Lab) -> Vec<(String, String)> {
    let list = lab.admin().result("list_equipment", json!([{"type": "relay"}]));
    let text = |profile: &Value, name: &str| profile[name].as_str().expect("text").to_owned();
    let relays = list.as_array().expect("a list").iter();
    relays.map(|relay| (text(relay, "uid"), text(relay, "power_state"))).collect()
}

pub(crate) fn wait_listed(lab: &Lab, power_state: &str) {
    let all = [LEFT, RIGHT].map(|uid| (uid.to_owned(), power_state.to_owned()));
    wait_until(&format!("both relays are {power_state}"), || listed(lab) == all);
}

/// A client who holds a relay.
pub(crate) struct Holder {
    pub(crate) client: Peer,
    pub(crate) session: Peer,
    pub(crate) relay: Value,
}

impl Holder {
    pub(crate) fn of(lab: &Lab, uid: &str, circuits: Value) -> Holder {
        let mut client = lab.client();
        let got = client.get(json!([{"type": "relay", "uid": uid, "circuits": circuits}]));
        Holder { client, session: Peer::session_of(&got), relay: got["resources"][0].clone() }
    }

    pub(crate) fn call(&mut self, method: &str, arguments: Value) -> Value {
        self.session.call_on(&self.relay, method, arguments)
    }

    pub(crate) fn set(&mut self, circuit: &str, high: bool) -> Value {
        self.session.result_on(&self.relay, "set_circuit", json!([circuit, high]))
    }

    pub(crate) fn give_back(mut self) {
        self.client.result("yield_resources", json!([self.relay]));
    }

    fn vanish(self) {
        self.client.close();
    }
}

#[test]
fn r4_a_new_board_is_reset_once_and_r5_listed_whichever_came_first() {
    let (bus, board) = (Bus::new(), Board::new().expect("a board"));
    let lab = plan(&bus).start();
    assert_eq!(listed(&lab), []);
    bus.plug(SERIAL, "ttyACM0", &board);
    wait_listed(&lab, "online");
    assert_eq!((board.received().as_slice(), board.relays()), (&WHOLE_RESET[..], AT_REST));
    let profiles = lab.admin().result("list_equipment", json!([{"type": "relay", "uid": LEFT}]));
    let circuits = json!({"usb.pc.vcc": 2, "usb.wall.vcc": 6});
    let left = json!({"type": "relay", "uid": LEFT, "circuits": circuits, "power_state": "online"});
    assert_eq!(profiles, json!([left]));
    // The other way round, and what a relay does is not switched again for each that is lent.
    let (_lab, _bus, board) = lab_with_board();
    assert_eq!((board.received(), board.relays()), (vec![], AT_REST));
}

#[test]
fn r3_switches_reach_the_board_and_are_read_back() {
    let (lab, _bus, board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc", "usb.wall.vcc"]));
    left.set("usb.pc.vcc", false);
    assert_eq!((board.received(), board.relays()), (vec![0x70, 0x5B], 0b1101_1101));
    left.set("usb.wall.vcc", true);
    assert_eq!((board.received(), board.relays()), (vec![0x6A, 0x5B], 0b1111_1101));
}

#[test]
fn r6_and_98_a_relay_has_the_circuits_that_were_asked_for_and_no_others() {
    let (lab, _bus, board) = lab_with_board();
    let wanted = json!([{"type": "relay", "circuits": ["usb.pc.vcc", "usb.wall.vcc"]}]);
    let mut client = lab.client();
    assert_eq!(client.get(wanted)["resources"][0]["uid"], LEFT);
    client.close();
    lab.wait_available(&[LEFT, RIGHT]);
    board.received();
    let mut left = Holder::of(&lab, LEFT, json!({"usb.wall.vcc": null}));
    let profile = left.call("get_profile", json!([]))["result"].clone();
    assert_eq!(profile["circuits"], json!({"usb.wall.vcc": 6}));
    let (_, message) = raised(&left.call("set_circuit", json!(["usb.pc.vcc", false])));
    assert_eq!(message, "named circuit not in allocated relay: usb.pc.vcc");
    let mut none = Holder::of(&lab, RIGHT, json!([]));
    let (_, message) = raised(&none.call("set_circuit", json!(["usb.pc.vcc", false])));
    assert_eq!(message, "named circuit not in allocated relay: usb.pc.vcc");
    assert!(board.received().is_empty());
}

#[test]
fn r7_and_102_whatever_ends_a_lease_exactly_its_group_is_reset() {
    let (lab, _bus, board) = lab_with_board();
    let mut right = Holder::of(&lab, RIGHT, json!(["usb.pc.vcc"]));
    right.set("usb.pc.vcc", false);
    let ends: [fn(Holder); 2] = [Holder::give_back, Holder::vanish];
    for end in ends {
        let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc", "usb.wall.vcc"]));
        left.set("usb.pc.vcc", false);
        left.set("usb.wall.vcc", true);
        board.received();
        end(left);
        lab.wait_available(&[LEFT]);
        assert_eq!((board.received(), board.relays()), (vec![0x66, 0x74, 0x5B], 0b1100_1111));
    }
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    left.set("usb.pc.vcc", false);
    let mut line = File::options().write(true).open(board.tty().expect("a line")).expect("a line");
    line.write_all(&[0x76]).expect("an order"); // relay 8 is nobody's
    wait_until("relay 8 is off", || board.relays() & 0b1000_0000 == 0);
    lab.stop();
    assert_eq!(board.relays(), AT_REST & 0b0111_1111);
}

#[test]
fn r8_stamps_are_seven_numbers_each_later_than_the_last() {
    let (lab, _bus, _board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    let mut right = Holder::of(&lab, RIGHT, json!(["usb.pc.vcc"]));
    let mut stamps = Vec::new();
    for high in [false, true] {
        stamps.push(left.set("usb.pc.vcc", high));
        stamps.push(right.set("usb.pc.vcc", high));
        stamps.push(left.call("reset", json!([]))["result"].clone());
    }
    let stamps: Vec<Vec<i64>> =
        stamps.into_iter().map(|stamp| serde_json::from_value(stamp).expect("numbers")).collect();
    assert!(stamps.iter().all(|stamp| stamp.len() == 7) && stamps.is_sorted_by(|a, b| a < b), "{stamps:?}");
}

#[test]
fn r10_and_r13_an_unplugged_board_is_offline_and_lent_to_nobody_who_did_not_ask() {
    let (lab, bus, mut board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    left.set("usb.pc.vcc", false);
    bus.unplug(SERIAL);
    board.unplug();
    wait_listed(&lab, "offline");
    let (_, message) = raised(&left.call("set_circuit", json!(["usb.pc.vcc", true])));
    assert_eq!(message, "device is offline: board 00099001 was unplugged");
    let (kind, _) = lab.client().get_refused(json!([{"type": "relay", "circuits": ["usb.pc.vcc"]}]));
    assert_eq!(kind, "NoSuch");
    let asked = lab.client().get(json!([{"type": "relay", "power_state": "offline"}]));
    assert_eq!(asked["resources"][0]["uid"], RIGHT);
    board.plug().expect("another line");
    board.received();
    bus.plug(SERIAL, "ttyACM5", &board);
    wait_listed(&lab, "online");
    assert_eq!(board.received(), WHOLE_RESET);
    left.set("usb.pc.vcc", false);
    assert_eq!(board.relays(), AT_REST & !0b10);
}

#[test]
fn r10_a_board_that_is_silent_or_lies_is_offline_until_it_does_as_it_is_told() {
    let faults = [
        (Answer::Never, "does not answer within 1 s"),
        (Answer::Falsely, "says that relay 2 is on after it was switched off"),
    ];
    let (lab, _bus, board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    for (answer, fault) in faults {
        board.answers(answer);
        let (_, message) = raised(&left.call("set_circuit", json!(["usb.pc.vcc", false])));
        assert_eq!(message, format!("device is offline: board 00099001 {fault}"));
        wait_listed(&lab, "offline");
        board.answers(Answer::Truly);
        wait_listed(&lab, "online");
        assert_eq!(board.relays(), AT_REST);
    }
}

#[test]
fn r11_a_relay_that_could_not_be_reset_is_lent_only_when_it_was() {
    let (lab, bus, mut board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    left.set("usb.pc.vcc", false);
    bus.unplug(SERIAL);
    board.unplug();
    wait_listed(&lab, "offline");
    left.give_back();
    let broken = lab.admin().result("list_equipment", json!([{"type": "relay", "uid": LEFT}]));
    assert_eq!(broken[0]["broken"], "a reset is owed: device is offline: board 00099001 was unplugged");
    let offline = json!([{"type": "relay", "uid": LEFT, "power_state": "offline"}]);
    assert_eq!(lab.client().get_refused(offline).0, "Busy", "it stays out of the pool");
    board.plug().expect("another line");
    bus.plug(SERIAL, "ttyACM0", &board);
    lab.wait_available(&[LEFT, RIGHT]);
    assert_eq!(board.relays(), AT_REST);
    Holder::of(&lab, LEFT, json!(["usb.pc.vcc"])).set("usb.pc.vcc", false);
}

#[test]
fn r12_a_script_cannot_reach_anything_but_its_three_calls() {
    let (lab, _bus, board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    let admin = [
        "_set",
        "__init__",
        "ping",
        "stop",
        "list_equipment",
        "list_virtual",
        "set_board_circuit",
        "reset_board_group",
    ];
    for method in admin {
        assert_eq!(plain(&left.call(method, json!([]))), format!("no such RPC: {method}"));
    }
    assert!(board.received().is_empty()); // C2
}

#[test]
fn a_broker_killed_during_a_call_leaves_no_dirty_relay_to_its_successor() {
    let (mut lab, _bus, board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    board.answers(Answer::Never);
    left.session.ask(&left.relay, "set_circuit", json!(["usb.pc.vcc", false]));
    wait_until("the board has switched", || board.relays() == AT_REST & !0b10);
    lab.kill();
    board.answers(Answer::Truly);
    board.received();
    lab.restart();
    lab.wait_available(&[LEFT, RIGHT]);
    assert!(board.received().starts_with(&WHOLE_RESET));
    assert_eq!(board.relays(), AT_REST);
}

#[test]
fn a_board_has_one_owner() {
    let (lab, _bus, board) = lab_with_board();
    let (bus, another) = (Bus::new(), Board::new().expect("a board"));
    bus.plug(SERIAL, "ttyACM0", &board);
    bus.plug("00099002", "ttyACM1", &another);
    let other = plan(&bus).start();
    let seen = ["00099002.left", "00099002.right"];
    other.wait_available(&seen);
    assert!(board.received().is_empty());
    Holder::of(&lab, LEFT, json!(["usb.pc.vcc"])).set("usb.pc.vcc", false);
    let log = other.stop();
    assert!(log.contains("is of no use") && log.contains("cannot be opened at"), "{log}");
}
