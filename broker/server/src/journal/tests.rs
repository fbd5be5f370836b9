//! Journals on a real disk: what is recorded is replayed, whatever happens to the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ave_core::Source;
use ave_profile::{Address, Profile, RequestId, SessionId, Want};
use serde_json::json;
use tempfile::TempDir;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::drivers::Drivers;
use crate::drivers::place::Sweep;
use crate::hub::Hub;

/// A broker and the journal of what happens to it.
struct Recording {
    folder: TempDir,
    core: Core,
    journal: Journal,
}

impl Recording {
    fn new() -> Recording {
        let folder = tempfile::tempdir().unwrap();
        let Opened { core, journal, before, .. } = open_in(folder.path());
        assert_eq!(before, None);
        Recording { folder, core, journal }
    }

    /// Lets something happen, and waits until it is recorded.
    async fn happen(&mut self, event: Event) {
        let now = Moment(self.core.now().0 + Duration::from_millis(1));
        let record = Journal::record(now, &event);
        self.core.apply(now, event);
        self.journal.write(record, true).unwrap().wait().await.unwrap();
    }

    /// A piece is reported, and a session gets it.
    async fn lend(&mut self, name: &str, session: u64) {
        let (session, request) = (SessionId(session), RequestId(session));
        self.happen(Event::SessionOpened { session }).await;
        self.happen(reported(name, "")).await;
        let want = Want::of_get(&[Profile::of(json!({"type": "wlan", "uid": name})).into()]);
        self.happen(Event::Asked { session, request, want, nonce: 1, via: Vec::new() }).await;
    }

    fn path(&self) -> std::path::PathBuf {
        Place::new(self.folder.path().to_owned()).current()
    }

    fn replayed(&self) -> Replay {
        Replay::of(&fs::read(self.path()).unwrap()).unwrap()
    }
}

fn reported(name: &str, text: &str) -> Event {
    let profile = Profile::of(json!({"type": "wlan", "uid": name, "text": text}));
    Event::Reported { source: Source::File, profiles: vec![profile], request: None }
}

fn open_in(folder: &Path) -> Opened {
    open(Place::new(folder.to_owned()), &KindTable::builtin(), BrokerId(1)).unwrap()
}

#[tokio::test]
async fn what_is_recorded_is_replayed() {
    let mut recording = Recording::new();
    recording.lend("n1", 1).await;
    recording.lend("n2", 2).await;
    recording.happen(Event::SessionEnded { session: SessionId(1) }).await;
    let replayed = recording.replayed();
    assert_eq!(replayed.core.snapshot(), recording.core.snapshot());
    assert_eq!((replayed.events, replayed.end, replayed.until), (7, End::Whole, recording.core.now()));
    recording.journal.end().await;
    let opened = open_in(recording.folder.path());
    assert_eq!(opened.before, Some(Generation(1)));
    assert_eq!(opened.core.snapshot(), recording.core.snapshot());
}

#[tokio::test]
async fn a_journal_torn_at_any_byte_tells_what_happened_until_then() {
    let mut recording = Recording::new();
    let mut states = vec![recording.core.snapshot()];
    recording.lend("n1", 1).await;
    states.push(recording.core.snapshot());
    recording.happen(Event::SessionEnded { session: SessionId(1) }).await;
    let whole = fs::read(recording.path()).unwrap();
    let mut replayed = 0;
    for length in 0..whole.len() {
        match Replay::of(&whole[..length]) {
            Ok(replay) => {
                replayed += 1;
                assert!(!matches!(replay.end, End::Damaged(_)), "torn at {length}");
                if replay.events == 3 {
                    assert_eq!(replay.core.snapshot(), states[1], "torn at {length}");
                }
            }
            Err(damage) => assert_eq!(replayed, 0, "torn at {length}: {damage}"),
        }
    }
    assert!(replayed > 100);
}

#[tokio::test]
async fn a_full_journal_begins_anew_and_nothing_is_lost_in_between() {
    let mut recording = Recording::new();
    recording.lend("n1", 1).await;
    let text = "x".repeat(1 << 20);
    for _ in 0..17 {
        recording.happen(reported("n2", &text)).await;
    }
    timeout(Duration::from_secs(10), recording.journal.full()).await.unwrap();
    recording.journal.renew(recording.core.clone());
    let previous = Place::new(recording.folder.path().to_owned()).previous();
    while !previous.exists() {
        recording.happen(reported("n3", "short")).await;
    }
    recording.lend("n4", 4).await;
    let replayed = recording.replayed();
    assert_eq!(replayed.core.snapshot(), recording.core.snapshot());
    assert!(recording.path().metadata().unwrap().len() < 4 << 20, "the new one is short");
    assert_eq!(Replay::of(&fs::read(previous).unwrap()).unwrap().end, End::Whole);
}

