//! One handset as its session holds it: the ways to it that all calls go, and what it says when it is not there.

use std::sync::Arc;
use std::time::Duration;

use ave_adb::{AdbError, Device, Stream};
use ave_profile::{Profile, Refusal, RefusalKind, Value};
use tokio::io::AsyncReadExt;
use tokio::time;

use super::Site;
use super::forwards::Forwards;
use super::limits::{CALL_LIMIT, LOOK_LIMIT, OUTPUT_BYTES_MAX};
use super::power::PowerState;
use super::probe::Platform;
use super::shell::Background;
use crate::config::handset::LineEnds;
use crate::drivers::refusals;

/// What a call says.
pub(super) type Answer = Result<Value, Refusal>;

/// A handset that is lent. Everything it started on the device ends when it is dropped, but its forwards, which
/// `close_forwards` removes.
pub(super) struct Handset {
    pub(super) site: Arc<Site>,
    pub(super) device: Device,
    /// What the client was told when it got the handset.
    pub(super) profile: Profile,
    platform: Platform,
    pub(super) background: Background,
    pub(super) forwards: Forwards,
}

impl Handset {
    /// The handset with this serial. Nothing is asked of it yet.
    pub(super) fn new(site: &Arc<Site>, serial: &str, profile: Profile, platform: Platform) -> Handset {
        Handset {
            site: Arc::clone(site),
            device: site.server.device(serial),
            profile,
            platform,
            background: Background::default(),
            forwards: Forwards::default(),
        }
    }

    /// What tells it from every other.
    pub(super) fn serial(&self) -> &str {
        self.device.serial()
    }

    /// Which calls it has.
    pub(super) fn platform(&self) -> Platform {
        self.platform
    }

    /// Whether it has a package manager.
    pub(super) fn is_android(&self) -> bool {
        self.platform == Platform::Android
    }

    /// Runs a line in its shell to the end: standard error among the output, lines ending as on the handset,
    /// no exit status (Specification 1.5).
    ///
    /// # Errors
    /// `no such executable`; `Timeout` with `cmd` and `out`, when the command has been stopped; what
    /// [`Handset::failed`] says.
    pub(super) async fn run(&self, line: &str, limit: Option<Duration>) -> Result<String, Refusal> {
        self.run_for(line, line, limit).await
    }

    /// Like [`Handset::run`], for a caller who had called the line `original`.
    pub(super) async fn run_for(
        &self,
        original: &str,
        line: &str,
        limit: Option<Duration>,
    ) -> Result<String, Refusal> {
        let mut output = Output::default();
        let ran = async {
            let mut stream = self.device.shell(line).await?;
            output.read(&mut stream).await
        };
        let ended = match limit {
            Some(limit) => time::timeout(limit, ran).await.ok(),
            None => Some(ran.await),
        };
        let said = output.text();
        match ended {
            None => {
                let cmd = self.argv(&["shell", line]);
                Err(refusals::timeout("command timed out", cmd.into(), self.shown(&said)))
            }
            Some(Err(error)) => Err(self.failed(&["shell", line], error).await),
            Some(Ok(())) if names_nothing(&said) => {
                Err(Refusal::exception(format!("no such executable: {original}")))
            }
            Some(Ok(())) => Ok(said),
        }
    }

    /// Like [`Handset::run`], for the broker's own commands.
    pub(super) async fn sh(&self, line: &str) -> Result<String, Refusal> {
        self.run(line, Some(CALL_LIMIT)).await
    }

    /// What a request to the adb server answers.
    ///
    /// # Errors
    /// `Timeout`, or what [`Handset::failed`] says; `words` are what the `adb` command would have been told.
    pub(super) async fn adb<T>(
        &self,
        words: &[&str],
        limit: Option<Duration>,
        request: impl Future<Output = Result<T, AdbError>>,
    ) -> Result<T, Refusal> {
        let answered = match limit {
            Some(limit) => time::timeout(limit, request).await.ok(),
            None => Some(request.await),
        };
        match answered {
            None => Err(refusals::timeout("command timed out", self.argv(words).into(), "")),
            Some(Err(error)) => Err(self.failed(words, error).await),
            Some(Ok(answer)) => Ok(answer),
        }
    }

    /// What to say when the adb server refuses: `Offline` if the handset is not there any more, else `Exception`
    /// (Specification 0.2).
    pub(super) async fn failed(&self, words: &[&str], error: AdbError) -> Refusal {
        let text = format!("Failed to execute {}: {error}", self.argv(words).join(" "));
        match self.power_state().await {
            PowerState::Offline => {
                Refusal::new(RefusalKind::Driver("Offline".to_owned()), format!("Handset is offline. {text}"))
            }
            _ => Refusal::exception(text),
        }
    }

    /// What the `adb` command would be started with.
    pub(super) fn argv(&self, words: &[&str]) -> Vec<String> {
        ["adb", "-s", self.serial()].iter().chain(words).map(|word| (*word).to_owned()).collect()
    }

    /// A text as the lab wants its lines to end.
    pub(super) fn shown(&self, text: &str) -> Value {
        match self.site.config.line_ends() {
            LineEnds::CrLf => text.replace('\n', "\r\n").into(),
            LineEnds::Lf => text.into(),
        }
    }

    /// A property, if it can be read and says something.
    pub(super) async fn property(&self, key: &str) -> Option<String> {
        let text = self.run(&format!("getprop {}", ave_adb::quoted(key)), Some(LOOK_LIMIT)).await.ok()?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// The version of its platform's interface, if it says so.
    pub(super) async fn sdk(&self) -> Option<i64> {
        self.property("ro.build.version.sdk").await?.parse().ok()
    }
}

/// What a command says.
#[derive(Default)]
struct Output {
    kept: Vec<u8>,
    lost: usize,
}

impl Output {
    /// Reads to the end. What has no room is read all the same, so that the command goes on, and not kept.
    async fn read(&mut self, stream: &mut Stream) -> Result<(), AdbError> {
        let mut buffer = vec![0; 64 << 10];
        loop {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                length => {
                    let room = (OUTPUT_BYTES_MAX - self.kept.len()).min(length);
                    self.kept.extend_from_slice(&buffer[..room]);
                    self.lost += length - room;
                }
            }
        }
    }

    fn text(&self) -> String {
        let mut text = plain(&self.kept);
        if self.lost > 0 {
            text += &format!("\n[{} more bytes of output were not kept]\n", self.lost);
        }
        text
    }
}

/// Whether a shell says that there is no such program.
fn names_nothing(output: &str) -> bool {
    let first = output.lines().next().unwrap_or_default().trim_end();
    first.starts_with("/system/") && first.ends_with("not found")
}

/// Text whose lines end with a line feed alone, whatever terminals it came through.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains('\r') {
        return text.into_owned();
    }
    text.split('\n').map(|line| line.trim_end_matches('\r')).collect::<Vec<_>>().join("\n")
}

/// A limit passed while no tool ran.
pub(super) fn timed_out(message: &str) -> Refusal {
    Refusal::new(RefusalKind::Driver("Timeout".to_owned()), message)
}
