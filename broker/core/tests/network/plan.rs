//! The random network of a run: which brokers there are, what each has, and how they know each other.

use ave_profile::{Address, Identity, Kind, KindTable, Profile, Want};
use serde_json::json;

use crate::agenda::{MILLISECOND, Micros, SiteId};
use crate::dice::Dice;
use crate::wire::{LAG_MAX, Road};

/// What a broker does with what it cannot serve or has to share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Remote {
    Alone,
    Forward(SiteId),
    Share(SiteId),
    /// Forwards to where no broker is.
    Nowhere,
}

/// One broker's files.
#[derive(Clone, Debug)]
pub(crate) struct SitePlan {
    pub(crate) pieces: Vec<Identity>,
    pub(crate) stacks: Vec<Vec<Identity>>,
    pub(crate) has_workspaces: bool,
    pub(crate) remote: Remote,
    /// Whether it speaks as the original brokers do: nameless, with whole lists, a group at a time.
    pub(crate) is_original: bool,
    /// How long the broker leaves the word of an edge waiting.
    pub(crate) inbox: Micros,
    /// How long it takes until a word is in the journal.
    pub(crate) disk: Micros,
}

/// A network.
pub(crate) struct Plan {
    pub(crate) sites: Vec<SitePlan>,
    pub(crate) roads: Vec<Vec<Road>>,
}

/// The built-in types, and one whose pieces two sessions may hold at once.
pub(crate) fn kinds() -> KindTable {
    let camera = json!({"type": "camera", "identity": "uid", "allocations": 2});
    let camera: Kind = serde_json::from_value(camera).expect("a type");
    KindTable::new(KindTable::builtin().iter().map(|kind| Kind::clone(kind)).chain([camera]))
}

pub(crate) fn allocations_max(item: &Identity) -> usize {
    if &*item.kind == "camera" { 2 } else { 1 }
}

/// Type and identity.
pub(crate) fn short(item: &Identity) -> Profile {
    let member = if &*item.kind == "handset" { "serial" } else { "uid" };
    Profile::of(json!({"type": &*item.kind, member: &*item.value}))
}

/// What a piece says of itself.
pub(crate) fn full(item: &Identity) -> Profile {
    let mut profile = short(item);
    let state = if &*item.kind == "handset" { "boot_completed" } else { "online" };
    profile.0.insert("power_state".into(), state.into());
    profile
}

/// Where a site's broker is; there is always one more address, with nobody there.
pub(crate) fn address(site: SiteId) -> Address {
    Address::new(&format!("site{site}"), 4000)
}

impl SitePlan {
    /// What its workspaces are made from.
    pub(crate) fn workspace(&self, site: SiteId) -> Profile {
        Profile::of(json!({"type": "workspace", "root": "/ws", "pretty": format!("site{site}")}))
    }

    /// Where it sends what it cannot serve, in a network of so many.
    pub(crate) fn forwards_to(&self, sites: usize) -> Option<Address> {
        match self.remote {
            Remote::Forward(site) => Some(address(site)),
            Remote::Nowhere => Some(address(sites)),
            Remote::Alone | Remote::Share(_) => None,
        }
    }
}

impl Plan {
    pub(crate) fn draw(dice: &mut Dice) -> Plan {
        let count = dice.among(2..6) as usize;
        let scarce = dice.percent(30);
        let shape = dice.among(0..4);
        let sites: Vec<SitePlan> = (0..count)
            .map(|site| {
                let pieces = pieces(dice, site, scarce);
                SitePlan {
                    stacks: stacks(dice, &pieces),
                    pieces,
                    has_workspaces: dice.percent(40),
                    // Their loops are nobody's business but theirs.
                    is_original: shape < 2 && dice.percent(20),
                    remote: remote(dice, shape, site, count),
                    inbox: *dice.pick(&[1, 20, 5 * MILLISECOND]),
                    disk: *dice.pick(&[1, 50, 20 * MILLISECOND]),
                }
            })
            .collect();
        let mut lags: Vec<u64> = (0..count).map(|_| dice.among(0..100)).collect();
        lags[0] = 0;
        let road = |from: usize, to: usize| Road { lag: lag(lags[from].max(lags[to])), ..Road::default() };
        let roads = (0..=count).map(|from| (0..=count).map(|to| road(from % count, to % count)).collect());
        Plan { roads: roads.collect(), sites }
    }

