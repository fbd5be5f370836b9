//! A lab's program that runs: in a process group of its own, with little environment, and with what it
//! writes for people in the log. It dies with this value.

use std::io;
use std::process::Stdio;

use ave_profile::Identity;
use rustix::process::{Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::info;

use super::limits::{LAST_WORDS_LIMIT, LINE_BYTES_MAX, LINES_LOGGED_MAX};
use crate::drivers::group::Group;
use crate::drivers::place::Place;

/// One program, and whatever it starts in its process group.
pub(super) struct Running {
    group: Option<Group>,
    child: Child,
    last_words: watch::Receiver<String>,
    listening: JoinSet<()>,
}

/// How to talk to a program.
pub(super) type Pipes = (ChildStdin, ChildStdout);

impl Running {
    /// Starts a program for a piece.
    ///
    /// # Errors
    /// If it cannot be started.
    pub(super) async fn start(
        place: &Place,
        words: &[String],
        item: &Identity,
    ) -> io::Result<(Running, Pipes)> {
        let mut command = place.command(words).await?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("cannot run {}: {error}", words[0])))?;
        let group = Group::of(&child);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("a program without pipes"));
        };
        let (heard, last_words) = watch::channel(String::new());
        let mut listening = JoinSet::new();
        listening.spawn(listen(stderr, item.clone(), heard));
        Ok((Running { group, child, last_words, listening }, (stdin, stdout)))
    }

    /// Kills it and its group.
    pub(super) fn kill(&mut self) {
        self.group = None;
    }

    /// Waits for the program's end, then kills what is left of its group.
    ///
    /// # Errors
    /// How it ended, if not with success: `exit status: 1: <its last words>`.
    pub(super) async fn ended(&mut self) -> Result<(), String> {
        let status = self.child.wait().await.map_err(|error| error.to_string())?;
        if let Some(left) = self.group.take().and_then(Group::outlived) {
            let _ = kill_process_group(left, Signal::KILL);
        }
        if status.success() {
            return Ok(());
        }
        let _ = timeout(LAST_WORDS_LIMIT, self.listening.join_next()).await;
        let words = self.last_words.borrow().clone();
        let colon = if words.is_empty() { "" } else { ": " };
        Err(format!("{status}{colon}{words}"))
    }
}

/// Logs what a program writes for people, and keeps its last line.
async fn listen(stderr: ChildStderr, item: Identity, last_words: watch::Sender<String>) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    for number in 0_usize.. {
        line.clear();
        let read = (&mut stderr).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).await;
        if !matches!(read, Ok(1..)) {
            return;
        }
        let text = String::from_utf8_lossy(&line).trim_end().to_owned();
        match number {
            0..LINES_LOGGED_MAX => info!(%item, text, "its driver says"),
            LINES_LOGGED_MAX => info!(%item, "its driver says more than is logged"),
            _ => {}
        }
        if !text.is_empty() {
            last_words.send_replace(text);
        }
    }
}