#[tokio::test]
async fn questions_without_end_do_not_let_a_journal_grow() {
    let folder = tempfile::tempdir().unwrap();
    let Opened { core, journal, .. } = open_in(folder.path());
    let drivers = Drivers::new(BTreeMap::new(), Sweep::new(folder.path()));
    let (hub, handle) = Hub::new(core, drivers, Arc::default());
    let stop = CancellationToken::new();
    let running = tokio::spawn(hub.recording(journal).run(stop.clone()));
    handle.tell(Event::ForwardSet { target: Some(Address::new("mute", 1)) }).await;
    let text = "x".repeat(1 << 20);
    for round in 0..40 {
        // The question before it ends when the next one is asked: there is always one.
        let (session, request) = (SessionId(round), RequestId(round));
        let want = Want::of_get(&[Profile::of(json!({"type": "wlan", "uid": "far"})).into()]);
        handle.tell(Event::SessionOpened { session }).await;
        handle.tell(Event::Asked { session, request, want, nonce: round, via: Vec::new() }).await;
        if let Some(before) = round.checked_sub(1) {
            handle.tell(Event::SessionEnded { session: SessionId(before) }).await;
        }
        assert!(handle.look(Core::is_asking).await.unwrap());
        handle.tell(reported("n1", &text)).await;
    }
    let (state, path) = (handle.look(Core::snapshot).await.unwrap(), folder.path().join("journal"));
    let is_short_and_whole = || {
        let is_short = path.metadata().unwrap().len() <= file::FILE_BYTES;
        is_short && Replay::of(&fs::read(&path).unwrap()).unwrap().core.snapshot() == state
    };
    let written = async {
        while !is_short_and_whole() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), written).await.unwrap();
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_written_is_not_lent_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let obstacle = folder.path().join(format!("journal.new-{}-0", std::process::id()));
    fs::create_dir(&obstacle).unwrap();
    let Opened { mut core, journal, .. } = open_in(folder.path());
    let trouble = journal.trouble().expect("it is not written").message;
    assert!(trouble.starts_with("cannot lend: the journal ") && trouble.contains("directory"), "{trouble}");
    let event = reported("n1", "");
    let record = Journal::record(Moment::default(), &event);
    let refusal = journal.write(record, true).unwrap().wait().await.unwrap_err();
    assert_eq!(refusal.message, trouble);
    core.apply(Moment::default(), event);
    fs::remove_dir(&obstacle).unwrap();
    timeout(Duration::from_secs(10), journal.full()).await.unwrap();
    journal.renew(core.clone());
    while journal.trouble().is_some() {
        tokio::task::yield_now().await;
    }
    let replayed = Replay::of(&fs::read(folder.path().join("journal")).unwrap()).unwrap();
    assert_eq!(replayed.core.snapshot(), core.snapshot());
}

/// The thread beside the writer may begin one that nobody wants any more while the writer begins another.
#[test]
fn of_two_files_that_are_begun_at_once_one_can_go_without_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path().to_owned());
    let begin = |broker| {
        let origin = Origin { kinds: KindTable::builtin(), broker, generation: Generation(1) };
        let core = Core::new(KindTable::builtin(), broker);
        JournalFile::create(&place, &origin, &core).unwrap()
    };
    let (mut wanted, other) = (begin(BrokerId(1)), begin(BrokerId(2)));
    other.discard();
    wanted.put_in_place(&place).unwrap();
    let replayed = Replay::of(&fs::read(place.current()).unwrap()).unwrap();
    assert_eq!(replayed.start.broker, BrokerId(1));
    assert_eq!(names(folder.path()), ["journal"]);
}

#[tokio::test]
async fn of_two_processes_one_writes() {
    let mut recording = Recording::new();
    recording.lend("n1", 1).await;
    let place = Place::new(recording.folder.path().to_owned());
    let origin = Origin { kinds: KindTable::builtin(), broker: BrokerId(1), generation: Generation(2) };
    let draft = recording.core.estate().draft();
    let mut prepared = prepare(place.clone(), origin.clone(), &draft).unwrap();
    recording.lend("n2", 2).await;
    recording.journal.release().wait().await.unwrap();
    let record = Journal::record(Moment::default(), &reported("n3", ""));
    assert!(recording.journal.write(record, true).unwrap().wait().await.is_err(), "it has left its place");
    prepared.complete(&recording.core.estate().since(&draft)).unwrap();
    let mut successor = prepared.commit();
    assert_eq!(recording.replayed().start.generation, Generation(2));
    assert_eq!(recording.replayed().core.snapshot(), recording.core.snapshot());
    successor.end().await;
    recording.journal.resume(recording.core.clone());
    recording.lend("n3", 3).await;
    assert_eq!(recording.replayed().start.generation, Generation(1));
    assert_eq!(recording.replayed().core.snapshot(), recording.core.snapshot());
    drop(prepare(place, origin, &draft).unwrap());
    assert_eq!(names(recording.folder.path()), ["journal", "journal.1"]);
}

