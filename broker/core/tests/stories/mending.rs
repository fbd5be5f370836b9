//! A piece that could not be closed stays out of the pool, with a visible reason, until it is reset.
//! (Specification 5.11; decision 8; checks 219 to 222.)

use ave_core::{Core, Event, Source, Tally};
use ave_profile::{Identity, RefusalKind};
use serde_json::json;

use crate::asks::{camera, h, handset, r, relay, w, with};
use crate::client::assert_refused;
use crate::lab::Lab;

const BUSY: &str = "all such equipment busy";

fn lab() -> Lab {
    Lab::new().handset("A").relay("r").stack("A r").workspaces(json!({}))
}

fn pair(name: &str, reason: &str) -> Vec<(String, String)> {
    vec![(name.to_owned(), reason.to_owned())]
}

#[test]
fn a_broken_piece_is_listed_with_its_reason_and_lent_to_nobody() {
    let lab = lab();
    let item = lab.breaks(h(), "the tool did not stop");
    assert_eq!(lab.broken(), pair("A", "the tool did not stop")); // 219
    assert_eq!(lab.available(), [""; 0]);
    assert_eq!(lab.collateral(None), ["r"]);
    assert_refused(lab.client().get([h()]), RefusalKind::Busy, BUSY);
    assert_eq!(
        lab.warnings(),
        [format!("{item} could not be closed and is not lent any more: the tool did not stop")]
    );
}

#[test]
fn everything_is_counted_once() {
    let lab = Lab::new().handset("A").handset("B").handset("C").relay("r").workspaces(json!({}));
    lab.breaks(h(), "stuck");
    let client = lab.client();
    assert_eq!(client.gets([h()]), ["B"]);
    client.get([w()]).unwrap();
    let census = lab.ask_core(Core::census);
    let tally = |kind: &str| census.kinds[kind];
    assert_eq!(tally("handset"), Tally { known: 3, lent: 1, broken: 1 });
    assert_eq!(tally("relay"), Tally { known: 1, lent: 0, broken: 0 });
    assert_eq!(tally("workspace"), Tally { known: 1, lent: 1, broken: 0 });
    assert_eq!((census.kinds.len(), census.shares.len()), (3, 0));
    client.leaves();
    let census = lab.ask_core(Core::census);
    assert_eq!(census.kinds["handset"], Tally { known: 3, lent: 0, broken: 1 });
}

#[test]
fn a_reset_that_succeeds_makes_a_piece_and_its_collateral_free() {
    let lab = lab();
    let item = lab.breaks(h(), "stuck");
    assert_eq!(lab.asks_for_reset(&item), None);
    assert_refused(lab.client().get([h()]), RefusalKind::Busy, BUSY); // not before it is done
    assert_eq!(lab.broken(), pair("A", "stuck"));
    lab.resets(&item, Ok(())).unwrap(); // 220
    assert_eq!((lab.broken(), lab.available()), (vec![], lab.equipment()));
    assert_eq!(lab.client().gets([h(), r()]), ["A", "r"]);
}

