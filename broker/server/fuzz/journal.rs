//! What must hold of every journal. `cargo fuzz` searches for one that breaks it; the tests try a few.

use ave_broker::journal::{End, Replay};
use ave_core::Core;
use ave_profile::Profile;

/// A journal that a broker has written: 19 events.
const RECORDED: &[u8] = include_bytes!("../tests/journals/mixed.journal");

/// Any file is replayed up to somewhere within it, and what that comes to could be written down again.
pub(crate) fn journal(data: &[u8]) {
    let Ok(replay) = Replay::of(data) else { return };
    match &replay.end {
        End::Whole => {}
        End::Torn(offset) => assert!(*offset < data.len()),
        End::Damaged(damage) => assert!(damage.offset < data.len() && !damage.wanted.is_empty()),
    }
    let state = replay.core.snapshot();
    let restored = Core::restore(replay.start.kinds(), replay.start.broker, state.clone());
    assert_eq!(restored.map(|core| core.snapshot()), Ok(state));
    let lists =
        [replay.core.equipment(None, None), replay.core.available(None), replay.core.allocations(None)];
    assert!(lists.iter().flatten().all(|profile| Profile::kind(profile).is_some()));
}

/// The recorded journal, with these payloads behind what happened in it.
pub(crate) fn continued<'p>(payloads: impl IntoIterator<Item = &'p [u8]>) -> Vec<u8> {
    let mut file = RECORDED.to_vec();
    for payload in payloads {
        let length = u32::try_from(payload.len()).expect("it is short");
        let sums = [length, crc32fast::hash(payload)].map(u32::to_le_bytes).concat();
        file.extend(&sums);
        file.extend(crc32fast::hash(&sums).to_le_bytes());
        file.extend(payload);
    }
    file
}
