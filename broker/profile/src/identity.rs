//! What makes a piece of equipment that piece: its type and the value of that type's identity field.

use std::fmt;
use std::sync::Arc;

/// The pair (type, value), for example (`handset`, `CB5A1JYXRQ`). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The type's name.
    pub kind: Arc<str>,
    /// The value of the type's identity field.
    pub value: Arc<str>,
}

impl Identity {
    /// The identity of the piece `value` of type `kind`.
    pub fn new(kind: &str, value: &str) -> Identity {
        Identity { kind: kind.into(), value: value.into() }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.value)
    }
}
