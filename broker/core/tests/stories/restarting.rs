//! A broker is restarted, or dies: the process that takes over knows what is lent. (Specification 7.1.)

use std::sync::Arc;

use ave_core::{Core, Door, Event, Report, Snapshot, SnapshotError, Source};
use ave_profile::{BrokerId, Generation, Identity, KindTable, Profile, RefusalKind, RequestId};
use serde_json::json;

use crate::asks::{handset, relay, w};
use crate::client::assert_refused;
use crate::lab::Lab;
use crate::peers::{Broker, ID, SESSION, lent, named, question, relay as far, shared};

fn lab() -> Lab {
    Lab::new()
        .handset("A")
        .handset("B")
        .relay("r1")
        .relay("r2")
        .stack("A r1")
        .stack("B r2")
        .workspaces(json!({}))
}

fn assert_same(lab: &Lab, next: &Lab) {
    assert_eq!(next.equipment(), lab.equipment());
    assert_eq!(next.available(), lab.available());
    assert_eq!(next.allocations(None), lab.allocations(None));
    assert_eq!(next.collateral(None), lab.collateral(None));
}

#[test]
fn what_is_lent_stays_lent_and_the_rest_can_be_had_from_the_new_one_192_194_195() {
    let lab = lab();
    let client = lab.client();
    client.get([handset("A"), w()]).unwrap();
    let next = lab.restarts(1);
    assert_same(&lab, &next);
    assert_eq!(next.available(), ["B", "r2"]);
    let newcomer = next.client();
    assert_refused(newcomer.get([handset("A")]), RefusalKind::Busy, "");
    assert_eq!(next.client().gets([handset("B")]), ["B"]);
    client.yields([handset("A")]).unwrap();
    lab.tells(&next);
    assert_eq!(next.available(), ["A", "r1"]); // B is lent now
    assert_eq!(next.client().gets([handset("A"), relay("r1")]), ["A", "r1"]);
}

#[test]
fn an_old_client_cannot_have_more_and_keeps_what_it_has_193() {
    let lab = lab();
    let client = lab.client();
    client.get([handset("A")]).unwrap();
    lab.restarts(1);
    assert_refused(client.get([handset("B")]), RefusalKind::Restarting, "broker is restarting");
    assert!(client.is_open());
    assert_eq!(client.allocations(), ["A"]);
    lab.apply(Event::Thawed);
    assert_eq!(client.gets([handset("B")]), ["B"]);
}

#[test]
fn a_session_that_ends_in_an_old_process_frees_its_equipment_in_the_newest_196_198() {
    let lab = lab();
    let client = lab.client();
    client.get([handset("A")]).unwrap();
    let second = lab.restarts(1);
    let other = second.client();
    other.get([handset("B")]).unwrap();
    let third = second.restarts(2);
    assert_eq!(third.available(), Vec::<String>::new());
    client.leaves();
    lab.tells(&third);
    assert_eq!(third.available(), ["A", "r1"]);
    third.apply(Event::ElderEnded { session: client.session() });
    other.leaves();
    second.tells(&third);
    assert_eq!(third.available(), ["A", "B", "r1", "r2"]);
    assert_eq!(third.ask_core(|core| core.generation_of(other.session())), Some(Generation(2)));
}

#[test]
fn what_an_old_process_was_closing_is_free_once_it_says_so() {
    let lab = lab().closing_slowly();
    let client = lab.client();
    client.get([handset("A")]).unwrap();
    client.leaves();
    let next = lab.restarts(1);
    assert_refused(next.client().get([handset("A")]), RefusalKind::Busy, "all such equipment busy");
    lab.finish_closing();
    lab.tells(&next);
    assert_eq!(next.client().gets([handset("A")]), ["A"]);
}

#[test]
fn what_a_dead_process_had_lent_is_reset_before_anybody_gets_it() {
    let lab = lab();
    let client = lab.client();
    client.get([handset("A"), w()]).unwrap();
    let next = lab.restarts(1);
    next.apply(Event::GenerationLost { generation: Generation(1), reason: "it was killed".into() });
    assert_eq!(next.broken()[0], ("A".to_owned(), "it was killed".to_owned()));
    assert_refused(next.client().get([handset("A")]), RefusalKind::Busy, "all such equipment busy");
    assert_refused(next.client().get([relay("r1")]), RefusalKind::Busy, "");
    assert!(next.resets_untold(&Identity::new("handset", "A"), Ok(())).is_none());
    assert_eq!(next.client().gets([relay("r1")]), ["r1"]);
    // Its word counts no more.
    next.apply(Event::ElderEnded { session: client.session() });
    next.apply(Event::ElderClosed {
        session: client.session(),
        item: Identity::new("handset", "A"),
        outcome: Err("late".into()),
    });
    assert!(next.broken().iter().all(|(name, _)| name != "A"));
}

