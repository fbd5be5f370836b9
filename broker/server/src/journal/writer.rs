//! The thread that writes the journal: appends what comes, as much at once as there is, and lets a new file
//! follow when one is full or could not be written.

use std::fs::File;
use std::io;
use std::mem;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use ave_core::Core;
use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::clerk::{Clerk, Job, Renewal};
use super::file::{JournalFile, Place};
use super::{Origin, Shared};

/// As much is written at once at most: what waits meanwhile is not long in waiting.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// How old what the disk does not have yet may get, as long as the disk keeps up. Only a loss of power costs it.
const SYNC_PERIOD: Duration = Duration::from_millis(500);

/// How often what failed is tried again.
const RETRY_PERIOD: Duration = Duration::from_secs(1);

/// How much may happen while a new file is begun; beyond it that file is given up and another one tried.
const MEANWHILE_BYTES_MAX: usize = 64 << 20;

/// What the writer is told.
pub(super) enum Message {
    /// Something has happened. Whoever `written` belongs to waits for it.
    Record { record: Vec<u8>, written: Option<oneshot::Sender<Result<(), String>>> },
    /// Begin a new file with this state.
    Renew(Box<Core>),
    /// A new file is begun, or could not be.
    Begun(Renewal, io::Result<JournalFile>),
    /// The disk has what it was to have.
    Synced(io::Result<()>),
    /// Write nothing more at this place, and say so.
    Release(oneshot::Sender<()>),
    /// Write on, in a new file.
    Resume(Box<Core>),
    /// Write what is there, and end.
    End,
}

/// Records that are written together, and who waits for them.
#[derive(Default)]
struct Batch {
    records: Vec<u8>,
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
}

