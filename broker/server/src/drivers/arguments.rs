//! Takes typed values out of a call's bound arguments.

use std::time::Duration;

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;

/// What calls ask of their arguments. A value of another type is refused by its parameter's name.
pub(crate) trait Take {
    /// Text.
    fn text(&mut self, name: &str) -> Result<String, Refusal>;
    /// Text, or nothing.
    fn optional(&mut self, name: &str) -> Result<Option<String>, Refusal>;
    /// Text, a whole number as text, or nothing.
    fn number_or_text(&mut self, name: &str) -> Result<Option<String>, Refusal>;
    /// A truth value.
    fn flag(&mut self, name: &str) -> Result<bool, Refusal>;
    /// A whole number.
    fn whole(&mut self, name: &str) -> Result<i64, Refusal>;
    /// A limit in seconds; null, zero and less are none.
    fn limit(&mut self, name: &str) -> Result<Option<Duration>, Refusal>;
    /// A list of texts, or a text, which `split` makes a list.
    fn words(&mut self, name: &str, split: fn(&str) -> Vec<String>) -> Result<Vec<String>, Refusal>;
}

impl Take for Bound {
    fn text(&mut self, name: &str) -> Result<String, Refusal> {
        match self.take(name) {
            Value::Text(text) => Ok(text),
            other => Err(wanted(name, "a string", &other)),
        }
    }

    fn optional(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            other => Err(wanted(name, "a string or null", &other)),
        }
    }

    fn number_or_text(&mut self, name: &str) -> Result<Option<String>, Refusal> {
        match self.take(name) {
            Value::Null => Ok(None),
            Value::Text(text) => Ok(Some(text)),
            Value::Int(number) => Ok(Some(number.to_string())),
            other => Err(wanted(name, "a string, a whole number or null", &other)),
        }
    }

    fn flag(&mut self, name: &str) -> Result<bool, Refusal> {
        match self.take(name) {
            Value::Bool(flag) => Ok(flag),
            other => Err(wanted(name, "a boolean", &other)),
        }
    }

    fn whole(&mut self, name: &str) -> Result<i64, Refusal> {
        match self.take(name) {
            Value::Int(number) => Ok(number),
            other => Err(wanted(name, "a whole number", &other)),
        }
    }

    fn limit(&mut self, name: &str) -> Result<Option<Duration>, Refusal> {
        let value = self.take(name);
        let seconds = match value {
            Value::Null => 0.0,
            Value::Int(seconds) => seconds as f64,
            Value::Uint(seconds) => seconds as f64,
            Value::Float(seconds) if !seconds.is_nan() => seconds,
            other => return Err(wanted(name, "a number of seconds", &other)),
        };
        // More seconds than a duration holds are none as well.
        Ok(Duration::try_from_secs_f64(seconds).ok().filter(|limit| !limit.is_zero()))
    }

    fn words(&mut self, name: &str, split: fn(&str) -> Vec<String>) -> Result<Vec<String>, Refusal> {
        let value = self.take(name);
        let words = match &value {
            Value::Text(text) => Some(split(text)),
            Value::List(words) => words.iter().map(|word| word.as_str().map(str::to_owned)).collect(),
            _ => None,
        };
        words
            .filter(|words| !words.is_empty())
            .ok_or_else(|| wanted(name, "a string or a list of strings, and not empty", &value))
    }
}

fn wanted(name: &str, what: &str, found: &Value) -> Refusal {
    Refusal::exception(format!("{name} must be {what}, found {}", found.type_name()))
}
