//! The fuzz target, for a moment and without a special build: snapshots of each version with a few bytes changed,
//! and bytes from nowhere. `AVE_FUZZ_SECONDS` makes the moment longer.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::ops::ControlFlow;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use serde_json::json;

const MOMENT_MS: u64 = 500;

const SEEDS: [&[u8]; 2] = [include_bytes!("snapshots/v1"), include_bytes!("snapshots/v2")];

#[test]
fn fuzz_snapshot() {
    arbtest(|u| input(u).map(|data| bodies::snapshot(&data))).budget_ms(budget_ms());
}

#[test]
fn fuzz_draft() {
    // The names of what is gone, and that the stacks are kept, as one process tells the other.
    let changes =
        rmp_serde::to_vec(&json!([[["handset", "h1"], ["relay", "r1"]], true])).expect("it can be encoded");
    let try_it = |u: &mut Unstructured<'_>| {
        let changes = if u.ratio(1, 2)? { mutated(u, changes.clone())? } else { changes.clone() };
        bodies::draft(&input(u)?, &input(u)?, &changes);
        Ok(())
    };
    arbtest(try_it).budget_ms(budget_ms());
}

fn budget_ms() -> u64 {
    let seconds = std::env::var("AVE_FUZZ_SECONDS").ok().and_then(|text| text.parse::<u64>().ok());
    seconds.map_or(MOMENT_MS, |seconds| seconds * 1000)
}

fn input(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let data = if u.ratio(1, 16)? { u.arbitrary()? } else { u.choose(&SEEDS)?.to_vec() };
    mutated(u, data)
}

/// Bytes are changed, left out and repeated, words of one place put into another.
fn mutated(u: &mut Unstructured<'_>, mut data: Vec<u8>) -> Result<Vec<u8>> {
    u.arbitrary_loop(Some(1), Some(6), |u| {
        let (at, from) = (u.int_in_range(0..=data.len())?, u.int_in_range(0..=data.len())?);
        let upto = (from + u.int_in_range(0..=64)?).min(data.len());
        match u.int_in_range(0..=4)? {
            0 if at < data.len() => data[at] = u.arbitrary()?,
            1 if at < data.len() => data[at] = data[at].wrapping_add(1),
            2 => drop(data.splice(at..at, data[from..upto].to_vec())),
            3 => drop(data.drain(from..upto)),
            _ if at + (upto - from) <= data.len() => data.copy_within(from..upto, at),
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(data)
}
