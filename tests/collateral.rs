//! What is left over of a stack, and lent to nobody. (10.7)

use serde_json::{Value, json};

use crate::support::{Lab, Peer, any, names, only, stacks};

fn collateral(client: &mut Peer) -> Value {
    client.result("list_collateral", json!([]))
}

#[test]
fn a_handset_of_two_stacks_makes_both_relays_collateral_132_133_140() {
    let lab = Lab::of(&["h1", "r1", "r2", "n1"], &[&["h1", "r1"], &["h1", "r2", "r1"]]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    // In the short form of the stacks, each once.
    assert_eq!(collateral(&mut client), json!([only("r1"), only("r2")]));
    assert_eq!(lab.available(), ["n1"]);
    assert_eq!(lab.list("list_collateral_all"), ["r1", "r2"]);
    assert_eq!(collateral(&mut lab.client()), json!([]));
    client.close();
    lab.wait_available(&["h1", "r1", "r2", "n1"]);
    assert_eq!(lab.list("list_collateral_all"), [""; 0]);
}

#[test]
fn one_client_may_hold_two_relays_that_share_a_handset_134_135() {
    let lab = Lab::of(&["h1", "r1", "r2"], &[&["h1", "r1"], &["h1", "r2"]]);
    let mut client = lab.client();
    client.get(json!([only("r1")]));
    client.get(json!([only("r2")]));
    for (given_back, free) in [("r1", vec!["r1"]), ("r2", vec!["h1", "r1", "r2"])] {
        assert_eq!(collateral(&mut client), json!([only("h1")]));
        client.result("yield_resources", json!([only(given_back)]));
        assert_eq!(lab.available(), free);
    }
    assert_eq!(collateral(&mut client), json!([]));
}

#[test]
fn asking_for_ones_own_collateral_costs_the_session_136_137() {
    let lab = Lab::of(&["h1", "r1"], &[&["h1", "r1"]]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    let (kind, message) = client.get_refused(json!([only("r1")]));
    assert_eq!(kind, "Busy");
    assert!(message.starts_with("all such equipment busy"), "{message}");
    assert_eq!(lab.list("list_collateral_all"), [""; 0]);
    assert_eq!(lab.available(), ["h1", "r1"]);
    assert_eq!(client.get_refused(json!([any("handset")])).1, "session closed");
}

#[test]
fn a_request_for_several_fails_if_it_needs_somebodys_collateral_138() {
    let lab = Lab::of(&["h1", "r1", "n1"], &[&["h1", "r1", "n1"]]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    let busy = ("Busy".to_owned(), "cannot allocate all equipment together".to_owned());
    assert_eq!(lab.client().get_refused(json!([only("r1"), only("n1")])), busy);
    assert_eq!(names(&collateral(&mut client)), ["r1", "n1"]);
}

#[test]
fn a_piece_is_not_lent_while_something_entangled_with_it_is_138() {
    // Both handsets are wired to the relay; the relay is lent together with the first.
    let lab = Lab::of(&["h1", "h2", "r1"], &[&["h1", "r1"], &["h2", "r1"]]);
    let mut client = lab.client();
    client.get(json!([only("h1"), only("r1")]));
    let (kind, message) = lab.client().get_refused(json!([only("h2")]));
    assert_eq!((kind.as_str(), message.starts_with("all such equipment busy")), ("Busy", true), "{message}");
}

#[test]
fn what_a_grant_leaves_over_is_collateral_and_not_allocated_139() {
    let lab = Lab::of(&["h1", "r1", "n1"], &[&["h1", "r1", "n1"]]);
    let mut client = lab.client();
    client.get(json!([any("handset"), any("relay")]));
    assert_eq!(collateral(&mut client), json!([only("n1")]));
    assert_eq!(names(&client.result("list_allocations", json!([]))), ["h1", "r1"]);
    assert_eq!(lab.list("list_allocations_all"), ["h1", "r1"]);
}

#[test]
fn what_is_collateral_was_decided_when_it_was_granted() {
    let lab = Lab::of(&["h1", "h2", "r1"], &[&["h1", "r1"]]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    let others = stacks(&[&["h1", "h2"]]);
    lab.lister().result("set_stacks", json!(["local", others]));
    assert_eq!(lab.admin().result("list_stacks", json!([])), others);
    assert_eq!(lab.available(), ["h2"]);
    client.result("yield_resources", json!([only("h1")]));
    client.get(json!([only("h1")]));
    assert_eq!(lab.available(), ["r1"]);
}
