//! What is wrong with a configuration, said so that a person finds the place: file, field, what was
//! wanted, what was found.

use std::fmt;
use std::path::{Path, PathBuf};

use ave_profile::Value;
use serde::Serialize;

/// The longest value a message repeats: enough to recognise it.
const SHOWN_CHARS_MAX: usize = 200;

/// The longest text of a fault, whatever a file says.
const TEXT_CHARS_MAX: usize = 1000;

/// Whether a broker starts all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not.
    Error,
    /// It does, but somebody should know.
    Warning,
}

/// One thing wrong with one file. Holds no key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Whether a broker starts all the same.
    pub severity: Severity,
    /// The file.
    pub file: PathBuf,
    /// Where in it, `stacks[1][0]`; empty for all of it.
    pub field: String,
    /// What belongs there.
    pub wanted: String,
    /// What is there.
    pub found: String,
    /// The message of Specification 8, which programs may know by heart.
    pub message: String,
}

impl Fault {
    /// A fault that keeps a broker from starting.
    pub fn error(
        file: &Path,
        field: impl Into<String>,
        wanted: impl Into<String>,
        found: impl Into<String>,
        message: impl Into<String>,
    ) -> Fault {
        Fault {
            severity: Severity::Error,
            file: file.to_owned(),
            field: cut(field.into(), TEXT_CHARS_MAX),
            wanted: wanted.into(),
            found: cut(found.into(), TEXT_CHARS_MAX),
            message: cut(message.into(), TEXT_CHARS_MAX),
        }
    }

    /// A fault a broker starts with. Its message is made of the other members.
    pub fn warning(
        file: &Path,
        field: impl Into<String>,
        wanted: impl Into<String>,
        found: impl Into<String>,
    ) -> Fault {
        let mut fault = Fault::error(file, field, wanted, found, "");
        fault.severity = Severity::Warning;
        fault.message = fault.place();
        fault
    }

    /// The same fault, of something that does not keep a broker from starting.
    pub(super) fn into_warning(self) -> Fault {
        Fault { severity: Severity::Warning, ..self }
    }

    /// `broker.json: stacks[1][0]: wanted ..., found ...`.
    pub fn place(&self) -> String {
        let file = self.file.file_name().unwrap_or(self.file.as_os_str()).to_string_lossy();
        let field = if self.field.is_empty() { String::new() } else { format!("{}: ", self.field) };
        format!("{file}: {field}wanted {}, found {}", self.wanted, self.found)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Why a configuration cannot be used: its faults, at least one of them an error.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Fault>);

/// A value as a person would want to see it: JSON, cut where it gets long.
pub(super) fn shown(value: &Value) -> String {
    cut(value.to_string(), SHOWN_CHARS_MAX)
}

fn cut(text: String, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// `current value=1 (type=<type 'int'>)`, the end of the original's messages. Text stands without quotes.
pub(super) fn current_value(value: &Value) -> String {
    let shown = match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Text(text) => cut(text.clone(), SHOWN_CHARS_MAX),
        other => shown(other),
    };
    format!("current value={shown} (type={})", python_type(value))
}

/// The original's name of a value's type.
pub(super) fn python_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "<type 'NoneType'>",
        Value::Bool(_) => "<type 'bool'>",
        Value::Int(_) => "<type 'int'>",
        Value::Uint(_) => "<type 'long'>",
        Value::Float(_) => "<type 'float'>",
        Value::Text(_) => "<type 'unicode'>",
        Value::Bytes(_) => "<type 'str'>",
        Value::List(_) => "<type 'list'>",
        Value::Map(_) => "<type 'dict'>",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_shown_as_the_original_shows_them() {
        let ends = |json| current_value(&Value::from(json));
        assert_eq!(ends(serde_json::json!(1)), "current value=1 (type=<type 'int'>)");
        assert_eq!(ends(serde_json::json!("invalid")), "current value=invalid (type=<type 'unicode'>)");
        assert_eq!(ends(serde_json::json!(null)), "current value=None (type=<type 'NoneType'>)");
        let long = ends(serde_json::json!(["ä".repeat(1000)]));
        assert!(long.ends_with("... (type=<type 'list'>)") && long.chars().count() < 300, "{long}");
    }

    #[test]
    fn a_fault_names_its_place() {
        let fault = Fault::warning(Path::new("/x/broker.json"), "stacks[1][0]", "a serial", "{}");
        assert_eq!(fault.to_string(), "broker.json: stacks[1][0]: wanted a serial, found {}");
    }
}
