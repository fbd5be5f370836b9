//! What this host lends, laid out once at start: who drives each type, and who watches for its pieces.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::{Context, Result};
use ave_adb::Server;
use tokio::task::spawn_blocking;
use tracing::warn;

use crate::config::Config;
use crate::drivers::handset::HandsetDriver;
use crate::drivers::place;
use crate::drivers::plugin::PluginDriver;
use crate::drivers::relay::RelayDriver;
use crate::drivers::workspace::WorkspaceDriver;
use crate::drivers::{Driver, Drivers, Watch};
use crate::listers;
use crate::usb::UsbBus;

/// The drivers and watches of one broker.
pub(crate) struct Bench {
    pub(crate) drivers: Drivers,
    pub(crate) watches: Vec<Box<dyn Watch>>,
}

impl Bench {
    /// Lays it out, after each driver has cleaned up what a dead broker left behind.
    ///
    /// # Errors
    /// If that failed in a way that makes lending unsafe.
    pub(crate) async fn lay(config: &Config) -> Result<Bench> {
        let mut drivers: BTreeMap<Arc<str>, Arc<dyn Driver>> = BTreeMap::new();
        let (usb, scan) = UsbBus::new(&config.broker.usb_devices, &config.broker.device_nodes);
        let mut watches: Vec<Box<dyn Watch>> = vec![Box::new(scan)];
        watches.extend(listers::watches(config, &usb));
        let home = config.paths.home().to_owned();
        let swept = spawn_blocking(move || place::sweep(&home)).await;
        if let Err(reason) = swept.context("sweeping leftover programs failed")? {
            warn!(reason, "a dead broker left something behind");
        }
        let (relays, relay_watch) = RelayDriver::new(usb.devices(), config.paths.clone());
        drivers.insert("relay".into(), Arc::new(relays));
        watches.push(Box::new(relay_watch));
        if config.adb_server.port != 0 {
            let server = Server::new((Ipv4Addr::LOCALHOST, config.adb_server.port).into());
            let (handsets, handset_watch) =
                HandsetDriver::new(server, config.handset.clone(), config.paths.home(), usb.devices());
            drivers.insert("handset".into(), Arc::new(handsets));
            watches.push(Box::new(handset_watch));
        }
        if let Some(workspace) = &config.workspace {
            let driver = Arc::new(WorkspaceDriver::new(workspace.clone(), config.paths.home()));
            drivers.insert("workspace".into(), driver.clone());
            spawn_blocking(move || driver.sweep()).await.context("sweeping leftover workspaces failed")?;
        }
        for kind in config.types.kinds().iter() {
            if let Some(driver) = PluginDriver::of(config, kind) {
                drivers.insert(kind.name.clone(), Arc::new(driver));
            }
        }
        Ok(Bench { drivers: Drivers::new(drivers), watches })
    }
}
