//! Allocating one piece. (Specification 5.2 to 5.5; checks 83 to 101.)

use ave_profile::{Profile, Refusal, RefusalKind, Value};
use serde_json::json;

use crate::asks::{h, handset, r, relay, w, with};
use crate::client::assert_refused;
use crate::lab::Lab;

#[test]
fn a_profile_copied_from_the_list_can_be_allocated_once() {
    let lab = Lab::new().handset("A");
    let listed = Value::from(lab.known(h()));
    let copied: serde_json::Value = serde_json::to_value(listed).unwrap();
    let client = lab.client();
    assert_eq!(client.gets([copied.clone()]), ["A"]); // 83
    assert_refused(client.get([copied]), RefusalKind::Busy, "all such equipment busy"); // 84
}

#[test]
fn busy_means_that_wanted_equipment_exists_but_is_allocated_to_someone_else() {
    let lab =
        Lab::new().piece(with(handset("A"), json!({"pretty": "yuga", "power_state": "boot_completed"})));
    let _holder = lab.client().gets([h()]);
    let refused = lab.client().get([with(h(), json!({"pretty": "yuga"}))]);
    assert_refused(refused, RefusalKind::Busy, "all such equipment busy: ");
}

#[test]
fn no_such_means_that_the_broker_knows_of_no_such_equipment_busy_or_not() {
    let lab = Lab::new().handset("A");
    for impossible in [handset("B"), with(h(), json!({"pretty": "yuga"})), r()] {
        assert_refused(lab.client().get([impossible]), RefusalKind::NoSuch, "no such resource: "); // 85
    }
}

#[test]
fn a_failed_get_ends_the_session() {
    let lab = Lab::new().handset("A").handset("B").relay("r");
    for bad in [handset("Z"), handset("A"), json!({"type": "toaster"}), json!({"pretty": "yuga"}), json!(1)] {
        let client = lab.client();
        assert_eq!(client.gets([handset("A")]), ["A"]);
        client.get([bad]).unwrap_err();
        assert!(!client.is_open());
        assert_eq!(client.allocations(), [""; 0]);
        assert_eq!(lab.available(), ["A", "B", "r"]); // 89
        assert_refused(client.get([r()]), RefusalKind::Exception, "session closed"); // 88
        assert_refused(client.yields([handset("A")]), RefusalKind::Exception, "session closed");
    }
}

#[test]
fn looping_on_a_failed_allocation_does_not_work() {
    let lab = Lab::new();
    let lab = lab.piece(with(handset("A"), json!({"pretty": "yuga", "power_state": "boot_completed"})));
    let looping = lab.client();
    looping.gets([with(h(), json!({"pretty": "yuga"}))]);
    looping.get([with(h(), json!({"pretty": "togari"}))]).unwrap_err();
    for _ in 0..3 {
        let again = looping.get([with(h(), json!({"pretty": "yuga"}))]);
        assert_refused(again, RefusalKind::Exception, "session closed");
    }
    assert_eq!(lab.client().gets([h()]), ["A"]);
}

#[test]
fn requests_that_cannot_be_understood_are_refused_with_what_is_wrong() {
    let lab = Lab::new();
    let missing = lab.client().get([json!([{"pretty": "yuga"}])]);
    assert_refused(missing, RefusalKind::Exception, "profile \"type\" field is missing"); // 86
    let unknown = lab.client().get([json!({"type": "toaster"})]);
    assert_refused(unknown, RefusalKind::Exception, "unknown profile type \"toaster\""); // 87
    let border = lab.client().ask(Err(Refusal::exception("as the border said")));
    assert_refused(border, RefusalKind::Exception, "as the border said");
}

#[test]
fn a_closed_session_is_noticed_before_a_bad_request() {
    let lab = Lab::new();
    let client = lab.client();
    client.leaves();
    assert_refused(client.get([json!({"type": "toaster"})]), RefusalKind::Exception, "session closed");
}

#[test]
fn what_is_not_ready_must_be_asked_for() {
    let lab = Lab::new()
        .piece(with(handset("OFF"), json!({"power_state": "offline"})))
        .piece(with(relay("off"), json!({"power_state": "offline"})));
    assert_refused(lab.client().get([h()]), RefusalKind::NoSuch, "no such resource"); // 91
    assert_refused(lab.client().get([r()]), RefusalKind::NoSuch, "no such resource"); // 93
    let got = lab.client().get([with(h(), json!({"power_state": "offline"}))]).unwrap(); // 92
    assert_eq!(*got[0].profile, Profile::of(with(handset("OFF"), json!({"power_state": "offline"}))));
}

