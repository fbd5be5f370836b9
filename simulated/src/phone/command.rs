//! Commands of a host, run by this host's `sh` in a process group of their own, which ends with the stream.

use std::io;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStdin, Command};
use tokio::select;
use tokio::sync::Mutex;

use super::paths::{self, ToPhone};
use super::services::Then;
use super::state::State;
use super::stream::{Arrivals, Departures};

/// The kinds of packets in a stream of `shell_v2`.
const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const EXIT: u8 = 3;
const CLOSE_STDIN: u8 = 4;
const HEADER_BYTES: usize = 5;

/// How much output is sent at once, in bytes.
const PART_BYTES: usize = 64 * 1024;

/// Runs one command line. `kill` is a builtin of this host's shell, which would reach this host's processes: here
/// it is the phone's.
const SHELL: &str = r#"kill() { "$SIMULATED/.simulated/bin/kill" "$@"; }; eval "$1""#;

/// A process group of the phone. It does not outlive this.
struct Running<'a> {
    child: Child,
    state: &'a State,
    id: u32,
}

impl<'a> Running<'a> {
    fn start(line: &str, state: &'a State, command: &mut Command) -> io::Result<Running<'a>> {
        let programs = state.programs();
        command.env_clear().current_dir(state.root()).process_group(0).stdin(Stdio::piped());
        command.env("PATH", format!("{}:/usr/bin:/bin", programs.display())).env("LC_ALL", "C");
        command.env("SIMULATED", state.root()).env("HOME", state.root());
        command.env("EXTERNAL_STORAGE", state.root().join("sdcard"));
        command.args(["-c", SHELL, "/system/bin/sh", &paths::to_host(state.root(), line)]);
        let child = command.spawn()?;
        let id = child.id().ok_or_else(|| io::Error::other("ended before it began"))?;
        state.started(id, line);
        Ok(Running { child, state, id })
    }

    /// Ends what the command has left in the background, as a terminal that goes away does.
    fn hang_up(&self) {
        if let Some(group) = Pid::from_raw(self.id as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    /// Waits for the command, while `output` takes what it prints. Returns its exit code.
    async fn run(&mut self, output: impl Future<Output = io::Result<()>>) -> io::Result<i32> {
        let mut output = Box::pin(output);
        let code = select! {
            biased;
            ended = self.child.wait() => ended?.code(),
            printed = &mut output => {
                printed?;
                return Ok(self.child.wait().await?.code().unwrap_or(137));
            }
        };
        self.hang_up();
        output.await?;
        Ok(code.unwrap_or(137))
    }

    fn then(&self) -> Then {
        if self.state.crashed() { Then::Dump } else { Then::Stay }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.hang_up();
        self.state.ended(self.id);
    }
}

/// `shell:` one stream for everything that is printed, and no exit code.
pub(super) async fn shell(
    line: &str,
    state: &State,
    arrivals: Arrivals,
    departures: Departures,
) -> io::Result<Then> {
    plain(line, state, arrivals, departures, Some(ToPhone::new(state.root()))).await
}

/// `exec:` the same, and what is printed is left as it is.
pub(super) async fn exec(
    line: &str,
    state: &State,
    arrivals: Arrivals,
    departures: Departures,
) -> io::Result<Then> {
    plain(line, state, arrivals, departures, None).await
}

async fn plain(
    line: &str,
    state: &State,
    mut arrivals: Arrivals,
    departures: Departures,
    paths: Option<ToPhone>,
) -> io::Result<Then> {
    let (reader, writer) = io::pipe()?;
    let mut running = {
        let mut command = Command::new("sh");
        command.stdout(writer.try_clone()?).stderr(writer);
        Running::start(line, state, &mut command)?
    };
    let reader = pipe::Receiver::from_owned_fd(reader.into())?;
    let mut stdin = running.child.stdin.take();
    let input = async {
        while let Some(bytes) = arrivals.next().await {
            write(&mut stdin, &bytes).await;
        }
    };
    let departures = Mutex::new(departures);
    let output = print(reader, paths, &departures, None);
    let code = select! {
        code = running.run(output) => code,
        () = input => return Ok(Then::Stay),
    };
    code?;
    Ok(running.then())
}

/// `shell,v2:` separate output and errors, and the exit code at the end.
pub(super) async fn shell_v2(
    line: &str,
    state: &State,
    mut arrivals: Arrivals,
    departures: Departures,
) -> io::Result<Then> {
    let mut running = {
        let mut command = Command::new("sh");
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running::start(line, state, &mut command)?
    };
    let (Some(stdout), Some(stderr)) = (running.child.stdout.take(), running.child.stderr.take()) else {
        return Err(io::Error::other("no pipes"));
    };
    let mut stdin = running.child.stdin.take();
    let input = async {
        let mut kept = BytesMut::new();
        while let Some(bytes) = arrivals.next().await {
            kept.extend_from_slice(&bytes);
            while let Some((kind, bytes)) = take(&mut kept) {
                match kind {
                    STDIN => write(&mut stdin, &bytes).await,
                    CLOSE_STDIN => drop(stdin.take()),
                    _ => {}
                }
            }
        }
    };
    let departures = Mutex::new(departures);
    let output = async {
        let root = state.root();
        let out = print(stdout, Some(ToPhone::new(root)), &departures, Some(STDOUT));
        let err = print(stderr, Some(ToPhone::new(root)), &departures, Some(STDERR));
        tokio::try_join!(out, err).map(|_| ())
    };
    let code = select! {
        code = running.run(output) => code?,
        () = input => return Ok(Then::Stay),
    };
    departures.lock().await.send(framed(EXIT, &[code as u8])).await?;
    Ok(running.then())
}

/// Sends everything a pipe gives, until its end, as packets of this kind if it has one.
async fn print(
    mut pipe: impl AsyncRead + Unpin,
    mut paths: Option<ToPhone>,
    departures: &Mutex<Departures>,
    kind: Option<u8>,
) -> io::Result<()> {
    let mut buffer = vec![0; PART_BYTES];
    loop {
        let count = pipe.read(&mut buffer).await?;
        let part = match &mut paths {
            Some(paths) if count == 0 => paths.finish(),
            Some(paths) => paths.add(&buffer[..count]),
            None => Bytes::copy_from_slice(&buffer[..count]),
        };
        if !part.is_empty() {
            let part = kind.map_or(part.clone(), |kind| framed(kind, &part).into());
            departures.lock().await.send(part).await?;
        }
        if count == 0 {
            return Ok(());
        }
    }
}

/// Gives bytes to a command, as long as it wants any.
async fn write(stdin: &mut Option<ChildStdin>, bytes: &[u8]) {
    if let Some(pipe) = stdin
        && pipe.write_all(bytes).await.is_err()
    {
        *stdin = None;
    }
}

fn framed(kind: u8, part: &[u8]) -> Vec<u8> {
    let length = (part.len() as u32).to_le_bytes();
    [&[kind][..], &length, part].concat()
}

fn take(kept: &mut BytesMut) -> Option<(u8, BytesMut)> {
    let header: [u8; HEADER_BYTES] = kept.get(..HEADER_BYTES)?.try_into().ok()?;
    let length = u32::from_le_bytes([header[1], header[2], header[3], header[4]]) as usize;
    if kept.len() < HEADER_BYTES + length {
        return None;
    }
    let mut packet = kept.split_to(HEADER_BYTES + length);
    Some((header[0], packet.split_off(HEADER_BYTES)))
}
