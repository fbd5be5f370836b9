//! Instrumentations: which runners a package has, and how what they test is ended.

use std::time::Duration;

use ave_adb::quoted;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::sleep;

use super::super::device::{Answer, Handset};
use super::super::power::within;
use crate::drivers::arguments::Take;

/// The pause between two looks at what was killed.
const KILL_PAUSE: Duration = Duration::from_millis(500);

/// One line of the package manager's list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Instrumentation {
    pub(super) runner: String,
    /// The package it tests.
    target: Option<String>,
}

/// The lines `instrumentation:RUNNER (target=PACKAGE)`.
fn listed(output: &str) -> Vec<Instrumentation> {
    let instrumentation = |line: &str| {
        let (runner, rest) = line.trim().strip_prefix("instrumentation:")?.split_once(" (")?;
        let target = rest.strip_prefix("target=").and_then(|rest| rest.strip_suffix(')'));
        Some(Instrumentation { runner: runner.to_owned(), target: target.map(str::to_owned) })
    };
    output.lines().filter_map(instrumentation).collect()
}

impl Handset {
    pub(super) async fn get_instrumentation_runners(&self, arguments: &mut Bound) -> Answer {
        let package = arguments.text("package")?;
        let runners = self.instrumentations(&package).await?.into_iter().map(|found| found.runner);
        Ok(runners.collect::<Vec<_>>().into())
    }

    pub(super) async fn instrumentations(&self, package: &str) -> Result<Vec<Instrumentation>, Refusal> {
        Ok(listed(&self.sh(&format!("pm list instrumentation {}", quoted(package))).await?))
    }

    pub(super) async fn kill_junit_test(&self, arguments: &mut Bound) -> Answer {
        let package = arguments.optional("package")?.filter(|package| !package.trim().is_empty());
        let package = package.ok_or_else(|| Refusal::exception("no package given"))?;
        let limit = arguments.limit("timeout")?;
        self.end_test(&package, limit).await.map(|()| Value::Null)
    }

    /// Kills the processes of a test and of what it tests, until there are none.
    ///
    /// # Errors
    /// `no runner in package`; `Timeout` if they come back.
    pub(super) async fn end_test(&self, package: &str, limit: Option<Duration>) -> Result<(), Refusal> {
        let instrumentations = self.instrumentations(package).await?;
        if instrumentations.is_empty() {
            return Err(Refusal::exception(format!("no runner in package: {package}")));
        }
        let targets = instrumentations.into_iter().filter_map(|found| found.target);
        let names: Vec<String> = targets.chain([package.to_owned()]).collect();
        self.become_root().await?;
        let ended = async {
            loop {
                let processes = self.processes().await?.into_iter();
                let pids = processes.filter(|process| names.contains(&process.name));
                let pids: Vec<String> = pids.map(|process| process.pid).collect();
                if pids.is_empty() {
                    return Ok(());
                }
                self.sh(&format!("kill -9 {}", pids.join(" "))).await?;
                sleep(KILL_PAUSE).await;
            }
        };
        within(limit, "kill junit test timed out", ended).await?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_of_instrumentations_count() {
        let list = "instrumentation:a.b/c.Runner (target=a)\r\nWARNING\ninstrumentation:x\n\u{fffd}\
                    \ninstrumentation:y/z (targ";
        let found = |runner: &str, target: Option<&str>| Instrumentation {
            runner: runner.to_owned(),
            target: target.map(str::to_owned),
        };
        assert_eq!(listed(list), [found("a.b/c.Runner", Some("a")), found("y/z", None)]);
    }
}
