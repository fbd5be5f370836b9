//! Random histories of random small labs: whatever happens, the core must do and list exactly what a
//! naive broker with brute force does. `AVE_ORACLE_CASES` says how many histories.
#![allow(clippy::unwrap_used, reason = "in a test an unwrap that fails is a test that fails")]

mod brute;
mod expected;
mod heirs;
mod history;
mod lists;
mod naive;
mod notable;
mod world;
mod written;

use std::cell::RefCell;
use std::collections::BTreeSet;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

use crate::history::{History, history};
use crate::notable::NOTABLE;
use crate::world::World;

/// How many histories an ordinary run tries: enough for every kind of answer.
const CASES: u32 = 2048;

#[test]
fn the_core_does_what_the_naive_broker_does() {
    let cases = std::env::var("AVE_ORACLE_CASES").map_or(CASES, |n| n.parse().expect("a number of cases"));
    let config = Config {
        cases,
        max_shrink_iters: 10_000,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0),
        ..Config::default()
    };
    let seen = RefCell::new(BTreeSet::new());
    let outcome = TestRunner::new(config).run(&history(), |history| {
        seen.borrow_mut().extend(play(&history).map_err(TestCaseError::fail)?);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let unseen: Vec<_> = NOTABLE.iter().filter(|way| !seen.borrow().contains(*way)).collect();
    assert!(unseen.is_empty() || cases < CASES, "no history led to {unseen:?}");
}

/// Plays a history against both brokers: what kinds of answers there were, or where the two part.
fn play(history: &History) -> Result<BTreeSet<&'static str>, String> {
    let mut world = World::new();
    for step in history.lab.iter().chain(&history.steps) {
        world.play(step).map_err(|difference| format!("at \"{step:?}\": {difference}"))?;
    }
    Ok(world.seen)
}
