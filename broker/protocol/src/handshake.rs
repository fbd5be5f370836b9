//! The handshake: a challenge, an answer that proves a key without telling it, a verdict.
//! (Specification 1.3, 1.4.)
//!
//! There are two forms of answer: the original's HMAC-MD5, whose key the server has to search, and one
//! with HMAC-SHA256 that names its key. A server offers the second by the last bytes of its salt.

use std::fmt;
use std::str::FromStr;

use ave_profile::{SessionId, Value};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::Sha256;

use crate::limits::KEY_ID_BYTES_MAX;

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

/// Which key an answer was made with, so that the server looks it up instead of trying all.
///
/// Printed and read as ``, `a:<account>` or `s:<session id>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyId {
    /// The empty key, or else that of any account.
    Anonymous,
    /// The key of this account.
    Account(String),
    /// The key of this session.
    Session(SessionId),
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyId::Anonymous => Ok(()),
            KeyId::Account(name) => write!(f, "a:{name}"),
            KeyId::Session(id) => write!(f, "s:{id}"),
        }
    }
}

/// Reads exactly what `Display` prints, if that is at most 64 bytes long.
impl FromStr for KeyId {
    type Err = String;

    fn from_str(text: &str) -> Result<KeyId, String> {
        if text.len() > KEY_ID_BYTES_MAX {
            return Err(format!("a key id has at most {KEY_ID_BYTES_MAX} bytes, found {}", text.len()));
        }
        match text.split_once(':') {
            None if text.is_empty() => Ok(KeyId::Anonymous),
            Some(("a", name)) => Ok(KeyId::Account(name.to_owned())),
            Some(("s", id)) => id.parse().map(KeyId::Session),
            _ => Err("a key id is empty, \"a:<account>\" or \"s:<session id>\"".to_owned()),
        }
    }
}

/// What a client answered to the challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The original's form: HMAC-MD5 of the salt.
    Original([u8; 16]),
    /// HMAC-SHA256 of the salt and the id.
    Named {
        /// The proof.
        mac: [u8; 32],
        /// Whose key it was made with.
        id: KeyId,
    },
    /// Neither. It counts as a failed attempt. (Specification 10.1, item 10.)
    Malformed,
}

impl Answer {
    /// Reads an answer: 16 bytes are the original's form, 32 to 96 the named one.
    pub fn parse(payload: &[u8]) -> Answer {
        if let Ok(digest) = payload.try_into() {
            return Answer::Original(digest);
        }
        let named = payload.split_first_chunk().and_then(|(mac, id)| {
            let id = std::str::from_utf8(id).ok()?.parse().ok()?;
            Some(Answer::Named { mac: *mac, id })
        });
        named.unwrap_or(Answer::Malformed)
    }
}

/// A key, ready to be compared with many answers: its HMAC states are computed once.
#[derive(Clone)]
pub struct Verifier {
    original: Hmac<Md5>,
    named: Hmac<Sha256>,
}

impl Verifier {
    /// The verifier of a key.
    pub fn new(secret: &Secret) -> Verifier {
        let key = secret.expose().as_bytes();
        let any_length = "an HMAC key may have any length";
        Verifier {
            original: Hmac::new_from_slice(key).expect(any_length),
            named: Hmac::new_from_slice(key).expect(any_length),
        }
    }

    /// Whether the original's form of answer was made with this key. In constant time.
    pub fn verify_original(&self, salt: &Salt, digest: &[u8; 16]) -> bool {
        self.original.clone().chain_update(salt.0).verify(digest.into()).is_ok()
    }

    /// Whether the named form of answer was made with this key and id. In constant time.
    pub fn verify_named(&self, salt: &Salt, id: &KeyId, mac: &[u8; 32]) -> bool {
        let message = self.named.clone().chain_update(salt.0).chain_update(id.to_string());
        message.verify(mac.into()).is_ok()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier(***)")
    }
}

/// The original's form of answer.
pub fn original_answer(secret: &Secret, salt: &Salt) -> [u8; 16] {
    Verifier::new(secret).original.chain_update(salt.0).finalize().into_bytes().into()
}

/// The named form of answer. An id too long to travel is left out: the server then tries every account.
pub fn named_answer(secret: &Secret, salt: &Salt, id: &KeyId) -> Vec<u8> {
    let mut id = id.to_string();
    if id.len() > KEY_ID_BYTES_MAX {
        id.clear();
    }
    let mac = Verifier::new(secret).named.chain_update(salt.0).chain_update(&id).finalize();
    [mac.into_bytes().as_slice(), id.as_bytes()].concat()
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
