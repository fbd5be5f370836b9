//! Readers of the log. Each gathers what `logcat` prints, in memory and if wanted in a file of this host, for as
//! long as the session lasts, across reboots.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ave_adb::{Device, Stream};
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use rustix::fs::OFlags;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::warn;

use super::super::device::{Answer, Handset, plain};
use super::super::limits::CALL_LIMIT;
use crate::drivers::arguments::Take;

/// What one reader gathers. What would be more takes the place of everything before.
const LOG_BYTES_MAX: usize = 16 << 20;

/// Readers of one session.
const MONITORS_MAX: usize = 16;

/// The pause before a log that broke off is opened again.
const REOPEN_PAUSE: Duration = Duration::from_secs(2);

/// The readers of one session, by their ids. They end when this is dropped.
#[derive(Default)]
pub(super) struct Monitors {
    running: BTreeMap<i64, Monitor>,
    started: i64,
}

struct Monitor {
    gathered: Arc<Mutex<Gathered>>,
    /// One task.
    reading: JoinSet<()>,
}

impl Monitors {
    /// Clears the log and reads it from then on.
    pub(super) async fn start(&mut self, handset: &Handset, arguments: &mut Bound) -> Answer {
        let (args, log_file) = (arguments.text("args")?, arguments.optional("log_file")?);
        if self.running.len() >= MONITORS_MAX {
            let text = format!("too many readers of the log: wanted {MONITORS_MAX} at most");
            return Err(Refusal::exception(text));
        }
        let copy = match &log_file {
            Some(path) => Some(handset.append_to(path).await?),
            None => None,
        };
        handset.clear_log(&args).await?;
        let line = format!("logcat {args}").trim_end().to_owned();
        let stream = handset.adb(&["logcat", &args], Some(CALL_LIMIT), handset.device.shell(&line)).await?;
        let gathered = Arc::default();
        let reader = Reader { device: handset.device.clone(), line, gathered: Arc::clone(&gathered), copy };
        let mut reading = JoinSet::new();
        reading.spawn(reader.read(stream));
        self.started += 1;
        self.running.insert(self.started, Monitor { gathered, reading });
        Ok(self.started.into())
    }

    pub(super) async fn stop(&mut self, arguments: &mut Bound) -> Answer {
        let uid = uid(arguments)?;
        let mut monitor = self.running.remove(&uid).ok_or_else(|| unknown(uid))?;
        monitor.reading.shutdown().await;
        Ok(Value::Null)
    }

    /// What was gathered since it was asked for last. There is nothing to wait for: `timeout` is not used.
    pub(super) fn log(&mut self, handset: &Handset, arguments: &mut Bound) -> Answer {
        let uid = uid(arguments)?;
        arguments.limit("timeout")?;
        let monitor = self.running.get(&uid).ok_or_else(|| unknown(uid))?;
        let bytes = lock(&monitor.gathered).take();
        Ok(handset.shown(&plain(&bytes)))
    }

    pub(super) async fn stop_all(&mut self) {
        for (_, mut monitor) in std::mem::take(&mut self.running) {
            monitor.reading.shutdown().await;
        }
    }
}

fn uid(arguments: &mut Bound) -> Result<i64, Refusal> {
    arguments.whole("uid").map_err(|_| Refusal::exception("monitor uid must be an integer"))
}

fn unknown(uid: i64) -> Refusal {
    Refusal::exception(format!("no monitor with that id: {uid}"))
}

impl Handset {
    pub(super) async fn clear_logcat(&self, arguments: &mut Bound) -> Answer {
        let args = arguments.text("args")?;
        self.clear_log(&args).await.map(|()| Value::Null)
    }

    async fn clear_log(&self, args: &str) -> Result<(), Refusal> {
        let output = self.sh(format!("logcat -c {args}").trim_end()).await?;
        Handset::need_silence("cannot clear the log", &output)
    }

    /// A file of this host to be written to, behind what is in it.
    pub(super) async fn append_to(&self, path: &str) -> Result<File, Refusal> {
        let place = self.host_path(path)?;
        open(&place).await.map_err(|error| Refusal::exception(format!("cannot write {path}: {error}")))
    }
}

/// Does not wait: opening a pipe would, for whoever reads it, on a thread that nothing can stop.
async fn open(path: &Path) -> io::Result<File> {
    let at_once = OFlags::NONBLOCK.bits() as i32;
    OpenOptions::new().append(true).create(true).custom_flags(at_once).open(path).await
}

/// What a reader's task has.
struct Reader {
    device: Device,
    line: String,
    gathered: Arc<Mutex<Gathered>>,
    copy: Option<File>,
}

impl Reader {
    /// Reads until it is dropped, one stream after another.
    async fn read(mut self, first: Stream) {
        let mut stream = Ok(first);
        loop {
            if let Ok(stream) = stream {
                self.gather(stream).await;
            }
            sleep(REOPEN_PAUSE).await;
            stream = self.device.shell(&self.line).await;
        }
    }

    async fn gather(&mut self, mut stream: Stream) {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = stream.read(&mut buffer).await {
            let bytes = &buffer[..length];
            lock(&self.gathered).add(bytes);
            if let Some(file) = &mut self.copy
                && let Err(error) = append(file, bytes).await
            {
                warn!(handset = self.device.serial(), %error, "the copy of its log is not written any more");
                self.copy = None;
            }
        }
    }
}

async fn append(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes).await?;
    file.flush().await
}

/// The newest part of a log.
#[derive(Default)]
struct Gathered(Vec<u8>);

impl Gathered {
    fn add(&mut self, bytes: &[u8]) {
        if self.0.len() + bytes.len() > LOG_BYTES_MAX {
            self.0 = Vec::new();
        }
        self.0.extend_from_slice(bytes);
    }

    /// Everything but a last letter of which not all bytes have come.
    fn take(&mut self) -> Vec<u8> {
        let rest = self.0.split_off(complete(&self.0));
        std::mem::replace(&mut self.0, rest)
    }
}

/// How many bytes there are before a letter that is begun.
fn complete(bytes: &[u8]) -> usize {
    let begun = (1..=bytes.len().min(3)).find(|back| {
        let wanted = match bytes[bytes.len() - back] {
            0xc0..0xe0 => 2,
            0xe0..0xf0 => 3,
            0xf0.. => 4,
            _ => 1,
        };
        wanted > *back
    });
    bytes.len() - begun.unwrap_or(0)
}

fn lock(gathered: &Mutex<Gathered>) -> MutexGuard<'_, Gathered> {
    gathered.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h23_too_much_takes_the_place_of_everything_before() {
        let mut gathered = Gathered::default();
        let part = vec![b'x'; LOG_BYTES_MAX / 2];
        gathered.add(&part);
        gathered.add(&part);
        assert_eq!(gathered.0.len(), LOG_BYTES_MAX);
        gathered.add(b"new");
        assert_eq!(gathered.take(), b"new");
        assert_eq!(gathered.take(), b"");
    }

    #[test]
    fn a_letter_is_given_whole_or_later() {
        let mut gathered = Gathered::default();
        gathered.add("aå€".as_bytes().split_at(5).0);
        assert_eq!(gathered.take(), "aå".as_bytes());
        gathered.add(&[0xac]);
        assert_eq!(gathered.take(), "€".as_bytes());
        for whole in [&b"a"[..], "å".as_bytes(), b"", b"\x80\x80\x80\x80", b"\xffabc"] {
            assert_eq!(complete(whole), whole.len(), "{whole:?}");
        }
    }
}
