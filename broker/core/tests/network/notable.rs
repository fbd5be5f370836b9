//! What should happen in some run: a simulation in which it never does proves little.

use std::collections::BTreeMap;

#[derive(Default)]
pub(crate) struct Notable(pub(crate) BTreeMap<&'static str, u64>);

impl Notable {
    pub(crate) fn mark(&mut self, what: &'static str, happened: bool) {
        *self.0.entry(what).or_default() += u64::from(happened);
    }

    pub(crate) fn add(&mut self, other: &Notable) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }
}