pub(super) struct Writer {
    place: Place,
    origin: Origin,
    shared: Arc<Shared>,
    inbox: mpsc::Receiver<Message>,
    itself: mpsc::Sender<Message>,
    clerk: Option<Clerk>,
    /// `None` if something is missing in the last one: only a new one can follow.
    file: Option<JournalFile>,
    batch: Batch,
    /// A file that is being begun, and what has happened since.
    renewal: Option<(Renewal, Vec<u8>)>,
    renewals: u64,
    /// Another process writes at this place.
    released: bool,
    unsynced: bool,
    moved: bool,
    syncing: bool,
    synced_at: Instant,
    retry_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        place: Place,
        origin: Origin,
        shared: Arc<Shared>,
        (itself, inbox): (mpsc::Sender<Message>, mpsc::Receiver<Message>),
        file: io::Result<JournalFile>,
    ) -> Writer {
        let mut writer = Writer {
            place,
            origin,
            shared,
            inbox,
            itself,
            clerk: None,
            file: None,
            batch: Batch::default(),
            renewal: None,
            renewals: 0,
            released: false,
            unsynced: true,
            moved: true,
            syncing: false,
            synced_at: Instant::now(),
            retry_at: None,
        };
        match file {
            Ok(file) => writer.file = Some(file),
            Err(error) => writer.fail(&error),
        }
        writer
    }

    /// Writes until it is told to end.
    pub(super) fn run(mut self) {
        self.clerk = Clerk::new(self.place.clone(), self.origin.clone(), self.itself.clone())
            .inspect_err(|error| self.fail(error))
            .ok();
        loop {
            match self.next() {
                Message::Record { record, written } => {
                    self.batch.records.extend(record);
                    self.batch.waiting.extend(written);
                }
                Message::End => break,
                other => {
                    self.flush();
                    self.heed(other);
                }
            }
        }
        self.flush();
        if let Some((file, clerk)) = self.file.as_ref().zip(self.clerk.as_ref())
            && let Ok(file) = file.share()
        {
            clerk.order(Job::Sync(vec![file]));
        }
        if let Some(clerk) = self.clerk.take() {
            clerk.end();
        }
    }

    /// The next message. What has come before it is written, unless there is more of it at once.
    fn next(&mut self) -> Message {
        if self.batch.records.len() < BATCH_BYTES_MAX
            && let Ok(message) = self.inbox.try_recv()
        {
            return message;
        }
        self.flush();
        loop {
            let now = Instant::now();
            self.catch_up(now);
            let due = [self.retry_at, self.sync_due()].into_iter().flatten().min();
            let told = match due {
                Some(due) => self.inbox.recv_timeout(due.saturating_duration_since(now)).ok(),
                None => Some(self.inbox.recv().unwrap_or(Message::End)),
            };
            if let Some(message) = told {
                return message;
            }
        }
    }

    /// Does what is to be done by now.
    fn catch_up(&mut self, now: Instant) {
        if self.sync_due().is_some_and(|due| due <= now) {
            self.sync(now);
        }
        if self.retry_at.is_some_and(|due| due <= now) {
            self.retry_at = None;
            match self.file.as_mut().map(JournalFile::reserve) {
                Some(Ok(())) => self.recover(),
                Some(Err(error)) => self.fail(&error),
                None => {
                    self.retry_at = Some(now + RETRY_PERIOD);
                    self.shared.full.notify_one();
                }
            }
        }
    }

    fn sync_due(&self) -> Option<Instant> {
        (self.unsynced && !self.syncing && self.file.is_some()).then(|| self.synced_at + SYNC_PERIOD)
    }

    fn sync(&mut self, now: Instant) {
        let Some((file, clerk)) = self.file.as_ref().zip(self.clerk.as_ref()) else { return };
        let folder = if self.moved { File::open(self.place.folder()).ok() } else { None };
        match file.share() {
            Ok(file) => clerk.order(Job::Sync(folder.into_iter().chain([file]).collect())),
            Err(error) => warn!(%error, "the journal waits for the disk later"), // no descriptors left
        }
        (self.unsynced, self.moved, self.syncing, self.synced_at) = (false, false, true, now);
    }

    /// Writes what has come.
    fn flush(&mut self) {
        let Batch { records, waiting } = mem::take(&mut self.batch);
        if records.is_empty() {
            return;
        }
        self.shared.waiting.fetch_sub(records.len(), Ordering::Relaxed);
        if self.shared.dropped.swap(false, Ordering::Acquire) {
            self.lose(&io::Error::other("the disk does not keep up"));
        }
        self.append(&records);
        let outcome = match self.shared.trouble() {
            None if self.released => Err("another process is taking over".to_owned()),
            trouble => trouble.map_or(Ok(()), Err),
        };
        for written in waiting {
            let _ = written.send(outcome.clone()); // its session may have ended
        }
    }

    fn append(&mut self, records: &[u8]) {
        if let Some((_, meanwhile)) = &mut self.renewal {
            meanwhile.extend(records);
            if meanwhile.len() > MEANWHILE_BYTES_MAX {
                self.renewal = None;
            }
        }
        let Some(file) = &mut self.file else { return };
        if let Err(error) = file.append(records) {
            return self.lose(&error);
        }
        self.unsynced = true;
        match file.reserve() {
            Err(error) => self.fail(&error),
            Ok(()) if file.is_full() && self.renewal.is_none() && self.retry_at.is_none() => {
                self.shared.full.notify_one();
            }
            Ok(()) => {}
        }
    }

    fn heed(&mut self, message: Message) {
        match message {
            Message::Renew(core) if self.renewal.is_none() && !self.released => {
                self.renewals += 1;
                let renewal = Renewal(self.renewals);
                self.renewal = Some((renewal, Vec::new()));
                if let Some(clerk) = &self.clerk {
                    clerk.order(Job::Begin(renewal, core));
                }
            }
            Message::Begun(renewal, begun) => match self.renewal.take_if(|(wanted, _)| *wanted == renewal) {
                Some((_, meanwhile)) => self.follow(begun, &meanwhile),
                None => drop(begun.map(JournalFile::discard)),
            },
            Message::Synced(outcome) => {
                self.syncing = false;
                if let Err(error) = outcome {
                    self.lose(&error);
                }
            }
            Message::Release(done) => {
                (self.file, self.renewal, self.retry_at, self.released) = (None, None, None, true);
                let _ = done.send(()); // whoever waited has lost patience
            }
            Message::Resume(core) => {
                self.released = false;
                self.follow(JournalFile::create(&self.place, &self.origin, &core), &[]);
            }
            Message::Renew(_) | Message::Record { .. } | Message::End => {}
        }
    }

    /// Lets a new file follow, if it could be begun.
    fn follow(&mut self, begun: io::Result<JournalFile>, meanwhile: &[u8]) {
        let placed = begun.and_then(|mut file| {
            file.append(meanwhile)?;
            file.reserve()?;
            file.put_in_place(&self.place)?;
            Ok(file)
        });
        match placed {
            Ok(file) => {
                if file.is_full() {
                    self.shared.full.notify_one(); // by what has happened meanwhile
                }
                self.file = Some(file);
                (self.unsynced, self.moved) = (true, true);
                self.recover();
            }
            Err(error) if self.file.is_some() => {
                warn!(%error, "a new journal could not be begun; the old one grows");
                self.retry_at = Some(Instant::now() + RETRY_PERIOD);
            }
            Err(error) => self.fail(&error),
        }
    }

    /// Something is missing in the present file.
    fn lose(&mut self, error: &io::Error) {
        (self.file, self.renewal) = (None, None);
        self.fail(error);
    }

    /// From now on nothing is lent, and what failed is tried again.
    fn fail(&mut self, error: &io::Error) {
        self.retry_at = Some(Instant::now() + RETRY_PERIOD);
        let why = format!("the journal {}: {error}", self.place.current().display());
        if self.shared.trouble().is_none() {
            error!(%why, "nothing is lent before the journal can be written again");
        }
        self.shared.set_trouble(Some(why));
    }

    fn recover(&mut self) {
        self.retry_at = None;
        if self.shared.trouble().is_some() {
            info!("the journal is written again");
            self.shared.set_trouble(None);
        }
    }
}
