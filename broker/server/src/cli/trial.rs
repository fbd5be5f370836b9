//! `--try-driver`: tries a type's descriptor, listers and driver, one line a check, with what to do next.

use super::{ExitCode, Failure, Outcome, answer, say};
use crate::config::{Config, Paths, defaults};
use crate::daemon;
use crate::trial::{Check, Trial, Verdict};

/// Tries the type `name`; succeeds only if nothing failed.
pub(super) fn try_driver(paths: &Paths, name: &str, json: bool) -> Outcome {
    defaults::write_missing(paths).map_err(Failure::of)?;
    let config = Config::load(paths).map_err(|error| Failure::of_faults(&error.0))?;
    let _alone = daemon::alone(paths, "a trial opens the equipment")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::of)?;
    let mut heard = |check: &Check| {
        if !json {
            say(line(check));
        }
    };
    let checks = runtime.block_on(Trial::run(&config, name, &mut heard));
    if json {
        answer(serde_json::to_string_pretty(&checks).map_err(Failure::of)?)?;
    }
    match checks.iter().filter(|check| check.verdict == Verdict::Failed).count() {
        0 => Ok(()),
        _ if json => Err(Failure::all(ExitCode::Failure, Vec::new())),
        failed => Err(Failure::of(format_args!("{failed} of {} checks failed", checks.len()))),
    }
}

fn line(check: &Check) -> String {
    let sign = match check.verdict {
        Verdict::Passed => '✓',
        Verdict::Failed => '✗',
        Verdict::Skipped => '-',
    };
    format!("{sign} {}: {}", check.check, check.remark)
}
