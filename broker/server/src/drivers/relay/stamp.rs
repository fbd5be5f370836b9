//! When a relay was switched, for scripts that compare it with their logs.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ave_profile::Value;
use chrono::{DateTime, Datelike, Timelike};

/// A moment, in microseconds since 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp(i64);

impl Stamp {
    /// Now, and later than every stamp before: also within one microsecond, and when the clock is set back.
    pub(super) fn now() -> Stamp {
        static LATEST: AtomicI64 = AtomicI64::new(0);
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64);
        let advance = |latest| Some(after(latest, clock));
        let (Ok(before) | Err(before)) = LATEST.fetch_update(Ordering::Relaxed, Ordering::Relaxed, advance);
        Stamp(after(before, clock))
    }
}

/// What the clock shows, or the next moment after the latest.
fn after(latest: i64, clock: i64) -> i64 {
    clock.max(latest + 1)
}

/// `[year, month, day, hour, minute, second, microsecond]`.
impl From<Stamp> for Value {
    fn from(stamp: Stamp) -> Value {
        let moment = DateTime::from_timestamp_micros(stamp.0).unwrap_or_default();
        let parts = [
            i64::from(moment.year()),
            moment.month().into(),
            moment.day().into(),
            moment.hour().into(),
            moment.minute().into(),
            moment.second().into(),
            moment.timestamp_subsec_micros().into(),
        ];
        Value::from(parts.map(Value::from).to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn r8_a_stamp_is_seven_numbers_in_utc() {
        let value = Value::from(Stamp(1_792_540_799_000_007));
        assert_eq!(value, Value::from(json!([2026, 10, 20, 23, 59, 59, 7])));
    }

    #[test]
    fn r8_a_clock_that_is_set_back_stamps_nothing_earlier() {
        let shown = [1000, 2000, 500, 500, 1999, 2003, 3000];
        let stamps = shown.iter().scan(0, |latest, clock| {
            *latest = after(*latest, *clock);
            Some(*latest)
        });
        assert_eq!(stamps.collect::<Vec<_>>(), [1000, 2000, 2001, 2002, 2003, 2004, 3000]);
    }

    #[test]
    fn r8_no_two_stamps_are_equal() {
        let stamps: Vec<_> = (0..10_000).map(|_| Stamp::now()).collect();
        assert!(stamps.is_sorted_by(|a, b| a < b));
    }
}
