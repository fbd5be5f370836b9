//! SIGUSR1: the broker writes down what it is doing and goes on. No key is ever written.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::{fs, io};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::replace;

/// Waits for SIGUSR1. From its making on, the signal does not end the process.
#[derive(Debug)]
pub struct Hickup {
    signals: Signal,
    folder: PathBuf,
}

impl Hickup {
    /// Dumps will be written to `folder`. Needs a running tokio runtime.
    ///
    /// # Errors
    /// If the signal cannot be caught.
    pub fn new(folder: PathBuf) -> io::Result<Hickup> {
        Ok(Hickup { signals: signal(SignalKind::user_defined1())?, folder })
    }

    /// Writes what `describe` says at every signal (216). Safe to drop at any time.
    pub async fn answer<F: Future<Output = String>>(mut self, describe: impl Fn() -> F) -> Infallible {
        loop {
            if self.signals.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            let text = format!("{}{}", process(), describe().await);
            match write(&self.folder, &text) {
                Ok(path) => info!(path = %path.display(), "state dumped"),
                Err(error) => error!(folder = %self.folder.display(), %error, "state not dumped"),
            }
        }
    }
}

/// Puts a dump into `folder`: `<YYYYmmdd-HHMMSS>-ave-broker-<pid>`, in UTC.
fn write(folder: &Path, text: &str) -> io::Result<PathBuf> {
    let path = folder.join(format!("{}-ave-broker-{}", now(), std::process::id()));
    replace(&path, text.as_bytes(), 0o600)?;
    Ok(path)
}

fn now() -> String {
    let mut text = String::new();
    // Written as 2026-11-21T01:56:55.123456Z; a string takes everything.
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    format!("{}-{}", digits.get(..8).unwrap_or_default(), digits.get(8..14).unwrap_or_default())
}

/// What the system knows of this process.
fn process() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted = ["Name:", "Pid:", "FDSize:", "VmRSS:", "Threads:"];
    let lines = status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name)));
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    let descriptors = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    format!("ave-broker {}\n{lines}Descriptors:\t{descriptors}\n", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_dump_is_named_with_date_process_and_pid() {
        // 216
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), &process()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let (date, rest) = name.split_at(15);
        assert_eq!(rest, format!("-ave-broker-{}", std::process::id()));
        assert!(
            date.bytes().enumerate().all(|(i, b)| if i == 8 { b == b'-' } else { b.is_ascii_digit() }),
            "{date}"
        );
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains("VmRSS:") && text.contains("Descriptors:"), "{text}");
    }
}
