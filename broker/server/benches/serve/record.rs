//! What a grant waits for before it is carried out: its record in the journal. Taken by itself, as hub and session
//! do it, though by one task: in a broker the session is woken meanwhile.

use std::io;
use std::time::{Duration, Instant};

use ave_broker::journal::{Journal, Opened, Place, open};
use ave_core::{Core, Effect, Event, Moment, Source};
use ave_profile::{BrokerId, Identity, KindTable, Profile, RequestId, SessionId};
use serde_json::json;
use tokio::runtime::Runtime;

use crate::figure::{Figure, percentile_ms};
use crate::guest::{ROUNDS, any_piece};

/// How long grants wait, beside how long a client waits for each: both in microseconds, p50 and p99.
pub(crate) fn figures(mut gets: Vec<Duration>) -> io::Result<[Figure; 2]> {
    let home = tempfile::tempdir()?;
    let place = Place::new(home.path().to_owned());
    let Opened { mut core, mut journal, .. } = open(place, &KindTable::builtin(), BrokerId(1))?;
    let mut waits = Runtime::new()?.block_on(async {
        let waits = tokio::spawn(async move {
            let waits = lend(&mut core, &journal).await;
            journal.end().await;
            waits
        });
        waits.await.map_err(io::Error::other)
    })?;
    let names = [("a grant's wait for the journal, p50", 0.5), ("a grant's wait for the journal, p99", 0.99)];
    Ok(names.map(|(name, share)| {
        let us = |times| percentile_ms(times, share) * 1e3;
        Figure::new(name, us(&mut waits), "us").beside(us(&mut gets))
    }))
}

/// One session after another gets the same piece and ends.
async fn lend(core: &mut Core, journal: &Journal) -> Vec<Duration> {
    let piece = Profile::of(json!({"type": "wlan", "uid": "one"}));
    let mut happen = |event: Event| {
        let now = Moment(core.now().0 + Duration::from_millis(1));
        let begin = Instant::now();
        let record = Journal::record(now, &event);
        let recording = begin.elapsed();
        let effects = core.apply(now, event);
        let granted = effects.iter().any(|effect| matches!(effect, Effect::Grant { .. }));
        let begin = Instant::now();
        let recorded = journal.write(record, granted);
        recorded.map(|recorded| (recorded, begin, recording))
    };
    happen(Event::Reported { source: Source::File, profiles: vec![piece], request: None });
    let mut waits = Vec::new();
    for round in 0..ROUNDS as u64 {
        let (session, request, want) = (SessionId(round), RequestId(round), Ok(any_piece()));
        happen(Event::SessionOpened { session });
        let asked = Event::Asked { session, request, want, nonce: round, via: Vec::new() };
        let (recorded, begin, recording) = happen(asked).expect("a free piece is granted");
        recorded.wait().await.expect("the journal is written");
        waits.push(begin.elapsed() + recording);
        happen(Event::SessionEnded { session });
        happen(Event::Closed { session, item: Identity::new("wlan", "one"), outcome: Ok(()) });
    }
    waits
}
