//! What a handset that runs Android can do besides, or does differently (Specification 1.6 B).

mod components;
mod gtest;
mod heap;
mod instrumentation;
mod junit;
mod locale;
mod logcat;
mod packages;
mod permissions;
mod properties;
mod restart;
mod storage;
mod system;

use std::time::SystemTime;

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use chrono::{DateTime, Datelike, Timelike, Utc};
use tokio::time::Instant;

use self::logcat::Monitors;
use super::device::{Answer, Handset};
use super::power::PowerState;

/// The calls that only Android has, and those it takes other arguments for.
pub(super) const CALLS: &[&str] = &[
    "pm_ready()",
    "pm_enable(target)",
    "pm_disable(target)",
    "restart_system(timeout=120)",
    "get_phone_number()",
    "press_key(keycode)",
    "set_property(key, value, local=False)",
    "clear_local_properties()",
    "get_locale()",
    "list_packages()",
    "is_installed(package)",
    "install(apk_path, timeout=30, args=None)",
    "reinstall(apk_path, timeout=30)",
    "uninstall(package)",
    "get_package_version(package)",
    "list_permissions(args='-d -g')",
    "grant_permissions(package, permissions_name)",
    "revoke_permissions(package, permissions_name)",
    "disable_usb_mode_chooser()",
    "enable_usb_mode_chooser()",
    "disable_package_verifier()",
    "enable_package_verifier()",
    "clear_logcat(args='')",
    "start_logcat(args='', log_file=None)",
    "stop_logcat(uid)",
    "get_logcat_log(uid, timeout=10)",
    "get_instrumentation_runners(package)",
    "run_junit(output_path=None, test_package=None, runner=None, test_options=None, raw=None, timeout=0, \
     timeout_kill=True)",
    "kill_junit_test(package, timeout=10)",
    "list_gtest_tests(target)",
    "run_gtest(target, result_path=None, args=[], timeout=0)",
    "is_mounted(path)",
    "sdcard_mounted()",
    "extcard_mounted()",
    "set_libc_debug_malloc(on, package, timeout=45)",
    "dump_heap(directory, package, native=False, timeout=30)",
    "set_inactive(package, value)",
    "get_inactive(package)",
    "dumpsys_battery(operate='unplug')",
    "dumpsys_deviceidle(command, para=None)",
];

/// What an error repeats of a handset's words, in letters.
const GIST_CHARS_MAX: usize = 300;

/// What these calls keep for the session. Dropping it ends what runs in the background.
#[derive(Default)]
pub(super) struct Android {
    monitors: Monitors,
    /// When a component was switched on or off last.
    switched: Option<Instant>,
}

impl Android {
    /// Makes a call; `None` if it is the same on every handset.
    pub(super) async fn call(
        &mut self,
        handset: &mut Handset,
        method: &str,
        arguments: &mut Bound,
    ) -> Option<Answer> {
        Some(match method {
            "pm_enable" => self.pm_switch(handset, true, arguments).await,
            "pm_disable" => self.pm_switch(handset, false, arguments).await,
            "enable_usb_mode_chooser" => self.switch_usb_mode_chooser(handset, true).await,
            "disable_usb_mode_chooser" => self.switch_usb_mode_chooser(handset, false).await,
            "reboot" => self.reboot(handset, arguments).await,
            "restart_system" => self.restart_system(handset, arguments).await,
            "clear_logcat" => handset.clear_logcat(arguments).await,
            "start_logcat" => self.monitors.start(handset, arguments).await,
            "stop_logcat" => self.monitors.stop(arguments).await,
            "get_logcat_log" => self.monitors.log(handset, arguments),
            _ => return handset.call_android(method, arguments).await,
        })
    }

    /// Ends what runs in the background.
    pub(super) async fn stop_all(&mut self) {
        self.monitors.stop_all().await;
    }
}

