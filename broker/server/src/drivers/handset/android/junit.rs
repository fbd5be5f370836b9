//! The call `run_junit`: tests run by `am instrument`, and what its output says of them.

use std::time::Duration;

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use super::super::device::{Answer, Handset};
use super::super::limits::OUTPUT_BYTES_MAX;
use crate::drivers::arguments::Take;
use crate::drivers::refusals;

/// What ending a test that took too long may take.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// What a call wants, its arguments checked.
struct Order {
    output_path: Option<String>,
    tests: Tests,
    limit: Option<Duration>,
    timeout_kill: bool,
}

enum Tests {
    OfPackage(String),
    OfRunner { runner: String, options: String },
    Raw(String),
}

/// One `am instrument`.
struct Run {
    line: String,
    runner: Option<String>,
    /// Whose processes it has, if that is known.
    package: Option<String>,
}

impl Order {
    fn of(arguments: &mut Bound) -> Result<Order, Refusal> {
        let wrong = |name: &str| Refusal::exception(format!("invalid type of {name}"));
        let mut text = |name: &str| arguments.optional(name).map_err(|_| wrong(name));
        let (output_path, raw) = (text("output_path")?, text("raw")?);
        let (test_package, runner) = (text("test_package")?, text("runner")?);
        let options = options(arguments.take("test_options")).ok_or_else(|| wrong("test_options"))?;
        let limit = arguments.limit("timeout").map_err(|_| wrong("timeout"))?;
        let timeout_kill = arguments.flag("timeout_kill").map_err(|_| wrong("timeout_kill"))?;
        let tests = match (test_package, runner, raw, options) {
            (None, None, None, _) => {
                let text = "missing parameter: one of test_package, runner and raw must be given";
                return Err(Refusal::exception(text));
            }
            (Some(package), None, None, None) => Tests::OfPackage(package),
            (None, Some(runner), None, options) => {
                Tests::OfRunner { runner, options: options.unwrap_or_default() }
            }
            (None, None, Some(raw), None) => Tests::Raw(raw),
            _ => {
                let text = "invalid combination of parameters: wanted one of test_package, runner (with \
                            test_options if there are any) and raw";
                return Err(Refusal::exception(text));
            }
        };
        Ok(Order { output_path, tests, limit, timeout_kill })
    }
}

/// The options of `am instrument`, joined as a list for `shell` is; `None` for what is no dictionary of such.
fn options(value: Value) -> Option<Option<String>> {
    let map = match value {
        Value::Null => return Some(None),
        Value::Map(map) => map,
        _ => return None,
    };
    let mut options = String::new();
    for (key, value) in map {
        let value = match value {
            Value::Text(text) => text,
            Value::Int(number) => number.to_string(),
            Value::Bool(flag) => flag.to_string(),
            _ => return None,
        };
        options += &format!("-e {key} {value} ");
    }
    Some(Some(options))
}

impl Handset {
    pub(super) async fn run_junit(&self, arguments: &mut Bound) -> Answer {
        let order = Order::of(arguments)?;
        let mut copy = match &order.output_path {
            Some(path) => Some(self.append_to(path).await?),
            None => None,
        };
        let runs = self.runs_of(order.tests).await?;
        // So long that it cannot be told is for ever.
        let deadline = order.limit.and_then(|limit| Instant::now().checked_add(limit));
        let (mut all, mut verdict) = (String::new(), None);
        for run in &runs {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let output = match self.run(&run.line, left).await {
                Ok(output) => output,
                Err(refusal) => {
                    if let (true, Some(package)) =
                        (order.timeout_kill && refusal.kind.as_str() == "Timeout", &run.package)
                    {
                        // Whether that worked or not, the time is over.
                        let _ = self.end_test(package, Some(KILL_LIMIT)).await;
                    }
                    let said = refusal.details.get("out").and_then(Value::as_str).unwrap_or_default();
                    append(&mut copy, said).await?;
                    return Err(refusal);
                }
            };
            append(&mut copy, self.shown(&output).as_str().unwrap_or_default()).await?;
            let fault = fault(&output, run.runner.as_deref());
            verdict = verdict.or_else(|| fault.map(|fault| (fault, run)));
            if all.len() + output.len() <= OUTPUT_BYTES_MAX {
                all += &output;
            }
        }
        let shown = self.shown(&all);
        match verdict {
            Some((message, run)) => {
                let cmd = self.argv(&["shell", &run.line]).into();
                Err(refusals::run_error(message, cmd, shown.as_str().unwrap_or_default()))
            }
            None => Ok(shown),
        }
    }

