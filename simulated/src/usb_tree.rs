//! A folder that imitates `/sys/bus/usb/devices`, and one that imitates `/dev`: what the broker's `usb_devices` and
//! `device_nodes` name. A device comes and goes as a whole.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A device as it is plugged in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsbDevice {
    /// Vendor id: 4 hex digits.
    pub vendor: String,
    /// Product id: 4 hex digits.
    pub product: String,
    /// Serial number, if it tells one.
    pub serial: Option<String>,
    /// What it says it is.
    pub product_name: Option<String>,
    /// Its serial line: the node's name (`ttyACM0`), and what stands in for it.
    pub tty: Option<(String, PathBuf)>,
}

/// The two folders.
#[derive(Clone, Debug)]
pub struct UsbTree {
    devices: PathBuf,
    nodes: PathBuf,
    staging: PathBuf,
}

impl UsbTree {
    /// Makes the folders `devices` and `nodes` below this one. They are not removed by this.
    ///
    /// # Errors
    ///
    /// They cannot be made.
    pub fn new(folder: &Path) -> io::Result<UsbTree> {
        let [devices, nodes, staging] = ["devices", "nodes", "staging"].map(|name| folder.join(name));
        let tree = UsbTree { devices, nodes, staging };
        for folder in [&tree.devices, &tree.nodes, &tree.staging] {
            fs::create_dir_all(folder)?;
        }
        Ok(tree)
    }

    /// What stands in for `/sys/bus/usb/devices`.
    pub fn devices(&self) -> &Path {
        &self.devices
    }

    /// What stands in for `/dev`.
    pub fn nodes(&self) -> &Path {
        &self.nodes
    }

    /// Plugs a device into this place of the bus (`1-2`), instead of what was there. Returns its folder.
    ///
    /// # Errors
    ///
    /// Its files cannot be written.
    pub fn plug(&self, place: &str, device: &UsbDevice) -> io::Result<PathBuf> {
        let (stage, folder) = (self.staging.join(place), self.devices.join(place));
        fs::create_dir(&stage)?;
        let attributes = [
            ("idVendor", Some(&device.vendor)),
            ("idProduct", Some(&device.product)),
            ("serial", device.serial.as_ref()),
            ("product", device.product_name.as_ref()),
        ];
        for (name, value) in attributes {
            if let Some(value) = value {
                fs::write(stage.join(name), format!("{value}\n"))?;
            }
        }
        let interface = stage.join(format!("{place}:1.0"));
        fs::create_dir(&interface)?;
        fs::write(interface.join("bInterfaceNumber"), "00\n")?;
        self.unplug(place)?;
        if let Some((name, target)) = &device.tty {
            fs::create_dir_all(interface.join("tty").join(name))?;
            let node = self.staging.join(name);
            symlink(target, &node)?;
            fs::rename(node, self.nodes.join(name))?;
        }
        fs::rename(stage, &folder)?;
        Ok(folder)
    }

    /// Pulls out what is in this place, if anything is.
    ///
    /// # Errors
    ///
    /// Its files cannot be removed.
    pub fn unplug(&self, place: &str) -> io::Result<()> {
        let gone = self.staging.join(format!("{place}.gone"));
        match fs::rename(self.devices.join(place), &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed?,
        }
        for entry in fs::read_dir(gone.join(format!("{place}:1.0/tty"))).into_iter().flatten().flatten() {
            let _ = fs::remove_file(self.nodes.join(entry.file_name()));
        }
        fs::remove_dir_all(gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_comes_and_goes_with_its_node() {
        let folder = tempfile::tempdir().unwrap();
        let tree = UsbTree::new(folder.path()).unwrap();
        let board = UsbDevice {
            vendor: "04d8".into(),
            product: "ffee".into(),
            serial: Some("00099001".into()),
            tty: Some(("ttyACM0".into(), "/dev/null".into())),
            ..UsbDevice::default()
        };
        for _ in 0..2 {
            let place = tree.plug("1-1", &board).unwrap();
            assert_eq!(fs::read_to_string(place.join("serial")).unwrap(), "00099001\n");
            assert!(place.join("1-1:1.0/tty/ttyACM0").is_dir());
            assert_eq!(fs::read_link(tree.nodes().join("ttyACM0")).unwrap(), Path::new("/dev/null"));
        }
        tree.unplug("1-1").unwrap();
        tree.unplug("1-1").unwrap();
        let empty = |folder: &Path| fs::read_dir(folder).unwrap().count() == 0;
        assert!([tree.devices(), tree.nodes(), &tree.staging].into_iter().all(empty));
    }
}
