//! Relays while their broker is replaced: two of its processes drive one board. The numbers are those of
//! `docs/relay.md`.

use std::process::Command;

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::relays::{AT_REST, Holder, LEFT, RIGHT, SERIAL, WHOLE_RESET, lab_with_board, wait_listed};
use crate::support::{Lab, brokers, command, outcome, pause, raised, wait_until};

#[test]
fn r4_an_inherited_board_is_not_touched_and_r9_a_held_relay_is_switched_as_before() {
    let (lab, _bus, board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc", "usb.wall.vcc"]));
    left.set("usb.pc.vcc", false);
    board.received();
    for switched in [0x6A, 0x74] {
        lab.hand_over();
        // The new process drives its relays at once, and no others.
        let mut right = Holder::of(&lab, RIGHT, json!(["usb.pc.vcc"]));
        right.set("usb.pc.vcc", false);
        assert_eq!(board.received(), [0x73, 0x5B]);
        left.set("usb.wall.vcc", switched == 0x6A);
        assert_eq!(board.received(), [switched, 0x5B]);
        right.give_back();
        assert_eq!(board.received(), [0x69, 0x5B]);
    }
    assert_eq!(board.relays(), AT_REST & !0b10);
    lab.wait_available(&[RIGHT]);
    left.give_back();
    lab.wait_available(&[LEFT, RIGHT]);
    assert_eq!((board.received(), board.relays()), (vec![0x66, 0x74, 0x5B], AT_REST));
}

#[test]
fn r10_a_board_that_is_plugged_in_again_is_reset_once_and_works_for_both_processes() {
    let (lab, bus, mut board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    lab.hand_over();
    let mut right = Holder::of(&lab, RIGHT, json!(["usb.pc.vcc"]));
    bus.unplug(SERIAL);
    board.unplug();
    wait_listed(&lab, "offline");
    let (_, message) = raised(&right.call("set_circuit", json!(["usb.pc.vcc", false])));
    assert_eq!(message, "device is offline: board 00099001 was unplugged");
    board.plug().expect("another line");
    board.received();
    bus.plug(SERIAL, "ttyACM5", &board);
    wait_listed(&lab, "online");
    right.set("usb.pc.vcc", false);
    wait_until("the older process has found the board", || {
        left.call("set_circuit", json!(["usb.pc.vcc", false]))["result"].is_array()
    });
    assert_eq!(board.received(), [&WHOLE_RESET[..], &[0x73, 0x5B, 0x70, 0x5B]].concat());
}

#[test]
fn a_relay_that_is_unplugged_while_brokers_change_is_offline() {
    let (lab, bus, mut board) = lab_with_board();
    let _left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    bus.unplug(SERIAL);
    board.unplug();
    lab.hand_over();
    wait_listed(&lab, "offline");
}

#[test]
fn a_late_command_of_a_stopped_process_changes_nothing() {
    let (lab, _bus, board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    left.set("usb.pc.vcc", false);
    let elder = lab.serving();
    lab.hand_over();
    pause(elder);
    left.session.ask(&left.relay, "set_circuit", json!(["usb.pc.vcc", false]));
    lab.wait_available(&[LEFT, RIGHT]);
    assert_eq!(board.relays(), AT_REST);
    let mut next = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    next.set("usb.pc.vcc", true);
    board.received();
    let _ = kill_process(elder, Signal::CONT);
    assert!(left.session.ends());
    next.set("usb.pc.vcc", true);
    assert_eq!((board.received(), board.relays()), (vec![0x66, 0x5B], AT_REST));
}

#[test]
fn a_fresh_start_ends_the_older_processes_of_a_dead_broker_at_once() {
    let (mut lab, _bus, board) = lab_with_board();
    let mut left = Holder::of(&lab, LEFT, json!(["usb.pc.vcc"]));
    left.set("usb.pc.vcc", false);
    let elder = lab.serving();
    lab.hand_over();
    pause(elder);
    kill_process(lab.serving(), Signal::KILL).expect("it lives");
    wait_until("it is dead", || brokers(lab.home()) == [elder]);
    board.received();
    lab.restart();
    assert_eq!(brokers(lab.home()).len(), 1, "the stopped one is gone");
    wait_listed(&lab, "online");
    lab.wait_available(&[LEFT, RIGHT]);
    assert!(board.received().starts_with(&WHOLE_RESET));
    assert_eq!(board.relays(), AT_REST);
}

#[test]
fn stop_ends_older_processes_that_hang() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    client.get(json!([{"type": "handset"}]));
    let elder = lab.serving();
    lab.hand_over();
    pause(elder);
    let stopped: &mut Command = &mut command(lab.home());
    let stopped = outcome(stopped.arg("--stop"));
    assert_eq!(stopped.status, Some(0), "{stopped:?}");
    assert!(brokers(lab.home()).is_empty());
}
