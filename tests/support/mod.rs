//! A lab for a test: the real broker in a home of its own, and peers that speak the original's protocol
//! byte by byte.

mod board;
mod cable;
mod client;
mod equipment;
mod generations;
mod lab;
mod original;
mod peer;
mod plan;

pub(crate) use board::Bus;
pub(crate) use cable::Cable;
pub(crate) use client::{Client, Lent, names_of};
pub(crate) use equipment::{any, names, only, piece, piece_with, pieces, stacks, with};
pub(crate) use generations::{brokers, kill_brokers, outcome, pause};
pub(crate) use lab::{ADMIN, Lab, SHARE, command};
pub(crate) use original::{Manner, Original};
pub(crate) use peer::{Peer, framed, plain, raised, request};
pub(crate) use plan::{Plan, free_ports};

use std::time::{Duration, Instant};

/// How long a test waits for something that must come. Generous, because machines are slow at times; a
/// test that passes never waits that long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Asserts that what is promised within this time took no longer. Machines are slow at times: it may take three times as
/// long, which is far from what it takes once somebody has lost patience.
#[track_caller]
pub(crate) fn assert_within(promised: Duration, begun: Instant) {
    let taken = begun.elapsed();
    assert!(taken < promised * 3, "promised within {promised:?}, took {taken:?}");
}

/// Waits until a condition holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
