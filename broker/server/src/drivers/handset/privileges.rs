//! What makes a handset more than it was: root, writable system partitions, and a planned crash.

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::{sleep, timeout};

use super::device::{Answer, Handset};
use super::limits::{ADB_PAUSE, CALL_LIMIT, LOOK_LIMIT, ROOT_LEAVES, ROOT_LIMIT, ROOT_RETRY};
use super::power::{PowerState, within};
use crate::drivers::arguments::Take;

impl Handset {
    /// Has adbd restart as root and waits until it is back.
    ///
    /// # Errors
    /// `Exception` with the handset's words if it does not do that; `Timeout` if it does not come back.
    pub(super) async fn become_root(&self) -> Result<(), Refusal> {
        let asked = async {
            if let Ok(words) = self.device.root().await {
                return Ok(words);
            }
            sleep(ROOT_RETRY).await;
            self.device.root().await
        };
        let words = self.adb(&["root"], Some(ROOT_LIMIT), asked).await?;
        if words.starts_with("adbd cannot run as root") {
            return Err(Refusal::exception(words.trim_end()));
        }
        if words.starts_with("restarting") {
            // It still answers for a moment; who asks then loses the answer.
            let _ = timeout(ROOT_LEAVES, self.wait_lost()).await;
        }
        let back = async {
            while !self.has_adb().await {
                sleep(ADB_PAUSE).await;
            }
        };
        within(Some(ROOT_LIMIT), "root timed out: adb did not come back", back).await
    }

    pub(super) async fn remount(&self) -> Answer {
        self.become_root().await?;
        let words = self.adb(&["remount"], Some(CALL_LIMIT), self.device.remount()).await?;
        match words.contains("remount failed") {
            true => Err(Refusal::exception(words.trim_end())),
            false => Ok(self.shown(&words)),
        }
    }

    /// Switches the checking of the system partitions; too old a handset has none.
    pub(super) async fn set_verity(&mut self, enable: bool, arguments: &mut Bound) -> Answer {
        let (limit, reboot) = (arguments.limit("timeout")?, arguments.flag("reboot")?);
        let (word, since) = if enable { ("enable-verity", 23) } else { ("disable-verity", 19) };
        if self.sdk().await.is_some_and(|sdk| sdk < since) {
            return Ok(Value::Null);
        }
        self.become_root().await?;
        let words = self.adb(&[word], Some(LOOK_LIMIT), self.device.verity(enable)).await?;
        if reboot && words.to_lowercase().contains("reboot") {
            let rebooted = async {
                self.restart(None).await?;
                self.wait_for_states(&[PowerState::BootCompleted], None).await
            };
            within(limit, &format!("{word} timed out"), rebooted).await??;
        }
        Ok(Value::Null)
    }

    /// Crashes the kernel on purpose. The command never ends, its connection does.
    pub(super) async fn force_dump(&mut self, arguments: &mut Bound) -> Answer {
        let limit = arguments.limit("timeout")?;
        self.become_root().await?;
        self.close_forwards().await;
        self.run("echo c > /proc/sysrq-trigger", limit.or(Some(CALL_LIMIT))).await?;
        Ok(Value::Null)
    }
}
