//! What must hold of every input. `cargo fuzz` searches for one that breaks it; the tests try a few.

use std::time::Duration;

use ave_core::{Core, Event, Moment, Snapshot};
use ave_profile::{BrokerId, Generation, KindTable};

/// Whatever bytes a snapshot is said to be: they are refused, or a broker can go on with them.
pub(crate) fn snapshot(data: &[u8]) {
    let Ok(snapshot) = Snapshot::decode(data) else { return };
    let once = snapshot.encode(Snapshot::NEWEST).expect("what was read can be written");
    assert_eq!(Snapshot::decode(&once).expect("what was written can be read"), snapshot);
    let restored = |snapshot| Core::restore(KindTable::builtin(), BrokerId(1), snapshot);
    let Ok(mut core) = restored(snapshot) else { return };
    core.check();
    let again = restored(core.snapshot()).expect("what a broker says of itself is true");
    again.check();
    assert_eq!(again.fingerprint(), core.fingerprint());
    let lost = |generation| Event::GenerationLost { generation, reason: "lost".to_owned() };
    let events = [Event::Inherited { generation: Generation(2) }, Event::DeadlineReached];
    for event in events.into_iter().chain((0..=2).map(Generation).map(lost)) {
        core.apply(Moment(Duration::from_secs(60)), event);
        core.check();
    }
}
