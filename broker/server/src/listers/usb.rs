//! Devices on the USB of this host, told by vendor and product. What they say of themselves becomes the
//! profile; a device that is unplugged is offline.

use std::collections::BTreeSet;
use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use ave_profile::{Kind, Profile, UsbLister, Value};
use tracing::warn;

use super::presence::Presence;
use crate::config::descriptors::{ONLINE, POWER_STATE};
use crate::drivers::Watch;
use crate::sightings::Sightings;
use crate::usb::{Usb, UsbDevice};

/// The watch of one kind of device.
pub(super) struct UsbWatch {
    kind: Arc<Kind>,
    lister: UsbLister,
    usb: Usb,
    presence: Presence,
    /// Devices that were warned of, each time they are plugged in.
    nameless: BTreeSet<(PathBuf, u64)>,
}

impl UsbWatch {
    pub(super) fn new(kind: Arc<Kind>, lister: UsbLister, usb: Usb) -> UsbWatch {
        let of_tty = lister.fields.iter().filter(|(_, attribute)| *attribute == "tty");
        let blank = of_tty.map(|(member, _)| member.clone()).collect();
        let presence = Presence::new(kind.clone(), blank);
        UsbWatch { kind, lister, usb, presence, nameless: BTreeSet::new() }
    }

    /// What has changed, if these are all devices.
    pub(super) fn look(&mut self, devices: &[UsbDevice]) -> Vec<Profile> {
        let mut seen = BTreeSet::new();
        let mut present = Vec::new();
        let mut nameless = BTreeSet::new();
        for device in devices.iter().filter(|device| self.is_ours(device)) {
            let profile = self.profile(device);
            match self.kind.identity_of(&profile) {
                Some(identity) if seen.insert(identity.to_owned()) => present.push(profile),
                found => {
                    let place = (device.sysfs_path.clone(), device.instance);
                    if !self.nameless.contains(&place) {
                        let (kind, identity) = (&self.kind.name, found.unwrap_or("none"));
                        warn!(%kind, place = %place.0.display(), identity, "a device has no identity of its own");
                    }
                    nameless.insert(place);
                }
            }
        }
        self.nameless = nameless;
        self.presence.update(present)
    }

    fn is_ours(&self, device: &UsbDevice) -> bool {
        let product = self.lister.product.as_ref();
        device.vendor == self.lister.vendor && product.is_none_or(|product| *product == device.product)
    }

    fn profile(&self, device: &UsbDevice) -> Profile {
        let mut members = self.lister.constants.clone();
        let read = |(member, name): (&String, &String)| (member.clone(), attribute(device, name));
        members.extend(self.lister.fields.iter().map(read));
        members.insert("type".to_owned(), self.kind.name.as_ref().into());
        members.insert(POWER_STATE.to_owned(), ONLINE.into());
        Profile(members)
    }
}

/// What a device says of itself; null if it does not.
fn attribute(device: &UsbDevice, name: &str) -> Value {
    let path = |path: &PathBuf| path.to_string_lossy().into_owned();
    let text = match name {
        "serial" => device.serial.clone(),
        "product" => device.product_name.clone(),
        "manufacturer" => device.manufacturer.clone(),
        "idVendor" => Some(device.vendor.clone()),
        "idProduct" => Some(device.product.clone()),
        "sysfs_path" => Some(path(&device.sysfs_path)),
        "tty" => device.tty.as_ref().map(path),
        _ => None,
    };
    text.map_or(Value::Null, Value::from)
}

#[async_trait]
impl Watch for UsbWatch {
    async fn watch(mut self: Box<Self>, sightings: Sightings) {
        loop {
            let devices = self.usb.borrow_and_update().clone();
            sightings.report(self.look(&devices)).await;
            if self.usb.changed().await.is_err() {
                pending::<()>().await; // nobody looks any more: the broker stops
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ave_profile::KindTable;
    use serde_json::json;
    use tokio::sync::watch;

    use super::*;

    fn device(place: &str, serial: Option<&str>) -> UsbDevice {
        UsbDevice {
            sysfs_path: place.into(),
            vendor: "04d8".into(),
            product: "00dd".into(),
            serial: serial.map(str::to_owned),
            product_name: Some("PM-1".into()),
            manufacturer: None,
            tty: Some("/dev/ttyACM0".into()),
            instance: 1,
        }
    }

    fn watching(product: Option<&str>) -> UsbWatch {
        let kind = KindTable::builtin().get("powermeter").unwrap().clone();
        let lister = json!({
            "vendor": "04d8", "product": product, "constants": {"room": 7},
            "fields": {"uid": "serial", "product": "product", "vendor": "manufacturer",
                "vid": "idVendor", "pid": "idProduct", "sysfs_path": "sysfs_path", "device_node": "tty"},
        });
        let picture = watch::Sender::new(Arc::from([])).subscribe();
        UsbWatch::new(kind, serde_json::from_value(lister).unwrap(), picture)
    }

    #[test]
    fn p_4_a_device_becomes_a_profile_and_p_5_an_unplugged_one_is_offline() {
        let mut watch = watching(Some("00dd"));
        let online = json!({
            "type": "powermeter", "uid": "a", "power_state": "online", "room": 7, "product": "PM-1",
            "vendor": null, "vid": "04d8", "pid": "00dd", "sysfs_path": "/sys/1-1",
            "device_node": "/dev/ttyACM0",
        });
        let here = [device("/sys/1-1", Some("a"))];
        assert_eq!(watch.look(&here), [Profile::of(online.clone())]);
        assert_eq!(watch.look(&here), []);
        let mut offline = online.clone();
        offline["power_state"] = "offline".into();
        offline["device_node"] = json!(null);
        assert_eq!(watch.look(&[]), [Profile::of(offline)]);
        assert_eq!(watch.look(&here), [Profile::of(online)]);
    }

    #[test]
    fn only_devices_of_that_vendor_and_product_are_looked_at() {
        let stranger = UsbDevice { vendor: "0fce".into(), ..device("/sys/1-2", Some("b")) };
        let sibling = UsbDevice { product: "00de".into(), ..device("/sys/1-3", Some("c")) };
        let all = [stranger, sibling];
        assert_eq!(watching(Some("00dd")).look(&all), []);
        let found = watching(None).look(&all);
        assert_eq!(found.iter().map(|profile| profile["uid"].clone()).collect::<Vec<_>>(), ["c".into()]);
    }

    #[test]
    fn a_device_without_an_identity_of_its_own_is_named_once_and_harms_no_other() {
        let mut watch = watching(None);
        let all =
            [device("/1", Some("a")), device("/2", None), device("/3", Some("a")), device("/4", Some("b"))];
        assert_eq!(watch.look(&all).len(), 2);
        assert_eq!(watch.nameless.len(), 2);
        assert_eq!(watch.look(&all[..1]).len(), 1); // "b" is offline
        assert!(watch.nameless.is_empty());
    }
}
