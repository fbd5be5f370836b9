//! Snapshots as they were written once, in each version: they are still read, and say what they said. And what
//! becomes of them when bytes are missing or wrong.
//!
//! A new version gets a file of its own, written once by hand and never again:
//! `cargo test -p ave-core --test snapshots -- --ignored write`.
#![allow(clippy::unwrap_used, reason = "in a test an unwrap that fails is a test that fails")]

#[path = "../../fuzz/bodies.rs"]
mod bodies;
mod lab;

use std::path::PathBuf;
use std::sync::Arc;

use ave_core::{Core, Effect, Event, Moment, Snapshot};
use ave_profile::{BrokerId, Generation, KindTable, Profile};

use crate::lab::{Lab, NEAR, OLD, WAITING, address};

/// One file for each version that is read.
const FILES: [&[u8]; 2] = [include_bytes!("v1"), include_bytes!("v2")];

/// One bit of so many is turned: others in every byte.
const BITS: usize = 13;

fn restored(bytes: &[u8]) -> Core {
    let snapshot = Snapshot::decode(bytes).unwrap();
    let core = Core::restore(KindTable::builtin(), BrokerId(1), snapshot).unwrap();
    core.check();
    core
}

fn names(profiles: Vec<Arc<Profile>>) -> Vec<String> {
    let value = |profile: &Profile| profile.get("serial").or(profile.get("uid")).cloned();
    profiles.iter().map(|profile| value(profile).unwrap().as_str().unwrap().to_owned()).collect()
}

/// What every version can say.
fn check(core: &Core) {
    let all = ["A", "B", "C", "r", "s", "t", "jane-1", "f", "g", "h"];
    let equipment = names(core.equipment(None, None));
    assert_eq!(equipment.len(), all.len());
    assert!(
        all.iter().all(|name| equipment.iter().any(|found| found.starts_with(&name[..1]))),
        "{equipment:?}"
    );
    assert_eq!(names(core.available(None)), ["t", "h"]);
    assert_eq!(names(core.allocations(Some(NEAR)))[..1], ["A"]);
    assert_eq!(names(core.allocations(Some(OLD))), ["s"]);
    assert_eq!(names(core.collateral(None)), ["r"]);
    let known = core.equipment(None, None);
    let broken: Vec<_> = known.iter().filter_map(|profile| profile.get("broken")?.as_str()).collect();
    assert_eq!(broken, ["stuck", "stuck again"]);
    assert_eq!((core.stacks().len(), core.shares()), (2, vec![address("share")]));
    assert_eq!([NEAR, OLD, WAITING].map(|session| core.is_open(session)), [true, false, true]);
    assert_eq!(core.generation_of(OLD), Some(Generation(3)));
    assert_eq!(core.generation_of(NEAR), None);
}

#[test]
fn what_any_version_wrote_is_read_and_means_the_same() {
    assert_eq!(FILES.len() as u32, Snapshot::NEWEST.max(2), "a file for each version");
    for bytes in FILES.iter().take(Snapshot::NEWEST as usize) {
        let mut core = restored(bytes);
        check(&core);
        let granted = lab::gets(&mut core, WAITING, "relay", "t");
        assert_eq!(granted.number, lab::GRANTS + 1);
        core.apply(Moment::default(), Event::SessionEnded { session: NEAR });
        assert!(names(core.allocations(Some(NEAR))).is_empty());
        core.check();
    }
}

#[test]
fn what_is_written_today_is_what_is_in_the_files() {
    let core = Lab::new().core;
    check(&core);
    for (version, bytes) in (Snapshot::OLDEST..=Snapshot::NEWEST).zip(FILES) {
        assert_eq!(Snapshot::decode(bytes), Snapshot::decode(&core.snapshot().encode(version).unwrap()));
        let is_same = restored(bytes).fingerprint() == core.fingerprint();
        assert!(is_same || version < 2, "the first version does not know hearsay");
    }
}

#[test]
fn a_question_that_is_under_way_goes_on_where_it_was() {
    let (lab, answer) = Lab::asking();
    for version in Snapshot::OLDEST..=Snapshot::NEWEST {
        let mut core = lab.core.clone();
        let mut again = restored(&core.snapshot().encode(version).unwrap());
        assert_eq!(
            names(again.available(None)),
            names(core.available(None)),
            "what is asked for is reserved"
        );
        let effects = core.apply(Moment::default(), answer.clone());
        let [Effect::Grant { groups, .. }] = &effects[..] else { panic!("not granted: {effects:?}") };
        assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1]);
        assert_eq!(again.apply(Moment::default(), answer.clone()), effects);
        again.check();
        assert_eq!(names(again.allocations(Some(WAITING))), ["t", "h"]);
    }
}

#[test]
fn a_snapshot_that_ends_too_soon_is_refused() {
    for bytes in FILES.iter().take(Snapshot::NEWEST as usize) {
        assert!((0..bytes.len()).all(|end| Snapshot::decode(&bytes[..end]).is_err()));
    }
}

#[test]
fn a_snapshot_with_a_wrong_bit_is_refused_or_makes_a_broker_that_is_whole() {
    let asking = Lab::asking().0.core.snapshot().encode(Snapshot::NEWEST).unwrap();
    for bytes in FILES.into_iter().chain([&asking[..]]) {
        for bit in (0..bytes.len() * 8).step_by(BITS) {
            let mut wrong = bytes.to_vec();
            wrong[bit / 8] ^= 1 << (bit % 8);
            bodies::snapshot(&wrong);
        }
    }
}

#[test]
#[ignore = "writes a file that is to be kept: run by hand, once for each version"]
fn write() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    for version in Snapshot::OLDEST..=Snapshot::NEWEST {
        let file = path.join(format!("v{version}"));
        if std::fs::read(&file).is_ok_and(|bytes| !bytes.is_empty()) {
            continue;
        }
        std::fs::write(file, Lab::new().core.snapshot().encode(version).unwrap()).unwrap();
    }
}

/// Whichever version a draft was taken from, what it lacks of another one makes it that one.
#[test]
fn every_version_completes_a_draft_of_every_other() {
    for first in FILES {
        FILES.into_iter().for_each(|second| bodies::draft(first, second, &[]));
    }
}
