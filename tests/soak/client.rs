//! One client of many: gets, uses, gives back, tries to reach what is not its own, and begins anew.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ave_client::{Broker, ClientError, Connection, Credential, Options, Proxy};
use ave_profile::{Profile, Value, Want};
use ave_protocol::arguments::Arguments;
use ave_protocol::message::Request;
use serde_json::json;

use super::claims::Claims;
use super::tally::{Span, Tally};
use crate::support::PATIENCE;

/// How often a client asks one broker, at most.
pub(super) const GETS_MAX: u64 = 2;

/// What all clients know.
pub(super) struct Scene {
    pub(super) broker: SocketAddr,
    pub(super) claims: Claims,
    pub(super) is_over: AtomicBool,
    /// How long a client thinks at most between two steps.
    pub(super) thought_max: Duration,
}

/// What a client counts, and how long it waited for each grant.
#[derive(Default)]
pub(super) struct Experience {
    pub(super) tally: Tally,
    pub(super) waits: Vec<Span>,
}

/// A sequence of numbers that only looks random.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// A number below `sides`. (splitmix64)
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % sides
    }
}

/// Why a client begins anew.
enum End {
    Tired,
    Told,
    Hurt,
}

/// Lives until the scene is over.
pub(super) fn live(scene: &Scene, seed: u64) -> Experience {
    let mut life = Life { scene, dice: Dice::new(seed), seen: Experience::default() };
    while !scene.is_over.load(Ordering::Relaxed) {
        life.one_broker();
    }
    life.seen
}

struct Life<'a> {
    scene: &'a Scene,
    dice: Dice,
    seen: Experience,
}

impl Life<'_> {
    /// The stay at one `Broker` object, from the first `get` to its end.
    fn one_broker(&mut self) {
        let options =
            Options { reply_limit: Some(PATIENCE), connect_limit: Some(PATIENCE), ..Options::default() };
        let address = (self.scene.broker.ip().to_string(), self.scene.broker.port());
        let mut broker = Broker::new(address, Credential::Anonymous, options);
        let mut held = Vec::new();
        let end = self.stay(&mut broker, &mut held);
        if let End::Told = end {
            self.seen.tally.done("restarting");
            // What is held is as good as ever.
            self.think();
            self.use_all(&mut held);
        }
        for proxy in &held {
            self.scene.claims.leave(&proxy.grant().profile);
        }
        broker.close();
    }

    fn stay(&mut self, broker: &mut Broker, held: &mut Vec<Proxy>) -> End {
        for _ in 0..1 + self.dice.roll(GETS_MAX) {
            let begun = Instant::now();
            match broker.get(&self.want()) {
                Ok(grants) => {
                    self.seen.waits.push(Span::since(begun));
                    self.seen.tally.done("gets");
                    for grant in grants {
                        if !self.scene.claims.take(&grant.profile) {
                            self.seen.tally.failed(format!("lent twice: {}", grant.profile));
                            continue;
                        }
                        held.push(broker.proxy(grant));
                    }
                }
                Err(ClientError::Fault(fault)) if fault.kind == "Restarting" => return End::Told,
                Err(error) => {
                    self.seen.tally.failed(format!("get: {}", brief(&error)));
                    return End::Hurt;
                }
            }
            self.use_all(held);
            self.trespass(held);
            self.think();
            if self.dice.roll(3) == 0 {
                self.give_back(broker, held);
            }
            self.use_all(held);
        }
        End::Tired
    }

    fn want(&mut self) -> Want {
        let group = match self.dice.roll(4) {
            0 => json!([{"type": "handset"}, {"type": "relay"}]),
            1 => json!([{"type": "workspace"}]),
            2 => json!([{"type": "relay"}]),
            _ => json!([{"type": "handset"}]),
        };
        let group = group.as_array().expect("a list").iter().cloned();
        Want { groups: vec![group.map(Profile::of).collect()] }
    }

    /// A call of each piece, whose answer only its holder can get.
    fn use_all(&mut self, held: &mut [Proxy]) {
        for proxy in held {
            let outcome = match proxy.grant().profile.kind() {
                Some("workspace") => leave_a_mark(proxy),
                _ => proxy.call("get_profile", Arguments::default()).map(|profile| is_of(proxy, &profile)),
            };
            match outcome {
                Ok(true) => self.seen.tally.done("calls"),
                Ok(false) => self.seen.tally.failed("a call was answered with something else"),
                Err(error) => self.seen.tally.failed(format!("lost: call: {}", brief(&error))),
            }
        }
    }

    /// Calls, with the key of its own session, a piece that somebody else holds.
    fn trespass(&mut self, held: &[Proxy]) {
        let Some(proxy) = held.first().filter(|_| self.dice.roll(8) == 0) else { return };
        let luck = self.dice.roll(u64::MAX) as usize;
        let Some(others) = self.scene.claims.somebodys(luck) else { return };
        if held.iter().any(|proxy| is_of(proxy, &others.clone().into())) {
            return;
        }
        let door = &proxy.grant().door;
        let credential = Credential::Session { id: door.session, key: door.key.clone() };
        let options = Options { reply_limit: Some(PATIENCE), ..Options::default() };
        let resource = others.clone().into();
        let request = Request { resource, ..Request::new("get_profile", Arguments::default()) };
        let outcome = Connection::open((&door.address.0, door.address.1), &credential, &options)
            .and_then(|mut connection| connection.call(&request));
        match outcome {
            Err(ClientError::Plain(text)) if text.starts_with("no such resource") => {
                self.seen.tally.done("kept out");
            }
            Ok(_) => self.seen.tally.failed(format!("reached what is somebody else's: {others}")),
            Err(error) => self.seen.tally.failed(format!("kept out: {}", brief(&error))),
        }
    }

    fn give_back(&mut self, broker: &mut Broker, held: &mut Vec<Proxy>) {
        let Some(proxy) = held.pop() else { return };
        let profile = proxy.grant().profile.clone();
        self.scene.claims.leave(&profile);
        match broker.yield_resources(vec![profile]) {
            Ok(()) => self.seen.tally.done("yields"),
            Err(error) => self.seen.tally.failed(format!("lost: yield: {}", brief(&error))),
        }
    }

    fn think(&mut self) {
        let most = u64::try_from(self.scene.thought_max.as_micros()).expect("a short time");
        thread::sleep(Duration::from_micros(self.dice.roll(most)));
    }
}

/// Writes into the workspace what only its holder knows, and reads it again.
fn leave_a_mark(proxy: &mut Proxy) -> Result<bool, ClientError> {
    let mark = proxy.grant().profile.to_string();
    let path = proxy.call("write_tempfile", Arguments::positional([mark.as_str()]))?;
    let read = proxy.call("cat", Arguments::positional([path, "utf-8".into()]))?;
    Ok(read.as_str() == Some(&mark))
}

/// Whether a profile names this piece.
fn is_of(proxy: &Proxy, profile: &Value) -> bool {
    let ours = &proxy.grant().profile;
    let Some(theirs) = profile.as_map() else { return false };
    ["type", "serial", "uid"].iter().all(|member| ours.get(*member) == theirs.get(*member))
}

/// An error without what differs from one piece to the next.
fn brief(error: &ClientError) -> String {
    match error {
        ClientError::Fault(fault) => format!("{}: {}", fault.kind, words(&fault.message)),
        other => words(&other.to_string()),
    }
}

fn words(text: &str) -> String {
    text.chars().take_while(|letter| *letter != '{').take(80).collect()
}
