//! Runs a program of this host for a workspace (Specification 0.1): in a process group of its own, without
//! input, with little environment, its two outputs merged in order.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ave_profile::{Refusal, Value};
use rustix::process::{Pid, test_kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time;

use super::limits::{DRAIN_BYTES_MAX, OUTPUT_BYTES_MAX};
use crate::drivers::group::Group;
pub(super) use crate::drivers::refusals::{run_error, timeout};
use crate::drivers::strays;

/// What the tools of one workspace share.
#[derive(Debug)]
pub(super) struct Tools {
    environment: BTreeMap<&'static str, OsString>,
    root: PathBuf,
    /// Process groups in which something outlived the tool. While it lives, the number means nobody else.
    groups: Vec<Pid>,
    used: bool,
}

/// One run of a tool.
#[derive(Debug)]
pub(super) struct Run<'a> {
    /// The program and its arguments.
    pub(super) argv: Vec<OsString>,
    /// Where it runs.
    pub(super) directory: &'a Path,
    /// What it finds in its environment besides what all tools do.
    pub(super) environment: &'a [(&'a str, &'a str)],
    /// When it is killed.
    pub(super) limit: Option<Duration>,
}

/// What a tool that ended leaves to say.
#[derive(Debug)]
pub(super) struct Finished {
    /// 0 to 127 as they are; 128 to 255, and 128 + signal, less 256.
    pub(super) code: i64,
    /// Everything it wrote, with a terminal's line ends.
    pub(super) output: String,
}

impl Tools {
    /// The tools of the workspace at `root`, at home in `home`.
    pub(super) fn new(root: &Path, home: &Path) -> Tools {
        let inherited = |name, default: &str| env::var_os(name).unwrap_or_else(|| default.into());
        let environment = BTreeMap::from([
            ("PATH", inherited("PATH", "/usr/local/bin:/usr/bin:/bin")),
            ("LANG", inherited("LANG", "C.UTF-8")),
            ("HOME", home.into()),
            (strays::WORKSPACE, root.into()),
        ]);
        Tools { environment, root: root.to_owned(), groups: Vec::new(), used: false }
    }

    /// Runs a tool to its end. Dropping the future kills its process group.
    ///
    /// What the tool leaves in the background lives on, unheard, until [`Tools::leftovers`] is used.
    ///
    /// # Errors
    /// `RunError` if it cannot be started; `Timeout` after its limit, when its group has been killed.
    pub(super) async fn run(&mut self, run: Run<'_>) -> Result<Finished, Refusal> {
        self.used = true;
        self.groups.retain(|group| test_kill_process_group(*group).is_ok());
        let (mut child, mut pipe) = self.spawn(&run).map_err(|error| {
            let message = format!("cannot run {}: {error}", run.argv[0].to_string_lossy());
            run_error(message, run.shown(), "")
        })?;
        let mut output = Output::default();
        let group = Group::of(&child);
        let ended = match run.limit {
            Some(limit) => time::timeout(limit, output.follow(&mut child, &mut pipe)).await.ok(),
            None => Some(output.follow(&mut child, &mut pipe).await),
        };
        let Some(ended) = ended else {
            drop(group);
            // A killed leader ends at once; its status is of no interest.
            let _ = child.wait().await;
            output.drain(&mut pipe);
            return Err(timeout("command timed out", run.shown(), output.text()));
        };
        let status = ended.map_err(|error| run_error(error.to_string(), run.shown(), ""))?;
        self.groups.extend(group.and_then(Group::outlived));
        Ok(Finished { code: exit_code(status), output: output.text() })
    }

    /// What kills everything that tools left behind; `None` if nothing ever ran. It blocks.
    pub(super) fn leftovers(&mut self) -> Option<impl FnOnce() -> Result<(), String> + Send + 'static> {
        let (root, groups) = (self.root.clone(), std::mem::take(&mut self.groups));
        std::mem::take(&mut self.used).then_some(move || strays::kill(strays::WORKSPACE, &root, &groups))
    }

    fn spawn(&self, run: &Run<'_>) -> io::Result<(Child, pipe::Receiver)> {
        let (reader, writer) = io::pipe()?;
        let mut command = Command::new(&run.argv[0]);
        command.args(&run.argv[1..]).current_dir(run.directory).process_group(0).kill_on_drop(true);
        command.env_clear().envs(&self.environment).envs(run.environment.iter().copied());
        command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
        Ok((command.spawn()?, pipe::Receiver::from_owned_fd(reader.into())?))
    }
}

impl Run<'_> {
    /// The command, as errors show it.
    fn shown(&self) -> Value {
        self.argv.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().into()
    }
}

/// What was written so far, and how much of it found no room.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
    lost: usize,
}

impl Output {
    /// Collects until the child ends. What then still holds the pipe is not waited for.
    async fn follow(&mut self, child: &mut Child, pipe: &mut pipe::Receiver) -> io::Result<ExitStatus> {
        let mut buffer = vec![0; 64 << 10];
        let mut open = true;
        loop {
            tokio::select! {
                status = child.wait() => {
                    self.drain(pipe);
                    return status;
                }
                read = pipe.read(&mut buffer), if open => match read? {
                    0 => open = false,
                    length => self.keep(&buffer[..length]),
                },
            }
        }
    }

    /// Takes what is already in the pipe.
    fn drain(&mut self, pipe: &mut pipe::Receiver) {
        let mut buffer = vec![0; 64 << 10];
        let mut drained = 0;
        while let Ok(length @ 1..) = pipe.try_read(&mut buffer) {
            self.keep(&buffer[..length]);
            drained += length;
            if drained > DRAIN_BYTES_MAX {
                break;
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = (OUTPUT_BYTES_MAX - self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.lost += bytes.len() - room;
    }

    fn text(&self) -> String {
        let mut text = String::from_utf8_lossy(&self.kept).replace('\n', "\r\n");
        if self.lost > 0 {
            text += &format!("\r\n[{} more bytes of output were not kept]\r\n", self.lost);
        }
        text
    }
}

/// The exit code as scripts know it (Specification 0.1, defect 2).
fn exit_code(status: ExitStatus) -> i64 {
    let code = i64::from(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()));
    if code >= 128 { code - 256 } else { code }
}
