//! How long a session may hold what it has, and leave all of it unused: warns when four fifths of such a time
//! have passed, and says when it is over. Neither ends the session nor knows how late it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ave_profile::Identity;
use tokio::time::Instant;

use super::warnings::Warning;
use crate::config::TimeLimits;
use crate::usage::Usage;

/// What has come due.
#[derive(Debug, PartialEq)]
pub(super) enum Due {
    /// A warning, once for each time that will be over.
    Warning(Warning),
    /// The session ends, for this reason.
    Over(String),
}

/// The times that run for one session.
pub(super) struct Clock {
    limits: TimeLimits,
    usage: Arc<Usage>,
    /// Pieces whose type has a limit.
    held: BTreeMap<Identity, Held>,
    /// The last use that was followed by a warning.
    warned_of: Option<Instant>,
}

struct Held {
    since: Instant,
    limit: Duration,
    warned: bool,
}

impl Clock {
    pub(super) fn new(limits: TimeLimits, usage: Arc<Usage>) -> Clock {
        Clock { limits, usage, held: BTreeMap::new(), warned_of: None }
    }

    /// Time begins to run for a piece. To be granted one is to use something.
    pub(super) fn granted(&mut self, item: &Identity, now: Instant) {
        self.usage.touch(now);
        if let Some(limit) = self.limits.hold.get(&*item.kind) {
            self.held.insert(item.clone(), Held { since: now, limit: *limit, warned: false });
        }
    }

    /// No time runs for a piece any more.
    pub(super) fn given_back(&mut self, item: &Identity) {
        self.held.remove(item);
    }

    /// When to look what has come due. `may_idle` is whether anything is held that could be left unused.
    pub(super) fn next(&self, now: Instant, may_idle: bool) -> Option<Instant> {
        let held = self
            .held
            .values()
            .map(|held| held.since + if held.warned { held.limit } else { most(held.limit) });
        held.chain(self.idle_next(now).filter(|_| may_idle)).min()
    }

    fn idle_next(&self, now: Instant) -> Option<Instant> {
        let limit = self.limits.idle?;
        Some(match self.usage.unused_since() {
            None => now + most(limit), // in use: nothing can come due earlier
            Some(since) if self.warned_of == Some(since) => since + limit,
            Some(since) => since + most(limit),
        })
    }

    /// What has come due by now: either warnings, or the end.
    pub(super) fn due(&mut self, now: Instant, may_idle: bool) -> Vec<Due> {
        if let Some(over) = self.over(now, may_idle) {
            return vec![Due::Over(over)];
        }
        let mut due = Vec::new();
        for (item, held) in &mut self.held {
            if !held.warned && now >= held.since + most(held.limit) {
                held.warned = true;
                let (of, limit) = (Some(item.clone()), held.limit);
                due.push(Due::Warning(Warning { of, limit, ends: held.since + limit }));
            }
        }
        let unused = self.limits.idle.zip(self.usage.unused_since()).filter(|_| may_idle);
        if let Some((limit, since)) = unused.filter(|(_, since)| self.warned_of != Some(*since))
            && now >= since + most(limit)
        {
            self.warned_of = Some(since);
            due.push(Due::Warning(Warning { of: None, limit, ends: since + limit }));
        }
        due
    }

    fn over(&self, now: Instant, may_idle: bool) -> Option<String> {
        let too_long = |(item, held): (&Identity, &Held)| {
            let limit_s = held.limit.as_secs();
            (now >= held.since + held.limit).then(|| {
                format!("{} {} was held for longer than hold_limit_s = {limit_s}", item.kind, item.value)
            })
        };
        self.held.iter().find_map(too_long).or_else(|| {
            let limit = self.limits.idle.filter(|_| may_idle)?;
            let is_over = now >= self.usage.unused_since()? + limit;
            is_over.then(|| format!("nothing was called for longer than idle_limit_s = {}", limit.as_secs()))
        })
    }
}

/// So much of a time passes before its end is announced.
fn most(limit: Duration) -> Duration {
    limit * 4 / 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(idle_s: u64, hold_s: u64) -> (Clock, Instant, Arc<Usage>) {
        let (now, usage) = (Instant::now(), Arc::new(Usage::default()));
        let hold = BTreeMap::from([("relay".to_owned(), Duration::from_secs(hold_s))]);
        let limits = TimeLimits { idle: Some(Duration::from_secs(idle_s)), hold };
        (Clock::new(limits, usage.clone()), now, usage)
    }

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_piece_is_warned_of_once_and_then_held_for_too_long() {
        let (mut clock, now, _) = clock(1_000, 100);
        let relay = Identity::new("relay", "r");
        clock.granted(&relay, now);
        clock.granted(&Identity::new("handset", "A"), now); // has no limit
        assert_eq!(clock.next(now, true), Some(now + s(80)));
        assert_eq!(clock.due(now + s(79), true), []);
        let warning = Warning { of: Some(relay.clone()), limit: s(100), ends: now + s(100) };
        assert_eq!(clock.due(now + s(80), true), [Due::Warning(warning)]);
        assert_eq!((clock.due(now + s(99), true), clock.next(now, true)), (vec![], Some(now + s(100))));
        let over = "relay r was held for longer than hold_limit_s = 100".to_owned();
        assert_eq!(clock.due(now + s(100), true), [Due::Over(over)]);
        clock.given_back(&relay);
        assert_eq!(clock.due(now + s(100), false), []);
        assert_eq!(clock.next(now, false), None);
    }

    #[test]
    fn a_call_puts_the_end_off_and_one_that_goes_on_is_not_idle() {
        let (mut clock, now, usage) = clock(10, 1_000);
        clock.granted(&Identity::new("handset", "A"), now);
        let warning =
            |after: u64| Due::Warning(Warning { of: None, limit: s(10), ends: now + s(after + 10) });
        assert_eq!(clock.due(now + s(8), true), [warning(0)]);
        let call = usage.begin();
        assert_eq!(
            (clock.due(now + s(50), true), clock.next(now + s(50), true)),
            (vec![], Some(now + s(58)))
        );
        drop(call);
        usage.touch(now + s(60));
        assert_eq!(clock.next(now + s(60), true), Some(now + s(68)));
        assert_eq!(clock.due(now + s(68), true), [warning(60)]);
        assert_eq!(clock.due(now + s(69), true), []);
        let over = "nothing was called for longer than idle_limit_s = 10".to_owned();
        assert_eq!(clock.due(now + s(70), true), [Due::Over(over)]);
        assert_eq!(clock.due(now + s(70), false), []);
    }
}
