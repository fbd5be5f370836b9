//! Reads a journal: replays it with the core alone, and at the start of a broker finds out what the last one
//! had lent. A tail that was never finished is the end; a journal that is damaged counts up to there, and is
//! set aside for people.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ave_core::{Core, Moment, Snapshot};
use ave_profile::{BrokerId, Generation, KindTable};
use chrono::{DateTime, Utc};
use tracing::{error, info, warn};

use super::entry::{Start, event_of, remainder_of, start_of};
use super::record::{Damage, End, Records};
use super::{Journal, Origin, Place};

/// The longest journal that is read. One this long was not written by a broker, which begins a new one before.
const JOURNAL_BYTES_MAX: u64 = 2 << 30;

/// How many damaged journals are kept for people; the oldest make room.
const SET_ASIDE_MAX: usize = 4;

/// What their names begin with; the moment follows.
const ASIDE: &str = "journal.damaged-";

/// What a journal comes to.
#[derive(Debug)]
pub struct Replay {
    /// Who wrote it.
    pub start: Start,
    /// The state after the last event.
    pub core: Core,
    /// How many events it holds.
    pub events: u64,
    /// When the last event happened, since the broker started.
    pub until: Moment,
    /// How it ends.
    pub end: End,
}

impl Replay {
    /// Replays the journal that these bytes are.
    ///
    /// # Errors
    /// If it does not even say how it begins.
    pub fn of(file: &[u8]) -> Result<Replay, Damage> {
        let mut records = Records::of(file)?;
        let (wanted, (offset, payload)) = ("who wrote it", first(&mut records)?);
        let start = start_of(payload).map_err(|error| Damage::new(offset, wanted, error))?;
        let (wanted, (offset, payload)) = ("the state at its beginning", first(&mut records)?);
        let snapshot = Snapshot::decode(payload).map_err(|error| Damage::new(offset, wanted, error))?;
        let mut core = Core::restore(start.kinds(), start.broker, snapshot)
            .map_err(|error| Damage::new(offset, wanted, error))?;
        if start.drafted {
            let (wanted, (offset, payload)) = ("what the state's draft lacks", first(&mut records)?);
            core = remainder_of(payload)
                .and_then(|remainder| core.complete(remainder))
                .map_err(|error| Damage::new(offset, wanted, error))?;
        }
        let mut replay = Replay { until: core.now(), start, core, events: 0, end: End::Whole };
        for (offset, payload) in records.by_ref() {
            match event_of(payload) {
                Ok((now, event)) => {
                    replay.core.apply(now, event);
                    (replay.until, replay.events) = (now, replay.events + 1);
                }
                Err(error) => {
                    replay.end = End::Damaged(Damage::new(offset, "an event", error));
                    return Ok(replay);
                }
            }
        }
        replay.end = records.end();
        Ok(replay)
    }
}

/// One of the first records, without which the rest means nothing.
fn first<'f>(records: &mut Records<'f>) -> Result<(usize, &'f [u8]), Damage> {
    let offset = records.offset();
    records.next().ok_or_else(|| Damage::new(offset, "the beginning of a journal", "no whole record"))
}

/// What a broker begins with that is alone.
#[derive(Debug)]
pub struct Opened {
    /// What it knows.
    pub core: Core,
    /// Where it goes on to record.
    pub journal: Journal,
    /// The number of the broker that was here before, if `core` is what that one knew.
    pub before: Option<Generation>,
    /// This one's.
    pub generation: Generation,
}

/// Finds out what the last broker had lent, and begins a journal.
///
/// # Errors
/// If there is a journal that cannot be read: to lend without knowing what it says would be wrong.
pub fn open(place: Place, kinds: &KindTable, broker: BrokerId) -> io::Result<Opened> {
    let (core, before) = match recover(&place, kinds, broker)? {
        Some((core, generation)) => (core, Some(generation)),
        None => (Core::new(kinds.clone(), broker), None),
    };
    let generation = Generation(before.map_or(1, |Generation(before)| before + 1));
    let journal = Journal::start(place, Origin { kinds: kinds.clone(), broker, generation }, &core);
    Ok(Opened { core, journal, before, generation })
}

