//! `authkeys.json`: the keys of accounts. An account without a key is open to everybody.

use std::collections::BTreeMap;
use std::path::Path;

use ave_profile::Value;
use ave_protocol::handshake::Secret;
use ave_protocol::limits::KEY_ID_BYTES_MAX;

use super::fault::{Fault, python_type};
use super::file::{self, FileFault};

/// The accounts that grant something.
const ACCOUNTS: [&str; 2] = ["admin", "share"];

/// The prefix of an account in a key id.
const ACCOUNT_PREFIX_BYTES: usize = "a:".len();

/// The keys of the accounts that have one (Specification 8.3).
#[derive(Clone, Debug, Default)]
pub struct AuthKeys(BTreeMap<String, Secret>);

impl AuthKeys {
    /// Reads the file at `path`; adds what is wrong with it to `faults`.
    pub fn load(path: &Path, faults: &mut Vec<Fault>) -> Option<AuthKeys> {
        match file::read(path) {
            Ok(content) => {
                faults.extend(file::readable_by_others(path));
                AuthKeys::of(path, content, faults)
            }
            Err(fault) => {
                faults.push(unreadable(path, &fault));
                None
            }
        }
    }

    /// Checks a file's content; adds what is wrong with it to `faults`.
    pub fn of(path: &Path, content: Value, faults: &mut Vec<Fault>) -> Option<AuthKeys> {
        let Value::Map(content) = content else {
            let message = format!(
                "invalid {}: contents is not a dictionary: {}",
                path.display(),
                python_type(&content)
            );
            faults.push(Fault::error(path, "", "an object", content.type_name(), message));
            return None;
        };
        let mut keys = BTreeMap::new();
        let mut refused = false;
        for (name, value) in content {
            if name.len() + ACCOUNT_PREFIX_BYTES > KEY_ID_BYTES_MAX {
                faults.push(Fault::warning(path, &name, "a shorter name", "one no client can send"));
            }
            match value {
                Value::Null => {}
                Value::Text(key) if !key.is_empty() => drop(keys.insert(name, Secret::new(key))),
                other => {
                    refused = true;
                    faults.push(no_key(path, &name, &other));
                }
            }
        }
        for account in ACCOUNTS.iter().filter(|account| !refused && !keys.contains_key(**account)) {
            faults.push(Fault::warning(path, *account, "a key", "none: its calls are open to everybody"));
        }
        (!refused).then_some(AuthKeys(keys))
    }

    /// The key of an account, if it has one.
    pub fn key(&self, account: &str) -> Option<&Secret> {
        self.0.get(account)
    }

    /// The accounts that have a key, with their keys, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Secret)> {
        self.0.iter().map(|(name, key)| (name.as_str(), key))
    }

    /// Whether a call for these accounts is open to everybody: none of them has a key (Specification 2.5).
    pub fn open(&self, accounts: &[&str]) -> bool {
        !accounts.iter().any(|account| self.0.contains_key(*account))
    }
}

fn unreadable(path: &Path, fault: &FileFault) -> Fault {
    let message = match fault {
        FileFault::Missing => {
            format!("no such configuration file: {}. `ave-broker --start` writes it", path.display())
        }
        FileFault::Unreadable(reason) => format!("could not load {}: {reason}", path.display()),
        FileFault::NotJson(reason) => {
            format!("invalid {}: not valid JSON encoding: {reason}", path.display())
        }
    };
    Fault::error(path, "", "an object in JSON", fault.found(), message)
}

/// The value is not repeated: it was meant to be a key.
fn no_key(path: &Path, name: &str, value: &Value) -> Fault {
    let (found, wrong) = match value {
        Value::Text(_) => ("an empty string", "is empty".to_owned()),
        other => (other.type_name(), format!("is not a string: {}", python_type(other))),
    };
    let message = format!("invalid {}: value of \"{name}\" {wrong}", path.display());
    Fault::error(path, name, "a string that is not empty, or null", found, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Severity;
    use serde_json::json;
    use std::os::unix::fs::PermissionsExt;

    fn of(content: serde_json::Value) -> (Option<AuthKeys>, Vec<Fault>) {
        let mut faults = Vec::new();
        (AuthKeys::of(Path::new("/x/authkeys.json"), content.into(), &mut faults), faults)
    }

    #[test]
    fn accounts_have_keys_or_are_open() {
        let (keys, faults) = of(json!({"admin": "k å", "share": null, "other": "o"}));
        let keys = keys.unwrap();
        assert_eq!(keys.key("admin").unwrap().expose(), "k å");
        assert_eq!(keys.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["admin", "other"]);
        assert!(keys.open(&["share"]) && keys.open(&["nobody"]) && keys.open(&[]));
        assert!(!keys.open(&["admin"]) && !keys.open(&["share", "admin"]));
        assert_eq!(faults.len(), 1);
        assert!(faults[0].severity == Severity::Warning && faults[0].field == "share");
        assert_eq!(of(json!({})).1.len(), 2);
        assert_eq!(of(json!({"admin": "a", "share": "b"})).1, []);
    }

    #[test]
    fn invalid_contents_have_their_messages() {
        // 207
        let cases = [
            (json!([]), "authkeys.json: contents is not a dictionary: <type 'list'>"),
            (json!({"admin": 1}), "authkeys.json: value of \"admin\" is not a string: <type 'int'>"),
            (json!({"admin": ""}), "authkeys.json: value of \"admin\" is empty"),
        ];
        for (content, end) in cases {
            let (keys, faults) = of(content);
            assert!(keys.is_none() && faults.len() == 1, "{faults:?}");
            assert!(faults[0].message.ends_with(end), "{}", faults[0]);
        }
    }

    #[test]
    fn unreadable_files_have_their_messages() {
        // 207
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("authkeys.json");
        let faults = || {
            let mut faults = Vec::new();
            (AuthKeys::load(&path, &mut faults).is_some(), faults)
        };
        let message = faults().1.remove(0).message;
        assert!(message.starts_with(&format!("no such configuration file: {}", path.display())), "{message}");
        std::fs::write(&path, "").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let message = faults().1.remove(0).message;
        assert!(message.contains("authkeys.json: not valid JSON encoding: "), "{message}");
        std::fs::write(&path, r#"{"admin": "a", "share": "b"}"#).unwrap();
        assert_eq!(faults(), (true, vec![]));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        let (usable, faults) = faults();
        assert!(usable && faults.len() == 1 && faults[0].found == "mode 0644", "{faults:?}");
    }
}
