//! Short looks at a device through its shell: what it runs, how far it has booted, its properties. They never
//! fail, they only find nothing.

use std::time::Duration;

use ave_adb::Device;
use tokio::time::timeout;

use super::device::plain;
use super::limits::{LOOK_LIMIT, PROBE_BYTES_MAX, PROBE_LIMIT};
use super::power::PowerState;
use super::properties::Properties;

/// What a device runs, which decides its calls (Specification 1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Platform {
    /// Nothing but adbd is known of it.
    Adb,
    Android,
    /// No calls are known for it.
    Firefox,
}

/// What one look at everything has found.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    pub(super) platform: Platform,
    pub(super) state: PowerState,
    pub(super) properties: Properties,
}

const DALVIK: &str = "/system/bin/dalvikvm";
const B2G: &str = "/system/b2g/b2g";

impl Platform {
    /// Its name in profiles.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Platform::Adb => "adb",
            Platform::Android => "android",
            Platform::Firefox => "firefox",
        }
    }

    /// What such a listing says: only a file that is there is listed by its name alone.
    fn of(listing: &str) -> Platform {
        let listed = |path: &str| listing.lines().any(|line| line.trim() == path);
        match () {
            () if listed(DALVIK) => Platform::Android,
            () if listed(B2G) => Platform::Firefox,
            () => Platform::Adb,
        }
    }
}

/// What the device runs; plain adb if nothing can be found out.
pub(super) async fn platform(device: &Device) -> Platform {
    let listing = look(device, &format!("ls {DALVIK}; ls {B2G}"), LOOK_LIMIT).await;
    listing.map_or(Platform::Adb, |listing| Platform::of(&listing))
}

/// How far it has booted, if its shell works.
pub(super) async fn state(device: &Device, android: bool) -> Option<PowerState> {
    let text = look(device, "getprop sys.boot_completed; ls -d /", LOOK_LIMIT).await?;
    let says = |word| text.lines().any(|line| line.trim() == word);
    if says("1") {
        return Some(PowerState::BootCompleted);
    }
    if !says("/") {
        return None;
    }
    Some(without_boot(device, android).await)
}

/// What the adb server calls its state, if it lists the device and can reach it.
pub(super) async fn adb_state(device: &Device) -> Option<String> {
    timeout(LOOK_LIMIT, device.state()).await.ok()?.ok()
}

/// Everything the watch wants to know, if the device's shell works. What it runs is not asked for again.
pub(super) async fn everything(device: &Device, known: Option<Platform>) -> Option<Found> {
    let line = match known {
        None => format!("ls -d /; ls {DALVIK}; ls {B2G}; getprop"),
        Some(_) => "ls -d /; getprop".to_owned(),
    };
    let text = look(device, &line, PROBE_LIMIT).await?;
    let properties = Properties::of_dump(&text);
    let platform = known.unwrap_or_else(|| Platform::of(&text));
    let state = if properties.get("sys.boot_completed") == Some("1") {
        PowerState::BootCompleted
    } else if text.lines().any(|line| line.trim() == "/") {
        without_boot(device, platform == Platform::Android).await
    } else {
        return None;
    };
    Some(Found { platform, state, properties })
}

/// The state of a device whose shell works and that has not booted.
async fn without_boot(device: &Device, android: bool) -> PowerState {
    const NONE: &str = "could not access the package manager";
    if !android {
        return PowerState::Adb;
    }
    match look(device, "pm list packages", LOOK_LIMIT).await {
        Some(text) if !text.trim().is_empty() && !text.to_lowercase().contains(NONE) => {
            PowerState::PackageManager
        }
        _ => PowerState::Adb,
    }
}

/// The output of a line, if it ends in time.
async fn look(device: &Device, line: &str, limit: Duration) -> Option<String> {
    let text = async { device.shell(line).await?.text(PROBE_BYTES_MAX).await };
    timeout(limit, text).await.ok()?.ok().map(|text| plain(&text))
}
