//! Equipment that appears, changes and vanishes. (Specification 4.3; decisions 12 and 13; checks 103
//! and 104.)

use ave_core::Source;
use ave_profile::{Identity, Profile, RefusalKind, Value};
use serde_json::json;

use crate::asks::{h, handset, r, relay, with};
use crate::client::assert_refused;
use crate::lab::Lab;

fn booted(serial: &str) -> serde_json::Value {
    with(handset(serial), json!({"power_state": "boot_completed"}))
}

#[test]
fn updates_of_an_allocated_piece_do_not_make_it_available() {
    let lab = Lab::new().handset("A").relay("r").stack("A r");
    let client = lab.client();
    client.gets([h()]);
    lab.report(Source::Lister, [booted("A"), with(relay("r"), json!({"power_state": "online"}))]).unwrap();
    assert_eq!(lab.available(), [""; 0]); // 103
    assert_refused(lab.client().get([h()]), RefusalKind::Busy, "all such equipment busy");
    assert_eq!(client.allocations(), ["A"]);
}

#[test]
fn a_report_replaces_the_whole_record_but_keeps_an_old_pretty() {
    let lab = Lab::new().piece(with(booted("A"), json!({"pretty": "yuga", "sw.label": "x"})));
    let pretty = || lab.known(handset("A")).get("pretty").cloned();
    lab.report(Source::File, [booted("A")]).unwrap(); // 104
    assert_eq!(*lab.known(handset("A")), *Profile::of(with(booted("A"), json!({"pretty": "yuga"}))));
    lab.report(Source::File, [with(booted("A"), json!({"pretty": ""}))]).unwrap();
    assert_eq!(pretty(), Some(Value::from("yuga")));
    lab.report(Source::File, [with(booted("A"), json!({"pretty": "togari"}))]).unwrap();
    assert_eq!(pretty(), Some(Value::from("togari")));
}

#[test]
fn a_replaced_record_keeps_its_place_and_new_ones_go_last() {
    let lab = Lab::new().handset("B").handset("A");
    lab.report(Source::Lister, [booted("C"), booted("B")]).unwrap();
    assert_eq!(lab.equipment(), ["B", "A", "C"]);
    assert_eq!(lab.client().gets([h()]), ["B"]);
}

#[test]
fn nothing_of_a_bad_report_is_stored() {
    let lab = Lab::new().handset("A");
    let report = |bad| lab.report(Source::Lister, [booted("B"), bad]);
    assert_refused(report(json!({"type": "handset"})), RefusalKind::KeyError, "serial");
    assert_refused(report(json!({"serial": "B"})), RefusalKind::Exception, "invalid profile: ");
    assert_refused(report(json!({"type": "toaster"})), RefusalKind::Exception, "invalid profile: ");
    assert_eq!(lab.equipment(), ["A"]);
}

#[test]
fn only_the_last_writer_can_take_a_piece_away() {
    let lab = Lab::new().handset("A").handset("B");
    let items = [Identity::new("handset", "A"), Identity::new("handset", "B")];
    lab.report(Source::Lister, [booted("A")]).unwrap();
    lab.vanish(Source::File, &items);
    assert_eq!(lab.equipment(), ["A"]);
    lab.vanish(Source::Lister, &items);
    assert_eq!(lab.equipment(), [""; 0]);
    assert_refused(lab.client().get([h()]), RefusalKind::NoSuch, "no such resource");
}

#[test]
fn a_vanished_held_piece_stays_with_its_holder_until_it_is_released() {
    let lab = Lab::new().handset("A");
    let client = lab.client();
    let item = client.get([h()]).unwrap()[0].item.clone();
    lab.vanish(Source::File, &[item]);
    assert_eq!(lab.equipment(), [""; 0]);
    assert_eq!(client.allocations(), ["A"]);
    client.yields([handset("A")]).unwrap();
    assert_eq!(lab.equipment(), [""; 0], "it is gone for good");
    assert_refused(lab.client().get([h()]), RefusalKind::NoSuch, "no such resource");
}

#[test]
fn a_held_piece_that_comes_back_is_still_held() {
    let lab = Lab::new().handset("A");
    let client = lab.client();
    let item = client.get([h()]).unwrap()[0].item.clone();
    lab.vanish(Source::File, &[item]);
    let lab = lab.handset("A");
    assert_eq!((lab.equipment(), lab.available()), (vec!["A".to_owned()], vec![]));
    assert_refused(lab.client().get([h()]), RefusalKind::Busy, "all such equipment busy");
    client.leaves();
    assert_eq!(lab.available(), ["A"]);
}

#[test]
fn a_piece_that_goes_offline_is_no_such_until_it_is_back() {
    let lab = Lab::new().handset("A");
    lab.report(Source::File, [with(handset("A"), json!({"power_state": "offline"}))]).unwrap();
    assert_refused(lab.client().get([h()]), RefusalKind::NoSuch, "no such resource");
    lab.report(Source::File, [booted("A")]).unwrap();
    assert_eq!(lab.client().gets([h()]), ["A"]);
}

#[test]
fn stack_entries_that_cannot_be_understood_do_no_harm() {
    let lab = Lab::new().handset("A").relay("r");
    let imei = json!({"type": "handset", "imei": "35"});
    let toaster = json!({"type": "toaster", "uid": "t"});
    lab.set_stacks(vec![[imei, handset("A"), toaster, relay("r")].map(Profile::of).to_vec()]);
    assert_eq!(lab.warnings().len(), 1, "{:?}", lab.warnings());
    assert_eq!(lab.client().gets([h(), r()]), ["A", "r"]);
}
