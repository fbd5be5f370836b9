//! Each lister, asked by itself, without a broker.

use std::collections::BTreeSet;
use std::sync::Arc;

use ave_profile::{Kind, Lister, Profile};
use futures::future::join_all;

use super::{Trial, named};
use crate::config::Config;
use crate::listers;

/// How many of a lister are run at once: brokers of several homes and a successor may well do so.
const AT_ONCE: usize = 3;

impl Trial<'_> {
    /// Tries one lister; what it found.
    pub(super) async fn lister(
        &mut self,
        config: &Config,
        kind: &Arc<Kind>,
        lister: &Lister,
    ) -> Vec<Profile> {
        let name = named(lister);
        let found = listers::ask(config, kind, lister).await;
        let outcome = found.as_ref().map_err(Clone::clone).map(|found| names(kind, found));
        if !self.note(&format!("{name} can be asked"), outcome) {
            return Vec::new();
        }
        if let Lister::Usb(usb) = lister {
            let imitated = listers::imitate_plugging(kind, usb);
            self.note(&format!("{name} sees a device come and go (imitated)"), imitated);
        }
        let found = found.unwrap_or_default();
        let same = self.same_again(config, kind, lister, &found).await;
        self.note(&format!("{name} says the same when {AT_ONCE} ask at once"), same);
        found
    }

    async fn same_again(
        &self,
        config: &Config,
        kind: &Arc<Kind>,
        lister: &Lister,
        found: &[Profile],
    ) -> Result<String, String> {
        let asked = join_all((0..AT_ONCE).map(|_| listers::ask(config, kind, lister))).await;
        asked.into_iter().try_for_each(|again| same(kind, found, &again?))?;
        Ok(names(kind, found))
    }

    /// Asks all listers again, while a piece is claimed: they read it all the same.
    pub(super) async fn still_listed(
        config: &Config,
        kind: &Arc<Kind>,
        claimed: &str,
    ) -> Result<String, String> {
        for lister in &kind.listers {
            let found = listers::ask(config, kind, lister).await?;
            if found.iter().any(|profile| kind.identity_of(profile) == Some(claimed)) {
                return Ok(claimed.to_owned());
            }
        }
        Err(format!("{claimed} is not listed any more: a lister must not need to open the device"))
    }
}

fn identities<'p>(kind: &Kind, profiles: &'p [Profile]) -> BTreeSet<&'p str> {
    profiles.iter().filter_map(|profile| kind.identity_of(profile)).collect()
}

fn names(kind: &Kind, profiles: &[Profile]) -> String {
    let names: Vec<_> = identities(kind, profiles).into_iter().collect();
    if names.is_empty() { "no pieces".to_owned() } else { names.join(", ") }
}

fn same(kind: &Kind, first: &[Profile], again: &[Profile]) -> Result<(), String> {
    if identities(kind, first) == identities(kind, again) {
        return Ok(());
    }
    Err(format!("first {}, then {}", names(kind, first), names(kind, again)))
}
