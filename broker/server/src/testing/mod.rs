//! A broker without sockets, for tests of what connections and sessions do: fake equipment of type
//! `wlan`, and guests who talk over pipes. Time is the test's own.

pub(crate) mod far;
mod forwarding;
mod guest;
mod load;
mod mending;
mod sessions;
mod shares;
mod strangers;
mod time_limits;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ave_core::{Core, Event, Source};
use ave_profile::{Address, BrokerId, Generation, KindTable, Profile};
use ave_protocol::handshake::Secret;
use serde_json::{Value, json};
use tokio::io::duplex;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Paths};
use crate::connection::{self, Entrance};
use crate::crowd::Crowd;
use crate::daemon::LogFilter;
use crate::drivers::Drivers;
use crate::drivers::fake::{Fake, Story};
use crate::drivers::place::Sweep;
use crate::gate;
use crate::handover::{Elders, Reign};
use crate::hub::Hub;
use crate::keepalive::Keepalive;
use crate::keys::Keys;
use crate::peers::limits::SHARES_MAX;
use crate::peers::{Sharing, Turns};
use crate::room::Room;
use crate::site::Site;

pub(crate) use guest::Guest;

pub(crate) const ADMIN: &str = "admin key";
const SHARE: &str = "share key";

/// Where all guests seem to come from.
const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// A broker with fake equipment.
pub(crate) struct House {
    pub(crate) site: Arc<Site>,
    story: Story,
    _home: tempfile::TempDir,
}

impl House {
    /// A broker with one piece for each (name, fault).
    pub(crate) async fn new(pieces: &[(&str, &str)]) -> House {
        House::furnished(pieces, 4000, json!({})).await
    }

    /// A broker without equipment and with this rule about another broker.
    pub(crate) async fn with_remote(remote: Value) -> House {
        House::furnished(&[], 4000, json!({"remote": remote})).await
    }

    /// A broker with these pieces that others reach over the loopback interface, and that asks whoever is at
    /// the port `forward` for what it has not. It has real time: sockets know no other.
    async fn in_town(pieces: &[&str], forward: Option<u16>) -> House {
        House::in_town_with(pieces, forward, json!({})).await
    }

    /// The same, with these members of `broker.json`.
    async fn in_town_with(pieces: &[&str], forward: Option<u16>, further: Value) -> House {
        let listener = gate::listen(([127, 0, 0, 1], 0).into(), Keepalive::within(30)).unwrap();
        let pieces: Vec<_> = pieces.iter().map(|name| (*name, "")).collect();
        let house = House::furnished(&pieces, listener.local_addr().unwrap().port(), further).await;
        let target = forward.map(|port| Address::new("127.0.0.1", port));
        house.site.hub.tell(Event::ForwardSet { target }).await;
        tokio::spawn(gate::serve_broker(Arc::new(listener), house.site.clone()));
        house
    }

    /// A broker with these pieces and members of `broker.json`.
    async fn furnished(pieces: &[(&str, &str)], port: u16, further: Value) -> House {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        std::fs::create_dir_all(paths.config()).unwrap();
        let mut config = json!({"port": port, "host": "127.0.0.1"});
        config.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        std::fs::write(paths.broker_json(), config.to_string()).unwrap();
        std::fs::write(paths.authkeys_json(), json!({"admin": ADMIN, "share": SHARE}).to_string()).unwrap();
        let workspace = json!({"root": "~/workspaces", "tools": {}});
        std::fs::write(paths.workspace_json(), workspace.to_string()).unwrap();
        let kinds = KindTable::builtin();
        let fake = Fake::default();
        let story = fake.story.clone();
        let by_kind = BTreeMap::from([("wlan".into(), Arc::new(fake) as _)]);
        let drivers = Drivers::new(by_kind, Sweep::new(home.path()));
        let elders = Arc::new(Elders::default());
        let core = Core::new(kinds.clone(), BrokerId(port.into()));
        let (hub, handle) = Hub::new(core, drivers.clone(), elders.clone());
        let stop = CancellationToken::new();
        tokio::spawn(hub.run(stop.clone()));
        let config = Config::load(&paths).unwrap();
        let limits = &config.broker.limits;
        let (crowd, queued) = (Crowd::new(limits, None), limits.queued_bytes_max);
        let site = Arc::new(Site {
            sharing: Sharing::new(&config.broker),
            config,
            kinds,
            keys: Arc::new(Keys::new([
                ("admin", &Secret::new(ADMIN.to_owned())),
                ("share", &Secret::new(SHARE.to_owned())),
            ])),
            generation: Generation(1),
            reign: Reign::default(),
            elders,
            connections: TaskTracker::new(),
            drivers,
            hub: handle,
            id: BrokerId(port.into()),
            address: ("127.0.0.1".to_owned(), port),
            ports: None,
            turns: Turns::default(),
            crowd,
            received: Room::of(queued),
            unsent: Room::of(queued),
            large_frames: Semaphore::new(1),
            share_places: Arc::new(Semaphore::new(SHARES_MAX)),
            log: LogFilter::default(),
            started: Instant::now(),
            stop,
        });
        let piece =
            |(name, fault): &(&str, &str)| Profile::of(json!({"type": "wlan", "uid": name, "fault": fault}));
        let profiles = pieces.iter().map(piece).collect();
        site.hub.report(Source::File, profiles).await.unwrap();
        House { site, story, _home: home }
    }

    /// Somebody who connects and shows a key; the empty key is nobody's.
    pub(crate) async fn guest(&self, key: &str) -> Guest {
        let (ours, theirs) = duplex(1 << 16);
        let place = self.site.crowd.enter(PEER.ip()).unwrap();
        tokio::spawn(connection::serve(
            ours,
            Entrance::Broker(PEER),
            (place, self.site.reign.guests.token()),
            self.site.clone(),
        ));
        Guest::enter(theirs, key).await
    }

    /// Where it is reached.
    fn port(&self) -> u16 {
        self.site.address.1
    }

    /// Which pieces can be had now.
    async fn available(&self) -> Vec<String> {
        let profiles = self.site.hub.look(|core| core.available(None)).await.unwrap();
        profiles.iter().map(|profile| profile["uid"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits until these pieces, and no others, can be had.
    async fn until_available(&self, names: &[&str]) {
        while self.available().await != names {
            sleep(Duration::from_millis(1)).await; // of the test's own time, which costs nothing
        }
    }
}
