//! Dumps of a process's heap, and the memory allocator that makes those of native code worth reading.

use std::time::Duration;

use ave_adb::quoted;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::sleep;

use super::super::device::{Answer, Handset};
use super::super::limits::{CALL_LIMIT, WAIT_PAUSE};
use super::super::power::within;
use super::{non_empty, stamp};
use crate::drivers::arguments::Take;

/// The pause between two looks at a dump's size, of which it must not change.
const SIZE_PAUSE: Duration = Duration::from_millis(500);

const DEBUG_MALLOC: &str = "libc.debug.malloc";

impl Handset {
    /// Answers whether it was set before.
    pub(super) async fn set_libc_debug_malloc(&self, arguments: &mut Bound) -> Answer {
        let on = flag("on", arguments)?;
        let package = non_empty("package", arguments)?;
        let limit = seconds(arguments)?;
        self.become_root().await?;
        let before = self.property(DEBUG_MALLOC).await.is_some_and(|value| value != "0");
        let value = if on { "1" } else { "" };
        self.assign(DEBUG_MALLOC, value).await.map_err(|found| match found {
            Ok(found) => {
                Refusal::exception(format!("failed to set property {DEBUG_MALLOC}: found \"{found}\""))
            }
            Err(refusal) => refusal,
        })?;
        let back = async {
            self.sh("stop; start").await?;
            while !self.runs(&[&package]).await? {
                sleep(WAIT_PAUSE).await;
            }
            Ok(before.into())
        };
        within(limit, &format!("timed out waiting for {package}"), back).await?
    }

    pub(super) async fn dump_heap(&self, arguments: &mut Bound) -> Answer {
        let directory = non_empty("directory", arguments)?;
        let package = non_empty("package", arguments)?;
        let native = flag("native", arguments)?;
        let limit = seconds(arguments)?;
        let place = self.host_path(&directory)?;
        if !place.is_dir() {
            return Err(Refusal::exception(format!("not an existing directory: {directory}")));
        }
        self.need_level("dump_heap", 14).await?;
        let processes = self.processes().await?.into_iter();
        let pids: Vec<_> = processes.filter(|process| process.name == package).collect();
        if pids.is_empty() {
            return Err(Refusal::exception(format!("no process found for package: {package}")));
        }
        let option = if native { "-n " } else { "" };
        let dumped = async {
            let mut files = Vec::new();
            for process in pids {
                let name = format!("{}-AVE-Generated-{}.hprof", package.replace('/', "_"), stamp());
                let remote = format!("/data/local/tmp/{name}");
                self.sh(&format!("am dumpheap {option}{} {}", process.pid, quoted(&remote))).await?;
                self.wait_until_written(&remote).await?;
                let file = place.join(name);
                let words = ["pull", &remote];
                self.adb(&words, Some(CALL_LIMIT), self.device.pull(&remote, &file)).await?;
                self.sh(&format!("rm {}", quoted(&remote))).await?;
                files.push(Value::from(file.to_string_lossy().into_owned()));
            }
            Ok(Value::List(files))
        };
        within(limit, &format!("dump heap timed out: {package}"), dumped).await?
    }

    /// Waits until a file is there that does not grow any more.
    async fn wait_until_written(&self, path: &str) -> Result<(), Refusal> {
        let mut before = 0;
        loop {
            let found = self.adb(&["pull", path], Some(CALL_LIMIT), self.device.stat(path)).await?;
            let size = found.map_or(0, |found| found.size);
            if size > 0 && size == before {
                return Ok(());
            }
            before = size;
            sleep(SIZE_PAUSE).await;
        }
    }
}

fn flag(name: &str, arguments: &mut Bound) -> Result<bool, Refusal> {
    let quoted = if name == "on" { "\"on\"" } else { name };
    arguments.flag(name).map_err(|_| Refusal::exception(format!("{quoted} must be a boolean value")))
}

fn seconds(arguments: &mut Bound) -> Result<Option<Duration>, Refusal> {
    let given = !matches!(arguments.get("timeout"), Value::Null);
    let limit = arguments.limit("timeout").ok().filter(|_| given);
    limit.ok_or_else(|| Refusal::exception("timeout must be of type int or float"))
}
