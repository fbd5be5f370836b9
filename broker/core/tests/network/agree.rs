//! What must be true of a network that is whole and quiet.

use std::collections::BTreeSet;
use std::sync::Arc;

use ave_core::{Core, Revision, Toward};
use ave_profile::{Address, Identity, Profile, RefusalKind, Want};

use crate::agenda::SiteId;
use crate::client::Client;
use crate::plan::{Remote, address, short};
use crate::site::Broker;
use crate::world::World;

impl World {
    /// Everybody has been answered, all brokers agree, and clients have what they were given.
    pub(crate) fn check_agreement(&self) {
        assert!(!self.books.somebody_waits(), "somebody waits for an answer and nothing happens any more");
        for site in 0..self.sites.len() {
            self.check_shares(site);
            self.check_availability(site);
        }
        let used: Vec<(usize, &Identity)> = self
            .books
            .lent()
            .map(|(site, item, session)| {
                let lender = self.lender(session);
                let client = lender.and_then(|pid| self.root(pid, session));
                (client.unwrap_or_else(|| panic!("{item} is held at site {site} for nobody")), item)
            })
            .collect();
        let used: BTreeSet<_> = used.into_iter().collect();
        let held = self.clients.iter().enumerate();
        let held = held.flat_map(|(nth, client)| client.holds.keys().map(move |item| (nth, item)));
        assert_eq!(held.collect::<BTreeSet<_>>(), used, "what clients think they have, and what is theirs");
    }

    /// Nobody is there any more: everything is free everywhere.
    pub(crate) fn check_emptiness(&self) {
        for (nth, site) in self.sites.iter().enumerate() {
            assert!(site.elders.is_empty(), "older processes are left at site {nth}: {:?}", site.elders);
            let Broker { core, sessions, .. } = self.broker(nth);
            assert!(sessions.is_empty(), "sessions are left at site {nth}: {sessions:?}");
            assert!(core.allocations(None).is_empty(), "site {nth}: {:?}", core.allocations(None));
            assert!(core.collateral(None).is_empty(), "site {nth}: {:?}", core.collateral(None));
            let (known, free) = (self.names(core.equipment(None, None)), self.names(core.available(None)));
            assert_eq!(known, free, "at site {nth} not everything is free");
        }
        assert_eq!(self.books.lent().count(), 0, "something is still driven");
    }

    /// A new client of some broker, which asks for a piece that can be had there.
    pub(crate) fn add_probe(&mut self) -> Option<(usize, Identity)> {
        let site = self.dice.index(self.sites.len());
        let free = self.in_reach(site, |core| core.available(None));
        let item = free.iter().nth(self.dice.index(free.len().max(1)))?.clone();
        Some((self.add_client(site, &[&item]), item))
    }

    /// A new client of some broker, which asks for pieces that are there, free or not.
    pub(crate) fn add_rival(&mut self) -> usize {
        let site = self.dice.index(self.sites.len());
        let mut items = Vec::from_iter(self.in_reach(site, |core| core.equipment(None, None)));
        while items.len() > 3 {
            items.remove(self.dice.index(items.len()));
        }
        self.add_client(site, &items.iter().collect::<Vec<_>>())
    }

    /// Either all of it was granted, or it may be later.
    pub(crate) fn check_rival(&self, nth: usize) {
        let client = &self.clients[nth];
        let is_served = client.refused.is_none() && client.holds.len() == client.wants.groups.len();
        let is_busy = client.refused == Some(RefusalKind::Busy) && client.holds.is_empty();
        // Where nobody is, nobody says what is busy elsewhere.
        let is_lost = self.sites.iter().any(|site| site.plan.remote == Remote::Nowhere);
        assert!(is_served || is_busy || is_lost, "what is there is neither lent nor busy: {client:?}");
    }

    /// What a broker, and those it forwards to, list.
    fn in_reach(&self, site: SiteId, list: impl Fn(&Core) -> Vec<Arc<Profile>>) -> BTreeSet<Identity> {
        let (mut next, mut been, mut found) = (Some(site), BTreeSet::new(), BTreeSet::new());
        while let Some(site) = next.filter(|site| been.insert(*site)) {
            found.extend(self.names(list(&self.broker(site).core)));
            next = match self.sites[site].plan.remote {
                Remote::Forward(target) => Some(target),
                _ => None,
            };
        }
        found
    }

    fn add_client(&mut self, site: SiteId, items: &[&Identity]) -> usize {
        self.clients.push(Client { site, ..Client::default() });
        let nth = self.clients.len() - 1;
        self.gets(nth, Want { groups: items.iter().map(|item| vec![short(item)]).collect() });
        nth
    }

    /// The process that lends at a place of a whole network.
    fn broker(&self, site: SiteId) -> &Broker {
        &self.brokers[self.serving(site).expect("every broker runs")]
    }

    /// The sites whose brokers share with this one.
    fn shares_of(&self, master: SiteId) -> Vec<SiteId> {
        let all = (0..self.sites.len()).filter_map(|site| Some((site, self.serving(site)?)));
        all.filter(|(_, pid)| self.master_of(*pid) == Some(master)).map(|(site, _)| site).collect()
    }

    /// A master knows its shares and what each has.
    fn check_shares(&self, master: SiteId) {
        let Broker { core, id: own, .. } = self.broker(master);
        let shares = self.shares_of(master);
        let addresses: Vec<Address> = shares.iter().map(|share| address(*share)).collect();
        assert_eq!(core.shares(), addresses, "the shares of site {master}");
        for share in shares {
            let id = self.broker(master).name();
            let toward = Toward { address: Some(address(master)), broker: id };
            let news = self.broker(share).core.news(Revision::default(), &toward, usize::MAX);
            let (mut there, mut known) = (news.report.changed, core.shared_by(&address(share)));
            there.retain(|piece| !piece.origin.path.contains(own));
            for pieces in [&mut there, &mut known] {
                if id.is_none() || self.sites[share].plan.is_original {
                    pieces.iter_mut().for_each(|piece| piece.origin = Arc::default());
                }
                pieces.sort_by_key(|piece| self.kinds.identity(&piece.profile));
            }
            assert_eq!(known, there, "what site {master} knows of share {share}, and what that has");
        }
    }

    /// What a master lists as available is what is available where it is.
    fn check_availability(&self, master: SiteId) {
        let Broker { plan, core, .. } = self.broker(master);
        let own =
            |item: &Identity| plan.pieces.contains(item) || item.value.starts_with(&format!("site{master}-"));
        let (mut listed, mut there) = (self.names(core.available(None)), BTreeSet::new());
        listed.retain(|item| !own(item));
        for share in self.shares_of(master) {
            there.extend(self.names(self.broker(share).core.available(None)));
        }
        there.retain(|item| !own(item));
        assert_eq!(listed, there, "what is available at site {master} and at its shares");
    }

    fn names(&self, profiles: Vec<Arc<Profile>>) -> BTreeSet<Identity> {
        profiles.iter().filter_map(|profile| self.kinds.identity(profile)).collect()
    }
}