    /// All pieces of the network.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &Identity> {
        self.sites.iter().flat_map(|site| &site.pieces)
    }

    /// What a client asks for.
    pub(crate) fn want(&self, dice: &mut Dice) -> Want {
        let kind = |name: &str| Profile::of(json!({"type": name}));
        let all: Vec<&Identity> = self.pieces().collect();
        let exact = |dice: &mut Dice| short(all[dice.index(all.len())]);
        let (first, last) = (short(all[0]), short(all[all.len() - 1]));
        let groups = match dice.among(0..100) {
            0..30 => vec![vec![kind("handset")]],
            30..50 => vec![vec![exact(dice)]],
            50..55 => vec![vec![kind("handset"), kind("relay")]],
            55..68 => vec![vec![exact(dice)], vec![exact(dice)]],
            68..77 => vec![vec![kind("handset")], vec![kind("handset")]],
            77..81 => vec![vec![first], vec![last]],
            81..85 => vec![vec![last], vec![first]],
            85..87 => vec![vec![kind("relay"), kind("handset")], vec![exact(dice)]],
            87..91 => vec![vec![kind("workspace")]],
            91..94 => vec![vec![kind("handset"), kind("workspace")], vec![kind("relay")]],
            94..98 => vec![vec![kind("camera")]],
            _ => vec![vec![kind("wlan")]],
        };
        Want { groups }
    }
}

/// What a message takes in one building.
pub(crate) const QUICK: (Micros, Micros) = (30, 300);

/// In one building, across a country, or slower than anybody waits for.
fn lag(slowness: u64) -> (Micros, Micros) {
    match slowness {
        0..50 => QUICK,
        50..85 => (MILLISECOND, 30 * MILLISECOND),
        85..95 => (100 * MILLISECOND, 800 * MILLISECOND),
        _ => (LAG_MAX / 4, LAG_MAX),
    }
}

fn pieces(dice: &mut Dice, site: SiteId, scarce: bool) -> Vec<Identity> {
    let kinds = if scarce { &["handset"][..] } else { &["handset", "handset", "relay", "relay", "camera"] };
    let most = if scarce { 2 } else { 5 };
    let piece = |dice: &mut Dice, nth| Identity::new(kinds[dice.index(kinds.len())], &format!("{site}{nth}"));
    let count = dice.among(0..most);
    let mut pieces: Vec<Identity> = (0..count).map(|nth| piece(dice, nth)).collect();
    if site == 0 && pieces.is_empty() {
        pieces.push(Identity::new("handset", "00"));
    }
    pieces
}

fn stacks(dice: &mut Dice, pieces: &[Identity]) -> Vec<Vec<Identity>> {
    if pieces.len() < 2 {
        return Vec::new();
    }
    let stack = |dice: &mut Dice| {
        let first = dice.index(pieces.len() - 1);
        let last = dice.among(first as u64 + 1..pieces.len() as u64) as usize;
        pieces[first..=last].to_vec()
    };
    (0..dice.among(0..3)).map(|_| stack(dice)).collect()
}

/// A chain, a star, or anything, loops included.
fn remote(dice: &mut Dice, shape: u64, site: SiteId, count: usize) -> Remote {
    let last = site + 1 == count;
    match shape {
        0 if last => Remote::Alone,
        0 => {
            if dice.percent(50) {
                Remote::Forward(site + 1)
            } else {
                Remote::Share(site + 1)
            }
        }
        1 if site == 0 => Remote::Alone,
        1 => Remote::Share(0),
        _ => {
            let other = (site + 1 + dice.index(count - 1)) % count;
            match dice.among(0..10) {
                0..2 => Remote::Alone,
                2..5 => Remote::Forward(other),
                5 => {
                    if dice.percent(50) {
                        Remote::Nowhere
                    } else {
                        Remote::Forward(site)
                    }
                }
                _ => Remote::Share(other),
            }
        }
    }
}
