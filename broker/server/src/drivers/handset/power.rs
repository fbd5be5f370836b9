//! How far a handset has come: its power states (Specification 1.4), and the calls that wait for one.

use std::time::Duration;

use ave_adb::AdbError;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::{sleep, timeout};

use super::device::{Answer, Handset, timed_out};
use super::limits::{ADB_PAUSE, LOST_PAUSE, WAIT_PAUSE};
use super::probe;
use crate::drivers::arguments::Take;

/// Ordered as a handset boots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PowerState {
    /// Neither on USB nor at the adb server.
    Offline,
    /// To be flashed.
    Service,
    /// It is there, but cannot be talked to.
    Enumeration,
    /// That for so long that its battery must be empty. Only the watch says so.
    Draining,
    /// Its shell works.
    Adb,
    /// Its package manager works too.
    PackageManager,
    /// It says that it has booted.
    BootCompleted,
}

impl PowerState {
    /// Those a script can see and wait for.
    const WAITABLE: [PowerState; 6] = [
        PowerState::Offline,
        PowerState::Service,
        PowerState::Enumeration,
        PowerState::Adb,
        PowerState::PackageManager,
        PowerState::BootCompleted,
    ];

    /// Its name in profiles.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            PowerState::Offline => "offline",
            PowerState::Service => "service",
            PowerState::Enumeration => "enumeration",
            PowerState::Draining => "draining",
            PowerState::Adb => "adb",
            PowerState::PackageManager => "package_manager",
            PowerState::BootCompleted => "boot_completed",
        }
    }

    fn waitable(name: &str) -> Result<PowerState, Refusal> {
        let unknown = || Refusal::exception(format!("no such state: {name}"));
        PowerState::WAITABLE.into_iter().find(|state| state.as_str() == name).ok_or_else(unknown)
    }
}

impl Handset {
    /// Its power state now. Never fails: who cannot be reached is `offline`.
    pub(super) async fn power_state(&self) -> PowerState {
        if let Some(state) = probe::state(&self.device, self.is_android()).await {
            return state;
        }
        // What the watch last saw, and what the adb server says now.
        let facts = self.site.picture.borrow().get(self.serial()).cloned().unwrap_or_default();
        facts.with_adb(probe::adb_state(&self.device).await).state_without_shell()
    }

    /// Whether its shell works.
    pub(super) async fn has_adb(&self) -> bool {
        probe::state(&self.device, false).await.is_some()
    }

    pub(super) async fn wait_power_state(&self, arguments: &mut Bound) -> Answer {
        let wrong = || Refusal::exception("state must be a string or a list of strings");
        let states = match arguments.take("states") {
            Value::Text(name) => vec![PowerState::waitable(&name)?],
            Value::List(names) if !names.is_empty() => names
                .iter()
                .map(|name| PowerState::waitable(name.as_str().ok_or_else(wrong)?))
                .collect::<Result<_, _>>()?,
            _ => return Err(wrong()),
        };
        let limit = arguments.limit("timeout")?;
        self.wait_for_states(&states, limit).await.map(|state| state.as_str().into())
    }

    /// Waits until it is in one of these states, for as long as the limit says.
    ///
    /// # Errors
    /// `Timeout`.
    pub(super) async fn wait_for_states(
        &self,
        states: &[PowerState],
        limit: Option<Duration>,
    ) -> Result<PowerState, Refusal> {
        let reached = async {
            loop {
                let state = self.power_state().await;
                if states.contains(&state) {
                    return state;
                }
                sleep(WAIT_PAUSE).await;
            }
        };
        within(limit, "wait power state timed out", reached).await
    }

    pub(super) async fn reboot(&mut self, arguments: &mut Bound) -> Answer {
        let limit = arguments.limit("timeout")?;
        self.restart(limit).await.map(|()| Value::Null)
    }

    /// Reboots it and waits until it is gone.
    ///
    /// # Errors
    /// `cannot reboot` unless it can be talked to; `Timeout` if it stays.
    pub(super) async fn restart(&mut self, limit: Option<Duration>) -> Result<(), Refusal> {
        self.close_forwards().await;
        if self.power_state().await < PowerState::Adb {
            return Err(Refusal::exception("cannot reboot. disconnected handset"));
        }
        let gone = async {
            match self.device.reboot("").await {
                Ok(_) | Err(AdbError::Io(_)) => {} // it may go before it has answered
                Err(error) => return Err(self.failed(&["reboot"], error).await),
            }
            self.wait_lost().await;
            // On USB it may still be for a moment. One that works again was away as well.
            while matches!(self.power_state().await, PowerState::Enumeration | PowerState::Service) {
                sleep(ADB_PAUSE).await;
            }
            Ok(())
        };
        within(limit, "reboot timed out", gone).await?
    }

    /// Waits until the adb server does not reach it any more.
    pub(super) async fn wait_lost(&self) {
        while probe::adb_state(&self.device).await.as_deref() == Some("device") {
            sleep(LOST_PAUSE).await;
        }
    }
}

/// Waits for something, with a limit.
///
/// # Errors
/// `Timeout` with this message.
pub(super) async fn within<T>(
    limit: Option<Duration>,
    message: &str,
    waited_for: impl Future<Output = T>,
) -> Result<T, Refusal> {
    match limit {
        None => Ok(waited_for.await),
        Some(limit) => timeout(limit, waited_for).await.map_err(|_| timed_out(message)),
    }
}