#[test]
fn an_administrator_has_the_old_process_end_its_session() {
    let lab = lab();
    let client = lab.client();
    client.get([handset("A")]).unwrap();
    let next = lab.restarts(1);
    next.apply(Event::SessionEnded { session: client.session() });
    assert_eq!(next.told_to_end(), [client.session()]);
    assert_eq!(next.allocations(None), ["A"]);
}

#[test]
fn equipment_of_which_the_new_process_hears_nothing_is_gone() {
    let lab = lab().piece(json!({"type": "handset", "serial": "C"}));
    let next = lab.restarts(1);
    next.report(Source::File, [json!({"type": "handset", "serial": "A"})]).unwrap();
    next.apply(Event::Settled { source: Source::Lister });
    assert_eq!(next.equipment().len(), 5);
    next.apply(Event::Settled { source: Source::File });
    assert_eq!(next.equipment(), ["A"]);
}

#[test]
fn grants_are_numbered_on() {
    let lab = lab();
    let number = |lab: &Lab, name| lab.client().get([handset(name)]).unwrap()[0].number;
    let first = number(&lab, "A");
    assert!(number(&lab.restarts(1), "B") > first);
}

#[test]
fn a_snapshot_is_read_by_programs_of_its_version_only() {
    let lab = lab();
    lab.client().get([handset("A"), w()]).unwrap();
    let snapshot = lab.ask_core(Core::snapshot);
    assert_eq!(snapshot.encode(3), Err(SnapshotError::Version { found: 3 }));
    for version in Snapshot::OLDEST..=Snapshot::NEWEST {
        let read = Snapshot::decode(&snapshot.encode(version).unwrap()).unwrap();
        assert_eq!(read, snapshot);
    }
    let later = [&[0x92, 9][..], &snapshot.encode(1).unwrap()[2..]].concat();
    assert_eq!(Snapshot::decode(&later), Err(SnapshotError::Version { found: 9 }));
    assert!(matches!(Snapshot::decode(b"nonsense"), Err(SnapshotError::Malformed(_))));
    // A type that the configuration does not have any more is left out.
    let none = KindTable::new([]);
    let core = Core::restore(none, BrokerId(3), snapshot).unwrap();
    core.check();
    assert!(core.equipment(None, None).is_empty());
}

#[test]
fn what_was_broken_is_tried_anew_whenever_its_turn_would_have_been() {
    let lab = lab();
    lab.waits(3600);
    let item = lab.breaks(handset("A"), "stuck");
    lab.vanish(Source::File, std::slice::from_ref(&item));
    let next = lab.restarts(1);
    assert!(!next.is_resetting(), "it is not there");
    let next = next.handset("A");
    next.waits(10);
    next.retries(&item, Ok(()));
    assert_eq!(next.available(), ["B", "r1", "r2", "A"]);
}

#[test]
fn collateral_of_stacks_that_are_gone_is_still_listed_after_a_restart() {
    let lab = lab();
    lab.client().get([handset("A")]).unwrap();
    lab.set_stacks(Vec::new());
    assert_eq!(lab.collateral(None), ["r1"]);
    assert_same(&lab, &lab.restarts(1));
}

#[test]
fn what_was_given_back_at_a_share_is_as_taken_as_the_share_says_in_a_snapshot_too() {
    let mut broker = Broker::new(&[]);
    let stack = [named("x"), named("y")];
    let stacks = vec![stack.iter().map(|short| Arc::new(Profile::of(short.clone()))).collect()];
    let changed = vec![shared(far("x")), shared(far("y"))];
    broker.reports("s", 1, Report { changed, stacks: Some(stacks), ..Report::default() });
    let question = question(broker.get(json!([[named("x")]])));
    broker.answers(&question, json!([[far("x")]]));
    broker.reports("s", 1, Report { changed: vec![lent(far("x"), &[named("y")])], ..Report::default() });
    let (request, profiles) = (RequestId(9), vec![Profile::of(named("x"))]);
    broker.apply(Event::Yielded { session: SESSION, request, door: Door::Broker, profiles });
    let restored = Core::restore(KindTable::builtin(), ID, broker.core.snapshot()).unwrap();
    assert_eq!(restored.available(None), broker.core.available(None));
    assert_eq!(restored.fingerprint(), broker.core.fingerprint());
}
