//! Packages and their components switched on and off, and the system's own check of packages.

use std::time::Duration;

use ave_adb::quoted;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::{Instant, sleep};

use super::super::device::{Answer, Handset};
use super::{Android, gist, non_empty};
use crate::drivers::refusals;

/// How long the package manager takes to write what was switched.
const SETTLED: Duration = Duration::from_secs(15);

/// Since when it takes that long.
const SETTLES_SINCE: i64 = 23;

const USB_MODE_CHOOSER: &str = "com.android.settings/.deviceinfo.UsbModeChooserActivity";

impl Android {
    pub(super) async fn pm_switch(&mut self, handset: &Handset, on: bool, arguments: &mut Bound) -> Answer {
        let target = non_empty("target", arguments)?;
        self.switch(handset, on, &target).await
    }

    pub(super) async fn switch_usb_mode_chooser(&mut self, handset: &Handset, on: bool) -> Answer {
        handset.become_root().await?;
        self.switch(handset, on, USB_MODE_CHOOSER).await
    }

    async fn switch(&mut self, handset: &Handset, on: bool, target: &str) -> Answer {
        let package = target.split('/').next().unwrap_or(target);
        if !handset.packages().await?.iter().any(|installed| installed == package) {
            return Err(Refusal::exception(format!("no such package on handset: {package}")));
        }
        let verb = if on { "enable" } else { "disable" };
        let output = handset.sh(&format!("pm {verb} {}", quoted(target))).await?;
        if !output.contains("new state: ") {
            return Err(Refusal::exception(format!("cannot {verb} {target}: {}", gist(&output))));
        }
        self.switched = Some(Instant::now());
        Ok(Value::Null)
    }

    /// Waits until what was switched has been written: a restart before that would undo it.
    pub(super) async fn settle(&mut self, handset: &Handset) {
        let missing = unsettled(self.switched, Instant::now());
        if !missing.is_zero() && handset.sdk().await.is_some_and(|sdk| sdk >= SETTLES_SINCE) {
            sleep(missing).await;
        }
        self.switched = None;
    }
}

/// How much longer a restart has to wait.
fn unsettled(switched: Option<Instant>, now: Instant) -> Duration {
    switched.map_or(Duration::ZERO, |at| SETTLED.saturating_sub(now.saturating_duration_since(at)))
}

impl Handset {
    /// Whether packages from elsewhere are checked. Too old a handset does not do that.
    pub(super) async fn switch_package_verifier(&self, on: bool) -> Answer {
        const SETTING: &str = "package_verifier_enable";
        let value = i32::from(on);
        let line = match self.level().await? {
            ..17 => return Ok(Value::Null),
            17..23 => format!(
                "content update --uri content://settings/global --bind value:i:{value} \
                 --where 'name=\"{SETTING}\"'"
            ),
            _ => format!("settings put global {SETTING} {value}"),
        };
        let output = self.sh(&line).await?;
        match output.to_lowercase().contains("error") {
            true => {
                let verb = if on { "enable" } else { "disable" };
                let message = format!("cannot {verb} the package verifier: {}", gist(&output));
                Err(refusals::run_error(message, self.argv(&["shell", &line]).into(), &output))
            }
            false => Ok(Value::Null),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restart_waits_for_the_rest_of_fifteen_seconds() {
        let at = Instant::now();
        assert_eq!(unsettled(None, at), Duration::ZERO);
        assert_eq!(unsettled(Some(at), at), SETTLED);
        assert_eq!(unsettled(Some(at), at + Duration::from_secs(14)), Duration::from_secs(1));
        assert_eq!(unsettled(Some(at), at + Duration::from_secs(16)), Duration::ZERO);
    }
}
