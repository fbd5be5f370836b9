//! The handshake: a challenge, an answer that proves a key without telling it, a verdict.
//! (Specification 1.3, 1.4.)
//!
//! There are two forms of answer: the original's HMAC-MD5, whose key the server has to search, and one
//! with HMAC-SHA256 that names its key. A server offers the second by the last bytes of its salt.

mod answer;
mod credential;

use std::fmt;

use ave_profile::Value;
use sha2::{Digest, Sha256};

pub use answer::{Answer, KeyId, Verifier, named_answer, original_answer};
pub use credential::Credential;

const CHALLENGE: &[u8; 11] = b"#CHALLENGE#";
const SALT_BYTES: usize = 20;

/// The end of a salt whose server understands named answers and MessagePack. Random elsewhere.
const MARKER: [u8; 4] = *b"AVE\x02";

/// Why the server's side of a handshake cannot be understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// The first frame is not a challenge.
    #[error("wrong challenge")]
    WrongChallenge,
    /// The second frame is not a verdict.
    #[error("not an authentication result")]
    NoVerdict,
}

/// A key. Never prints.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The key of this text.
    pub fn new(text: String) -> Secret {
        Secret(text)
    }

    /// What a client without a key uses.
    pub fn anonymous() -> Secret {
        Secret(String::new())
    }

    /// The text, for whoever has to send or keep it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What a key can be looked up by: unlike the key itself, a comparison of it that ends early tells nothing.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// What makes every handshake different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub [u8; SALT_BYTES]);

impl Salt {
    /// A salt of these random bytes, with the marker.
    pub fn ours(random: [u8; 16]) -> Salt {
        let mut salt = [0; SALT_BYTES];
        salt[..16].copy_from_slice(&random);
        salt[16..].copy_from_slice(&MARKER);
        Salt(salt)
    }

    /// Whether the server understands named answers and MessagePack.
    pub fn has_marker(&self) -> bool {
        self.0.ends_with(&MARKER)
    }

    /// The payload of the first frame of a connection.
    pub fn challenge_payload(&self) -> [u8; CHALLENGE.len() + SALT_BYTES] {
        let mut payload = [0; CHALLENGE.len() + SALT_BYTES];
        payload[..CHALLENGE.len()].copy_from_slice(CHALLENGE);
        payload[CHALLENGE.len()..].copy_from_slice(&self.0);
        payload
    }

    /// The salt of a challenge.
    ///
    /// # Errors
    /// [`HandshakeError::WrongChallenge`] if the payload is anything else.
    pub fn of_challenge(payload: &[u8]) -> Result<Salt, HandshakeError> {
        let salt = payload.strip_prefix(CHALLENGE).and_then(|salt| salt.try_into().ok());
        salt.map(Salt).ok_or(HandshakeError::WrongChallenge)
    }
}

/// The payload of the server's second frame.
pub fn verdict(authenticated: bool) -> &'static [u8] {
    if authenticated { b"{\"authenticated\": true}" } else { b"{\"authenticated\": false}" }
}

/// Reads the server's second frame.
///
/// # Errors
/// [`HandshakeError::NoVerdict`] if it is anything else.
pub fn read_verdict(payload: &[u8]) -> Result<bool, HandshakeError> {
    let read: Option<Value> = serde_json::from_slice(payload).ok();
    let verdict = read.as_ref().and_then(Value::as_map).and_then(|members| members.get("authenticated"));
    verdict.map(|value| !value.is_falsy()).ok_or(HandshakeError::NoVerdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_what_c_1_says() {
        // 1
        let salt = Salt(std::array::from_fn(|at| at as u8));
        let payload = salt.challenge_payload();
        assert_eq!(payload[..11], *b"#CHALLENGE#");
        assert_eq!(payload[11..], salt.0);
        assert_eq!(Salt::of_challenge(&payload), Ok(salt));
        let wrong = [&payload[..30], &payload[1..], &[], &[&payload[..], b"x"].concat()];
        for payload in wrong {
            assert_eq!(Salt::of_challenge(payload), Err(HandshakeError::WrongChallenge));
        }
    }

    #[test]
    fn only_our_salts_have_the_marker() {
        let salt = Salt::ours([7; 16]);
        assert_eq!(salt.0[..16], [7; 16]);
        assert_eq!(salt.0[16..], [0x41, 0x56, 0x45, 0x02]);
        assert!(salt.has_marker());
        assert!(!Salt([7; SALT_BYTES]).has_marker());
    }

    #[test]
    fn a_verdict_is_read_from_what_any_peer_may_write() {
        // 4, 5
        assert_eq!(verdict(false).len(), 0x18); // C.1
        for authenticated in [true, false] {
            assert_eq!(read_verdict(verdict(authenticated)), Ok(authenticated));
        }
        assert_eq!(read_verdict(b"{\"authenticated\":true,\"more\":[]}"), Ok(true));
        for other in [&b""[..], b"true", b"{}", b"{\"authenticated\": true}x", b"\xff"] {
            assert_eq!(read_verdict(other), Err(HandshakeError::NoVerdict), "{other:?}");
        }
    }

    #[test]
    fn a_secret_does_not_print() {
        // 58
        let secret = Secret::new("0165263469609321".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Verifier::new(&secret)), "Secret(***) Verifier(***)");
    }
}
