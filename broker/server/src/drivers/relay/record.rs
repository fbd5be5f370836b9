//! What the processes of one home know together of a board: a file in `run`. Its lock is held for each exchange
//! with the board, so that an older broker and its successor take turns, and it remembers whose turn is over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::config::Paths;
use crate::config::devantech::BoardPlan;

/// What the names of these files begin with; the board's serial number follows, in hex digits.
const PREFIX: &str = "board-";

/// How long to wait for another process's exchange with the board, which itself is given up after 1 s.
const TURN_LIMIT: Duration = Duration::from_secs(3);

/// How often to look whether it is over.
const TURN_PERIOD: Duration = Duration::from_millis(1);

/// What is read of a file at most: a board has 8 relays.
const RECORD_BYTES_MAX: u64 = 64 << 10;

/// What is known of a board.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Its serial number.
    pub(super) serial: String,
    /// Where it is plugged in: its number there, and its line.
    pub(super) place: (u64, PathBuf),
    /// What hangs on it, as it was when it was plugged in.
    pub(super) plan: BoardPlan,
    /// Whether all its relays were brought to their defaults, and nothing has gone wrong since.
    pub(super) prepared: bool,
    /// Whether somebody is talking to it. If nobody holds the lock, he died over it.
    busy: bool,
    /// The newest grant of each group that was driven.
    grants: BTreeMap<String, Newest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Newest {
    number: u64,
    over: bool,
}

/// Who wants a group of circuits switched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// Who was granted it, by the number of the grant.
    Holder(u64),
    /// The same, for the last time.
    Leaver(u64),
    /// The broker, after the last holder was lost: he does not count any more.
    Broker,
}

impl Known {
    /// A board that has been prepared just now.
    pub(super) fn prepared(serial: &str, place: (u64, PathBuf), plan: BoardPlan) -> Known {
        let (serial, prepared, busy) = (serial.to_owned(), true, false);
        Known { serial, place, plan, prepared, busy, grants: BTreeMap::new() }
    }

    /// The newest grants of another picture of the board count in this one, too.
    pub(super) fn after(mut self, before: Option<Known>) -> Known {
        self.grants = before.map(|known| known.grants).unwrap_or_default();
        self
    }

    /// Whether a group may be switched by whoever shows this.
    ///
    /// # Errors
    /// A grant that is over, in a sentence.
    pub(super) fn admit(&mut self, group: &str, pass: &Pass) -> Result<(), String> {
        let item = super::identity(&self.serial, group);
        let newest = self.grants.entry(group.to_owned()).or_insert(Newest { number: 0, over: false });
        let (number, over) = match *pass {
            Pass::Holder(number) => (number, false),
            Pass::Leaver(number) => (number, true),
            Pass::Broker => (newest.number, true),
        };
        if number < newest.number {
            return Err(format!("grant {number} of {item} is over: {} is newer", newest.number));
        }
        if number == newest.number && newest.over && *pass != Pass::Broker {
            return Err(format!("grant {number} of {item} is over"));
        }
        *newest = Newest { number, over };
        Ok(())
    }
}

/// The file of one board.
pub(super) struct Record {
    path: PathBuf,
    file: File,
}

impl Record {
    /// The file of the board with this serial number, made if it is not there.
    ///
    /// # Errors
    /// In a sentence about the board, without a subject.
    pub(super) fn open(paths: &Paths, serial: &str) -> Result<Record, String> {
        let name: String = serial.bytes().map(|byte| format!("{byte:02x}")).collect();
        let path = paths.run().join(format!("{PREFIX}{name}"));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = file.map_err(|error| format!("cannot be kept in {}: {error}", path.display()))?;
        Ok(Record { path, file })
    }

    /// Waits until nobody else talks to the board.
    ///
    /// # Errors
    /// If that takes too long, or the file is of no use; a sentence about the board, without a subject.
    pub(super) async fn turn(&self) -> Result<Turn<'_>, String> {
        let lock = async {
            loop {
                match flock(&self.file, FlockOperation::NonBlockingLockExclusive) {
                    Err(Errno::WOULDBLOCK) => sleep(TURN_PERIOD).await,
                    other => return other.map_err(|error| self.failed(error.into())),
                }
            }
        };
        let late = || {
            format!(
                "is in the hands of an older broker that does not let go within {} s",
                TURN_LIMIT.as_secs()
            )
        };
        timeout(TURN_LIMIT, lock).await.map_err(|_| late())??;
        let mut turn = Turn { record: self, interrupted: false, known: None };
        // A page that is in memory: nothing to wait for.
        turn.known = read(&self.file).map_err(|error| self.failed(error))?;
        turn.interrupted = turn.known.as_ref().is_some_and(|known| known.busy);
        Ok(turn)
    }

    fn failed(&self, error: io::Error) -> String {
        format!("cannot be kept in {}: {error}", self.path.display())
    }
}

/// The right to talk to the board, until this is dropped.
pub(super) struct Turn<'a> {
    record: &'a Record,
    /// Whether whoever had the last one died in the middle of it.
    pub(super) interrupted: bool,
    /// What the file says; nothing if it is new.
    pub(super) known: Option<Known>,
}

