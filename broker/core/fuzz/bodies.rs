//! What must hold of every input. `cargo fuzz` searches for one that breaks it; the tests try a few.

use std::time::Duration;

use ave_core::{Changes, Core, Event, Moment, Remainder, Setback, Snapshot, SnapshotError};
use ave_profile::{AskId, BrokerId, Generation, KindTable, SessionId};

/// Whatever bytes a snapshot is said to be: they are refused, or a broker can go on with them.
pub(crate) fn snapshot(data: &[u8]) {
    let Ok(snapshot) = Snapshot::decode(data) else { return };
    let once = snapshot.encode(Snapshot::NEWEST).expect("what was read can be written");
    assert_eq!(Snapshot::decode(&once).expect("what was written can be read"), snapshot);
    let Ok(mut core) = restored(snapshot) else { return };
    core.check();
    let again = restored(core.snapshot()).expect("what a broker says of itself is true");
    again.check();
    assert_eq!(again.fingerprint(), core.fingerprint());
    let questions = (1..=3).flat_map(|session| (1..=2).map(move |ask| (SessionId(session), AskId(ask))));
    for (session, ask) in questions {
        core.apply(core.now(), Event::PeerSlow { session, ask });
        let outcome = Err(Setback::Unreachable("gone".to_owned()));
        core.apply(core.now(), Event::PeerAnswered { session, ask, outcome });
        core.check();
    }
    let lost = |generation| Event::GenerationLost { generation, reason: "lost".to_owned() };
    let events = [Event::Inherited { generation: Generation(2) }, Event::DeadlineReached];
    for event in events.into_iter().chain((0..=2).map(Generation).map(lost)) {
        core.apply(Moment(Duration::from_secs(60)), event);
        core.check();
    }
}

/// Whatever a draft is said to be, and what it is said to lack: they are refused, or a broker can go on with them. Of
/// two brokers, the second is a draft of the first and what that lacks, even if they have nothing in common.
pub(crate) fn draft(first: &[u8], second: &[u8], changes: &[u8]) {
    let (Ok(first), Ok(second)) = (Snapshot::decode(first), Snapshot::decode(second)) else { return };
    let draft = first.draft();
    let Ok(drafted) = restored(draft.clone()) else { return };
    if let Ok(changes) = rmp_serde::from_slice::<Changes>(changes)
        && let Ok(core) = drafted.clone().complete(Remainder { changes, rest: second.clone() })
    {
        core.check();
    }
    let Ok(whole) = restored(second.clone()) else { return };
    let core = drafted.complete(second.since(&draft)).expect("what a broker says of itself is true");
    core.check();
    assert_eq!(core.fingerprint(), whole.fingerprint());
}

fn restored(snapshot: Snapshot) -> Result<Core, SnapshotError> {
    Core::restore(KindTable::builtin(), BrokerId(1), snapshot)
}
