//! Who is there: what the adb server lists and what is on USB, brought together by serial.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ave_adb::Sighted;
use tracing::warn;

use super::limits::HANDSETS_MAX;
use super::power::PowerState;
use crate::config::handset::HandsetConfig;
use crate::usb::UsbDevice;

/// The USB product id of a handset that waits to be flashed. It says no serial then.
const SERVICE_PRODUCT: &str = "adde";

/// What is seen of one handset from outside.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// What the adb server calls its state, if it lists it.
    pub(super) adb: Option<String>,
    /// Where it is on USB, if it is there.
    pub(super) usb: Option<UsbFacts>,
}

/// Where a handset is on USB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct UsbFacts {
    pub(super) place: PathBuf,
    pub(super) vendor: String,
    pub(super) product: String,
}

/// Every handset that was ever there, by serial.
pub(super) type Picture = Arc<BTreeMap<Arc<str>, Facts>>;

impl Facts {
    /// The same with what the adb server says now.
    pub(super) fn with_adb(mut self, adb: Option<String>) -> Facts {
        self.adb = adb;
        self
    }

    /// Whether its shell is worth a try.
    pub(super) fn has_adb(&self) -> bool {
        self.adb.as_deref() == Some("device")
    }

    /// Its power state if its shell does not work (Specification 1.4).
    pub(super) fn state_without_shell(&self) -> PowerState {
        match (&self.usb, self.adb.as_deref()) {
            (Some(usb), _) if usb.product == SERVICE_PRODUCT => PowerState::Service,
            (None, None | Some("offline")) => PowerState::Offline,
            _ => PowerState::Enumeration,
        }
    }
}

/// Brings the two together, and remembers who was where.
#[derive(Default)]
pub(super) struct Presence {
    known: BTreeMap<Arc<str>, Facts>,
    serial_at: BTreeMap<PathBuf, Arc<str>>,
    strangers: Vec<PathBuf>,
    full: bool,
}

impl Presence {
    /// The picture after what was just seen. Who was there once stays in it.
    pub(super) fn see(&mut self, sighted: &[Sighted], usb: &[UsbDevice], config: &HandsetConfig) -> Picture {
        for facts in self.known.values_mut() {
            *facts = Facts::default();
        }
        for Sighted { serial, state, .. } in sighted {
            if let Some(facts) = self.facts(serial) {
                facts.adb = Some(state.clone());
            }
        }
        self.strangers.retain(|place| usb.iter().any(|device| device.sysfs_path == *place));
        for device in usb {
            self.see_device(device, config);
        }
        Arc::new(self.known.clone())
    }

    fn see_device(&mut self, device: &UsbDevice, config: &HandsetConfig) {
        let maker = config.is_handset_vendor(&device.vendor);
        let serial: Option<Arc<str>> = match &device.serial {
            _ if maker && device.product == SERVICE_PRODUCT => self.remembered(device),
            Some(serial) if maker || self.known.contains_key(serial.as_str()) => Some(serial.as_str().into()),
            _ => None,
        };
        let Some(serial) = serial else { return };
        let Some(facts) = self.facts(&serial) else { return };
        facts.usb = Some(UsbFacts {
            place: device.sysfs_path.clone(),
            vendor: device.vendor.clone(),
            product: device.product.clone(),
        });
        self.serial_at.insert(device.sysfs_path.clone(), serial);
    }

    /// Whose place this is, as far as anybody has been seen there.
    fn remembered(&mut self, device: &UsbDevice) -> Option<Arc<str>> {
        let serial = self.serial_at.get(&device.sysfs_path);
        if serial.is_none() && !self.strangers.contains(&device.sysfs_path) {
            let place = device.sysfs_path.display();
            warn!(%place, "a handset in service mode where none was seen before: its serial is not known");
            self.strangers.push(device.sysfs_path.clone());
        }
        serial.cloned()
    }

    /// The entry of a serial; a new one only while there is room.
    fn facts(&mut self, serial: &str) -> Option<&mut Facts> {
        if !self.known.contains_key(serial) {
            if serial.is_empty() {
                return None;
            }
            if self.known.len() == HANDSETS_MAX {
                if !std::mem::replace(&mut self.full, true) {
                    warn!(serial, HANDSETS_MAX, "too many handsets: further ones are not seen");
                }
                return None;
            }
            self.known.insert(serial.into(), Facts::default());
        }
        self.known.get_mut(serial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> HandsetConfig {
        HandsetConfig::load(std::path::Path::new("/nowhere/handset.json")).0
    }

    fn device(place: &str, vendor: &str, product: &str, serial: Option<&str>) -> UsbDevice {
        UsbDevice {
            sysfs_path: place.into(),
            vendor: vendor.to_owned(),
            product: product.to_owned(),
            serial: serial.map(str::to_owned),
            product_name: None,
            manufacturer: None,
            tty: None,
            instance: 0,
        }
    }

    fn sighted(serial: &str, state: &str) -> Sighted {
        Sighted { serial: serial.to_owned(), state: state.to_owned() }
    }

    #[test]
    fn usb_and_adb_meet_by_serial() {
        let mut presence = Presence::default();
        let phone = device("/sys/1-1", "0fce", "01f5", Some("A"));
        let board = device("/sys/1-2", "04d8", "ffee", Some("0001"));
        let picture = presence.see(&[], &[phone.clone(), board.clone()], &config());
        assert_eq!(picture.keys().map(|serial| &**serial).collect::<Vec<_>>(), ["A"]);
        assert_eq!(picture["A"].state_without_shell(), PowerState::Enumeration);
        let picture = presence.see(&[sighted("A", "device"), sighted("h:1", "offline")], &[phone], &config());
        assert!(picture["A"].has_adb() && picture["A"].usb.is_some());
        assert_eq!(picture["h:1"].state_without_shell(), PowerState::Offline);
        let picture = presence.see(&[sighted("h:1", "unauthorized")], &[], &config());
        assert_eq!(picture["A"].state_without_shell(), PowerState::Offline);
        assert_eq!(picture["h:1"].state_without_shell(), PowerState::Enumeration);
    }

    #[test]
    fn what_adb_lists_is_a_handset_whoever_made_it() {
        let stranger = device("/sys/1-1", "1234", "5678", Some("B"));
        let picture = Presence::default().see(&[sighted("B", "device")], &[stranger], &config());
        assert_eq!(picture["B"].usb.as_ref().map(|usb| usb.vendor.as_str()), Some("1234"));
    }

    #[test]
    fn service_mode_is_known_by_the_place_alone() {
        let mut presence = Presence::default();
        let service = device("/sys/1-1", "0fce", "adde", None);
        assert!(presence.see(&[], std::slice::from_ref(&service), &config()).is_empty());
        presence.see(&[], &[device("/sys/1-1", "0fce", "01f5", Some("A"))], &config());
        let picture = presence.see(&[], &[service], &config());
        assert_eq!(picture["A"].state_without_shell(), PowerState::Service);
        assert_eq!(picture.len(), 1);
    }

    #[test]
    fn ever_new_serials_find_an_end() {
        let crowd: Vec<_> = (0..=HANDSETS_MAX).map(|nth| sighted(&nth.to_string(), "device")).collect();
        let mut presence = Presence::default();
        assert_eq!(presence.see(&crowd, &[], &config()).len(), HANDSETS_MAX);
        assert_eq!(presence.see(&[sighted("new", "device")], &[], &config()).len(), HANDSETS_MAX);
    }
}