    async fn runs_of(&self, tests: Tests) -> Result<Vec<Run>, Refusal> {
        let package_of = |component: &str| component.split_once('/').map(|(package, _)| package.to_owned());
        match tests {
            Tests::Raw(raw) => {
                let package = raw.split_whitespace().rev().find_map(package_of);
                Ok(vec![Run { line: format!("am instrument {raw}"), runner: None, package }])
            }
            Tests::OfRunner { runner, options } => {
                let line = format!("am instrument -r {options}-w {runner}");
                Ok(vec![Run { line, package: package_of(&runner), runner: Some(runner) }])
            }
            Tests::OfPackage(package) => {
                if !self.packages().await?.contains(&package) {
                    return Err(Refusal::exception(format!("no such test package on handset: {package}")));
                }
                let mut found = self.instrumentations(&package).await?;
                if let (true, Some((parent, _))) = (found.is_empty(), package.rsplit_once('.')) {
                    found = self.instrumentations(parent).await?;
                }
                if found.is_empty() {
                    return Err(Refusal::exception(format!("no runner in package: {package}")));
                }
                let run = |runner: String| Run {
                    line: format!("am instrument -r -w {runner}"),
                    package: package_of(&runner),
                    runner: Some(runner),
                };
                Ok(found.into_iter().map(|found| run(found.runner)).collect())
            }
        }
    }
}

async fn append(copy: &mut Option<File>, text: &str) -> Result<(), Refusal> {
    let Some(file) = copy else { return Ok(()) };
    let written = async {
        file.write_all(text.as_bytes()).await?;
        file.flush().await
    };
    written.await.map_err(|error| Refusal::exception(format!("cannot write output_path: {error}")))
}

/// What is wrong with a run that said something.
fn fault(output: &str, runner: Option<&str>) -> Option<String> {
    const NO_INSTRUMENTATION: [&str; 2] = ["Unable to find instrumentation info for", "Bad component name"];
    const NO_CLASS: [&str; 2] = ["Could not find test class", "Failed loading specified test class"];
    const RESULT: &str = "INSTRUMENTATION_RESULT:";
    let shows = |texts: &[&str]| texts.iter().any(|text| output.contains(text));
    let result_names = |text| output.lines().any(|line| line.starts_with(RESULT) && line.contains(text));
    if output.trim().is_empty() {
        None
    } else if shows(&NO_INSTRUMENTATION) {
        let named = runner.map(|runner| format!(": {runner}")).unwrap_or_default();
        Some(format!("invalid instrumentation runner{named}"))
    } else if shows(&NO_CLASS) || result_names("ClassNotFoundException") {
        Some("no such test class".to_owned())
    } else if let Some(method) = missing_method(output) {
        Some(format!("no such test case: {method}"))
    } else if shows(&["shortMsg=Process crashed"]) {
        Some("instrumentation test run crash".to_owned())
    } else if !shows(&[RESULT]) {
        Some("instrumentation test run incomplete".to_owned())
    } else {
        None
    }
}

/// The `X` of `Method X not found`, which may be in quotes.
fn missing_method(output: &str) -> Option<&str> {
    output.lines().find_map(|line| {
        let (_, rest) = line.split_once("Method ")?;
        let name = rest.split_once(" not found")?.0.trim_matches(['"', '\'']);
        (!name.is_empty() && !name.contains(char::is_whitespace)).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h26_what_went_wrong_is_read_from_the_output() {
        let result = "INSTRUMENTATION_RESULT: stream=\nOK (1 test)\n";
        let crash = "INSTRUMENTATION_RESULT: shortMsg=Process crashed.\n";
        for (output, expected) in [
            (result, None),
            ("", None),
            (" \r\n", None),
            (
                "INSTRUMENTATION_STATUS: Error=Unable to find instrumentation info for: ComponentInfo{a/b}",
                Some("invalid instrumentation runner: R"),
            ),
            ("Error: Bad component name: R", Some("invalid instrumentation runner: R")),
            ("x: Could not find test class. Class: a.B\n", Some("no such test class")),
            (
                "INSTRUMENTATION_RESULT: longMsg=java.lang.ClassNotFoundException: a",
                Some("no such test class"),
            ),
            ("AssertionFailedError: Method \"testX\" not found\r\n", Some("no such test case: testX")),
            ("Method testY not found", Some("no such test case: testY")),
            (crash, Some("instrumentation test run crash")),
            ("INSTRUMENTATION_STATUS: test=x\n", Some("instrumentation test run incomplete")),
            ("\u{fffd}\0", Some("instrumentation test run incomplete")),
        ] {
            assert_eq!(fault(output, Some("R")).as_deref(), expected, "{output}");
        }
        assert_eq!(fault("Bad component name", None).unwrap(), "invalid instrumentation runner");
        let own = format!("{result}a test's java.lang.ClassNotFoundException\nMethod of a thing not found\n");
        assert_eq!(fault(&own, None), None);
    }
}
