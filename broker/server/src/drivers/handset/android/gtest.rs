//! Google's tests: executables on the handset that list and run their cases.

use std::path::PathBuf;

use ave_adb::quoted;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::io::AsyncWriteExt;

use super::super::device::{Answer, Handset};
use super::super::limits::CALL_LIMIT;
use super::{non_empty, stamp};
use crate::drivers::arguments::Take;
use crate::drivers::refusals;

/// What such an executable says before its first and after its last case.
const BANNERS: [&str; 2] = ["Global test environment set-up", "Global test environment tear-down"];

/// Where the files of a result go.
struct Places {
    /// On the handset.
    remote: String,
    output: PathBuf,
    xml: PathBuf,
}

impl Handset {
    pub(super) async fn list_gtest_tests(&self, arguments: &mut Bound) -> Answer {
        let target = non_empty("target", arguments)?;
        self.need_executable(&target).await?;
        let output = self.sh(&format!("{} --gtest_list_tests", quoted(&target))).await?;
        Ok(tests(&output).into())
    }

    pub(super) async fn run_gtest(&self, arguments: &mut Bound) -> Answer {
        let target = non_empty("target", arguments)?;
        let places = self.places(&target, arguments.take("result_path"))?;
        let args = match arguments.take("args") {
            Value::List(args) => args.iter().map(|arg| arg.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        let args: Vec<String> = args.ok_or_else(|| Refusal::exception("args must be a list of strings"))?;
        let whole = matches!(arguments.get("timeout"), Value::Int(_) | Value::Uint(_));
        let limit = arguments.limit("timeout").ok().filter(|_| whole);
        let limit = limit.ok_or_else(|| Refusal::exception("timeout must be an integer"))?;
        self.need_executable(&target).await?;

        let mut line = quoted(&target);
        for arg in &args {
            line = format!("{line} {arg}");
        }
        let Some(places) = places else {
            let output = self.run(&line, limit).await?;
            self.need_banners(&target, &line, &output)?;
            return Ok(Value::List(vec![self.shown(&output), Value::Null, Value::Null]));
        };
        let mut copy = self.append_to(&places.output.to_string_lossy()).await.map_err(|_| {
            let folder = places.output.parent().unwrap_or(&places.output).display();
            Refusal::exception(format!("result_path not a writable directory: {folder}"))
        })?;
        line = format!("{line} --gtest_output=xml:{}", places.remote);
        let output = self.run(&line, limit).await?;
        let shown = self.shown(&output);
        let written = async {
            copy.write_all(shown.as_str().unwrap_or_default().as_bytes()).await?;
            copy.flush().await
        };
        written.await.map_err(|error| {
            Refusal::exception(format!("cannot write {}: {error}", places.output.display()))
        })?;
        self.need_banners(&target, &line, &output)?;
        let xml = self.fetch(&places).await?;
        Ok(Value::List(vec![shown, places.output.to_string_lossy().into_owned().into(), xml]))
    }

    /// Moves the result from the handset to this host; null if the executable has written none.
    async fn fetch(&self, places: &Places) -> Answer {
        let words = ["pull", &places.remote];
        if self.adb(&words, Some(CALL_LIMIT), self.device.stat(&places.remote)).await?.is_none() {
            return Ok(Value::Null);
        }
        self.adb(&words, Some(CALL_LIMIT), self.device.pull(&places.remote, &places.xml)).await?;
        self.sh(&format!("rm {}", quoted(&places.remote))).await?;
        Ok(places.xml.to_string_lossy().into_owned().into())
    }

    /// Where the results go, if any are wanted.
    fn places(&self, target: &str, result_path: Value) -> Result<Option<Places>, Refusal> {
        let folder = match result_path {
            Value::Null => return Ok(None),
            Value::Text(path) if !path.trim().is_empty() => path,
            _ => return Err(Refusal::exception("result_path must be a non-empty string")),
        };
        let place = self.host_path(&folder)?;
        if !place.exists() {
            return Err(Refusal::exception(format!("result_path does not exist: {folder}")));
        }
        if !place.is_dir() {
            return Err(Refusal::exception(format!("result_path not a writable directory: {folder}")));
        }
        let (base, stamp) = (target.rsplit('/').next().unwrap_or(target), stamp());
        Ok(Some(Places {
            remote: format!("/data/local/tmp/{stamp}"),
            output: place.join(format!("{base}_output_{stamp}.txt")),
            xml: place.join(format!("{base}_result_{stamp}.xml")),
        }))
    }

    async fn need_executable(&self, target: &str) -> Result<(), Refusal> {
        let path = quoted(target);
        if !self.exists(&path, None).await? {
            return Err(Refusal::exception(format!("target does not exist: {target}")));
        }
        match self.exists(&path, Some("file")).await? && self.exists(&path, Some("executable")).await? {
            true => Ok(()),
            false => Err(Refusal::exception(format!("target is not an executable file: {target}"))),
        }
    }

    fn need_banners(&self, target: &str, line: &str, output: &str) -> Result<(), Refusal> {
        if BANNERS.iter().all(|banner| output.contains(banner)) {
            return Ok(());
        }
        let cmd = self.argv(&["shell", line]).into();
        Err(refusals::run_error(format!("invalid executable: {target}"), cmd, output))
    }
}

/// The cases of a list: a suite's line ends with a dot, and its cases are indented.
fn tests(list: &str) -> Vec<String> {
    let (mut suite, mut tests) = ("", Vec::new());
    for line in list.lines() {
        let name = line.split('#').next().unwrap_or_default().trim();
        match line.starts_with(char::is_whitespace) {
            true if !suite.is_empty() && !name.is_empty() => tests.push(format!("{suite}{name}")),
            true => {}
            false => suite = if name.ends_with('.') && !name.contains(' ') { name } else { "" },
        }
    }
    tests
}

#[cfg(test)]
mod tests_of_lists {
    use super::tests;

    #[test]
    fn cases_are_named_with_their_suites() {
        let list = "Running main() from gtest_main.cc\n  stray\nFoo.\r\n  Bar\r\n  Baz\r\n\
                    Typed/0.  # TypeParam = int\n  Case/1  # GetParam() = 5\n\n  \n\u{fffd}\n  x\nHalf";
        assert_eq!(tests(list), ["Foo.Bar", "Foo.Baz", "Typed/0.Case/1"]);
        assert_eq!(tests(""), [] as [&str; 0]);
    }
}
