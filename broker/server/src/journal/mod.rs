//! What has happened, on disk: whatever kills the broker, the next one finds who held what. Every event that
//! the hub applies is recorded, and nothing is lent before that. The hub never waits for a disk: a thread
//! writes, another waits until the disk has it.

mod clerk;
mod entry;
mod file;
mod record;
mod recovery;
#[cfg(test)]
mod tests;
mod writer;

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use ave_core::{Core, Event, Moment, Remainder, Snapshot};
use ave_profile::{BrokerId, Generation, KindTable, Refusal};
use md5::{Digest, Md5};
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;
use tokio::time::timeout;
use tracing::{error, warn};

pub use entry::Start;
use file::JournalFile;
pub use file::Place;
pub use record::{Damage, End};
pub(crate) use recovery::read;
pub use recovery::{Opened, Replay, open};
use writer::{Message, Writer};

/// How long a session waits for its grant to be recorded. Original clients allow 5 s for a reply.
const RECORD_LIMIT: Duration = Duration::from_secs(2);

/// How much may wait to be written: as much as a disk that stands still for a while leaves behind. Beyond it
/// what waits is dropped, and the journal begins anew when the disk goes on.
const WAITING_BYTES_MAX: usize = 64 << 20;

/// How long the last words may take to be written when the broker ends.
const END_LIMIT: Duration = Duration::from_secs(2);

/// What every file of a journal says of its broker.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    pub(crate) kinds: KindTable,
    pub(crate) broker: BrokerId,
    pub(crate) generation: Generation,
}

/// The hub's end of the journal.
#[derive(Debug)]
pub struct Journal {
    inbox: mpsc::Sender<Message>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// What the hub and the writing thread both see.
#[derive(Debug, Default)]
struct Shared {
    /// How many bytes wait to be written.
    waiting: AtomicUsize,
    /// Something that had to wait was dropped: what has been written is not the whole truth any more.
    dropped: AtomicBool,
    /// Why nothing may be lent.
    trouble: Mutex<Option<String>>,
    /// Tells the hub that a new file should begin with the present state.
    full: Notify,
}

impl Shared {
    fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_trouble(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Whether a grant has been recorded.
#[derive(Debug)]
pub struct Recorded(oneshot::Receiver<Result<(), String>>);

impl Recorded {
    /// Waits until it is, within a limit.
    ///
    /// # Errors
    /// If it is not: then the grant must not be carried out.
    pub async fn wait(self) -> Result<(), Refusal> {
        let why = match timeout(RECORD_LIMIT, self.0).await {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(why))) => why,
            Ok(Err(_)) => "the journal is not written any more".to_owned(),
            Err(_) => format!("the journal was not written within {} s", RECORD_LIMIT.as_secs()),
        };
        Err(cannot_lend(&why))
    }
}

/// A journal on its way to another process.
#[derive(Debug)]
pub(crate) struct Released(oneshot::Receiver<()>);

impl Released {
    /// Waits until nothing is written any more.
    ///
    /// # Errors
    /// If that takes too long: the disk stands still.
    pub(crate) async fn wait(self) -> io::Result<()> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the journal is being written for too long");
        timeout(END_LIMIT, self.0).await.map_err(late).map(drop) // without its thread nobody writes it
    }
}

/// A journal that has been begun with a draft of its state and does not count yet. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Prepared {
    place: Place,
    origin: Origin,
    file: Option<JournalFile>,
}

/// Begins a journal with this draft, beside the one that counts.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn prepare(place: Place, origin: Origin, draft: &Snapshot) -> io::Result<Prepared> {
    let file = Some(JournalFile::draft(&place, &origin, draft)?);
    Ok(Prepared { place, origin, file })
}

impl Prepared {
    /// Writes what the draft lacks.
    ///
    /// # Errors
    /// If that cannot be written.
    pub(crate) fn complete(&mut self, remainder: &Remainder) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.complete(remainder))
    }

    /// Makes it the journal of its home; nobody else may be writing that.
    pub(crate) fn commit(mut self) -> Journal {
        let file = self.file.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
        Journal::begin(file, self.place.clone(), self.origin.clone())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        self.file.take().into_iter().for_each(JournalFile::discard);
    }
}

