//! Ends of sessions, and the way from held to free. (Specification 3.4; decision 8.)

use ave_profile::RefusalKind;
use serde_json::json;

use crate::asks::{h, handset, r, relay, w};
use crate::client::assert_refused;
use crate::lab::Lab;

const BUSY: &str = "all such equipment busy";

fn lab() -> Lab {
    Lab::new().handset("A").relay("r").handset("B").stack("A r").workspaces(json!({"pretty": "jane"}))
}

#[test]
fn if_the_client_disconnects_all_its_resources_are_available_again() {
    let lab = lab();
    let client = lab.client();
    client.gets([h(), r(), w()]);
    client.gets([handset("B")]);
    client.leaves();
    assert!(!client.is_open());
    assert_eq!(lab.allocations(None), [""; 0]);
    assert_eq!(lab.available(), lab.equipment());
    assert_eq!(lab.equipment(), ["A", "r", "B"]);
}

#[test]
fn a_session_ends_once_whoever_says_so() {
    let lab = lab();
    let client = lab.client();
    client.gets([h()]);
    client.get([handset("Z")]).unwrap_err();
    client.leaves(); // the lab asserts that nothing is told to end or close twice
    client.leaves();
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn clients_do_not_end_each_other() {
    let lab = lab();
    let (ann, bob) = (lab.client(), lab.client());
    ann.gets([handset("A")]);
    bob.gets([handset("B")]);
    ann.leaves();
    assert!(bob.is_open());
    assert_eq!(bob.allocations(), ["B"]);
}

#[test]
fn closing_counts_as_taken() {
    let lab = lab().closing_slowly();
    let client = lab.client();
    client.gets([handset("A")]);
    client.leaves();
    assert_refused(lab.client().get([handset("A")]), RefusalKind::Busy, BUSY);
    assert_refused(lab.client().get([relay("r")]), RefusalKind::Busy, BUSY);
    assert_eq!(lab.equipment(), ["A", "r", "B"]);
    assert_eq!(lab.available(), ["B"]);
    assert_eq!(lab.collateral(None), ["r"]);
    lab.finish_closing();
    assert_eq!(lab.client().gets([h(), r()]), ["A", "r"]);
}

#[test]
fn a_yielded_piece_is_closed_before_anybody_can_have_it_its_client_included() {
    let lab = lab().closing_slowly();
    let client = lab.client();
    client.gets([handset("B")]);
    client.yields([handset("B")]).unwrap();
    assert_eq!(lab.available(), ["A", "r"]);
    assert_eq!(client.gets([h()]), ["A"]);
    assert_refused(client.get([handset("B")]), RefusalKind::Busy, BUSY);
    lab.finish_closing();
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn a_session_that_ends_while_something_closes_closes_only_the_rest() {
    let lab = lab().closing_slowly();
    let client = lab.client();
    client.gets([handset("B")]);
    client.gets([handset("A")]);
    client.yields([handset("B")]).unwrap();
    client.leaves(); // the lab asserts that nothing is told to close twice
    assert_eq!(lab.available(), [""; 0]);
    lab.finish_closing();
    assert_eq!(lab.available(), ["A", "r", "B"]);
}

#[test]
fn a_closing_workspace_still_exists() {
    let lab = lab().closing_slowly();
    let client = lab.client();
    let uid = client.gets([w()]).remove(0);
    client.leaves();
    assert_eq!(lab.equipment_like(w()), [uid.as_str()]);
    let again = lab.client().get([json!({"type": "workspace", "uid": uid})]);
    assert_eq!(again.unwrap_err().kind, RefusalKind::Busy);
    lab.finish_closing();
    assert_eq!(lab.equipment_like(w()), [""; 0]);
}

#[test]
fn a_word_about_a_piece_that_nobody_was_told_to_close_changes_nothing() {
    let lab = lab();
    let (ann, bob) = (lab.client(), lab.client());
    let held = ann.get([handset("A")]).unwrap()[0].item.clone();
    lab.closed(ann.session(), &held, Ok(()));
    lab.closed(bob.session(), &held, Err("no".to_owned()));
    assert_eq!(ann.allocations(), ["A"]);
    assert_refused(lab.client().get([handset("A")]), RefusalKind::Busy, BUSY);
    ann.yields([handset("A")]).unwrap();
    let next = lab.client();
    next.gets([handset("A")]);
    lab.closed(ann.session(), &held, Ok(()));
    assert_eq!(next.allocations(), ["A"]);
}

#[test]
fn a_piece_that_could_not_be_closed_is_not_lent() {
    let lab = lab().closing_slowly();
    let client = lab.client();
    let item = client.get([handset("B")]).unwrap()[0].item.clone();
    client.yields([handset("B")]).unwrap();
    lab.closed(client.session(), &item, Err("the tool did not stop".to_owned()));
    assert_eq!(lab.available(), ["A", "r"]);
    assert_refused(lab.client().get([handset("B")]), RefusalKind::Busy, BUSY);
    assert_eq!(client.allocations(), [""; 0]);
}

#[test]
fn a_keyed_connection_has_no_session() {
    let lab = lab();
    let nobody = lab.client();
    nobody.leaves();
    assert_refused(nobody.get([h()]), RefusalKind::Exception, "session closed");
    assert_refused(nobody.yields([handset("A")]), RefusalKind::Exception, "session closed");
}
