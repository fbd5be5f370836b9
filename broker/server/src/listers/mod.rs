//! Finds the pieces of the types a lab describes, without opening any: each lister of a descriptor is a watch
//! of its own. Programs that call `add_equipment` need none.

mod ask;
mod command;
mod file;
mod presence;
mod run;
#[cfg(test)]
mod tests;
mod usb;

use std::sync::Arc;

use ave_profile::{Kind, Lister};

pub(crate) use self::ask::{ask, imitate_plugging};
use self::command::CommandWatch;
use self::file::FileWatch;
use self::usb::UsbWatch;
use crate::config::Config;
use crate::config::descriptors::List;
use crate::drivers::Watch;
use crate::drivers::place::{Place, Sweep};
use crate::usb::UsbBus;

/// A watch for each lister of each type.
pub(crate) fn watches(config: &Config, bus: &UsbBus, sweep: &Sweep) -> Vec<Box<dyn Watch>> {
    let kinds = config.types.kinds().iter();
    let listers = kinds.flat_map(|kind| kind.listers.iter().map(move |lister| (kind, lister)));
    listers.filter_map(|(kind, lister)| watch(config, bus, sweep, kind, lister)).collect()
}

fn watch(
    config: &Config,
    bus: &UsbBus,
    sweep: &Sweep,
    kind: &Arc<Kind>,
    lister: &Lister,
) -> Option<Box<dyn Watch>> {
    Some(match lister {
        Lister::File(file) => {
            let path = config.paths.config().join(&file.path);
            Box::new(FileWatch::new(List::new(kind, path)))
        }
        Lister::Usb(usb) => Box::new(UsbWatch::new(kind.clone(), usb.clone(), bus.devices())),
        Lister::Command(command) => {
            // Only a descriptor has listers, so that there is one.
            let folder = config.types.described(&kind.name)?.folder.clone();
            let place = Place { folder, home: config.paths.home().to_owned(), sweep: sweep.clone() };
            Box::new(CommandWatch::new(kind.clone(), command, place))
        }
    })
}
