//! Follows one handset: looks at it as often as its state asks for, and reports its profile whenever that has
//! changed. One that hangs delays nobody else.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ave_profile::{Map, Profile, Value};
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;
use tokio::time::{Instant, sleep};

use super::Site;
use super::limits::{DRAINING_SHOWN, ENUMERATION_LIMIT, PROBE_PAUSE};
use super::power::PowerState;
use super::presence::{Facts, Picture};
use super::probe::{self, Found, Platform};

/// One handset's task.
pub(super) struct Follower {
    serial: Arc<str>,
    site: Arc<Site>,
    workstation: Arc<str>,
    picture: Receiver<Picture>,
    reports: mpsc::Sender<Profile>,
    reported: Option<Profile>,
    /// Where it is, or was last.
    place: Option<PathBuf>,
    /// What it runs, once that is known; asked for again after it was away.
    platform: Option<Platform>,
    enumerating_since: Option<Instant>,
}

/// What one look has found, and when to look again; only upon a change if there is no such time.
struct Seen {
    state: PowerState,
    found: Option<Found>,
    pause: Option<Duration>,
}

impl Follower {
    /// Follows the handset `serial` in the picture.
    pub(super) fn new(
        serial: &Arc<str>,
        site: &Arc<Site>,
        workstation: &Arc<str>,
        picture: Receiver<Picture>,
        reports: mpsc::Sender<Profile>,
    ) -> Follower {
        Follower {
            serial: Arc::clone(serial),
            site: Arc::clone(site),
            workstation: Arc::clone(workstation),
            picture,
            reports,
            reported: None,
            place: None,
            platform: None,
            enumerating_since: None,
        }
    }

    /// Until nobody hears its reports any more.
    pub(super) async fn follow(mut self) {
        loop {
            let facts = self.facts();
            let changed = changed(self.picture.clone(), Arc::clone(&self.serial), facts.clone());
            tokio::pin!(changed);
            // A look that takes its time is given up when there is news.
            let seen = tokio::select! {
                biased;
                going_on = &mut changed => if going_on { continue } else { return },
                seen = self.look(&facts) => seen,
            };
            let profile = self.profile(&facts, &seen);
            if self.reported.as_ref() != Some(&profile) {
                self.reported = Some(profile.clone());
                if self.reports.send(profile).await.is_err() {
                    return;
                }
            }
            let pause = async {
                match seen.pause {
                    Some(pause) => sleep(pause).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                going_on = changed => if !going_on { return },
                () = pause => {}
            }
        }
    }

    fn facts(&self) -> Facts {
        self.picture.borrow().get(&self.serial).cloned().unwrap_or_default()
    }

    async fn look(&mut self, facts: &Facts) -> Seen {
        let device = self.site.server.device(&self.serial);
        let found = match facts.has_adb() {
            true => probe::everything(&device, self.platform).await,
            false => None,
        };
        self.platform = found.as_ref().map(|found| found.platform).filter(|known| *known != Platform::Adb);
        if let Some(found) = found {
            self.enumerating_since = None;
            return Seen { state: found.state, found: Some(found), pause: Some(PROBE_PAUSE) };
        }
        // Its link may have just broken, or its shell may work next time.
        let retry = facts.has_adb().then_some(PROBE_PAUSE);
        let state = match retry {
            Some(_) => facts.clone().with_adb(probe::adb_state(&device).await).state_without_shell(),
            None => facts.state_without_shell(),
        };
        if state != PowerState::Enumeration {
            self.enumerating_since = None;
            return Seen { state, found: None, pause: retry };
        }
        let (state, pause) = self.enumerating();
        let retry = retry.filter(|_| state == PowerState::Enumeration);
        Seen { state, found: None, pause: Some(retry.map_or(pause, |retry| retry.min(pause))) }
    }

    /// What to call a handset that still enumerates, and for how long.
    fn enumerating(&mut self) -> (PowerState, Duration) {
        let now = Instant::now();
        let since = *self.enumerating_since.get_or_insert(now);
        match ENUMERATION_LIMIT.checked_sub(now - since) {
            Some(left) if !left.is_zero() => (PowerState::Enumeration, left),
            _ => {
                self.enumerating_since = Some(now);
                (PowerState::Draining, DRAINING_SHOWN)
            }
        }
    }

    /// Its profile (Specification 1.1).
    fn profile(&mut self, facts: &Facts, seen: &Seen) -> Profile {
        if let Some(usb) = &facts.usb {
            self.place = Some(usb.place.clone());
        }
        let place = self.place.as_ref().map(|place| place.to_string_lossy().into_owned());
        let mut profile = Map::from([
            ("type".to_owned(), "handset".into()),
            ("serial".to_owned(), self.serial.as_ref().into()),
            ("sysfs_path".to_owned(), place.into()),
            ("power_state".to_owned(), seen.state.as_str().into()),
            ("workstation".to_owned(), self.workstation.as_ref().into()),
        ]);
        if let Some(usb) = &facts.usb {
            profile.insert("usb.vid".to_owned(), usb.vendor.as_str().into());
            profile.insert("usb.pid".to_owned(), usb.product.as_str().into());
        }
        if let Some(found) = &seen.found {
            profile.insert("platform".to_owned(), Value::from(found.platform.as_str()));
            found.properties.fill(&mut profile, &self.site.config);
        }
        Profile(profile)
    }
}

/// Waits until the picture shows something else of a handset; false if there will be no further picture.
async fn changed(mut picture: Receiver<Picture>, serial: Arc<str>, before: Facts) -> bool {
    loop {
        if picture.borrow_and_update().get(&serial).cloned().unwrap_or_default() != before {
            return true;
        }
        if picture.changed().await.is_err() {
            return false;
        }
    }
}
