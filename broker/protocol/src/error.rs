//! An exception as it travels: the object form of a reply. (Specification 2.2.)

use std::fmt;

use ave_profile::{Map, Refusal, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// The members that say the rest of an exception; none of them is a detail.
const OWN_MEMBERS: [&str; 3] = ["message", "type", "trace"];

/// What a called method raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The exception's class, `type` on the wire.
    pub kind: String,
    /// What a person reads.
    pub message: String,
    /// Further members.
    pub details: Map,
}

impl Fault {
    /// A fault without further members.
    pub fn new(kind: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { kind: kind.into(), message: message.into(), details: Map::new() }
    }

    /// A fault of type `Exception`.
    pub fn exception(message: impl Into<String>) -> Fault {
        Fault::new("Exception", message)
    }

    /// The fault an `exception` object describes. What is missing or no text is empty, a missing type is
    /// `Exception`, and the trace is left out.
    pub fn of_members(mut members: Map) -> Fault {
        let mut text = |name| match members.remove(name) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        };
        let kind = text("type").unwrap_or_else(|| "Exception".to_owned());
        let message = text("message").unwrap_or_default();
        members.remove("trace");
        Fault { kind, message, details: members }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault { kind: refusal.kind.as_str().to_owned(), message: refusal.message, details: refusal.details }
    }
}

/// The object after `"exception":`. `Exit` has no trace; every other trace is empty, because original
/// clients paste it into the message.
impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let trace = self.kind != "Exit";
        let details = self.details.iter().filter(|(name, _)| !OWN_MEMBERS.contains(&name.as_str()));
        let count = 2 + usize::from(trace) + details.clone().count();
        let mut map = serializer.serialize_map(Some(count))?;
        map.serialize_entry("message", &self.message)?;
        map.serialize_entry("type", &self.kind)?;
        if trace {
            map.serialize_entry("trace", &[(); 0])?;
        }
        for (name, value) in details {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
