//! Answers to the challenge: making them, reading them, and verifying them in constant time.

use std::fmt;
use std::str::FromStr;

use ave_profile::SessionId;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::Sha256;

use super::{Salt, Secret};
use crate::limits::KEY_ID_BYTES_MAX;

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

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]);

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn secret(key: &str) -> Secret {
        Secret::new(key.to_owned())
    }

    #[test]
    fn the_originals_answers_are_those_of_c_1() {
        // 3
        let vectors = [
            ("", "eee7e8c8fa6d98a59d76c44ce7018548"),
            ("share_key", "20e43eda3ca966611a3a0367a6346f3f"),
            ("0123456789012345", "2a7d522a1a65b7778a79c965add25983"),
            ("å", "9e05c967d3b6c1cacd05ead69b6e36f3"),
        ];
        for (key, digest) in vectors {
            assert_eq!(hex(&original_answer(&secret(key), &SALT)), digest, "{key}");
        }
    }

    #[test]
    fn named_answers_are_those_of_pythons_hmac() {
        // hmac.new(key.encode(), salt + id.encode(), hashlib.sha256).hexdigest()
        let (id, admin) = (SessionId(0xab), "å".to_owned());
        let vectors = [
            ("", KeyId::Anonymous, "13bc4ec9b27ce132b80e58ccb32e906f8b7129228eb361260de80aa3bbcd5288"),
            (
                "share_key",
                KeyId::Anonymous,
                "1c8e6a97b9c4104e66e3e32954fba512e6fdc4f00131ee57630a6cc1c16243e6",
            ),
            (
                "share_key",
                KeyId::Account("share".to_owned()),
                "f92964526a27794cdcefb4654b352ea27ec9446964ec9d5e41d87b20b14c776f",
            ),
            (
                "0123456789012345",
                KeyId::Session(id),
                "a1a928472d0b5c7323ba6f043c52ddf8bc7a31ead50b058cf9bb6e25d18cfecb",
            ),
            ("å", KeyId::Account(admin), "fd4f89d573b6a1653d026397aebc4881b259278087fa13948f4ccb9a03306c17"),
        ];
        for (key, id, mac) in vectors {
            let answer = named_answer(&secret(key), &SALT, &id);
            assert_eq!(hex(&answer[..32]), mac, "{key} {id}");
            assert_eq!(answer[32..], *id.to_string().as_bytes());
        }
    }

    #[test]
    fn a_verifier_knows_its_own_key_salt_and_id_only() {
        let id = KeyId::Account("share".to_owned());
        let right = Verifier::new(&secret("share_key"));
        let original = original_answer(&secret("share_key"), &SALT);
        let Answer::Named { mac, .. } = Answer::parse(&named_answer(&secret("share_key"), &SALT, &id)) else {
            panic!("a named answer")
        };
        assert!(right.verify_original(&SALT, &original));
        assert!(right.verify_named(&SALT, &id, &mac));
        let wrong = Verifier::new(&secret("share_kez"));
        assert!(!wrong.verify_original(&SALT, &original));
        assert!(!wrong.verify_named(&SALT, &id, &mac));
        assert!(!right.verify_original(&Salt([0; 20]), &original)); // 2
        assert!(!right.verify_named(&Salt([0; 20]), &id, &mac));
        assert!(!right.verify_named(&SALT, &KeyId::Anonymous, &mac));
    }

    #[test]
    fn the_length_tells_the_forms_apart() {
        // 10
        assert_eq!(Answer::parse(&[7; 16]), Answer::Original([7; 16]));
        assert_eq!(Answer::parse(&[7; 32]), Answer::Named { mac: [7; 32], id: KeyId::Anonymous });
        let with = |id: &[u8]| Answer::parse(&[&[7; 32], id].concat());
        let longest = format!("a:{}", "x".repeat(KEY_ID_BYTES_MAX - 2));
        for id in ["a:share", "a:", "a:b:c", "s:00000000000000ab", &longest] {
            assert_eq!(with(id.as_bytes()), Answer::Named { mac: [7; 32], id: id.parse().unwrap() });
            assert_eq!(id.parse::<KeyId>().unwrap().to_string(), id);
        }
        let too_long = format!("{longest}x");
        let bad: [&[u8]; 6] = [b"x", b"s:ab", b"s:00000000000000AB", b"b:c", b"a:\xff", too_long.as_bytes()];
        for id in bad {
            assert_eq!(with(id), Answer::Malformed, "{id:?}");
        }
        for length in (0..32).filter(|length| *length != 16) {
            assert_eq!(Answer::parse(&vec![7; length]), Answer::Malformed, "{length}");
        }
    }

    #[test]
    fn a_name_too_long_to_travel_is_left_out() {
        let long = KeyId::Account("x".repeat(KEY_ID_BYTES_MAX));
        let answer = named_answer(&secret("k"), &SALT, &long);
        assert_eq!(answer, named_answer(&secret("k"), &SALT, &KeyId::Anonymous));
    }
}
