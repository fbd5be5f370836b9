//! What lending makes unavailable besides. (Specification 5.7; checks 132 to 140.)

use ave_core::Source;
use ave_profile::{Profile, RefusalKind};
use serde_json::json;

use crate::asks::{h, handset, r, relay};
use crate::client::assert_refused;
use crate::lab::Lab;

/// One handset between two relays, and a stack of its own beside it.
fn shared_handset() -> Lab {
    let pieces = Lab::new().handset("A").relay("r").relay("s").handset("B").relay("b");
    pieces.stack("r A").stack("s A").stack("b B")
}

#[test]
fn the_rest_of_every_stack_of_a_piece_is_collateral() {
    let lab = shared_handset();
    let client = lab.client();
    client.gets([handset("A")]);
    assert_eq!(client.collateral(), ["r", "s"]); // 132, 133
    assert_eq!(client.allocations(), ["A"]);
    assert_eq!(lab.available(), ["B", "b"]);
}

#[test]
fn collateral_is_shown_as_the_stack_writes_it_and_once() {
    let lab = shared_handset().stack("r A b");
    let client = lab.client();
    client.gets([relay("r"), handset("A")]);
    assert_eq!(client.collateral(), ["b", "s"]); // 133
}

#[test]
fn two_relays_may_share_a_collateral_handset() {
    let lab = shared_handset();
    let client = lab.client();
    client.gets([relay("r")]);
    client.gets([relay("s")]); // 134
    assert_eq!(client.collateral(), ["A"]);
    client.yields([relay("r")]).unwrap();
    assert_eq!(
        (client.collateral(), lab.available().contains(&"A".to_owned())),
        (vec!["A".to_owned()], false)
    );
    client.yields([relay("s")]).unwrap(); // 135
    assert_eq!(client.collateral(), [""; 0]);
    assert_eq!(lab.client().gets([handset("A")]), ["A"]);
}

#[test]
fn two_clients_may_share_collateral_too() {
    let lab = shared_handset();
    let (ann, bob) = (lab.client(), lab.client());
    ann.gets([relay("r")]);
    bob.gets([relay("s")]);
    ann.leaves();
    assert_refused(lab.client().get([handset("A")]), RefusalKind::Busy, "all such equipment busy");
    bob.leaves();
    assert_eq!(lab.client().gets([handset("A")]), ["A"]);
}

#[test]
fn asking_for_ones_own_collateral_is_busy_and_loses_the_session() {
    let lab = shared_handset();
    let client = lab.client();
    client.gets([handset("A")]);
    assert_refused(client.get([relay("r")]), RefusalKind::Busy, "all such equipment busy"); // 136
    assert!(!client.is_open());
    assert_eq!(lab.collateral(None), [""; 0]); // 137
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn a_group_that_needs_somebodys_collateral_fails() {
    let lab = shared_handset();
    let _holder = lab.client().gets([relay("s")]);
    let refused = lab.client().get([relay("r"), handset("A")]);
    assert_refused(refused, RefusalKind::Busy, "cannot allocate all equipment together"); // 138
    assert_eq!(lab.client().gets([h(), r()]), ["B", "b"]);
}

#[test]
fn members_of_a_chosen_stack_that_nobody_asked_for_are_collateral() {
    let lab = Lab::new().handset("A").relay("r").handset("B").stack("A r B");
    let client = lab.client();
    client.gets([h(), r()]);
    assert_eq!(client.allocations(), ["A", "r"]); // 139
    assert_eq!(client.collateral(), ["B"]);
}

#[test]
fn collateral_of_one_group_blocks_the_other_groups_of_the_call() {
    let lab = Lab::new().handset("A").relay("a").relay("x").stack("A a");
    assert_eq!(lab.client().gets([json!([h()]), json!([r()])]), ["A", "x"]);
}

#[test]
fn a_piece_of_ones_own_allocation_becomes_collateral_when_it_is_given_back() {
    let lab = shared_handset();
    let client = lab.client();
    client.gets([relay("r"), handset("A")]);
    client.yields([handset("A")]).unwrap();
    assert_eq!(client.collateral(), ["A"]);
    assert_eq!(lab.available(), ["s", "B", "b"]);
    assert_refused(lab.client().get([handset("A")]), RefusalKind::Busy, "all such equipment busy");
    client.yields([relay("r")]).unwrap();
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn all_collateral_is_free_when_the_client_disconnects() {
    let lab = shared_handset();
    let client = lab.client();
    client.gets([relay("r")]);
    client.gets([relay("b")]);
    assert_eq!(lab.collateral(None), ["A", "B"]);
    client.leaves();
    assert_eq!(lab.collateral(None), [""; 0]); // 140
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn a_piece_that_appears_while_it_is_collateral_is_collateral_at_once() {
    let lab = Lab::new().handset("A").relay("r").stack("A NEW r");
    let client = lab.client();
    client.gets([handset("A")]);
    let lab = lab.handset("NEW");
    assert_eq!(lab.available(), [""; 0]);
    assert_refused(lab.client().get([handset("NEW")]), RefusalKind::Busy, "all such equipment busy");
    client.leaves();
    assert_eq!(lab.client().gets([handset("NEW")]), ["NEW"]);
}

#[test]
fn later_stacks_concern_later_grants() {
    let lab = Lab::new().handset("A").relay("r").relay("s").stack("A r");
    let client = lab.client();
    client.gets([handset("A")]);
    lab.set_stacks(vec![vec![Profile::of(handset("A")), Profile::of(relay("s"))]]);
    assert_eq!(client.collateral(), ["r"]);
    assert_eq!(lab.available(), ["s"]);
    let refused = lab.client().get([relay("s")]);
    assert_refused(refused, RefusalKind::Busy, "equipment shares collateral with a prior allocation");
    client.leaves();
    assert_eq!(lab.available(), ["A", "r", "s"]);
    let client = lab.client();
    client.gets([handset("A")]);
    assert_eq!(client.collateral(), ["s"]);
}

#[test]
fn a_vanished_piece_keeps_its_collateral_until_it_is_given_back() {
    let lab = Lab::new().handset("A").relay("r").stack("A r");
    let client = lab.client();
    let item = client.get([handset("A")]).unwrap()[0].item.clone();
    lab.vanish(Source::File, &[item]);
    assert_eq!((lab.equipment(), lab.available()), (vec!["r".to_owned()], vec![]));
    client.leaves();
    assert_eq!(lab.available(), ["r"]);
}
