//! Builds the broker, part by part, and takes it down in the opposite order.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use ave_core::{Core, Event, Source};
use ave_profile::{Address, Generation, Profile};
use futures::FutureExt;
use rustix::process::{Resource, getrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::bench::{Bench, Numbered, Start};
use crate::config::workspace::WorkspaceConfig;
use crate::config::{Config, Policy};
use crate::crowd::Crowd;
use crate::daemon::{Hickup, LogFilter, Post, service};
use crate::diagnostics;
use crate::drivers::Drivers;
use crate::gate;
use crate::handover::elders::Elder;
use crate::handover::give::Giver;
use crate::handover::outlive::outlive;
use crate::handover::{Elders, Phase, Reign};
use crate::hub::Hub;
use crate::keys::Keys;
use crate::peers::limits::SHARES_MAX;
use crate::peers::{Sharing, Turns};
use crate::ports::Ports;
use crate::room::Room;
use crate::sightings::Sightings;
use crate::site::Site;
use crate::throne::Throne;

/// What a process finds around it, for the broker that it becomes.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Writes down what the broker is doing whenever somebody asks for that.
    pub(crate) hickup: Hickup,
    /// Chooses what is logged.
    pub(crate) log: LogFilter,
    /// Was opened for it by a service manager, and listens already.
    pub(crate) opened: Option<std::net::TcpListener>,
}

/// Serves until told to stop, by a signal or by a client with the right to do so, or until another process has
/// taken over and the last session has ended; and leaves nothing behind. `post` is how others find it.
///
/// # Errors
/// If the address cannot be listened at, the signals cannot be caught, or the broker that runs does not hand
/// over.
pub(crate) async fn serve(
    config: Config,
    Surroundings { hickup, log, opened }: Surroundings,
    post: Arc<Post>,
    start: Start,
) -> Result<()> {
    let stop = CancellationToken::new();
    let signals = stop_on_signals(stop.clone())?;
    let Bench { drivers, watches, listers } = Bench::lay(&config, start).await?;
    let throne = match start {
        Start::Fresh => Throne::found(&config, opened)?,
        Start::After => Throne::inherit(&config, &post).await?,
    };
    let Throne { listener, core, journal, before, elders, keys, generation, mut inventory, vacant } = throne;
    let address = listener.local_addr()?;
    let (site, hub) = settle(config, (log, drivers, core), (address, generation), stop.clone());
    let hub = tokio::spawn(hub.recording(journal).run(stop.clone()));
    if let Some(before) = before {
        succeed(&site, before, &elders).await?;
    }
    if start == Start::Fresh {
        // Nobody knows what has been unplugged since the last broker died.
        for (number, _) in watches.iter().chain(&listers) {
            site.hub.tell(Event::Settled { source: Source::Watch(*number) }).await;
        }
    }
    site.keys.inherit(keys);
    site.elders.attend(elders, &site).await;
    furnish(&site).await;
    inventory.introduce(&site).await;
    let listener = Arc::new(listener);
    let giver = Giver::new(site.clone(), post.clone(), listener.clone());
    let gate = tokio::spawn(gate::serve_broker(listener, site.clone()));
    let mut lists = JoinSet::from_iter([inventory.follow(site.clone()).boxed()]);
    let mut watching = JoinSet::new();
    let watch = |(number, watch): Numbered| watch.watch(Sightings::new(site.hub.clone(), number));
    watches.into_iter().map(watch).for_each(|watch| drop(watching.spawn(watch)));
    listers.into_iter().map(watch).for_each(|lister| drop(lists.spawn(lister)));
    watching.spawn(answer(hickup, site.clone()));
    site.sharing.start(&site).await;
    let mut patting = JoinSet::new();
    if service::is_there() {
        patting.spawn(service::pat(site.hub.clone(), post.watchdog()));
    }
    // For so long nobody has lent anything, if this process took over from another.
    let within_ms = vacant.elapsed().as_secs_f64() * 1e3;
    info!(%address, %generation, within_ms, "listening");
    let served = post.announce(address);
    if served.is_err() {
        stop.cancel();
    }
    if let Some(successor) = giver.run().await {
        info!(%generation, "another process has taken over");
        if successor.is_known() {
            patting.shutdown().await; // that one has to speak for itself
        }
        site.sharing.stop().await;
        lists.shutdown().await;
        outlive(site.clone(), successor).await;
    }
    gate.await.context("the gate failed")?;
    patting.shutdown().await;
    if site.reign.phase() == Phase::Rules {
        service::stopping();
    }
    site.elders.stop().await;
    site.sharing.stop().await;
    hub.await.context("the hub failed")?;
    lists.shutdown().await;
    watching.shutdown().await;
    signals.abort();
    info!("stopped");
    Ok(served?)
}