/// What the last broker knew, and its number.
fn recover(place: &Place, kinds: &KindTable, broker: BrokerId) -> io::Result<Option<(Core, Generation)>> {
    for path in [place.current(), place.previous()] {
        let damage = match read(&path)? {
            None => continue,
            Some(Err(damage)) => damage,
            Some(Ok(file)) => match Replay::of(&file) {
                Err(damage) => damage,
                Ok(replay) => match taken_over(replay, &path, kinds, broker) {
                    Ok(recovered) => return Ok(Some(recovered)),
                    Err(damage) => damage,
                },
            },
        };
        set_aside(&path, &damage);
    }
    Ok(None)
}

/// The state of a replayed journal, for a broker that may know other types.
fn taken_over(
    replay: Replay,
    path: &Path,
    kinds: &KindTable,
    broker: BrokerId,
) -> Result<(Core, Generation), Damage> {
    let Replay { start, core, events, end, .. } = replay;
    let core = match start.kinds().iter().eq(kinds.iter()) {
        true => core.renamed(broker),
        false => Core::restore(kinds.clone(), broker, core.snapshot())
            .map_err(|error| Damage::new(0, "events that can have happened", error))?,
    };
    match &end {
        End::Whole => info!(events, "read the journal"),
        End::Torn(offset) => info!(events, offset, "read the journal, whose last record was never finished"),
        End::Damaged(damage) => {
            warn!(events, "read the journal as far as it can be: what was lent later is not known");
            set_aside(path, damage);
        }
    }
    Ok((core, start.generation))
}

/// The bytes of a journal, or what is there instead; `None` if nothing is.
pub(crate) fn read(path: &Path) -> io::Result<Option<Result<Vec<u8>, Damage>>> {
    let named = |error: io::Error| {
        io::Error::new(error.kind(), format!("the journal {} cannot be read: {error}", path.display()))
    };
    // Asked before it is opened: opening a pipe waits for whoever writes it.
    let metadata = match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        outcome => outcome.map_err(named)?,
    };
    if !metadata.is_file() {
        return Ok(Some(Err(Damage::new(0, "a regular file", "something else of that name"))));
    }
    let mut bytes =
        Vec::with_capacity(usize::try_from(metadata.len().min(JOURNAL_BYTES_MAX)).unwrap_or_default());
    let file = File::open(path).map_err(named)?;
    file.take(JOURNAL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(named)?;
    if bytes.len() as u64 > JOURNAL_BYTES_MAX {
        let wanted = format!("at most {JOURNAL_BYTES_MAX} bytes");
        return Ok(Some(Err(Damage::new(0, wanted, format_args!("{} bytes", metadata.len())))));
    }
    Ok(Some(Ok(bytes)))
}

/// Gives a file another name, under which people find it.
fn set_aside(path: &Path, damage: &Damage) {
    let aside = aside(path);
    error!(file = %path.display(), %damage, aside = %aside.display(), "the journal is damaged and set aside");
    if let Err(error) = fs::rename(path, &aside) {
        warn!(file = %path.display(), %error, "the damaged journal stays where it is");
    }
    forget_oldest(path.parent().unwrap_or(path));
}

fn aside(path: &Path) -> PathBuf {
    let now: DateTime<Utc> = SystemTime::now().into();
    path.with_file_name(format!("{ASIDE}{}", now.format("%Y%m%dT%H%M%S%6f")))
}

/// Keeps the newest of the journals that were set aside.
fn forget_oldest(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let is_aside = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(ASIDE))
    };
    let mut aside: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_aside).collect();
    aside.sort();
    let surplus = aside.len().saturating_sub(SET_ASIDE_MAX);
    for path in aside.drain(..surplus) {
        let _ = fs::remove_file(path); // people have more to look at, then
    }
}
