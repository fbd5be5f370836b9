//! What should happen in some network: a simulation in which it never does proves little.

use std::collections::BTreeMap;

use ave_core::{Effect, Event};

/// All that is counted.
const NOTABLE: [&str; 45] = [
    "a broker did not answer in time",
    "a broker died while it was frozen",
    "a broker died",
    "a broker recovered",
    "a broker was asked that had a successor",
    "a broker was hung up on",
    "a client left before it was answered",
    "a client lost its session",
    "a client was told Busy",
    "a client was told NoSuch",
    "a client was told something else",
    "a crash tore a journal",
    "a journal began while other brokers were asked",
    "a link was lost over which something was held",
    "a link was lost to silence",
    "a piece could not be closed",
    "a piece did not open",
    "a piece was reset",
    "a process followed another one",
    "a question came back to a broker it had been to",
    "a question came over three brokers",
    "a refusal made somebody else be asked",
    "a request was held back and then refused",
    "a request was held back and then served",
    "a reset failed",
    "a restart failed",
    "a restart waited for a reset",
    "a restart waited for other brokers",
    "a session kept what an older process had lent it",
    "a session was ended for the loss of a link",
    "a share was dropped",
    "a slow broker made somebody else be asked",
    "a start found older processes",
    "a third process followed while the first one served",
    "a whole list met an older one",
    "an administrator closed a session of an older process",
    "an older process died",
    "an older process ended with its last session",
    "an older process lost its successor",
    "an original broker was asked",
    "an owner refused",
    "one get was served by several brokers",
    "several brokers were asked at once",
    "something far was given back",
    "two clients wanted the same two pieces of two sites the other way round",
];

/// What a core was told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    Setback,
    Slowness,
    Loss,
    Else,
}

impl Cause {
    pub(crate) fn of(event: &Event) -> Cause {
        match event {
            Event::PeerAnswered { outcome: Err(_), .. } => Cause::Setback,
            Event::PeerSlow { .. } => Cause::Slowness,
            Event::PeerLost { .. } => Cause::Loss,
            _ => Cause::Else,
        }
    }
}

/// How often each has happened.
#[derive(Default)]
pub(crate) struct Notable(BTreeMap<&'static str, u64>);

impl Notable {
    pub(crate) fn mark(&mut self, what: &'static str, happened: bool) {
        debug_assert!(NOTABLE.contains(&what), "{what} is not in the list");
        *self.0.entry(what).or_default() += u64::from(happened);
    }

    /// What a core did about what it was told.
    pub(crate) fn mark_effects(&mut self, cause: Cause, effects: &[Effect]) {
        let count = |is: fn(&Effect) -> bool| effects.iter().filter(|effect| is(effect)).count();
        let asks = count(|effect| matches!(effect, Effect::AskPeer { .. }));
        let ends = count(|effect| matches!(effect, Effect::End { .. }));
        self.mark("several brokers were asked at once", asks > 1);
        self.mark("a refusal made somebody else be asked", cause == Cause::Setback && asks > 0);
        self.mark("a slow broker made somebody else be asked", cause == Cause::Slowness && asks > 0);
        self.mark("a session was ended for the loss of a link", cause == Cause::Loss && ends > 0);
    }

    pub(crate) fn add(&mut self, other: &Notable) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// What has not happened.
    pub(crate) fn missing(&self) -> Vec<&str> {
        NOTABLE.into_iter().filter(|what| self.0.get(what).is_none_or(|times| *times == 0)).collect()
    }
}

impl std::fmt::Display for Notable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|(what, times)| writeln!(f, "{times:>9} {what}"))
    }
}
