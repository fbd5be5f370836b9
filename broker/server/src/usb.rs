//! What is plugged into this host's USB, from the tree the kernel keeps of it. Devices are never opened, so
//! whoever uses one is not disturbed. The tree's place is configured: a folder of plain files imitates it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{MissedTickBehavior, interval};

use crate::drivers::Watch;
use crate::sightings::Sightings;

/// How often the tree is looked at. The kernel's own announcements do not reach into containers and cannot
/// be imitated by a folder.
const PERIOD: Duration = Duration::from_millis(500);

/// For how long a new device is read again at each look: its drivers add their part bit by bit.
const SETTLING: Duration = Duration::from_secs(30);

/// How much of an attribute is read. A USB string is shorter.
const ATTRIBUTE_BYTES_MAX: u64 = 1024;

/// How many entries of one folder are looked at.
const ENTRIES_MAX: usize = 4096;

/// One device, as it says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UsbDevice {
    /// Its place in the tree.
    pub(crate) sysfs_path: PathBuf,
    /// Its vendor id: 4 lower-case hex digits.
    pub(crate) vendor: String,
    /// Its product id: 4 lower-case hex digits.
    pub(crate) product: String,
    pub(crate) serial: Option<String>,
    pub(crate) product_name: Option<String>,
    pub(crate) manufacturer: Option<String>,
    /// The node of its first serial line.
    pub(crate) tty: Option<PathBuf>,
    /// Another one each time it is plugged in.
    pub(crate) instance: u64,
}

/// Everything that is plugged in, ordered by place. Changes are pushed.
pub(crate) type Usb = watch::Receiver<Arc<[UsbDevice]>>;

/// The bus: hands out the picture.
#[derive(Clone)]
pub(crate) struct UsbBus(watch::Sender<Arc<[UsbDevice]>>);

/// Keeps the picture of a bus up to date, for as long as somebody wants it.
pub(crate) struct UsbScan {
    bus: UsbBus,
    look: Look,
}

impl UsbBus {
    /// The bus whose devices are in `tree` (`/sys/bus/usb/devices`) and their nodes in `nodes` (`/dev`), looked at
    /// once, and what keeps it up to date. A tree that is not there has no devices. It blocks.
    pub(crate) fn new(tree: &Path, nodes: &Path) -> (UsbBus, UsbScan) {
        let mut look = Look { tree: tree.to_owned(), nodes: nodes.to_owned(), seen: HashMap::new() };
        let bus = UsbBus(watch::Sender::new(look.devices().into()));
        (bus.clone(), UsbScan { bus, look })
    }

    /// The picture, from now on.
    pub(crate) fn devices(&self) -> Usb {
        self.0.subscribe()
    }
}

#[async_trait]
impl Watch for UsbScan {
    async fn watch(self: Box<Self>, _sightings: Sightings) {
        let UsbScan { bus, mut look } = *self;
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if bus.0.receiver_count() == 0 {
                continue;
            }
            let looked = spawn_blocking(move || {
                let devices = look.devices();
                (look, devices)
            });
            let Ok((again, devices)) = looked.await else { return }; // the runtime ends
            look = again;
            bus.0.send_if_modified(|known| {
                let changed = **known != *devices;
                if changed {
                    *known = devices.into();
                }
                changed
            });
        }
    }
}

/// One look at a tree of devices, by somebody who does not go on looking.
pub(crate) fn look(tree: &Path, nodes: &Path) -> Vec<UsbDevice> {
    Look { tree: tree.to_owned(), nodes: nodes.to_owned(), seen: HashMap::new() }.devices()
}

/// One look after the other. A device that has settled is not read again.
struct Look {
    tree: PathBuf,
    nodes: PathBuf,
    seen: HashMap<(PathBuf, u64), (Instant, Option<UsbDevice>)>,
}

impl Look {
    fn devices(&mut self) -> Vec<UsbDevice> {
        let mut before = std::mem::take(&mut self.seen);
        for place in entries(&self.tree) {
            let Some((place, instance)) = instance(&place) else { continue };
            let known = before.remove(&(place.clone(), instance));
            let (since, device) = match known {
                Some((since, device)) if since.elapsed() > SETTLING => (since, device),
                known => {
                    let since = known.map_or_else(Instant::now, |(since, _)| since);
                    (since, device(&place, instance, &self.nodes))
                }
            };
            self.seen.insert((place, instance), (since, device));
        }
        let mut devices: Vec<_> = self.seen.values().filter_map(|(_, device)| device.clone()).collect();
        devices.sort_unstable_by(|a, b| a.sysfs_path.cmp(&b.sysfs_path));
        devices
    }
}

