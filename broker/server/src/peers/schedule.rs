//! When to try to reach a master again. Knows neither clock nor connection. (Specification 6.2.)

use std::time::Duration;

use tokio::time::Instant;

/// The pause after a connection that worked, or after the first failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The longest pause: every failure doubles it until then.
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// Between two attempts, however much there is to tell: a master that is gone costs little.
const ATTEMPT_EVERY: Duration = Duration::from_secs(1);

/// The attempts of one notifier. The first is due at once.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Instant,
    /// How early an attempt may be.
    earliest: Instant,
    pause: Duration,
}

impl Schedule {
    pub(super) fn new(now: Instant) -> Schedule {
        Schedule { due: now, earliest: now, pause: PAUSE_MIN }
    }

    /// When the next attempt is due.
    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// An attempt begins.
    pub(super) fn begins(&mut self, now: Instant) {
        self.earliest = now + ATTEMPT_EVERY;
    }

    /// The master has taken a report: what fails later fails for the first time.
    pub(super) fn succeeded(&mut self) {
        self.pause = PAUSE_MIN;
    }

    /// The connection was lost, or never came to be. Returns the pause until the next attempt.
    pub(super) fn failed(&mut self, now: Instant) -> Duration {
        let pause = self.pause;
        self.due = now + pause;
        self.pause = (pause * 2).min(PAUSE_MAX);
        pause
    }

    /// There is something new to tell: that is worth an attempt before its time.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.due = self.due.min(self.earliest.max(now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Fails `times` attempts, each as soon as it is due; the seconds between them.
    fn pauses(schedule: &mut Schedule, times: usize) -> Vec<u64> {
        let fail = |_| {
            let now = schedule.due();
            schedule.begins(now);
            let pause = schedule.failed(now);
            assert_eq!(schedule.due(), now + pause);
            pause.as_secs()
        };
        (0..times).map(fail).collect()
    }

    #[test]
    fn pauses_double_up_to_16_s_and_begin_anew_after_success_187() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        assert_eq!(schedule.due(), start, "the first attempt is due at once");
        assert_eq!(pauses(&mut schedule, 7), [1, 2, 4, 8, 16, 16, 16]);
        schedule.succeeded();
        assert_eq!(pauses(&mut schedule, 2), [1, 2]);
    }

    #[test]
    fn news_are_worth_an_attempt_but_one_a_second_at_most() {
        let mut schedule = Schedule::new(Instant::now());
        pauses(&mut schedule, 5);
        let attempted = schedule.due() - 16 * SECOND;
        schedule.hurry(attempted + SECOND / 4);
        assert_eq!(schedule.due(), attempted + SECOND);
        schedule.hurry(attempted + SECOND / 2);
        assert_eq!(schedule.due(), attempted + SECOND);
        pauses(&mut schedule, 1);
        let late = attempted + 9 * SECOND;
        schedule.hurry(late);
        assert_eq!(schedule.due(), late);
    }

    #[test]
    fn news_never_put_off_an_attempt() {
        let start = Instant::now();
        let mut schedule = Schedule::new(start);
        schedule.begins(start);
        schedule.failed(start - SECOND / 2);
        schedule.hurry(start);
        assert_eq!(schedule.due(), start + SECOND / 2);
    }
}
