//! `relay.json`: what concerns all relay boards of a lab. It names the circuits a lab has invented for itself;
//! the rest is of the original's relay server, which this broker has no need of.

use std::collections::BTreeSet;
use std::path::Path;

use ave_profile::{Map, Value};

use super::Fault;
use super::fault::{current_value, shown};
use super::file::{self, FileFault};

/// The circuits everybody means the same by (Specification 3.4).
const GOVERNED: [&str; 14] = [
    "handset.power",
    "handset.volume.up",
    "handset.volume.down",
    "handset.battery",
    "usb.pc.vcc",
    "usb.pc.d+",
    "usb.pc.d-",
    "usb.pc.gnd",
    "usb.pc.id",
    "usb.wall.vcc",
    "usb.wall.d+",
    "usb.wall.d-",
    "usb.wall.gnd",
    "usb.wall.id",
];

/// What `relay.json` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayConfig {
    own_circuits: BTreeSet<String>,
    has_port: bool,
}

impl RelayConfig {
    /// Reads the file at `path`; no file is an empty one.
    ///
    /// # Errors
    /// The first fault of the file.
    pub fn load(path: &Path) -> Result<RelayConfig, Box<Fault>> {
        match file::read(path) {
            Ok(Value::Map(members)) => RelayConfig::of(path, &members),
            Ok(other) => {
                let message = format!("{} is not a dictionary", path.display());
                Err(Box::new(Fault::error(path, "", "an object", other.type_name(), message)))
            }
            Err(FileFault::Missing) => Ok(RelayConfig::default()),
            Err(fault) => {
                let message = format!("could not load config file: {}: {fault}", path.display());
                Err(Box::new(Fault::error(path, "", "a JSON object", fault.found(), message)))
            }
        }
    }

    /// Whether a circuit may be called so.
    pub fn governs(&self, circuit: &str) -> bool {
        GOVERNED.contains(&circuit) || self.own_circuits.contains(circuit)
    }

    /// What somebody should know who wrote the file at `path` for the original.
    pub fn unused(&self, path: &Path) -> Option<Fault> {
        let found = "a port (it is not used: the broker drives the boards itself)";
        self.has_port.then(|| Fault::warning(path, "port", "nothing", found))
    }

    fn of(path: &Path, members: &Map) -> Result<RelayConfig, Box<Fault>> {
        let off_form = |name: &str, form: &str| {
            let value = members.get(name).unwrap_or(&Value::Null);
            let message = format!(
                "relay attribute must be on the form {{\"{name}\":{form}}}. {}",
                current_value(value)
            );
            Box::new(Fault::error(path, name, form, shown(value), message))
        };
        if !matches!(members.get("port"), None | Some(Value::Int(_))) {
            return Err(off_form("port", "<integer>"));
        }
        if !matches!(members.get("logging"), None | Some(Value::Bool(_))) {
            return Err(off_form("logging", "<boolean>"));
        }
        let own_circuits = match members.get("circuits") {
            None => Some(BTreeSet::new()),
            Some(value) => value.as_list().and_then(|names| {
                names
                    .iter()
                    .map(|name| name.as_str().filter(|name| !name.is_empty()).map(str::to_owned))
                    .collect()
            }),
        };
        let own_circuits = own_circuits.ok_or_else(|| off_form("circuits", "[<string>, ...]"))?;
        Ok(RelayConfig { own_circuits, has_port: members.contains_key("port") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value as Json, json};

    fn read(content: Json) -> Result<RelayConfig, String> {
        let path = Path::new("relay.json");
        let Value::Map(members) = Value::from(content) else { panic!("no object") };
        RelayConfig::of(path, &members).map_err(|fault| fault.to_string())
    }

    #[test]
    fn r1_members_of_another_form_are_named() {
        let wrong = [
            (json!({"port": "4006"}), r#"attribute must be on the form {"port":<integer>}"#),
            (json!({"port": 4006.5}), r#"attribute must be on the form {"port":<integer>}"#),
            (json!({"logging": 1}), r#"attribute must be on the form {"logging":<boolean>}"#),
            (json!({"circuits": "lamp"}), r#"attribute must be on the form {"circuits":[<string>, ...]}"#),
            (json!({"circuits": [""]}), r#"attribute must be on the form {"circuits":[<string>, ...]}"#),
        ];
        for (content, fragment) in wrong {
            let message = read(content).unwrap_err();
            assert!(message.contains(fragment), "{message}");
        }
    }

    #[test]
    fn an_empty_file_and_none_are_fine() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(json!({})), Ok(RelayConfig::default()));
        assert_eq!(RelayConfig::load(&folder.path().join("relay.json")).unwrap(), RelayConfig::default());
    }

    #[test]
    fn the_original_server_s_port_is_said_to_be_of_no_use() {
        let (old, path) = (read(json!({"port": 4006, "logging": true})).unwrap(), Path::new("relay.json"));
        assert!(old.unused(path).unwrap().to_string().starts_with("relay.json: port: "));
        assert_eq!(RelayConfig::default().unused(path), None);
    }

    #[test]
    fn a_lab_adds_names_and_loses_none() {
        let config = read(json!({"circuits": ["lamp.power"]})).unwrap();
        assert!(config.governs("lamp.power") && config.governs("usb.wall.d-"));
        assert!(!config.governs("lamp") && !RelayConfig::default().governs("lamp.power"));
    }
}