/// Where an entry of the tree really is, and what tells it from what was there before.
fn instance(entry: &Path) -> Option<(PathBuf, u64)> {
    let place = fs::canonicalize(entry).ok()?;
    let found = place.metadata().ok()?;
    // The kernel uses no number of its tree again; a folder that imitates it does, but says when it was made.
    let born = found.created().ok().and_then(|born| born.duration_since(SystemTime::UNIX_EPOCH).ok());
    let born = born.map_or(0, |since| since.as_nanos() as u64);
    found.is_dir().then(|| (place, found.ino() ^ born))
}

/// The device at a place; nothing if it is an interface, or has just gone.
fn device(place: &Path, instance: u64, nodes: &Path) -> Option<UsbDevice> {
    let id = |name| attribute(place, name).map(|id| id.to_ascii_lowercase());
    Some(UsbDevice {
        vendor: id("idVendor")?,
        product: id("idProduct")?,
        serial: attribute(place, "serial"),
        product_name: attribute(place, "product"),
        manufacturer: attribute(place, "manufacturer"),
        tty: tty(place).map(|name| nodes.join(name)),
        sysfs_path: place.to_owned(),
        instance,
    })
}

fn attribute(place: &Path, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(place.join(name)).ok()?.take(ATTRIBUTE_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The first serial line of a device: `<interface>/tty/<name>`, or `<interface>/<name>` where a driver of
/// serial adapters is in between.
fn tty(place: &Path) -> Option<std::ffi::OsString> {
    let named = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with("ttyACM") || name.starts_with("ttyUSB")
    };
    let mut found: Vec<_> = entries(place)
        .filter(|interface| interface.join("bInterfaceNumber").exists() || interface.join("tty").exists())
        .flat_map(|interface| entries(&interface.join("tty")).chain(entries(&interface)))
        .filter(named)
        .collect();
    found.sort_unstable();
    found.first()?.file_name().map(ToOwned::to_owned)
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).take(ENTRIES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plug(tree: &Path, name: &str, attributes: &[(&str, &str)]) {
        let folder = tree.join(name);
        fs::create_dir_all(&folder).unwrap();
        for (name, value) in attributes {
            let file = folder.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, format!("{value}\n")).unwrap();
        }
    }

    fn look(tree: &Path) -> Look {
        Look { tree: tree.to_owned(), nodes: "/dev".into(), seen: HashMap::new() }
    }

    #[test]
    fn devices_are_read_without_their_interfaces() {
        let tree = tempfile::tempdir().unwrap();
        let board = [
            ("idVendor", "04D8"),
            ("idProduct", "ffee"),
            ("serial", "00099001"),
            ("1-1:1.0/bInterfaceNumber", "00"),
            ("1-1:1.0/tty/ttyACM3/dev", "166:3"),
        ];
        plug(tree.path(), "1-1", &board);
        plug(tree.path(), "1-1:1.0", &[("bInterfaceNumber", "00")]);
        plug(tree.path(), "usb1", &[("idVendor", "1d6b"), ("idProduct", "0002")]);
        fs::write(tree.path().join("stray"), "").unwrap();
        let devices = look(tree.path()).devices();
        let [board, hub] = &devices[..] else { panic!("{devices:?}") };
        assert_eq!((board.vendor.as_str(), board.product.as_str()), ("04d8", "ffee"));
        assert_eq!(board.serial.as_deref(), Some("00099001"));
        assert_eq!(board.tty.as_deref(), Some(Path::new("/dev/ttyACM3")));
        assert_eq!(board.sysfs_path, fs::canonicalize(tree.path().join("1-1")).unwrap());
        assert_eq!((hub.serial.as_deref(), hub.tty.as_deref()), (None, None));
    }

    #[test]
    fn a_replugged_device_is_another_one() {
        let tree = tempfile::tempdir().unwrap();
        let phone = [("idVendor", "0fce"), ("idProduct", "51bb"), ("serial", "CB5A")];
        plug(tree.path(), "1-2", &phone);
        let mut look = look(tree.path());
        let before = look.devices();
        assert_eq!(look.devices(), before);
        fs::remove_dir_all(tree.path().join("1-2")).unwrap();
        plug(tree.path(), "1-2", &phone);
        let after = look.devices();
        assert_eq!((after.len(), &after[0].serial), (1, &before[0].serial));
        assert_ne!(after, before);
    }

    #[test]
    fn no_tree_means_no_devices() {
        assert!(look(Path::new("/nowhere/at/all")).devices().is_empty());
    }

    #[test]
    fn a_hostile_attribute_is_cut() {
        let tree = tempfile::tempdir().unwrap();
        let long = "x".repeat(1 << 20);
        plug(tree.path(), "1-1", &[("idVendor", "04d8"), ("idProduct", "ffee"), ("serial", &long)]);
        let devices = look(tree.path()).devices();
        assert_eq!(devices[0].serial.as_ref().map(String::len), Some(ATTRIBUTE_BYTES_MAX as usize));
    }
}