/// Without what the draft lacks nothing would seem to be lent: then the journal of the process before counts.
#[tokio::test]
async fn a_draft_alone_is_no_journal() {
    let mut recording = Recording::new();
    recording.lend("n1", 1).await;
    let place = Place::new(recording.folder.path().to_owned());
    let origin = Origin { kinds: KindTable::builtin(), broker: BrokerId(1), generation: Generation(2) };
    let draft = recording.core.estate().draft();
    let mut prepared = prepare(place.clone(), origin, &draft).unwrap();
    let drafted = fs::metadata(place.folder().join(names(place.folder()).pop().unwrap())).unwrap().len();
    recording.journal.release().wait().await.unwrap();
    prepared.complete(&recording.core.estate().since(&draft)).unwrap();
    prepared.commit().end().await;
    let whole = fs::read(recording.path()).unwrap();
    let drafted = usize::try_from(drafted).unwrap();
    assert!(drafted < whole.len());
    for length in drafted..whole.len() {
        assert!(Replay::of(&whole[..length]).is_err(), "torn at {length}");
    }
    fs::write(recording.path(), &whole[..whole.len() - 1]).unwrap();
    let opened = open_in(recording.folder.path());
    assert_eq!((opened.before, opened.core.snapshot()), (Some(Generation(1)), recording.core.snapshot()));
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_damaged_journal_counts_as_far_as_it_goes_and_is_set_aside() {
    let mut recording = Recording::new();
    recording.lend("n1", 1).await;
    let state = recording.core.snapshot();
    let length = fs::metadata(recording.path()).unwrap().len();
    recording.lend("n2", 2).await;
    recording.journal.end().await;
    let mut bytes = fs::read(recording.path()).unwrap();
    bytes[length as usize + 20] ^= 1;
    fs::write(recording.path(), bytes).unwrap();
    assert_eq!(open_in(recording.folder.path()).core.snapshot(), state);
    let names = names(recording.folder.path());
    assert!(names.iter().any(|name| name.starts_with("journal.damaged-")), "{names:?}");
}

#[tokio::test]
async fn what_is_no_journal_is_set_aside_and_the_one_before_it_counts() {
    let spoil: [fn(&Path); 4] = [
        |path| fs::write(path, "").unwrap(),
        |path| fs::write(path, "something else, but long enough").unwrap(),
        |path| fs::create_dir(path).unwrap(),
        |path| {
            let unknown = [&record::header()[..], &record::record(b"?").unwrap()].concat();
            fs::write(path, unknown).unwrap();
        },
    ];
    for spoil in spoil {
        let mut recording = Recording::new();
        recording.lend("n1", 1).await;
        recording.journal.end().await;
        let previous = Place::new(recording.folder.path().to_owned()).previous();
        fs::rename(recording.path(), previous).unwrap();
        spoil(&recording.path());
        let opened = open_in(recording.folder.path());
        assert_eq!(opened.core.snapshot(), recording.core.snapshot());
        assert_eq!(opened.journal.trouble(), None);
        let names = names(recording.folder.path());
        assert!(names.iter().any(|name| name.starts_with("journal.damaged-")), "{names:?}");
    }
}

#[test]
fn only_a_few_damaged_journals_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..6 {
        fs::write(folder.path().join("journal"), "?").unwrap();
        drop(open_in(folder.path()));
    }
    let kept = names(folder.path()).iter().filter(|name| name.starts_with("journal.damaged-")).count();
    assert_eq!(kept, 4);
}

/// Written by a broker that was killed: two sessions held a lamp, a workspace and a stacked lamp, and a third lamp
/// could not be reset.
#[test]
fn a_recorded_journal_replays_as_it_always_did() {
    let replay = Replay::of(include_bytes!("../../tests/journals/mixed.journal")).unwrap();
    assert_eq!((replay.events, &replay.end, replay.start.generation), (19, &End::Whole, Generation(1)));
    let uids = |profiles: Vec<std::sync::Arc<Profile>>| -> Vec<String> {
        profiles.iter().map(|profile| profile["uid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(uids(replay.core.allocations(None)), ["l0", "lab-1113881589", "l3"]);
    assert_eq!(uids(replay.core.available(None)), ["l2", "l5"]);
    assert_eq!(uids(replay.core.collateral(None)), ["l4"]);
    let broken: Vec<_> =
        replay.core.equipment(None, None).into_iter().filter(|piece| piece.get("broken").is_some()).collect();
    assert_eq!(broken[0]["broken"].as_str(), Some("the reset failed: /bin/false: exit status: 1"));
    assert_eq!(uids(broken), ["l1"]);
}
