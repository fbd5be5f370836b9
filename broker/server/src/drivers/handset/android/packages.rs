//! Packages: which are installed, and how they come and go.

use ave_adb::{AdbError, quoted};
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;

use super::super::device::{Answer, Handset};
use super::{gist, non_empty};
use crate::drivers::arguments::Take;

/// What `install` takes for its `args`.
const OPTIONS: [&str; 6] = ["-l", "-r", "-t", "-s", "-d", "-g"];

impl Handset {
    /// The names of all packages.
    ///
    /// # Errors
    /// With the package manager's words if it names none.
    pub(super) async fn packages(&self) -> Result<Vec<String>, Refusal> {
        let output = self.sh("pm list packages").await?;
        let packages = listed(&output);
        match packages.is_empty() && !output.trim().is_empty() {
            true => Err(Refusal::exception(format!("cannot list packages: {}", gist(&output)))),
            false => Ok(packages),
        }
    }

    pub(super) async fn is_installed(&self, arguments: &mut Bound) -> Answer {
        let package = arguments.text("package")?;
        Ok(self.packages().await?.contains(&package).into())
    }

    /// Installs a file of this host, with these options besides those that are asked for.
    pub(super) async fn install(&self, always: &[&str], arguments: &mut Bound) -> Answer {
        let (apk, limit) = (arguments.text("apk_path")?, arguments.limit("timeout")?);
        let args = arguments.optional("args")?.unwrap_or_default();
        let options: Vec<&str> = args.split_whitespace().collect();
        if !options.iter().all(|option| OPTIONS.contains(option)) {
            let text =
                format!("args of install: {args} is not correct, wanted some of {}", OPTIONS.join(" "));
            return Err(Refusal::exception(text));
        }
        let path = self.host_path(&apk)?;
        if !path.is_file() {
            return Err(Refusal::exception(format!("no such apk file: {apk}")));
        }
        let options = [always, &options].concat();
        let words = [&["install"], &options[..], &[&apk]].concat();
        let output = self.adb(&words, limit, self.device.install(&path, &options)).await?;
        match outcome(&output) {
            Outcome::Success => Ok(Value::Null),
            Outcome::Failure(code) => Err(Refusal::exception(code)),
            // The `adb` command would have failed.
            Outcome::Unknown => Err(self.failed(&words, AdbError::Refused(gist(&output))).await),
        }
    }

    /// Only `Failure` alone on a line counts; whatever else is said is ignored, as it always was.
    pub(super) async fn uninstall(&self, arguments: &mut Bound) -> Answer {
        let package = arguments.text("package")?;
        let output = self.sh(&format!("pm uninstall {}", quoted(&package))).await?;
        match output.lines().any(|line| line.trim() == "Failure") {
            true => Err(Refusal::exception(format!("Failure: cannot uninstall {package}"))),
            false => Ok(Value::Null),
        }
    }

    pub(super) async fn get_package_version(&self, arguments: &mut Bound) -> Answer {
        let line = format!("dumpsys package {}", quoted(&non_empty("package", arguments)?));
        let output = self.sh(&line).await?;
        let missing =
            || Refusal::exception(format!("can not find versionCode from {line}: {}", gist(&output)));
        version_code(&output).map(Value::Int).ok_or_else(missing)
    }
}

/// What the package manager says of an installation.
#[derive(Debug, PartialEq, Eq)]
enum Outcome<'a> {
    Success,
    /// With the code in the brackets.
    Failure(&'a str),
    Unknown,
}

fn outcome(output: &str) -> Outcome<'_> {
    let mut lines = output.lines().map(str::trim);
    if let Some(code) = lines.clone().find_map(|line| line.strip_prefix("Failure [")?.strip_suffix(']')) {
        return Outcome::Failure(code);
    }
    match lines.any(|line| line == "Success") {
        true => Outcome::Success,
        false => Outcome::Unknown,
    }
}

fn listed(output: &str) -> Vec<String> {
    let package = |line: &str| line.trim().strip_prefix("package:").map(str::to_owned);
    output.lines().filter_map(package).collect()
}

/// The number behind the first `versionCode=`.
fn version_code(dump: &str) -> Option<i64> {
    let (_, rest) = dump.split_once("versionCode=")?;
    let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h22_an_outcome_is_told_by_its_line() {
        assert_eq!(outcome("Performing Streamed Install\nSuccess\n"), Outcome::Success);
        assert_eq!(outcome("pkg: /x.apk\r\nFailure [INSTALL_X]\r\n"), Outcome::Failure("INSTALL_X"));
        assert_eq!(outcome("Success\nFailure [A: b [c]]"), Outcome::Failure("A: b [c]"));
        for unknown in ["", "Success?", "Failure", "Failure [X", "\u{fffd}\0"] {
            assert_eq!(outcome(unknown), Outcome::Unknown, "{unknown}");
        }
    }

    #[test]
    fn a_version_is_the_first_one_and_a_number() {
        let dump = "Packages:\n    versionCode=42 minSdk=14\n    versionCode=7\n";
        assert_eq!(version_code(dump), Some(42));
        assert_eq!(version_code("versionCode=9"), Some(9));
        for none in ["", "versionCode=", "versionCode=x1", "versionCode=99999999999999999999", "versionCod"] {
            assert_eq!(version_code(none), None, "{none}");
        }
    }

    #[test]
    fn only_lines_of_packages_are_packages() {
        assert_eq!(listed("package:a.b\r\nWARNING: linker\npackage:c\n\u{fffd}"), ["a.b", "c"]);
    }
}
