//! `ave-adb-server`: keeps one adb server alive on this host (Specification 2). It never ends a server that somebody
//! else has started, and its own ends with it.

mod command;
mod exit;
mod program;
mod supervisor;

pub use command::run;
pub use exit::ExitCode;

/// What a supervisor says when a server answers, before which one that is.
pub(crate) const READY: &str = "ave-adb-server ready: ";
