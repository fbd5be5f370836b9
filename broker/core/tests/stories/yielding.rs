//! Giving back, at the two doors a client uses one after the other. (Specification 5.10; decisions 8
//! and 10; checks 152 and 153.)

use ave_profile::{Profile, RefusalKind};
use serde_json::json;

use crate::asks::{h, handset, r, relay, w};
use crate::client::assert_refused;
use crate::lab::Lab;

fn lab() -> Lab {
    Lab::new().handset("A").handset("B").relay("r").workspaces(json!({}))
}

#[test]
fn a_piece_can_be_yielded_once() {
    let lab = lab();
    let client = lab.client();
    client.gets([handset("A")]);
    client.yields([handset("A")]).unwrap();
    assert_eq!(lab.available(), lab.equipment());
    assert_refused(client.yields([handset("A")]), RefusalKind::NoSuch, "no such resource"); // 152
}

#[test]
fn a_failed_yield_does_not_end_the_session() {
    let lab = lab();
    let client = lab.client();
    client.gets([handset("A")]);
    client.yields([handset("B")]).unwrap_err();
    assert!(client.is_open());
    assert_eq!(client.allocations(), ["A"]);
    assert_eq!(client.gets([r()]), ["r"]);
}

#[test]
fn the_broker_names_everything_for_the_second_word() {
    let lab = lab();
    let client = lab.client();
    client.gets([handset("A")]);
    let profiles = [handset("A"), handset("B"), handset("UNKNOWN")];
    let named = client.yields_at_broker(profiles.clone()).unwrap();
    assert_eq!(named, profiles.map(Profile::of));
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn somebody_elses_piece_cannot_be_yielded() {
    let lab = lab();
    let (ann, bob) = (lab.client(), lab.client());
    ann.gets([handset("A")]);
    let refused = bob.yields_at_broker([handset("A")]);
    assert_refused(refused, RefusalKind::NotOwner, "not owner of this resource"); // 153
    assert_refused(bob.yields_at_session([handset("A")]), RefusalKind::NoSuch, "no such resource");
    assert!(bob.is_open());
    assert_eq!(ann.allocations(), ["A"]);
}

#[test]
fn a_failing_profile_stops_the_call_and_earlier_ones_stay_yielded() {
    let lab = lab();
    let (ann, bob) = (lab.client(), lab.client());
    ann.gets([handset("B")]);
    bob.gets([handset("A")]);
    bob.gets([r()]);
    let refused = bob.yields_at_broker([handset("A"), handset("B"), relay("r")]);
    assert_refused(refused, RefusalKind::NotOwner, "not owner of this resource");
    assert_eq!((bob.allocations(), lab.available()), (vec!["r".to_owned()], vec!["A".to_owned()]));
    let refused = bob.yields_at_session([relay("r"), handset("UNKNOWN")]);
    assert_refused(refused, RefusalKind::NoSuch, "no such resource");
    assert_eq!(bob.allocations(), [""; 0]);
}

#[test]
fn the_second_word_alone_does_all_of_it() {
    let lab = lab();
    let client = lab.client();
    client.gets([handset("A")]);
    client.yields_at_session([handset("A")]).unwrap();
    assert_eq!(lab.available(), lab.equipment());
    assert_refused(client.yields_at_session([handset("A")]), RefusalKind::NoSuch, "no such resource");
}

#[test]
fn a_new_grant_forgets_that_the_piece_was_yielded_before() {
    let lab = lab();
    let client = lab.client();
    client.gets([handset("A")]);
    client.yields_at_broker([handset("A")]).unwrap();
    client.gets([handset("A")]);
    client.yields_at_session([handset("A")]).unwrap();
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn the_second_word_still_counts_when_somebody_else_has_the_piece_by_then() {
    let lab = lab();
    let (ann, bob) = (lab.client(), lab.client());
    ann.gets([handset("A")]);
    ann.yields_at_broker([handset("A")]).unwrap();
    bob.gets([handset("A")]);
    ann.yields_at_session([handset("A")]).unwrap();
    assert_eq!(bob.allocations(), ["A"]);
}

#[test]
fn allocating_and_yielding_in_a_loop_works() {
    let lab = lab();
    let client = lab.client();
    for _ in 0..5 {
        let got = client.get([h(), w()]).unwrap(); // 70
        let profiles: Vec<_> =
            got.iter().map(|piece| serde_json::to_value(&*piece.profile).unwrap()).collect();
        client.yields(profiles).unwrap();
        assert_eq!(lab.available(), lab.equipment());
    }
}

#[test]
fn only_type_and_identity_name_the_piece() {
    let lab = lab();
    let client = lab.client();
    client.gets([handset("A")]);
    client.yields([json!({"type": "handset", "serial": "A", "pretty": "whatever"})]).unwrap();
    assert_eq!(client.allocations(), [""; 0]);
    client.yields_at_broker([json!({"type": "handset"})]).unwrap();
}
