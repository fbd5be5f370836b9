//! The refusals that more than one driver makes (Specification 0.2).

use ave_profile::{Map, Refusal, RefusalKind, Value};

/// A tool ran and failed in a way its call interprets.
pub(crate) fn run_error(message: impl Into<String>, cmd: Value, out: &str) -> Refusal {
    let details = Map::from([("cmd".into(), cmd), ("out".into(), out.into()), ("ptyout".into(), out.into())]);
    Refusal { kind: RefusalKind::Driver("RunError".into()), message: message.into(), details }
}

/// A limit passed while a tool ran.
pub(crate) fn timeout(message: impl Into<String>, cmd: Value, out: impl Into<Value>) -> Refusal {
    let details = Map::from([("cmd".into(), cmd), ("out".into(), out.into())]);
    Refusal { kind: RefusalKind::Driver("Timeout".into()), message: message.into(), details }
}
