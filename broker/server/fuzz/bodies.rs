//! What must hold of every configuration file. `cargo fuzz` searches for one that breaks it; the tests try
//! a few.

use std::path::Path;

use ave_broker::config::descriptors;
use ave_broker::config::equipment::{Changes, Equipment};
use ave_broker::config::workspace::WorkspaceConfig;
use ave_broker::config::{AuthKeys, BrokerConfig, Fault, Severity, User, file};
use ave_profile::{KindTable, Value};

/// The longest text of a fault: a person reads it, a log keeps it.
const TEXT_BYTES_MAX: usize = 8 << 10;

/// Any content of any file is either used or refused with an error, and every fault can be read.
pub(crate) fn config(data: &[u8]) {
    let Ok(content) = file::parse(data) else { return };
    let path = Path::new("/home/lab/.ave/config/any.json");
    broker(path, &content);
    let mut faults = Vec::new();
    let keys = AuthKeys::of(path, content.clone(), &mut faults);
    assert_eq!(keys.is_none(), has_error(&faults));
    if let Some(keys) = keys {
        assert!(keys.iter().all(|(account, key)| !key.expose().is_empty() && !keys.open(&[account])));
    }
    match WorkspaceConfig::of(path, content.clone(), Path::new("/home/lab")) {
        Ok(config) => assert!(config.root().is_absolute()),
        Err(fault) => faults.push(*fault),
    }
    faults.extend(equipment(path, &content));
    faults.extend(descriptor(path, content.clone()));
    if let Err(error) = User::of(path, &content) {
        assert!(error.to_string().len() < TEXT_BYTES_MAX);
    }
    readable(&faults);
}

fn broker(path: &Path, content: &Value) {
    let mut faults = Vec::new();
    let config = BrokerConfig::of(path, content.clone(), &KindTable::builtin(), &mut faults);
    assert_eq!(config.is_none(), has_error(&faults));
    readable(&faults);
    let Some(config) = config else { return };
    let profile = config.public_profile();
    assert_eq!(profile.kind(), Some("broker"));
    let remote = profile.get("remote").and_then(Value::as_map);
    assert!(remote.is_none_or(|remote| !remote.contains_key("authkey")));
    assert!(config.session_ports.is_none_or(|ports| !ports.contains(&config.port)));
}

fn equipment(path: &Path, content: &Value) -> Vec<Fault> {
    let kinds = KindTable::builtin();
    match Equipment::of(path, content.clone(), &kinds) {
        Ok(equipment) => {
            assert!(equipment.profiles.iter().all(|profile| kinds.identity(profile).is_some()));
            assert_eq!(equipment.changes_since(&equipment, &kinds), Changes::default());
            equipment.skipped
        }
        Err(fault) => vec![*fault],
    }
}

fn descriptor(path: &Path, mut content: Value) -> Vec<Fault> {
    if let Value::Map(members) = &mut content {
        members.insert("type".into(), "any".into()); // as the file is named
    }
    match descriptors::of(path, Path::new("/home/lab"), content) {
        Ok(kind) => {
            assert!(!kind.made_on_demand && *kind.name == *"any" && !kind.identity.is_empty());
            Vec::new()
        }
        Err(faults) => {
            assert!(!faults.is_empty() && !has_error(&faults));
            faults
        }
    }
}

fn has_error(faults: &[Fault]) -> bool {
    faults.iter().any(|fault| fault.severity == Severity::Error)
}

fn readable(faults: &[Fault]) {
    for fault in faults {
        let longest = [&fault.message, &fault.field, &fault.found, &fault.wanted].map(|text| text.len());
        assert!(longest.iter().all(|bytes| *bytes < TEXT_BYTES_MAX), "{longest:?}");
        assert!(!fault.message.is_empty() && !fault.wanted.is_empty());
    }
}
