//! The fuzz target, for a moment and without a special build: snapshots of each version with a few bytes changed,
//! and bytes from nowhere. `AVE_FUZZ_SECONDS` makes the moment longer.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::ops::ControlFlow;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;

const MOMENT_MS: u64 = 500;

const SEEDS: [&[u8]; 2] = [include_bytes!("snapshots/v1"), include_bytes!("snapshots/v2")];

#[test]
fn fuzz_snapshot() {
    let seconds = std::env::var("AVE_FUZZ_SECONDS").ok().and_then(|text| text.parse::<u64>().ok());
    let budget_ms = seconds.map_or(MOMENT_MS, |seconds| seconds * 1000);
    arbtest(|u| input(u).map(|data| bodies::snapshot(&data))).budget_ms(budget_ms);
}

/// Bytes are changed, left out and repeated, words of one place put into another.
fn input(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    let mut data = if u.ratio(1, 16)? { u.arbitrary()? } else { u.choose(&SEEDS)?.to_vec() };
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
