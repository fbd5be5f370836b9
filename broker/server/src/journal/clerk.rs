//! The thread beside the writer that does what takes long: begins new files, and waits for the disk.

use std::fs::File;
use std::io;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use ave_core::Core;

use super::Origin;
use super::file::{JournalFile, Place};
use super::writer::Message;

/// Something that takes long.
pub(super) enum Job {
    /// Begin a file with this state, and wait until the disk has it.
    Begin(Renewal, Box<Core>),
    /// Wait until the disk has these.
    Sync(Vec<File>),
}

/// One new file among all that a writer has had begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Renewal(pub(super) u64);

/// The way to the thread, which ends when this is dropped and its last job is done.
pub(super) struct Clerk {
    jobs: mpsc::Sender<Job>,
    thread: JoinHandle<()>,
}

impl Clerk {
    /// A thread that reports what it has done.
    pub(super) fn new(place: Place, origin: Origin, done: mpsc::Sender<Message>) -> io::Result<Clerk> {
        let (jobs, inbox) = mpsc::channel();
        let work = move || {
            for job in inbox {
                let _ = done.send(do_job(job, &place, &origin)); // the writer may have ended
            }
        };
        Ok(Clerk { jobs, thread: thread::Builder::new().name("ave-journal-disk".to_owned()).spawn(work)? })
    }

    /// Has something done; it is reported when it is.
    pub(super) fn order(&self, job: Job) {
        let _ = self.jobs.send(job); // it lives as long as this
    }

    /// Waits for its end.
    pub(super) fn end(self) {
        drop(self.jobs);
        let _ = self.thread.join();
    }
}

fn do_job(job: Job, place: &Place, origin: &Origin) -> Message {
    match job {
        Job::Begin(renewal, core) => {
            let begun = JournalFile::create(place, origin, &core).and_then(|file| {
                file.share()?.sync_data()?;
                Ok(file)
            });
            Message::Begun(renewal, begun)
        }
        Job::Sync(files) => Message::Synced(files.iter().try_for_each(File::sync_data)),
    }
}
