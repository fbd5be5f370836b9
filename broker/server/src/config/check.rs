//! Every fault of every configuration file at once, for people: what `ave-broker --check` prints.

use super::descriptors::List;
use super::devantech::DevantechConfig;
use super::equipment::Equipment;
use super::{AuthKeys, BrokerConfig, Fault, Paths, Severity, Types, adb_server, handset, workspace};

/// The faults of all files of one home. A file that the first start would write is only a warning.
pub fn faults(paths: &Paths) -> Vec<Fault> {
    let mut faults = Vec::new();
    let types = Types::load(paths);
    BrokerConfig::load(&paths.broker_json(), types.kinds(), &mut faults);
    AuthKeys::load(&paths.authkeys_json(), &mut faults);
    if let Some(Some(workspace)) = workspace(paths, &mut faults) {
        faults.extend(workspace.missing_tools(&paths.workspace_json()));
    }
    adb_server(paths, &mut faults);
    handset(paths, &mut faults);
    match Equipment::read(&paths.equipment_json(), types.kinds()) {
        Ok(equipment) => faults.extend(equipment.skipped),
        Err(fault) => faults.push(*fault),
    }
    faults.extend(DevantechConfig::faults(paths));
    for fault in &mut faults {
        if fault.field.is_empty() && !fault.file.exists() {
            fault.severity = Severity::Warning;
            fault.wanted = "a file".to_owned();
            fault.found = "none (the next start writes it)".to_owned();
        }
    }
    faults.extend(types.faults().cloned());
    let lists = types.kinds().iter().flat_map(|kind| List::of(kind, paths));
    faults.extend(lists.flat_map(|list| list.faults()));
    faults
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn one_fault_hides_no_other() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        fs::create_dir_all(paths.config()).unwrap();
        fs::write(paths.broker_json(), r#"{"port": "x", "host": 1}"#).unwrap();
        fs::write(paths.authkeys_json(), "[]").unwrap();
        fs::write(paths.workspace_json(), "{}").unwrap();
        fs::write(paths.equipment_json(), r#"[{"type": "relay"}]"#).unwrap();
        let faults = faults(&paths);
        let errors = faults.iter().filter(|fault| fault.severity == Severity::Error);
        let places: Vec<_> = errors
            .map(|fault| (fault.file.file_name().unwrap().to_str().unwrap(), fault.field.as_str()))
            .collect();
        assert_eq!(
            places,
            [
                ("broker.json", "port"),
                ("broker.json", "host"),
                ("authkeys.json", ""),
                ("workspace.json", "root")
            ]
        );
        assert_eq!(faults[faults.len() - 2].field, "[0]");
    }

    #[test]
    fn files_about_handsets_are_checked_too() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        fs::create_dir_all(paths.config()).unwrap();
        fs::write(paths.adb_server_json(), r#"{"port": "5037"}"#).unwrap();
        fs::write(paths.handset_json(), r#"{"handsets": [{"model": "x"}]}"#).unwrap();
        let faults = faults(&paths);
        let found = |name: &str| faults.iter().find(|fault| fault.file.ends_with(name)).unwrap();
        let (adb, handset) = (found("adb_server.json"), found("handset.json"));
        assert_eq!((adb.severity, adb.field.as_str()), (Severity::Error, "port"));
        assert_eq!((handset.severity, handset.field.as_str()), (Severity::Warning, "handsets[0].pretty"));
    }

    #[test]
    fn a_tool_that_is_not_there_is_only_a_warning() {
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        fs::create_dir_all(paths.config()).unwrap();
        fs::write(paths.workspace_json(), r#"{"root": "~", "tools": {"sh": "/bin/sh", "no": "/no/such"}}"#)
            .unwrap();
        let faults = faults(&paths);
        let places: Vec<_> = faults.iter().map(Fault::place).collect();
        let expected = "workspace.json: tools.no: wanted an executable file, found none at /no/such";
        assert_eq!(places.iter().filter(|place| place.contains("tools.")).collect::<Vec<_>>(), [expected]);
        assert!(faults.iter().all(|fault| fault.severity == Severity::Warning));
    }

    #[test]
    fn an_empty_home_has_only_warnings() {
        let home = tempfile::tempdir().unwrap();
        let faults = faults(&Paths::new(home.path()));
        assert_eq!(faults.len(), 4);
        assert!(faults.iter().all(|fault| fault.severity == Severity::Warning));
    }
}