impl Journal {
    /// A new journal that begins with this state. Whatever goes wrong is tried again: until then nothing is
    /// lent.
    pub(crate) fn start(place: Place, origin: Origin, core: &Core) -> Journal {
        Journal::begin(JournalFile::create(&place, &origin, core), place, origin)
    }

    fn begin(file: io::Result<JournalFile>, place: Place, origin: Origin) -> Journal {
        let placed = file.and_then(|mut file| file.put_in_place(&place).map(|()| file));
        place.forget_strays();
        Journal::write_to(placed, place, origin)
    }

    fn write_to(file: io::Result<JournalFile>, place: Place, origin: Origin) -> Journal {
        let (inbox, messages) = mpsc::channel();
        let shared = Arc::<Shared>::default();
        let writer = Writer::new(place, origin, shared.clone(), (inbox.clone(), messages), file);
        let thread = std::thread::Builder::new().name("ave-journal".to_owned()).spawn(|| writer.run());
        if let Err(error) = &thread {
            error!(%error, "no thread for the journal: nothing is lent");
            shared.set_trouble(Some(format!("the journal has no thread: {error}")));
        }
        Journal { inbox, shared, thread: thread.ok() }
    }

    /// An event as [`Journal::write`] takes it.
    pub fn record(now: Moment, event: &Event) -> Vec<u8> {
        record::record(&entry::encode_event(now, event)).unwrap_or_default()
    }

    /// Has a record written; `granted` if something is lent by it, which has to wait for that.
    pub fn write(&self, record: Vec<u8>, granted: bool) -> Option<Recorded> {
        let (written, recorded) = if granted { Some(oneshot::channel()).unzip() } else { (None, None) };
        let waiting = self.shared.waiting.fetch_add(record.len(), Ordering::Relaxed);
        if record.is_empty() || waiting > WAITING_BYTES_MAX {
            self.shared.waiting.fetch_sub(record.len(), Ordering::Relaxed);
            self.shared.dropped.store(true, Ordering::Release);
        } else {
            let _ = self.inbox.send(Message::Record { record, written }); // nobody there: `written` says so
        }
        recorded.map(Recorded)
    }

    /// Why nothing can be lent now, if so.
    pub(crate) fn trouble(&self) -> Option<Refusal> {
        self.shared.trouble().map(|why| cannot_lend(&why))
    }

    /// Waits until a new file should begin: then [`Journal::renew`]. Safe to drop.
    pub(crate) async fn full(&self) {
        self.shared.full.notified().await;
    }

    /// Begins a new file with this state, off the hub.
    pub(crate) fn renew(&self, core: Core) {
        let _ = self.inbox.send(Message::Renew(Box::new(core)));
    }

    /// Leaves the place of the journal to another process: when the outcome is there, nothing is written any
    /// more, and nothing may be lent.
    pub(crate) fn release(&self) -> Released {
        let (done, released) = oneshot::channel();
        let _ = self.inbox.send(Message::Release(done));
        Released(released)
    }

    /// Writes on after a release, in a new file that begins with this state.
    pub(crate) fn resume(&self, core: Core) {
        let _ = self.inbox.send(Message::Resume(Box::new(core)));
    }

    /// Writes what is waiting, and no more.
    pub async fn end(&mut self) {
        let _ = self.inbox.send(Message::End);
        if let Some(thread) = self.thread.take()
            && timeout(END_LIMIT, spawn_blocking(|| thread.join())).await.is_err()
        {
            warn!("the journal is not written to its end in time");
        }
    }
}

/// Whatever ends the hub, the threads do not stay.
impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.inbox.send(Message::End);
    }
}

/// What tells one state from another, as a broker says it of itself and a replay of its journal.
pub(crate) fn fingerprint(core: &Core) -> String {
    let state = core.snapshot().encode(Snapshot::NEWEST).unwrap_or_default();
    Md5::digest(state).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cannot_lend(why: &str) -> Refusal {
    Refusal::exception(format!("cannot lend: {why}"))
}

fn too_long() -> io::Error {
    io::Error::other("the state is too long for a journal")
}
