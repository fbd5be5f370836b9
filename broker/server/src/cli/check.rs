//! `--check`: every fault of the configuration, for people or as JSON.

use super::{ExitCode, Failure, Outcome, answer};
use crate::config::{Paths, Severity, check};

/// Prints the faults; fails if a broker would not start.
pub(super) fn print(paths: &Paths, json: bool) -> Outcome {
    let faults = check::faults(paths);
    if json {
        answer(serde_json::to_string_pretty(&faults).map_err(Failure::of)?)?;
    } else {
        for fault in faults.iter().filter(|fault| fault.severity == Severity::Warning) {
            answer(format_args!("warning: {}", fault.place()))?;
        }
    }
    let errors: Vec<_> = faults.iter().filter(|fault| fault.severity == Severity::Error).collect();
    match (errors.is_empty(), json) {
        (true, true) => Ok(()),
        (true, false) => answer(format_args!("{}: a broker can start", paths.config().display())),
        (false, true) => Err(Failure::all(ExitCode::Failure, Vec::new())),
        (false, false) => {
            let messages = errors.iter().map(|fault| fault.place()).collect();
            Err(Failure::all(ExitCode::Failure, messages))
        }
    }
}
