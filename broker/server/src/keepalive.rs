//! How the system finds out that the other end of a connection has vanished without a word: its host lost
//! power, or a cable was cut. (Specification 1.2.)

use std::io;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// How often a silent peer is asked before it is given up, if there is time for that.
const PROBES_MAX: u64 = 5;

/// A silent peer is asked after a while, and given up after so many questions without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keepalive {
    idle_s: u64,
    pause_s: u64,
    probes: u32,
}

impl Keepalive {
    /// The longest time, as in the original: 5 s until the first of five questions, and 5 s for each.
    pub const SECONDS_MAX: u64 = 30;

    /// Gives a peer up after `seconds`, of which there are 1 to 30. The system counts in whole seconds and
    /// asks at least once, so that one second becomes two.
    pub fn within(seconds: u64) -> Keepalive {
        let pause_s = (seconds / (PROBES_MAX + 1)).max(1);
        let probes = (seconds.saturating_sub(1) / pause_s).clamp(1, PROBES_MAX);
        let idle_s = seconds.saturating_sub(pause_s * probes).max(1);
        Keepalive { idle_s, pause_s, probes: probes as u32 }
    }

    /// Has a socket, and those that it accepts, watch their peers. What was sent and is not acknowledged must
    /// not put that off: such output is given up half a pause before the last question's time is over.
    ///
    /// # Errors
    /// If the system refuses.
    pub(crate) fn watch(self, socket: SockRef<'_>) -> io::Result<()> {
        let pause = Duration::from_secs(self.pause_s);
        let questions = TcpKeepalive::new().with_time(Duration::from_secs(self.idle_s));
        socket.set_tcp_keepalive(&questions.with_interval(pause).with_retries(self.probes))?;
        let all = Duration::from_secs(self.idle_s) + pause * self.probes;
        socket.set_tcp_user_timeout(Some(all - pause / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_time_has_the_values_of_the_original_and_no_other_time_takes_longer_than_it_says() {
        assert_eq!(Keepalive::within(30), Keepalive { idle_s: 5, pause_s: 5, probes: 5 }); // 23
        assert_eq!(Keepalive::within(1), Keepalive { idle_s: 1, pause_s: 1, probes: 1 });
        for seconds in 2..=Keepalive::SECONDS_MAX {
            let Keepalive { idle_s, pause_s, probes } = Keepalive::within(seconds);
            assert_eq!(idle_s + pause_s * u64::from(probes), seconds);
            assert!(idle_s >= 1 && pause_s >= 1 && probes >= 1, "{seconds}");
        }
    }
}
