//! A connection that speaks for shares: what it may say, and how what it says reaches the hub without
//! holding up anybody there.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::replace;
use std::net::SocketAddr;
use std::sync::{Mutex, OnceLock, PoisonError};

use ave_core::{Report, SharedPiece};
use ave_profile::{Address, BrokerId, Identity, LinkId, Refusal};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::difference::{in_parts, of_whole};
use super::heard::{Heard, LeftOut, too_many};
use super::limits::{ADDRESSES_PER_LINK_MAX, PIECES_PER_SHARE_MAX, SHARES_MAX};
use super::shares::LinkEnd;
use crate::log::brief;
use crate::site::Site;

/// One connection. With it goes what is known by it alone.
pub(crate) struct Speaker {
    link: LinkId,
    peer: SocketAddr,
    /// What the broker at its other end calls itself, if it has said so.
    broker: OnceLock<BrokerId>,
    shares: Mutex<BTreeMap<Address, Said>>,
    /// The hub hears when this is gone.
    here: Mutex<Option<oneshot::Sender<&'static str>>>,
}

/// What a connection has said of one share.
struct Said {
    /// The share's place among all.
    _place: OwnedSemaphorePermit,
    /// Whether it has been listened to.
    heard: bool,
    /// What the log has of what is left out: the same is told once.
    left_out: String,
    /// How many pieces it has at most, once it has told all of them.
    pieces_max: Option<usize>,
}

impl Speaker {
    /// The connection from `peer`, to be cut by `cut`, and the hub's end of it.
    pub(crate) fn new(link: LinkId, peer: SocketAddr, cut: CancellationToken) -> (Speaker, LinkEnd) {
        let (here, over) = oneshot::channel();
        let here = Mutex::new(Some(here));
        let speaker = Speaker { link, peer, broker: OnceLock::new(), shares: Mutex::default(), here };
        (speaker, LinkEnd { id: link, cut, over })
    }

    /// The broker at the other end calls itself this.
    pub(crate) fn introduce(&self, broker: BrokerId) {
        let _ = self.broker.set(broker); // its first word counts
    }

    /// The connection is over for this reason.
    pub(crate) fn leave(&self, why: &'static str) {
        if let Some(here) = self.here.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = here.send(why);
        }
    }

    /// Tells the hub what a share says of itself; returns once all of it has been taken in.
    ///
    /// # Errors
    /// If the connection or the share is one too many, has too much, or is not listened to any more.
    pub(crate) async fn tell(&self, site: &Site, share: Address, mut update: Heard) -> Result<(), Refusal> {
        self.claim(site, &share)?;
        self.log_left_out(&share, &update.left_out);
        let begins = !self.said(&share, |said| said.heard);
        if begins {
            self.begin(site, &share, &mut update).await?;
        }
        let pieces = self.room(site, &share, &update).await?;
        let broker = self.broker.get().copied();
        let whole = update.whole;
        for part in self.parts(site, &share, update).await? {
            site.hub.share_reported(share.clone(), self.link, broker, part).await?;
        }
        let before = self.said(&share, |said| {
            said.heard = true;
            let listed = whole || said.pieces_max.is_some();
            replace(&mut said.pieces_max, listed.then_some(pieces))
        });
        if whole && before.is_none() {
            info!(%share, peer = %self.peer, pieces, "a share has joined");
        }
        Ok(())
    }

    fn log_left_out(&self, share: &Address, LeftOut { count, first }: &LeftOut) {
        let before = self.said(share, |said| replace(&mut said.left_out, first.clone()));
        if *count > 0 && before != *first {
            warn!(%share, count, first = brief(first), "left out what a share says");
        }
    }

    /// Takes a place for a share of which this connection has not spoken yet.
    fn claim(&self, site: &Site, share: &Address) -> Result<(), Refusal> {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        if shares.contains_key(share) {
            return Ok(());
        }
        if shares.len() == ADDRESSES_PER_LINK_MAX {
            let text = format!("one connection speaks for {ADDRESSES_PER_LINK_MAX} addresses at most");
            return Err(Refusal::exception(text));
        }
        let full = |_| Refusal::exception(format!("this broker takes {SHARES_MAX} shares at most"));
        let place = site.share_places.clone().try_acquire_owned().map_err(full)?;
        shares.insert(
            share.clone(),
            Said { _place: place, heard: false, left_out: String::new(), pieces_max: None },
        );
        Ok(())
    }

    /// A share begins to speak over this connection: what it said over an older one, and may not repeat
    /// because it has none any more, is not to linger.
    async fn begin(&self, site: &Site, share: &Address, update: &mut Heard) -> Result<(), Refusal> {
        update.report.stacks.get_or_insert_default();
        update.report.workspace.get_or_insert_default();
        let sought = share.clone();
        if site.hub.look(move |core| core.shares().contains(&sought)).await? {
            info!(%share, peer = %self.peer, "a newer connection speaks for a share");
        }
        // From here on the end of an older connection takes nothing away that is compared with.
        let broker = self.broker.get().copied();
        site.hub.share_reported(share.clone(), self.link, broker, Report::default()).await
    }

    /// How many pieces the share will have at most.
    async fn room(&self, site: &Site, share: &Address, update: &Heard) -> Result<usize, Refusal> {
        let said = update.report.changed.len();
        if update.whole {
            return Ok(said); // reading it has checked that
        }
        let most = said + self.said(share, |said| said.pieces_max).unwrap_or_default();
        if most <= PIECES_PER_SHARE_MAX {
            return Ok(most);
        }
        let known = known(site, share).await?;
        let pieces = known.iter().chain(&update.report.changed);
        let mut pieces: BTreeSet<Identity> =
            pieces.filter_map(|piece| site.kinds.identity(&piece.profile)).collect();
        pieces.retain(|item| !update.report.gone.contains(item));
        if pieces.len() <= PIECES_PER_SHARE_MAX { Ok(pieces.len()) } else { Err(too_many(pieces.len())) }
    }

    /// What is new in an update, in parts that hold up nobody.
    async fn parts(&self, site: &Site, share: &Address, update: Heard) -> Result<Vec<Report>, Refusal> {
        let known = if update.whole { known(site, share).await? } else { Vec::new() };
        let pieces = known.len() + update.report.changed.len();
        let kinds = site.kinds.clone();
        site.ponder(pieces, move || {
            let Heard { whole, mut report, .. } = update;
            if whole {
                of_whole(&kinds, known, &mut report);
            }
            in_parts(report)
        })
        .await
    }

    fn said<T>(&self, share: &Address, look: impl FnOnce(&mut Said) -> T) -> T {
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        look(shares.get_mut(share).expect("a share is claimed before anything is said of it"))
    }
}

async fn known(site: &Site, share: &Address) -> Result<Vec<SharedPiece>, Refusal> {
    let share = share.clone();
    site.hub.look(move |core| core.shared_by(&share)).await
}