impl Handset {
    /// Makes a call that keeps nothing.
    async fn call_android(&mut self, method: &str, arguments: &mut Bound) -> Option<Answer> {
        Some(match method {
            "pm_ready" => Ok((self.power_state().await >= PowerState::PackageManager).into()),
            "get_phone_number" => self.get_phone_number().await,
            "press_key" => self.press_key(arguments).await,
            "set_property" => self.set_android_property(arguments).await,
            "clear_local_properties" => self.clear_local_properties().await,
            "get_locale" => Ok(self.locale().await.into()),
            "list_packages" => self.packages().await.map(Value::from),
            "is_installed" => self.is_installed(arguments).await,
            "install" => self.install(&[], arguments).await,
            "reinstall" => self.install(&["-r"], arguments).await,
            "uninstall" => self.uninstall(arguments).await,
            "get_package_version" => self.get_package_version(arguments).await,
            "list_permissions" => self.list_permissions(arguments).await,
            "grant_permissions" => self.change_permission("grant", arguments).await,
            "revoke_permissions" => self.change_permission("revoke", arguments).await,
            "disable_package_verifier" => self.switch_package_verifier(false).await,
            "enable_package_verifier" => self.switch_package_verifier(true).await,
            "get_instrumentation_runners" => self.get_instrumentation_runners(arguments).await,
            "run_junit" => self.run_junit(arguments).await,
            "kill_junit_test" => self.kill_junit_test(arguments).await,
            "list_gtest_tests" => self.list_gtest_tests(arguments).await,
            "run_gtest" => self.run_gtest(arguments).await,
            "is_mounted" => self.is_path_mounted(arguments).await,
            "sdcard_mounted" => self.sdcard_mounted().await.map(Value::from),
            "extcard_mounted" => self.extcard_mounted().await.map(Value::from),
            "wait_mounted" => self.wait_cards(arguments).await,
            "set_libc_debug_malloc" => self.set_libc_debug_malloc(arguments).await,
            "dump_heap" => self.dump_heap(arguments).await,
            "set_inactive" => self.set_inactive(arguments).await,
            "get_inactive" => self.get_inactive(arguments).await,
            "dumpsys_battery" => self.dumpsys_battery(arguments).await,
            "dumpsys_deviceidle" => self.dumpsys_deviceidle(arguments).await,
            _ => return None,
        })
    }

    /// The version of Android's interface.
    ///
    /// # Errors
    /// If it cannot be read.
    async fn level(&self) -> Result<i64, Refusal> {
        let text = self.sh("getprop ro.build.version.sdk").await?;
        text.trim().parse().map_err(|_| {
            Refusal::exception(format!("wanted ro.build.version.sdk, found \"{}\"", gist(&text)))
        })
    }

    /// Refuses a call that needs a newer Android.
    async fn need_level(&self, call: &str, wanted: i64) -> Result<(), Refusal> {
        let found = self.level().await?;
        match found >= wanted {
            true => Ok(()),
            false => Err(Refusal::exception(format!("{call} needs SDK {wanted}, found {found}"))),
        }
    }

    /// Refuses unless a command has said nothing.
    fn need_silence(what: &str, output: &str) -> Result<(), Refusal> {
        match output.trim() {
            "" => Ok(()),
            output => Err(Refusal::exception(format!("{what}: {}", gist(output)))),
        }
    }
}

/// Text that says something.
fn non_empty(name: &str, arguments: &mut Bound) -> Result<String, Refusal> {
    match arguments.take(name) {
        Value::Text(text) if !text.trim().is_empty() => Ok(text),
        _ => Err(Refusal::exception(format!("{name} must be a non-empty string"))),
    }
}

/// The beginning of a handset's words.
fn gist(words: &str) -> String {
    words.trim().chars().take(GIST_CHARS_MAX).collect()
}

/// This moment in UTC, for names of files that no other call gives.
fn stamp() -> String {
    let now = DateTime::<Utc>::from(SystemTime::now());
    let (date, time) = ((now.year(), now.month(), now.day()), (now.hour(), now.minute(), now.second()));
    let micros = now.timestamp_subsec_micros();
    format!("{:04}{:02}{:02}-{:02}{:02}{:02}-{micros:06}", date.0, date.1, date.2, time.0, time.1, time.2)
}
