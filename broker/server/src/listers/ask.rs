//! A lister asked once, for those who want to know what it finds without watching it.

use std::sync::Arc;

use ave_profile::{Kind, Lister, Profile, UsbLister, Value};

use super::command;
use super::usb::UsbWatch;
use crate::config::Config;
use crate::config::descriptors::{List, ONLINE, POWER_STATE};
use crate::config::equipment::Equipment;
use crate::drivers::place::{Place, Sweep};
use crate::usb::{self, UsbBus, UsbDevice};

/// What a lister finds now.
///
/// # Errors
/// Why it is of no use, or which of its entries are.
pub(crate) async fn ask(config: &Config, kind: &Arc<Kind>, lister: &Lister) -> Result<Vec<Profile>, String> {
    let Equipment { profiles, skipped } = match lister {
        Lister::File(file) => {
            let list = List::new(kind, config.paths.config().join(&file.path));
            list.read().map_err(|fault| fault.place())?
        }
        Lister::Usb(lister) => {
            let devices = usb::look(&config.broker.usb_devices, &config.broker.device_nodes);
            Equipment { profiles: watch(kind, lister).look(&devices), skipped: Vec::new() }
        }
        Lister::Command(lister) => {
            let described = config.types.described(&kind.name).ok_or("the type has no descriptor")?;
            let (folder, home) = (described.folder.clone(), config.paths.home().to_owned());
            let place = Place { folder, home, sweep: Sweep::new(config.paths.home()) };
            command::ask_once(kind, lister, place).await?
        }
    };
    match skipped.as_slice() {
        [] => Ok(profiles),
        faults => Err(faults.iter().map(|fault| fault.place()).collect::<Vec<_>>().join("; ")),
    }
}

/// Whether a device that has everything is found by a USB lister, and offline when it is unplugged.
///
/// # Errors
/// What is not so.
pub(crate) fn imitate_plugging(kind: &Arc<Kind>, lister: &UsbLister) -> Result<String, String> {
    let text = |text: &str| Some(text.to_owned());
    let device = UsbDevice {
        sysfs_path: "/sys/bus/usb/devices/1-1".into(),
        vendor: lister.vendor.clone(),
        product: lister.product.clone().unwrap_or_else(|| "0001".to_owned()),
        serial: text("serial-1"),
        product_name: text("product"),
        manufacturer: text("manufacturer"),
        tty: Some("/dev/ttyACM0".into()),
        instance: 1,
    };
    let mut watch = watch(kind, lister);
    let state = |seen: Vec<Profile>| match seen.as_slice() {
        [profile] => profile.get(POWER_STATE).and_then(Value::as_str).map(str::to_owned),
        _ => None,
    };
    if state(watch.look(&[device])).as_deref() != Some(ONLINE) {
        return Err(format!(
            "a device is not found: map \"{}\" to \"serial\" in its \"fields\"",
            kind.identity
        ));
    }
    match state(watch.look(&[])).as_deref() {
        Some("offline") => Ok("online, then offline".to_owned()),
        _ => Err("a device that is unplugged is not offline".to_owned()),
    }
}

fn watch(kind: &Arc<Kind>, lister: &UsbLister) -> UsbWatch {
    let nothing = "".as_ref();
    let (bus, _scan) = UsbBus::new(nothing, nothing);
    UsbWatch::new(kind.clone(), lister.clone(), bus.devices())
}
