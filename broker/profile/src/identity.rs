//! What makes a piece of equipment that piece: its type and the value of that type's identity field.

use std::fmt::{self, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// How much of a value is shown: any serial number, and the beginning of what is none.
const SHOWN_CHARS_MAX: usize = 200;

/// The pair (type, value), for example (`handset`, `CB5A1JYXRQ`). Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// For messages and logs: on one line and not too long, whatever somebody has called a piece.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.kind)?;
        for c in self.value.chars().take(SHOWN_CHARS_MAX) {
            f.write_char(if c.is_control() { char::REPLACEMENT_CHARACTER } else { c })?;
        }
        let is_longer = self.value.chars().nth(SHOWN_CHARS_MAX).is_some();
        f.write_str(if is_longer { "..." } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_piece_is_called_is_shown_on_one_line() {
        assert_eq!(Identity::new("relay", "b\u{e5}\u{7f}").to_string(), "relay:b\u{e5}\u{fffd}");
        let forged = Identity::new("relay", "a\nWARN b\u{1b}[2J\u{9b}0m");
        assert_eq!(forged.to_string(), "relay:a\u{fffd}WARN b\u{fffd}[2J\u{fffd}0m");
        let long = Identity::new("relay", &"\u{e5}".repeat(1 << 20)).to_string();
        assert_eq!(long.chars().count(), "relay:...".len() + SHOWN_CHARS_MAX);
        assert!(long.ends_with("\u{e5}..."));
    }
}