#[test]
fn any_member_can_be_matched() {
    let firefox = json!({
        "power_state": "boot_completed", "platform": "firefox",
        "sw.label": "ICS-BLUE-FF-130516-1131", "gsm.operator": "GTE"
    });
    let lab = Lab::new().handset("A").piece(with(handset("B"), firefox));
    for criteria in [
        json!({"platform": "firefox"}),                 // 94
        json!({"sw.label": "ICS-BLUE-FF-130516-1131"}), // 95
        json!({"gsm.operator": "GTE", "platform": "firefox"}),
    ] {
        let client = lab.client();
        assert_eq!(client.gets([with(h(), criteria)]), ["B"]);
        client.leaves();
    }
    let mixed = lab.client().get([with(h(), json!({"platform": "firefox", "gsm.operator": "other"}))]);
    assert_refused(mixed, RefusalKind::NoSuch, "no such resource");
}

#[test]
fn every_named_circuit_must_exist_and_only_those_are_shown() {
    let lab = Lab::new().relay("r");
    let unknown = lab.client().get([with(r(), json!({"circuits": ["usb.pc.vcc", "door"]}))]);
    assert_refused(unknown, RefusalKind::NoSuch, "no such resource");
    let client = lab.client();
    let got = client.get([with(r(), json!({"circuits": ["handset.battery"]}))]).unwrap(); // 96, 98
    let shown = json!({"circuits": {"handset.battery": 2}, "power_state": "online"});
    assert_eq!(*got[0].profile, Profile::of(with(relay("r"), shown)));
    client.leaves();
    let got = lab.client().get([r()]).unwrap(); // 97
    let shown = json!({"circuits": {}, "power_state": "online"});
    assert_eq!(*got[0].profile, Profile::of(with(relay("r"), shown)));
}

#[test]
fn a_granted_handset_shows_its_own_members_and_what_was_asked_for() {
    let known = json!({
        "power_state": "boot_completed", "pretty": "yuga", "sysfs_path": "/sys/1", "product.model": "C6603",
        "workstation": "lab-1", "platform": "android", "usb.vid": "0fce", "imei": "1", "sw.label": "x"
    });
    let lab = Lab::new().piece(with(handset("A"), known));
    let got = lab.client().get([with(h(), json!({"sw.label": "x"}))]).unwrap();
    let shown: Vec<&str> = got[0].profile.keys().map(String::as_str).collect();
    let wanted = [
        "platform",
        "power_state",
        "pretty",
        "product.model",
        "serial",
        "sw.label",
        "sysfs_path",
        "type",
        "usb.vid",
        "workstation",
    ];
    assert_eq!(shown, wanted); // 99
    assert!(got[0].known.contains_key("imei"), "the driver sees all of it");
}

#[test]
fn the_first_free_match_in_the_order_of_the_list_is_taken() {
    let lab = Lab::new().handset("C").handset("A").handset("B");
    let client = lab.client();
    assert_eq!(client.gets([h()]), ["C"]);
    assert_eq!(client.gets([h()]), ["A"]);
    assert_eq!(lab.client().gets([h()]), ["B"]);
}

#[test]
fn a_match_that_cannot_be_had_does_not_hide_the_next_one() {
    let lab = Lab::new().handset("A").handset("B").relay("r").stack("A r");
    let _holder = lab.client().gets([r()]);
    assert_eq!(lab.client().gets([h()]), ["B"]);
}

#[test]
fn list_allocations_has_one_entry_per_piece_and_shrinks_with_each_yield() {
    let lab = Lab::new().handset("A").handset("B").relay("r").workspaces(json!({}));
    let client = lab.client();
    client.gets([handset("B")]);
    let workspace = &client.gets([r(), w()])[1];
    assert_eq!(client.allocations().len(), 3); // 101
    assert_eq!(lab.client().allocations(), [""; 0]);
    client.yields([handset("B")]).unwrap();
    assert_eq!(client.allocations().len(), 2);
    client.yields([relay("r")]).unwrap();
    assert_eq!(client.allocations(), [workspace.as_str()]);
    assert_eq!(lab.allocations(None), client.allocations());
}

#[test]
fn equal_identity_values_of_different_types_do_not_collide() {
    let lab = Lab::new().relay("x").piece(json!({"type": "wlan", "uid": "x"})).handset("A").stack("A x");
    let client = lab.client();
    assert_eq!(client.gets([relay("x")]), ["x"]);
    assert_eq!(client.collateral(), ["A"]);
    assert_eq!(lab.available(), ["x"]);
    assert_eq!(lab.client().gets([json!({"type": "wlan"})]), ["x"]); // 105
    client.leaves();
    assert_eq!(lab.available(), ["x", "A"]);
}

#[test]
fn available_hides_allocated_and_collateral_pieces_only() {
    let lab = Lab::new()
        .handset("A")
        .relay("r")
        .handset("B")
        .piece(with(handset("OFF"), json!({"power_state": "offline"})))
        .stack("A r");
    let client = lab.client();
    client.gets([handset("A")]);
    assert_eq!(lab.equipment(), ["A", "r", "B", "OFF"]);
    assert_eq!(lab.available(), ["B", "OFF"]); // 107
    assert_eq!(lab.equipment_like(json!({"type": "relay"})), ["r"]); // 106
    assert_eq!(lab.equipment_like(json!({"power_state": "boot_completed"})), ["A", "B"]);
}
