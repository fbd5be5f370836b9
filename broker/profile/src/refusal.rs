//! Why somebody did not get what they asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Map, Value};

/// The member that says which group a refusal is about.
const GROUP: &str = "group";

/// What a caller can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// All matching equipment is taken; trying again later makes sense.
    Busy,
    /// No match is possible at all.
    NoSuch,
    /// This broker is handing over to its successor.
    Restarting,
    /// The piece belongs to another session.
    NotOwner,
    /// The piece is allocated by nobody this broker knows.
    NotAllocated,
    /// A member that has to be there is missing; the message is its name.
    KeyError,
    /// Anything else: a bad profile, an ended session.
    Exception,
    /// The type a driver gave to its own error.
    Driver(String),
}

impl RefusalKind {
    /// The word that travels as the exception's `type`.
    pub fn as_str(&self) -> &str {
        match self {
            RefusalKind::Busy => "Busy",
            RefusalKind::NoSuch => "NoSuch",
            RefusalKind::Restarting => "Restarting",
            RefusalKind::NotOwner => "NotOwner",
            RefusalKind::NotAllocated => "NotAllocated",
            RefusalKind::KeyError => "KeyError",
            RefusalKind::Exception => "Exception",
            RefusalKind::Driver(name) => name,
        }
    }
}

/// A refusal: what kind, and a message that says what was wanted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// What a caller can act on.
    pub kind: RefusalKind,
    /// What a person reads; clients compare its beginning.
    pub message: String,
    /// Further members of the exception, as a driver gave them.
    pub details: Map,
}

impl Refusal {
    /// A refusal without further members.
    pub fn new(kind: RefusalKind, message: impl Into<String>) -> Refusal {
        Refusal { kind, message: message.into(), details: Map::new() }
    }

    /// A refusal of type `Exception`.
    pub fn exception(message: impl Into<String>) -> Refusal {
        Refusal::new(RefusalKind::Exception, message)
    }

    /// The same, saying which of several groups of a request it is about, by its place: who passes groups on
    /// together has to know whether the others could be served. (Specification 5.9.)
    pub fn of_group(mut self, nth: usize, groups: usize) -> Refusal {
        self.details.remove(GROUP);
        if groups > 1 {
            self.details.insert(GROUP.to_owned(), Value::Int(nth as i64));
        }
        self
    }

    /// Which of several groups it is about, if it says so.
    pub fn group(&self) -> Option<usize> {
        match self.details.get(GROUP)? {
            Value::Int(nth) => usize::try_from(*nth).ok(),
            _ => None,
        }
    }

    /// What whoever asks for equipment hears from a broker that has a successor. (Specification 7.1.)
    pub fn restarting() -> Refusal {
        Refusal::new(RefusalKind::Restarting, "broker is restarting")
    }

    /// What every call that needs a session answers once the session has ended.
    pub fn session_closed() -> Refusal {
        Refusal::exception("session closed")
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.as_str(), self.message)
    }
}

impl std::error::Error for Refusal {}