impl Turn<'_> {
    /// Writes down that the exchange with the board begins.
    ///
    /// # Errors
    /// As for [`Record::turn`].
    pub(super) fn begin(&mut self) -> Result<(), String> {
        self.write(true)
    }

    /// Writes down what is known, and that the exchange is over.
    ///
    /// # Errors
    /// As for [`Record::turn`].
    pub(super) fn end(mut self) -> Result<(), String> {
        self.write(false)
    }

    fn write(&mut self, busy: bool) -> Result<(), String> {
        let Some(known) = &mut self.known else { return Ok(()) };
        known.busy = busy;
        let written = serde_json::to_vec(known).map_err(io::Error::other).and_then(|bytes| {
            self.record.file.write_all_at(&bytes, 0)?;
            self.record.file.set_len(bytes.len() as u64)
        });
        written.map_err(|error| self.record.failed(error))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = flock(&self.record.file, FlockOperation::Unlock);
    }
}

/// The boards that older processes of this broker know. It blocks.
pub(super) fn all(paths: &Paths) -> Vec<Known> {
    files(paths).filter_map(|path| read(&File::open(path).ok()?).ok()?).collect()
}

/// Forgets all boards: no broker of this home lives, and whoever does may have driven them since. It blocks.
pub(super) fn forget_all(paths: &Paths) {
    for path in files(paths) {
        if let Err(error) = fs::remove_file(&path) {
            warn!(path = %path.display(), %error, "what was known of a relay board cannot be removed");
        }
    }
}

fn files(paths: &Paths) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(paths.run()).into_iter().flatten().flatten();
    let is_one = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX))
    };
    entries.map(|entry| entry.path()).filter(is_one)
}

/// What is written there; nothing if that makes no sense, as when somebody died over it. What follows it is
/// left of something longer.
fn read(mut file: &File) -> io::Result<Option<Known>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.take(RECORD_BYTES_MAX).read_to_end(&mut bytes)?;
    let mut values = serde_json::Deserializer::from_slice(&bytes).into_iter();
    Ok(values.next().and_then(Result::ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> BoardPlan {
        let groups = serde_json::json!({"left": {"usb.pc.vcc": 2}, "right": {"usb.pc.vcc": 5}});
        serde_json::from_value(serde_json::json!({"groups": groups, "defaults": vec![true; 8]})).unwrap()
    }

    fn home() -> (tempfile::TempDir, Paths) {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path());
        paths.make().unwrap();
        (folder, paths)
    }

    fn board() -> Known {
        Known::prepared("0009/9001", (7, "/dev/ttyACM0".into()), plan())
    }

    #[tokio::test]
    async fn what_one_process_writes_the_other_reads() {
        let (_folder, paths) = home();
        let (one, other) =
            (Record::open(&paths, "0009/9001").unwrap(), Record::open(&paths, "0009/9001").unwrap());
        let mut turn = one.turn().await.unwrap();
        assert_eq!((turn.interrupted, &turn.known), (false, &None));
        turn.known = Some(board());
        turn.end().unwrap();
        assert_eq!(other.turn().await.unwrap().known, Some(board()));
        assert_eq!(all(&paths), [board()]);
        forget_all(&paths);
        assert_eq!(fs::read_dir(paths.run()).unwrap().count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn turns_are_taken_one_by_one_and_waited_for_with_a_limit() {
        let (_folder, paths) = home();
        let (one, other) = (Record::open(&paths, "1").unwrap(), Record::open(&paths, "1").unwrap());
        let turn = one.turn().await.unwrap();
        let fault = other.turn().await.err().unwrap();
        assert_eq!(fault, "is in the hands of an older broker that does not let go within 3 s");
        let mut waiting = Box::pin(other.turn());
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(turn);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn who_dies_over_an_exchange_is_noticed() {
        let (_folder, paths) = home();
        let record = Record::open(&paths, "1").unwrap();
        let mut turn = record.turn().await.unwrap();
        turn.known = Some(board());
        turn.begin().unwrap();
        drop(turn);
        let turn = Record::open(&paths, "1").unwrap();
        let turn = turn.turn().await.unwrap();
        assert!(turn.interrupted);
        turn.end().unwrap();
        assert!(!record.turn().await.unwrap().interrupted);
        fs::write(&record.path, "{\"serial\": \"1").unwrap();
        assert_eq!(record.turn().await.unwrap().known, None, "it was cut short");
    }

    #[test]
    fn a_grant_that_is_over_is_not_admitted() {
        let mut known = board();
        known.admit("left", &Pass::Holder(17)).unwrap();
        known.admit("left", &Pass::Holder(17)).unwrap();
        known.admit("right", &Pass::Holder(3)).unwrap();
        known.admit("left", &Pass::Holder(18)).unwrap();
        let over = |known: &mut Known, pass| known.admit("left", &pass).unwrap_err();
        let newer = "grant 17 of relay:0009/9001.left is over: 18 is newer";
        assert_eq!(over(&mut known, Pass::Holder(17)), newer);
        assert_eq!(over(&mut known, Pass::Leaver(17)), newer);
        known.admit("left", &Pass::Leaver(18)).unwrap();
        assert_eq!(over(&mut known, Pass::Holder(18)), "grant 18 of relay:0009/9001.left is over");
        known.admit("left", &Pass::Holder(19)).unwrap();
        for _ in 0..2 {
            known.admit("left", &Pass::Broker).unwrap();
            assert_eq!(over(&mut known, Pass::Holder(19)), "grant 19 of relay:0009/9001.left is over");
        }
        let before = known.clone();
        let mut known = board().after(Some(before));
        assert_eq!(over(&mut known, Pass::Holder(19)), "grant 19 of relay:0009/9001.left is over");
        known.admit("left", &Pass::Holder(20)).unwrap();
        known.admit("right", &Pass::Holder(3)).unwrap();
    }
}
