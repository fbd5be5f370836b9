//! What this host lends, laid out once at start: who drives each type, and who watches for its pieces.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use ave_adb::Server;
use tokio::task::spawn_blocking;

use crate::config::Config;
use crate::daemon::elders;
use crate::drivers::handset::HandsetDriver;
use crate::drivers::place::Sweep;
use crate::drivers::plugin::PluginDriver;
use crate::drivers::relay::RelayDriver;
use crate::drivers::workspace::WorkspaceDriver;
use crate::drivers::{Driver, Drivers, Watch};
use crate::listers;
use crate::usb::UsbBus;

/// What a broker finds at its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// No broker of this home lives, or will in a moment: what is left of dead ones is cleaned up.
    Fresh,
    /// It comes after one that lives on: nothing that is there may be touched.
    After,
}

/// A watch and its number. The built-in ones have the same in every process of a home.
pub(crate) type Numbered = (u16, Box<dyn Watch>);

const USB: u16 = 0;
const RELAYS: u16 = 1;
const HANDSETS: u16 = 2;
const LISTERS: u16 = 16;

/// The drivers and watches of one broker.
pub(crate) struct Bench {
    pub(crate) drivers: Drivers,
    /// They run for as long as the process: what they have found may be driven by them.
    pub(crate) watches: Vec<Numbered>,
    /// They only find: one broker of a home runs them at a time.
    pub(crate) listers: Vec<Numbered>,
}

impl Bench {
    /// Lays it out. At a fresh start older brokers of this home are ended, and what dead ones have left is being
    /// cleaned up when this returns.
    ///
    /// # Errors
    /// If one of them does not end: lending would be unsafe.
    pub(crate) async fn lay(config: &Config, start: Start) -> Result<Bench> {
        let config = config.clone();
        // On a thread that may block: folders are read.
        spawn_blocking(move || Bench::lay_now(&config, start)).await.context("laying out the bench failed")?
    }

    fn lay_now(config: &Config, start: Start) -> Result<Bench> {
        let sweep = Sweep::new(config.paths.home());
        if start == Start::Fresh {
            elders::end_all(&config.paths).context("older brokers of this home cannot be ended")?;
            sweep.all();
        }
        let mut drivers: BTreeMap<Arc<str>, Arc<dyn Driver>> = BTreeMap::new();
        let (usb, scan) = UsbBus::new(&config.broker.usb_devices, &config.broker.device_nodes);
        let mut watches: Vec<Numbered> = vec![(USB, Box::new(scan))];
        let listers = (LISTERS..).zip(listers::watches(config, &usb, &sweep)).collect();
        let (relays, relay_watch) = RelayDriver::new(usb.devices(), config.paths.clone(), start);
        drivers.insert("relay".into(), Arc::new(relays));
        watches.push((RELAYS, Box::new(relay_watch)));
        if config.adb_server.port != 0 {
            let server = Server::new((Ipv4Addr::LOCALHOST, config.adb_server.port).into());
            let (handsets, handset_watch) =
                HandsetDriver::new(server, config.handset.clone(), config.paths.home(), usb.devices());
            drivers.insert("handset".into(), Arc::new(handsets));
            watches.push((HANDSETS, Box::new(handset_watch)));
        }
        if let Some(workspace) = &config.workspace {
            let driver = Arc::new(WorkspaceDriver::new(workspace.clone(), config.paths.home()));
            if start == Start::Fresh {
                driver.sweep();
            }
            drivers.insert("workspace".into(), driver);
        }
        for kind in config.types.kinds().iter() {
            if let Some(driver) = PluginDriver::of(config, kind, &sweep) {
                drivers.insert(kind.name.clone(), Arc::new(driver));
            }
        }
        Ok(Bench { drivers: Drivers::new(drivers, sweep), watches, listers })
    }
}
