//! `adb_server.json`: where this host's adb server listens and how it is kept alive. Read by the broker, which
//! talks to the server, and by `ave-adb-server`, which runs it.

use std::path::Path;

use ave_profile::{Map, Value};

use super::fault::{Fault, current_value, shown};
use super::file::{self, FileFault};

/// The port every adb client knows.
const PORT: u16 = 5037;

/// What `adb_server.json` says (Specification 2). All of it has defaults, the file itself may be missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdbServerConfig {
    /// The port on this host's loopback; 0 if this host has no handsets.
    pub port: u16,
    /// Whether a server that ended is followed by a new one.
    pub persist: bool,
    /// Whether root is given up before the server starts.
    pub demote: bool,
    /// Whether to log more than faults.
    pub logging: bool,
}

impl Default for AdbServerConfig {
    fn default() -> AdbServerConfig {
        AdbServerConfig { port: PORT, persist: true, demote: true, logging: true }
    }
}

impl AdbServerConfig {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// The first fault of the file.
    pub fn load(path: &Path) -> Result<AdbServerConfig, Box<Fault>> {
        match file::read(path) {
            Ok(content) => AdbServerConfig::of(path, &content),
            Err(FileFault::Missing) => Ok(AdbServerConfig::default()),
            Err(fault) => {
                let message = format!("could not load adb server configuration: {}: {fault}", path.display());
                Err(Box::new(Fault::error(path, "", "a JSON object", fault.found(), message)))
            }
        }
    }

    /// Checks what the file at `path` holds.
    ///
    /// # Errors
    /// The first member that has the wrong type.
    pub fn of(path: &Path, content: &Value) -> Result<AdbServerConfig, Box<Fault>> {
        let Value::Map(members) = content else {
            let found = content.type_name();
            let message =
                format!("could not load adb server configuration: {}: not an object", path.display());
            return Err(Box::new(Fault::error(path, "", "an object", found, message)));
        };
        let defaults = AdbServerConfig::default();
        let port = |value: &Value| match value {
            Value::Int(port) => u16::try_from(*port).ok(),
            _ => None,
        };
        let flag = |value: &Value| match value {
            Value::Bool(flag) => Some(*flag),
            _ => None,
        };
        let wanted = "true or false";
        Ok(AdbServerConfig {
            port: member(path, members, "port", "a number from 0 to 65535", port)?.unwrap_or(defaults.port),
            persist: member(path, members, "persist", wanted, flag)?.unwrap_or(defaults.persist),
            demote: member(path, members, "demote", wanted, flag)?.unwrap_or(defaults.demote),
            logging: member(path, members, "logging", wanted, flag)?.unwrap_or(defaults.logging),
        })
    }
}

fn member<T>(
    path: &Path,
    members: &Map,
    name: &str,
    wanted: &str,
    read: impl FnOnce(&Value) -> Option<T>,
) -> Result<Option<T>, Box<Fault>> {
    let Some(value) = members.get(name) else { return Ok(None) };
    let wrong = || {
        let message =
            format!("\"{name}\" value in {} must be {wanted}. {}", path.display(), current_value(value));
        Box::new(Fault::error(path, name, wanted, shown(value), message))
    };
    read(value).map(Some).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(content: serde_json::Value) -> Result<AdbServerConfig, String> {
        let path = Path::new("/h/adb_server.json");
        AdbServerConfig::of(path, &content.into()).map_err(|fault| fault.to_string())
    }

    #[test]
    fn without_a_file_or_a_member_the_defaults_hold() {
        // A1
        let none = AdbServerConfig::load(Path::new("/nowhere/adb_server.json")).unwrap();
        assert_eq!(none, AdbServerConfig { port: 5037, persist: true, demote: true, logging: true });
        assert_eq!(of(json!({})), Ok(none.clone()));
        let said = of(json!({"port": 0, "persist": false, "demote": false, "logging": false}));
        assert_eq!(said, Ok(AdbServerConfig { port: 0, persist: false, demote: false, logging: false }));
    }

    #[test]
    fn a_member_of_the_wrong_type_is_named() {
        // A1
        for (content, fragment) in [
            (json!({"port": "5037"}), "\"port\" value in"),
            (json!({"port": 65536}), "\"port\" value in"),
            (json!({"persist": 1}), "\"persist\" value in"),
            (json!({"demote": null}), "\"demote\" value in"),
            (json!({"logging": "yes"}), "\"logging\" value in"),
        ] {
            let error = of(content).unwrap_err();
            assert!(error.contains(fragment) && error.contains("/h/adb_server.json"), "{error}");
        }
    }
}
