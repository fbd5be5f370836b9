//! Builds the broker, part by part, and takes it down in the opposite order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use ave_core::{Core, Event};
use ave_profile::{Address, BrokerId};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::bench::{Bench, Start};
use crate::config::workspace::WorkspaceConfig;
use crate::config::{Config, Policy};
use crate::daemon::Hickup;
use crate::diagnostics;
use crate::gate;
use crate::hub::Hub;
use crate::inventory::Inventory;
use crate::keys::Keys;
use crate::peers::limits::SHARES_MAX;
use crate::peers::{Sharing, Turns};
use crate::ports::Ports;
use crate::sightings::Sightings;
use crate::site::{Site, random_u64};

/// Serves until told to stop, by a signal or by a client with the right to do so, and leaves nothing
/// behind. `ready` is called with the real address once the broker answers; `hickup` writes down what it
/// is doing whenever somebody asks for that.
///
/// # Errors
/// If the address cannot be listened at, the signals cannot be caught, or `ready` fails.
pub async fn serve(
    mut config: Config,
    hickup: Hickup,
    ready: impl FnOnce(SocketAddr) -> Result<()>,
) -> Result<()> {
    let wanted = SocketAddr::new(config.broker.listen, config.broker.port);
    let listener = gate::listen(wanted)
        .with_context(|| format!("cannot listen at {wanted}, \"listen\" and \"port\" of broker.json"))?;
    let address = listener.local_addr()?;
    config.broker.port = address.port();
    let stop = CancellationToken::new();
    let signals = stop_on_signals(stop.clone())?;

    let id = BrokerId(random_u64());
    let kinds = config.types.kinds().clone();
    let Bench { drivers, watches, listers } = Bench::lay(&config, Start::Fresh).await?;
    let (hub, handle) = Hub::new(Core::new(kinds.clone(), id), drivers.clone());
    let site = Arc::new(Site {
        keys: Keys::new(config.keys.iter()),
        sharing: Sharing::new(&config.broker),
        address: (config.broker.host.clone(), address.port()),
        ports: config.broker.session_ports.clone().map(|ports| Ports::new(config.broker.listen, ports)),
        kinds,
        drivers,
        hub: handle,
        id,
        turns: Turns::default(),
        large_frames: Semaphore::new(1),
        share_places: Arc::new(Semaphore::new(SHARES_MAX)),
        stop: stop.clone(),
        config,
    });
    let hub = tokio::spawn(hub.run(stop.clone()));
    furnish(&site).await;
    let inventory = tokio::spawn(Inventory::open(site.clone()).await.follow());
    let mut watching = JoinSet::new();
    for (number, watch) in watches.into_iter().chain(listers) {
        watching.spawn(watch.watch(Sightings::new(site.hub.clone(), number)));
    }
    let gate = tokio::spawn(gate::serve_broker(listener, site.clone()));
    let hickups = tokio::spawn({
        let site = site.clone();
        hickup.answer(move || diagnostics::describe(site.clone()))
    });
    site.sharing.start(&site).await;
    info!(%address, "listening");
    let served = ready(address);
    if served.is_err() {
        stop.cancel();
    }
    gate.await.context("the gate failed")?;
    site.sharing.stop().await;
    hub.await.context("the hub failed")?;
    inventory.await.context("the inventory failed")?;
    watching.shutdown().await;
    signals.abort();
    hickups.abort();
    info!("stopped");
    served
}

/// Tells the core what this host has, and whom to ask for what it has not.
async fn furnish(site: &Site) {
    let config = &site.config;
    site.hub.tell(Event::StacksSet { stacks: config.broker.stacks.clone() }).await;
    let profile = config.workspace.as_ref().map(WorkspaceConfig::generic_profile);
    site.hub.tell(Event::WorkspaceProfileSet { profile }).await;
    let forward = config.broker.remote.as_ref().filter(|remote| matches!(remote.policy, Policy::Forward));
    let target = forward.map(|remote| Address::new(&remote.host, remote.port));
    site.hub.tell(Event::ForwardSet { target }).await;
}

fn stop_on_signals(stop: CancellationToken) -> Result<tokio::task::JoinHandle<()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.cancel();
    }))
}
