//! What a process needs to rule: found by a broker that is alone, or inherited from the one that runs.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow};
use ave_core::Core;
use ave_profile::{BrokerId, Generation};
use socket2::SockRef;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tracing::warn;

use crate::cli::say;
use crate::config::Config;
use crate::daemon::Post;
use crate::gate;
use crate::handover::SessionKey;
use crate::handover::elders::Elder;
use crate::handover::take::{self, Inheritance};
use crate::inventory::Inventory;
use crate::journal::{self, Journal, Opened, Origin, Place};
use crate::site::random_u64;

/// What a process needs to rule.
pub(crate) struct Throne {
    pub(crate) listener: TcpListener,
    pub(crate) core: Core,
    pub(crate) journal: Journal,
    /// The process that `core` was the core of, if there was one.
    pub(crate) before: Option<Generation>,
    /// The older processes that are alive, the newest one last.
    pub(crate) elders: Vec<Elder>,
    /// The keys of their sessions.
    pub(crate) keys: Vec<SessionKey>,
    pub(crate) generation: Generation,
    /// What `equipment.json` says.
    pub(crate) inventory: Inventory,
    /// Since when nobody lends.
    pub(crate) vacant: Instant,
}

impl Throne {
    /// That of a broker which is alone.
    pub(crate) fn found(config: &Config, opened: Option<std::net::TcpListener>) -> Result<Throne> {
        let (wanted, keepalive) = (wanted(config), config.broker.keepalive);
        let listener = match opened {
            Some(opened) => gate::adopt(opened)
                .and_then(|listener| keepalive.watch(SockRef::from(&listener)).map(|()| listener))
                .context("cannot use the service manager's socket")?,
            None => gate::listen(wanted, keepalive).with_context(|| {
                format!("cannot listen at {wanted}, \"listen\" and \"port\" of broker.json")
            })?,
        };
        let vacant = Instant::now();
        let found = listener.local_addr()?;
        if wanted.port() != 0 && found != wanted {
            warn!(%found, %wanted, "the service manager's socket is used, not \"listen\" and \"port\"");
        }
        let (kinds, place) = (config.types.kinds(), Place::new(config.paths.state()));
        let Opened { core, journal, before, generation } =
            journal::open(place, kinds, BrokerId(random_u64())).context("could not start")?;
        let mut inventory = Inventory::unread(&config.paths);
        if let Err(fault) = inventory.read(&config.paths, kinds) {
            warn!(%fault, "there is no equipment but what others find");
        }
        let (elders, keys) = Default::default();
        Ok(Throne { listener, core, journal, before, elders, keys, generation, inventory, vacant })
    }

    /// That of the broker which runs. All that can fail comes before the word that this process rules.
    pub(crate) async fn inherit(config: &Config, post: &Post) -> Result<Throne> {
        // The old process keeps what it has read of a file that is of no use now. This one would have nothing.
        let (kinds, broker) = (config.types.kinds().clone(), BrokerId(random_u64()));
        let mut inventory = Inventory::unread(&config.paths);
        inventory.read(&config.paths, &kinds).map_err(|fault| anyhow!("could not restart: {fault}"))?;
        let willing = take::ask(&config.paths).await.context("could not restart")?;
        let (draft, generation) = (willing.draft(), willing.heirs_generation());
        let origin = Origin { kinds: kinds.clone(), broker, generation };
        let mut prepared = journal::prepare(Place::new(config.paths.state()), origin, &draft)
            .context("could not restart: the journal")?;
        let core = Core::restore(kinds.clone(), broker, draft)
            .context("could not restart: what the running broker drafts")?;
        inventory.compare(&core, &kinds);
        // From here on until this process rules, nobody lends.
        let Inheritance { ancestry, listener, remainder, keys, frozen: vacant } =
            willing.inherit().await.context("could not restart")?;
        prepared.complete(&remainder).context("could not restart: the journal")?;
        let core =
            core.complete(remainder).context("could not restart: what the running broker passes on")?;
        let listener = gate::adopt(listener).context("could not restart: its socket")?;
        let (found, wanted) = (listener.local_addr()?, wanted(config));
        if wanted.port() != 0 && found != wanted {
            let kept = format!("listens at {found} as before: {wanted} needs --stop and --start");
            warn!("{kept}");
            say(format_args!("warning: {kept}"));
        }
        ancestry.ready().await.context("could not restart")?;
        post.take_over().context("could not restart: the PID file")?;
        let journal = prepared.commit();
        post.inherit_watchdog(ancestry.watchdog());
        let elders = ancestry.rule().await;
        // Not before: it is the old process's socket, too.
        if let Err(error) = config.broker.keepalive.watch(SockRef::from(&listener)) {
            warn!(%error, "\"keepalive\" stays as it was");
        }
        let before = elders.last().map(|elder| elder.generation);
        Ok(Throne { listener, core, journal, before, elders, keys, generation, inventory, vacant })
    }
}

fn wanted(config: &Config) -> SocketAddr {
    SocketAddr::new(config.broker.listen, config.broker.port)
}
