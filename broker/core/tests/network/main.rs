//! Random networks of real cores: brokers that share and forward, clients that come and go, machines that
//! die, roads that are cut. Everything follows from a seed. `AVE_NETWORK_SEEDS` says how many are tried,
//! `AVE_NETWORK_SEED` names one to be played again, step by step.
#![allow(clippy::unwrap_used, reason = "in a test an unwrap that fails is a test that fails")]

mod agenda;
mod agree;
mod books;
mod client;
mod dice;
mod faults;
mod handover;
mod journal;
mod link;
mod mending;
mod notable;
mod plan;
mod session;
mod sharing;
mod site;
mod wire;
mod world;

use crate::agenda::{Happening, Micros, SECOND};
use crate::notable::Notable;
use crate::wire::SILENCE;
use crate::world::World;

/// How many networks an ordinary run tries.
const SEEDS: u64 = 200;

/// How long a network takes to become quiet: each hop notices, closes, and tries to share again.
const CALM: Micros = 6 * SILENCE + 60 * SECOND;

/// How many messages are sent after the last thing happened, at most, for each broker.
const MESSAGES_MAX: u64 = 100;

#[test]
fn networks_stay_whole() {
    if let Some(seed) = number("AVE_NETWORK_SEED") {
        play(seed, true);
        return;
    }
    let seeds = number("AVE_NETWORK_SEEDS").unwrap_or(SEEDS);
    let mut seen = Notable::default();
    for seed in 0..seeds {
        seen.add(&play(seed, false));
    }
    println!("{seeds} networks:\n{seen}");
    assert!(seeds < SEEDS || seen.missing().is_empty(), "in no network: {:?}", seen.missing());
}

/// Plays one network: a busy time, then a quiet one, then one without clients, then two that ask
/// for what is there.
fn play(seed: u64, told: bool) -> Notable {
    let _replay = Replay(seed);
    let mut world = World::new(seed, told);
    for site in 0..world.sites.len() {
        world.start(site);
    }
    for client in 0..world.clients.len() {
        let after = world.dice.among(0..world.busy_for);
        world.agenda.enter(after, None, Happening::Acts(client));
    }
    for _ in 0..world.dice.among(0..6) {
        for (at, fault) in world.draw_fault() {
            world.agenda.enter(at, None, Happening::Strikes(fault));
        }
    }
    for _ in 0..world.dice.among(0..3) {
        for (at, fault) in world.draw_restarts() {
            world.agenda.enter(at, None, Happening::Strikes(fault));
        }
    }
    world.run(world.busy_for + 30 * SECOND);
    world.clients.iter_mut().for_each(|client| client.deeds = 0);
    world.heal();
    calm(&mut world);
    world.check_agreement();
    (0..world.clients.len()).for_each(|client| world.leaves(client));
    calm(&mut world);
    world.check_agreement();
    world.check_emptiness();
    if let Some((client, item)) = world.add_probe() {
        calm(&mut world);
        assert!(world.clients[client].holds.contains_key(&item), "{item} is free, but cannot be had");
        let rival = world.add_rival();
        calm(&mut world);
        world.check_rival(rival);
        world.check_agreement();
    }
    world.seen
}

/// Nothing happens from outside until the network is quiet.
fn calm(world: &mut World) {
    let before = world.messages;
    world.run(world.agenda.now + CALM);
    let messages = world.messages - before;
    let most = MESSAGES_MAX * world.sites.len() as u64;
    assert!(messages <= most, "{messages} messages although nothing happens");
    assert!(world.agenda.is_quiet(), "something is still on its way: {:?}", world.agenda);
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|number| number.parse().expect("a number"))
}

/// Says how to play a network again, should it fail.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "again: AVE_NETWORK_SEED={} cargo test -p ave-core --test network -- --nocapture",
                self.0
            );
        }
    }
}
