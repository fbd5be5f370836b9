//! A session's links to other brokers, one for each that it has asked.

use std::collections::BTreeMap;
use std::sync::Arc;

use ave_core::Effect;
use ave_profile::{Address, Identity, Map, SessionId};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::ORDERS_MAX;
use crate::peers::link::{Entries, Errand, Link};
use crate::site::Site;

/// All links of one session. Dropping them hangs up everywhere.
#[derive(Default)]
pub(super) struct Links {
    ways: BTreeMap<Address, Way>,
    tasks: JoinSet<()>,
    /// Pieces that are being given back, until somebody waits for that.
    leaving: Vec<CancellationToken>,
}

/// The session's end of one link.
struct Way {
    errands: mpsc::Sender<Errand>,
    entries: Entries,
    task: AbortHandle,
}

/// A link does not take its errands.
pub(super) struct Stuck;

impl Links {
    /// Obeys an effect that concerns another broker; others change nothing.
    pub(super) fn obey(&mut self, site: &Arc<Site>, effect: Effect) -> Result<(), Stuck> {
        match effect {
            Effect::AskPeer { session, ask, peer, groups, via } => {
                let way = self.ways.entry(peer);
                let peer = way.key().clone();
                let way = way.or_insert_with(|| Way::open(site, session, peer, &mut self.tasks));
                way.send(Errand::Ask { ask, asked: Instant::now(), groups, via })
            }
            Effect::YieldAtPeer { peer, profiles, .. } => {
                let Some(way) = self.ways.get(&peer) else { return Ok(()) };
                for item in profiles.iter().filter_map(|profile| site.kinds.identity(profile)) {
                    way.entries.remove(&item);
                }
                let done = CancellationToken::new();
                self.leaving.push(done.clone());
                way.send(Errand::GiveBack { profiles, done: done.drop_guard() })
            }
            Effect::HangUp { peer, .. } => {
                if let Some(way) = self.ways.remove(&peer) {
                    way.task.abort();
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How to reach this piece, if it is held somewhere else.
    pub(super) fn entry(&self, item: &Identity) -> Option<Map> {
        self.ways.values().find_map(|way| way.entries.of(item))
    }

    /// Whether anything is held somewhere else.
    pub(super) fn hold_anything(&self) -> bool {
        self.ways.values().any(|way| !way.entries.is_empty())
    }

    /// What is being given back since this was asked last.
    pub(super) fn take_leaving(&mut self) -> Vec<CancellationToken> {
        std::mem::take(&mut self.leaving)
    }

    /// Hangs up everywhere, and waits until that is done.
    pub(super) async fn hang_up(&mut self) {
        self.ways.clear();
        self.tasks.shutdown().await;
    }

    /// The next link that ends, which none does by itself.
    pub(super) async fn ended(&mut self) -> Option<Result<(), JoinError>> {
        self.tasks.join_next().await
    }
}

impl Way {
    fn open(site: &Arc<Site>, session: SessionId, peer: Address, tasks: &mut JoinSet<()>) -> Way {
        let (errands, incoming) = mpsc::channel(ORDERS_MAX);
        let entries = Entries::default();
        let task = tasks.spawn(Link::new(site.clone(), session, peer, incoming, entries.clone()).run());
        Way { errands, entries, task }
    }

    fn send(&self, errand: Errand) -> Result<(), Stuck> {
        self.errands.try_send(errand).map_err(|_| Stuck)
    }
}
