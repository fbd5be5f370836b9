//! The text encodings `cat` and `write_tempfile` know, by their Python names.

use ave_profile::Refusal;

/// How bytes stand for text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Codec {
    Utf8,
    Ascii,
    Latin1,
}

/// What happens to bytes that stand for no text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum OnError {
    Strict,
    Replace,
    Ignore,
}

impl Codec {
    /// # Errors
    /// `unknown encoding: X`.
    pub(super) fn of(name: &str) -> Result<Codec, Refusal> {
        match name.to_lowercase().replace('_', "-").as_str() {
            "utf-8" | "utf8" | "u8" => Ok(Codec::Utf8),
            "ascii" | "us-ascii" | "646" => Ok(Codec::Ascii),
            "latin-1" | "latin1" | "latin" | "l1" | "iso-8859-1" | "iso8859-1" | "8859" => Ok(Codec::Latin1),
            _ => Err(Refusal::exception(format!("unknown encoding: {name}"))),
        }
    }

    /// # Errors
    /// Only when strict: the first byte that stands for no text.
    pub(super) fn decode(self, bytes: Vec<u8>, on_error: OnError) -> Result<String, Refusal> {
        match self {
            Codec::Utf8 => decode_utf8(bytes, on_error),
            Codec::Ascii => decode_ascii(&bytes, on_error),
            Codec::Latin1 => Ok(bytes.into_iter().map(char::from).collect()),
        }
    }

    /// # Errors
    /// The first character that has no bytes.
    pub(super) fn encode(self, text: &str) -> Result<Vec<u8>, Refusal> {
        let (name, highest) = match self {
            Codec::Utf8 => return Ok(text.as_bytes().to_vec()),
            Codec::Ascii => ("ascii", 0x7f),
            Codec::Latin1 => ("latin-1", 0xff),
        };
        let byte = |(position, character): (usize, char)| {
            u8::try_from(u32::from(character)).ok().filter(|byte| *byte <= highest).ok_or_else(|| {
                let escaped = character.escape_default();
                Refusal::exception(format!(
                    "'{name}' codec can't encode character '{escaped}' in position {position}"
                ))
            })
        };
        text.chars().enumerate().map(byte).collect()
    }
}

impl OnError {
    /// # Errors
    /// `unknown error handler name 'X'`.
    pub(super) fn of(name: &str) -> Result<OnError, Refusal> {
        match name {
            "strict" => Ok(OnError::Strict),
            "replace" => Ok(OnError::Replace),
            "ignore" => Ok(OnError::Ignore),
            _ => Err(Refusal::exception(format!("unknown error handler name '{name}'"))),
        }
    }
}

fn decode_utf8(bytes: Vec<u8>, on_error: OnError) -> Result<String, Refusal> {
    match on_error {
        OnError::Replace => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        OnError::Ignore => Ok(bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()),
        OnError::Strict => String::from_utf8(bytes).map_err(|error| {
            let position = error.utf8_error().valid_up_to();
            undecodable("utf-8", error.as_bytes()[position], position)
        }),
    }
}

fn decode_ascii(bytes: &[u8], on_error: OnError) -> Result<String, Refusal> {
    let mut text = String::with_capacity(bytes.len());
    for (position, byte) in bytes.iter().enumerate() {
        match (byte.is_ascii(), on_error) {
            (true, _) => text.push(char::from(*byte)),
            (false, OnError::Replace) => text.push(char::REPLACEMENT_CHARACTER),
            (false, OnError::Ignore) => {}
            (false, OnError::Strict) => return Err(undecodable("ascii", *byte, position)),
        }
    }
    Ok(text)
}

fn undecodable(codec: &str, byte: u8, position: usize) -> Refusal {
    Refusal::exception(format!("'{codec}' codec can't decode byte {byte:#04x} in position {position}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w7_each_codec_with_each_way_to_treat_errors() {
        let bytes = b"a\xc3\xa5\xffz".to_vec();
        let decode = |codec: Codec, on_error| codec.decode(bytes.clone(), on_error).map_err(|e| e.message);
        assert_eq!(decode(Codec::Utf8, OnError::Replace).unwrap(), "aå\u{fffd}z");
        assert_eq!(decode(Codec::Utf8, OnError::Ignore).unwrap(), "aåz");
        let strict = decode(Codec::Utf8, OnError::Strict).unwrap_err();
        assert_eq!(strict, "'utf-8' codec can't decode byte 0xff in position 3");
        assert_eq!(decode(Codec::Ascii, OnError::Replace).unwrap(), "a\u{fffd}\u{fffd}\u{fffd}z");
        assert_eq!(decode(Codec::Ascii, OnError::Ignore).unwrap(), "az");
        assert!(decode(Codec::Ascii, OnError::Strict).unwrap_err().contains("byte 0xc3 in position 1"));
        assert_eq!(decode(Codec::Latin1, OnError::Strict).unwrap(), "aÃ¥ÿz");
    }

    #[test]
    fn w8_text_is_written_in_the_asked_encoding_or_refused() {
        assert_eq!(Codec::Utf8.encode("å").unwrap(), "å".as_bytes());
        assert_eq!(Codec::Latin1.encode("å").unwrap(), [0xe5]);
        let message = Codec::Ascii.encode("aå").unwrap_err().message;
        assert_eq!(message, "'ascii' codec can't encode character '\\u{e5}' in position 1");
        assert!(Codec::Latin1.encode("€").is_err());
    }

    #[test]
    fn names_are_python_s() {
        assert_eq!(Codec::of("UTF_8").unwrap(), Codec::Utf8);
        assert_eq!(Codec::of("iso-8859-1").unwrap(), Codec::Latin1);
        assert_eq!(Codec::of("klingon").unwrap_err().message, "unknown encoding: klingon");
        assert_eq!(OnError::of("x").unwrap_err().message, "unknown error handler name 'x'");
    }
}
