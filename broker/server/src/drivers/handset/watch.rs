//! Sees the handsets of this host: brings together who is there, and has a task follow each. What they find
//! goes out from here.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use ave_profile::Profile;
use tokio::sync::mpsc;
use tokio::sync::watch::{Sender, channel};
use tokio::task::{JoinSet, spawn_blocking};
use tracing::error;

use super::Site;
use super::follower::Follower;
use super::limits::REPORTS_MAX;
use super::presence::{Picture, Presence};
use super::server::{self, Listing};
use crate::config::host;
use crate::drivers::Watch;
use crate::sightings::Sightings;
use crate::usb::Usb;

/// Watches one adb server and one USB tree.
pub(crate) struct HandsetWatch {
    site: Arc<Site>,
    usb: Usb,
    shown: Sender<Picture>,
}

impl HandsetWatch {
    /// The watch that keeps `shown` up to date.
    pub(super) fn new(site: Arc<Site>, usb: Usb, shown: Sender<Picture>) -> HandsetWatch {
        HandsetWatch { site, usb, shown }
    }
}

#[async_trait]
impl Watch for HandsetWatch {
    async fn watch(self: Box<Self>, sightings: Sightings) {
        let HandsetWatch { site, mut usb, shown } = *self;
        let workstation: Arc<str> = spawn_blocking(host::own_name).await.unwrap_or_default().into();
        let (listing, mut listed) = channel(Listing::from([]));
        let (found, mut finds) = mpsc::channel(REPORTS_MAX);
        let mut presence = Presence::default();
        let mut following = JoinSet::new();
        following.spawn(server::follow(site.server, listing));
        let mut followed = BTreeSet::new();
        loop {
            tokio::select! {
                Ok(()) = listed.changed() => {}
                Ok(()) = usb.changed() => {}
                Some(first) = finds.recv() => {
                    sightings.report(gathered(first, &mut finds)).await;
                    continue;
                }
                // None ends by itself; after a panic nothing that is said of its handset could be believed.
                Some(Err(ended)) = following.join_next() => {
                    error!(%ended, "a task that follows handsets failed: the watch ends");
                    return;
                }
            }
            let sighted = listed.borrow_and_update().clone();
            let picture = presence.see(&sighted, &usb.borrow_and_update().clone(), &site.config);
            for serial in picture.keys() {
                if followed.insert(serial.clone()) {
                    let follower =
                        Follower::new(serial, &site, &workstation, shown.subscribe(), found.clone());
                    following.spawn(follower.follow());
                }
            }
            shown.send_if_modified(|known| std::mem::replace(known, picture.clone()) != picture);
        }
    }
}

/// Everything that is to be reported now.
fn gathered(first: Profile, finds: &mut mpsc::Receiver<Profile>) -> Vec<Profile> {
    let mut all = vec![first];
    while let Ok(next) = finds.try_recv() {
        all.push(next);
    }
    all
}