/// The broker as everybody in it sees it, and its hub.
fn settle(
    mut config: Config,
    (log, drivers, core): (LogFilter, Drivers, Core),
    (address, generation): (SocketAddr, Generation),
    stop: CancellationToken,
) -> (Arc<Site>, Hub) {
    (config.broker.listen, config.broker.port) = (address.ip(), address.port());
    let elders = Arc::new(Elders::default());
    let id = core.id();
    let (hub, handle) = Hub::new(core, drivers.clone(), elders.clone());
    let (broker, limits) = (&config.broker, &config.broker.limits);
    let crowd = Crowd::new(limits, getrlimit(Resource::Nofile).current);
    let queued = limits.queued_bytes_max.max(limits.frame_bytes_max); // one frame always fits
    let ports = broker.session_ports.clone();
    let site = Site {
        keys: Arc::new(Keys::new(config.keys.iter())),
        sharing: Sharing::new(broker),
        generation,
        reign: Reign::default(),
        elders,
        connections: TaskTracker::new(),
        address: (broker.host.clone(), broker.port),
        ports: ports.map(|ports| Ports::new(broker.listen, broker.keepalive, ports)),
        kinds: config.types.kinds().clone(),
        drivers,
        hub: handle,
        id,
        turns: Turns::default(),
        crowd,
        received: Room::of(queued),
        unsent: Room::of(queued),
        large_frames: Semaphore::new(1),
        share_places: Arc::new(Semaphore::new(SHARES_MAX)),
        log,
        started: Instant::now(),
        stop,
        config,
    };
    (Arc::new(site), hub)
}

async fn answer(hickup: Hickup, site: Arc<Site>) {
    match hickup.answer(move || diagnostics::describe(site.clone())).await {}
}

/// Tells the core that it is this process's now. Of the older ones those that are not there are dead: what they
/// had lent is reset before it is lent again. (Specification 3.4, 7.1.)
async fn succeed(site: &Site, before: Generation, elders: &[Elder]) -> Result<()> {
    site.hub.tell(Event::Inherited { generation: before }).await;
    let mut lost = site.hub.look(Core::generations).await?;
    lost.retain(|generation| elders.iter().all(|elder| elder.generation != *generation));
    for generation in lost {
        let reason = "it was in use when the broker died".to_owned();
        site.hub.tell(Event::GenerationLost { generation, reason }).await;
    }
    Ok(())
}

/// Tells the core what this host has, and whom to ask for what it has not.
async fn furnish(site: &Site) {
    let config = &site.config;
    let stacks = &config.broker.stacks;
    // Mostly they are those of the process before.
    if !site.hub.look(Core::stacks).await.is_ok_and(|known| are_same(&known, stacks)) {
        site.hub.tell(Event::StacksSet { stacks: stacks.clone() }).await;
    }
    let profile = config.workspace.as_ref().map(WorkspaceConfig::generic_profile);
    site.hub.tell(Event::WorkspaceProfileSet { profile }).await;
    let forward = config.broker.remote.as_ref().filter(|remote| matches!(remote.policy, Policy::Forward));
    let target = forward.map(|remote| Address::new(&remote.host, remote.port));
    site.hub.tell(Event::ForwardSet { target }).await;
}

fn are_same(known: &[Arc<[Arc<Profile>]>], stacks: &[Vec<Profile>]) -> bool {
    known.len() == stacks.len()
        && known.iter().zip(stacks).all(|(known, stack)| known.iter().map(|entry| &**entry).eq(stack))
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
