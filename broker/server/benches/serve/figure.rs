//! What a bench has found: one JSON line each, and whether it is what was to be reached.

use std::time::Duration;

use serde_json::json;

/// One figure, beside what the bare echo server, or whatever else it is measured against, does.
pub(crate) struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    yardstick: Option<f64>,
    ratio: Option<f64>,
}

/// What a figure has to reach.
pub(crate) enum Aim {
    /// No less than this, on two noisy cores. Missing it is said, and fails nothing.
    AtLeast(f64),
    /// No more than this, on two noisy cores. Missing it is said, and fails nothing.
    AtMost(f64),
    /// No more than this on any machine.
    NeverMore(f64),
    /// No less than this share of the yardstick on any machine.
    OfYardstick(f64),
}

impl Figure {
    pub(crate) fn new(name: &'static str, value: f64, unit: &'static str) -> Figure {
        Figure { name, value, unit, yardstick: None, ratio: None }
    }

    /// Sets it beside its yardstick.
    pub(crate) fn beside(mut self, yardstick: f64) -> Figure {
        self.yardstick = Some(yardstick);
        self.ratio = Some(self.value / yardstick);
        self
    }

    /// The middle one of several rates, each measured right after its yardstick: so does the ratio depend
    /// the least on what else the machine does.
    pub(crate) fn of_pairs(name: &'static str, mut pairs: Vec<(f64, f64)>) -> Figure {
        pairs.sort_by(|(echo, rate), (other_echo, other)| (rate / echo).total_cmp(&(other / other_echo)));
        let (echo, rate) = pairs[pairs.len() / 2];
        Figure::new(name, rate, "1/s").beside(echo)
    }

    /// Prints it, with nothing to reach.
    pub(crate) fn show(self) {
        self.print(None, None);
    }

    /// Prints it. False if it misses an aim that does not depend on the machine.
    #[must_use]
    pub(crate) fn reaches(self, aim: Aim) -> bool {
        let (text, ok, binds) = match aim {
            Aim::AtLeast(least) => (format!("at least {least}"), self.value >= least, false),
            Aim::AtMost(most) => (format!("at most {most}"), self.value <= most, false),
            Aim::NeverMore(most) => (format!("at most {most}"), self.value <= most, true),
            Aim::OfYardstick(share) => (format!("ratio at least {share}"), self.ratio >= Some(share), true),
        };
        self.print(Some(text), Some(ok));
        ok || !binds
    }

    fn print(&self, target: Option<String>, ok: Option<bool>) {
        println!(
            "{}",
            json!({"figure": self.name, "value": round(self.value), "unit": self.unit,
                "yardstick": self.yardstick.map(round), "ratio": self.ratio.map(round),
                "target": target, "ok": ok})
        );
    }
}

/// A share of some times, from the shortest on, is no longer than this; in milliseconds.
pub(crate) fn percentile_ms(times: &mut [Duration], share: f64) -> f64 {
    times.sort_unstable();
    times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3
}

fn round(figure: f64) -> f64 {
    (figure * 1000.0).round() / 1000.0
}
