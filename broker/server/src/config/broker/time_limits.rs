//! How long sessions may hold equipment and leave it unused: for ever, unless a lab says otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use ave_profile::{KindTable, Map, Value};

use super::{Fault, Members, integer, shown};

/// The longest time that makes sense: whoever means longer means for ever.
const LIMIT_S_MAX: u64 = 366 * 24 * 3600;

/// After which time a session is ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// Without a call on anything it holds.
    pub idle: Option<Duration>,
    /// With a piece of this type.
    pub hold: BTreeMap<String, Duration>,
}

impl Members<'_> {
    pub(super) fn time_limits(&mut self) -> TimeLimits {
        let idle = self.read("idle_limit_s", ("<int>", "a number of seconds, at least 1"), seconds);
        let form = ("{<type>:<int>,...}", "an object: seconds, at least 1, by type of equipment");
        let hold = self.read("hold_limit_s", form, |value| by_type(value.as_map()?)).unwrap_or_default();
        for kind in hold.keys().filter(|kind| self.kinds.get(kind).is_none()) {
            let field = format!("hold_limit_s.{kind}");
            let message = format!("broker attribute \"hold_limit_s\" names an unknown type: {kind}");
            self.faults.push(Fault::error(
                self.path,
                field,
                known(self.kinds),
                shown(&(**kind).into()),
                message,
            ));
        }
        TimeLimits { idle, hold }
    }
}

fn by_type(limits: &Map) -> Option<BTreeMap<String, Duration>> {
    limits.iter().map(|(kind, limit)| Some((kind.clone(), seconds(limit)?))).collect()
}

fn seconds(value: &Value) -> Option<Duration> {
    integer(value, 1..=LIMIT_S_MAX).map(Duration::from_secs)
}

fn known(kinds: &KindTable) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| &*kind.name).collect();
    format!("one of {}", names.join(", "))
}
