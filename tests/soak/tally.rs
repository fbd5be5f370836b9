//! What clients saw, counted.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// The counts of one client, or of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// What went well, by name.
    pub(super) done: BTreeMap<String, u64>,
    /// What must not happen, by what was seen.
    pub(super) failed: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn done(&mut self, what: &str) {
        *self.done.entry(what.to_owned()).or_default() += 1;
    }

    pub(super) fn failed(&mut self, what: impl ToString) {
        *self.failed.entry(what.to_string()).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Tally) {
        for (ours, theirs) in [(&mut self.done, other.done), (&mut self.failed, other.failed)] {
            for (what, count) in theirs {
                *ours.entry(what).or_default() += count;
            }
        }
    }

    /// What a client in another language prints.
    pub(super) fn parse(line: &str) -> Option<Tally> {
        let said: Value = serde_json::from_str(line).ok()?;
        let counts = |name: &str| serde_json::from_value(said[name].clone()).ok();
        Some(Tally { done: counts("done")?, failed: counts("failed")? })
    }

    pub(super) fn of(&self, what: &str) -> u64 {
        self.done.get(what).copied().unwrap_or_default()
    }
}

/// From when to when something took place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) begun: Instant,
    pub(super) ended: Instant,
}

impl Span {
    pub(super) fn since(begun: Instant) -> Span {
        Span { begun, ended: Instant::now() }
    }

    pub(super) fn length(self) -> Duration {
        self.ended - self.begun
    }

    fn overlaps(self, other: Span) -> bool {
        self.begun <= other.ended && other.begun <= self.ended
    }

    /// The longest of `waits` that overlaps this span.
    pub(super) fn longest_of(self, waits: &[Span]) -> Option<Duration> {
        waits.iter().filter(|wait| wait.overlaps(self)).map(|wait| wait.length()).max()
    }

    /// Whether this span meets none of the others.
    pub(super) fn is_apart_from(self, others: &[Span]) -> bool {
        !others.iter().any(|other| other.overlaps(self))
    }
}

/// Percentiles in milliseconds.
pub(super) fn percentiles(mut lengths: Vec<Duration>) -> Value {
    lengths.sort();
    let at = |share: f64| {
        let place = (share * lengths.len() as f64).ceil() as usize;
        lengths.get(place.max(1) - 1).map(|length| (length.as_secs_f64() * 1e5).round() / 100.0)
    };
    json!({"count": lengths.len(), "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0)})
}

#[test]
fn percentiles_are_those_of_the_sorted_lengths() {
    let lengths = (1..=200).rev().map(Duration::from_millis).collect();
    assert_eq!(
        percentiles(lengths),
        json!({"count": 200, "p50_ms": 100.0, "p99_ms": 198.0, "max_ms": 200.0})
    );
    assert_eq!(percentiles(Vec::new())["max_ms"], Value::Null);
}
