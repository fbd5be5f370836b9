//! JSON as original peers emit it: ASCII only, with a space after `,` and `:`. (Specification 1.1.)

use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

/// Writes one JSON document.
pub(crate) fn write<W: Write>(value: &impl Serialize, out: W) -> serde_json::Result<()> {
    value.serialize(&mut Serializer::with_formatter(out, Ascii(CompactFormatter)))
}

struct Ascii(CompactFormatter);

impl Formatter for Ascii {
    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        separate(out, first)
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        separate(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(b": ")
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !c.is_ascii()) {
            let (plain, other) = rest.split_at(at);
            self.0.write_string_fragment(out, plain)?;
            let end = other.find(|c: char| c.is_ascii()).unwrap_or(other.len());
            for unit in other[..end].encode_utf16() {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &other[end..];
        }
        self.0.write_string_fragment(out, rest)
    }
}

fn separate<W: Write + ?Sized>(out: &mut W, first: bool) -> io::Result<()> {
    if first { Ok(()) } else { out.write_all(b", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_looks_like_what_the_original_emits() {
        let value = json!({"å": ["a\u{1}\n\"\\é/", null, -1], "𝄞x": {}});
        let mut out = Vec::new();
        write(&value, &mut out).unwrap();
        // json.dumps() of the same value.
        let python = r#"{"\u00e5": ["a\u0001\n\"\\\u00e9/", null, -1], "\ud834\udd1ex": {}}"#;
        assert_eq!(String::from_utf8(out).unwrap(), python);
    }
}