#[test]
fn a_reset_that_fails_leaves_a_piece_broken_for_the_new_reason() {
    let lab = lab();
    let item = lab.breaks(h(), "stuck");
    assert_eq!(lab.asks_for_reset(&item), None);
    let refused = lab.resets(&item, Err("still stuck"));
    assert_refused(
        refused,
        RefusalKind::Exception,
        "handset:A could not be reset and is still not lent: still stuck",
    );
    assert_eq!(lab.broken(), pair("A", "still stuck")); // 221
    assert_eq!(lab.asks_for_reset(&item), None, "it can be tried again");
    lab.resets(&item, Ok(())).unwrap();
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn only_a_broken_piece_can_be_reset_and_one_reset_at_a_time() {
    let lab = lab();
    let refused = |item: &Identity| lab.asks_for_reset(item).map(|refusal| refusal.to_string()).unwrap(); // 222
    assert_eq!(refused(&Identity::new("handset", "Z")), "NoSuch: no such resource: handset:Z");
    let a = Identity::new("handset", "A");
    assert_eq!(refused(&a), "Exception: handset:A is not broken");
    let holder = lab.client();
    holder.gets([h()]);
    assert_eq!(refused(&a), "Exception: handset:A is not broken");
    holder.leaves();
    lab.breaks(h(), "stuck");
    assert_eq!(lab.asks_for_reset(&a), None);
    assert_eq!(refused(&a), "Busy: handset:A is being reset already");
    lab.resets(&a, Ok(())).unwrap();
    assert_eq!(refused(&a), "Exception: handset:A is not broken");
}

#[test]
fn a_word_about_a_reset_that_nobody_was_told_to_do_changes_nothing() {
    let lab = lab();
    let item = lab.breaks(h(), "stuck");
    lab.apply(Event::ResetDone { item: item.clone(), request: None, outcome: Ok(()) });
    assert_eq!(lab.broken(), pair("A", "stuck"));
    let other = Identity::new("relay", "r");
    lab.apply(Event::ResetDone { item: other, request: None, outcome: Err("no".to_owned()) });
    assert_eq!(lab.broken(), pair("A", "stuck"));
}

#[test]
fn a_broken_piece_that_is_gone_can_be_reset_when_it_is_back() {
    let lab = lab();
    let item = lab.breaks(h(), "stuck");
    lab.vanish(Source::File, std::slice::from_ref(&item));
    assert_eq!(lab.asks_for_reset(&item).unwrap().kind, RefusalKind::NoSuch);
    let lab = lab.handset("A");
    assert_eq!(lab.broken(), pair("A", "stuck"));
    assert_eq!(lab.asks_for_reset(&item), None);
    lab.vanish(Source::File, std::slice::from_ref(&item));
    lab.resets(&item, Ok(())).unwrap();
    assert_eq!((lab.equipment(), lab.collateral(None)), (vec!["r".to_owned()], vec![]));
    assert_eq!(lab.handset("A").client().gets([h()]), ["A"]);
}

#[test]
fn a_broken_workspace_is_gone_after_its_reset() {
    let lab = lab();
    let item = lab.breaks(w(), "the disk is full");
    assert_eq!(lab.broken(), pair(&item.value, "the disk is full"));
    assert_eq!(lab.asks_for_reset(&item), None);
    lab.resets(&item, Ok(())).unwrap();
    assert_eq!(lab.equipment_like(w()), [""; 0]);
}

#[test]
fn while_one_holder_could_not_close_a_piece_nobody_new_gets_it_and_the_others_go_on() {
    let lab = Lab::new().piece(json!({"type": "camera", "uid": "c"}));
    let (ann, bob) = (lab.client(), lab.client());
    let item = ann.get([camera()]).unwrap()[0].item.clone();
    bob.gets([camera()]);
    lab.fails_to_close(&ann, &item, "the lens is stuck");
    assert_eq!((bob.allocations(), lab.broken()), (vec!["c".to_owned()], pair("c", "the lens is stuck")));
    assert_refused(lab.client().get([camera()]), RefusalKind::Busy, BUSY);
    let held = lab.asks_for_reset(&item).unwrap();
    assert_eq!(held.to_string(), "Busy: resource already allocated: camera:c");
    bob.leaves();
    assert_eq!(lab.broken(), pair("c", "the lens is stuck"));
    assert_eq!(lab.asks_for_reset(&item), None);
    lab.resets(&item, Ok(())).unwrap();
    assert_eq!(lab.available(), ["c"]);
}

#[test]
fn no_report_says_that_a_piece_is_broken_or_is_not() {
    let lab = lab();
    let booted = || with(handset("A"), json!({"power_state": "boot_completed"}));
    lab.report(Source::Lister, [with(booted(), json!({"broken": "says who"}))]).unwrap();
    assert_eq!(lab.broken(), []);
    lab.breaks(relay("r"), "stuck");
    lab.report(Source::File, [with(relay("r"), json!({"power_state": "online"}))]).unwrap();
    assert_eq!(lab.broken(), pair("r", "stuck"));
}

#[test]
fn a_broken_piece_is_reset_again_and_again_after_longer_and_longer_pauses_226() {
    let lab = lab();
    let item = lab.breaks(h(), "stuck");
    for pause in [10, 20, 40, 80, 160, 320, 600, 600] {
        lab.waits(pause - 1);
        assert!(!lab.is_resetting(), "not before {pause} s");
        lab.waits(1);
        lab.retries(&item, Err("still stuck"));
    }
    assert_eq!(lab.broken(), pair("A", "still stuck"));
    lab.waits(600);
    lab.retries(&item, Ok(()));
    assert_eq!((lab.broken(), lab.available()), (vec![], lab.equipment()));
    lab.waits(10_000);
    assert!(!lab.is_resetting(), "nothing is broken any more");
}

#[test]
fn the_log_says_once_why_resets_do_not_help() {
    let lab = lab();
    let item = lab.breaks(h(), "stuck");
    for reason in ["stuck", "no power", "no power", "stuck"] {
        lab.waits(600);
        lab.retries(&item, Err(reason));
    }
    let still = |reason| format!("{item} could not be reset and is still not lent: {reason}");
    assert_eq!(lab.warnings()[1..], [still("no power"), still("stuck")]);
}

#[test]
fn a_piece_is_not_reset_again_while_somebody_resets_it_or_after_it_helped() {
    let lab = lab();
    let item = lab.breaks(h(), "stuck");
    assert_eq!(lab.asks_for_reset(&item), None);
    lab.waits(1_000); // told once: the lab would object
    lab.resets(&item, Err("still stuck")).unwrap_err();
    lab.waits(19);
    assert!(!lab.is_resetting());
    assert_eq!(lab.asks_for_reset(&item), None);
    lab.resets(&item, Ok(())).unwrap();
    lab.waits(1_000);
    assert!(!lab.is_resetting());
}

#[test]
fn a_broken_piece_that_is_gone_or_held_is_reset_soon_after() {
    let lab = lab().piece(json!({"type": "camera", "uid": "c"}));
    let item = lab.breaks(h(), "stuck");
    lab.vanish(Source::File, std::slice::from_ref(&item));
    let (ann, bob) = (lab.client(), lab.client());
    let shared = ann.get([camera()]).unwrap()[0].item.clone();
    bob.gets([camera()]);
    lab.fails_to_close(&ann, &shared, "the lens is stuck");
    lab.waits(10_000);
    assert!(!lab.is_resetting());
    let lab = lab.handset("A");
    lab.waits(10);
    lab.retries(&item, Ok(()));
    bob.leaves();
    lab.waits(10);
    lab.retries(&shared, Ok(()));
    assert_eq!(lab.available(), lab.equipment());
}
