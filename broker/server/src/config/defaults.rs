//! The files a new home starts with. A file that is there is never touched.

use std::io;
use std::path::PathBuf;

use serde_json::json;

use super::devantech::DevantechConfig;
use super::workspace::WorkspaceConfig;
use super::{Paths, host, put_new};

/// Random bytes of a generated key; it is printed as twice as many hex digits.
const KEY_BYTES: usize = 16;

/// What was written and what was there already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// New files.
    pub created: Vec<PathBuf>,
    /// Files that were left as they are.
    pub skipped: Vec<PathBuf>,
}

/// Writes the files that are missing. Keys are random and only their owner may read them; clients of other
/// users may read the rest.
///
/// # Errors
/// If a folder or file cannot be written.
pub fn write_missing(paths: &Paths) -> io::Result<Written> {
    paths.make()?;
    // No "host": it follows the machine's name when that changes.
    let broker = json!({"port": 4000, "stacks": [], "remote": {}});
    let keys = json!({"admin": random_key()?, "share": random_key()?});
    let files = [
        (paths.broker_json(), broker, 0o644),
        (paths.authkeys_json(), keys, 0o600),
        (paths.workspace_json(), WorkspaceConfig::default_content(&host::own_name()), 0o600),
        (paths.equipment_json(), json!([]), 0o644),
        (paths.devantech_json(), DevantechConfig::default_content(), 0o644),
    ];
    let mut written = Written::default();
    for (path, content, mode) in files {
        let named = |error: io::Error| {
            io::Error::new(error.kind(), format!("could not write {}: {error}", path.display()))
        };
        let created = put_new(&path, format!("{content:#}\n").as_bytes(), mode).map_err(named)?;
        if created { &mut written.created } else { &mut written.skipped }.push(path);
    }
    Ok(written)
}

fn random_key() -> io::Result<String> {
    let mut bytes = [0; KEY_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_home_gets_files_a_broker_starts_with() {
        // 210
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        let written = write_missing(&paths).unwrap();
        assert_eq!((written.created.len(), written.skipped.len()), (5, 0));
        assert_eq!(paths.authkeys_json().metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let config = Config::load(&paths).unwrap();
        let key = |account| config.keys.key(account).unwrap().expose().to_owned();
        assert_eq!(key("admin").len(), 2 * KEY_BYTES);
        assert_ne!(key("admin"), key("share"));
        assert!(config.workspace.is_some());
        assert_eq!(config.broker.port, 4000);
    }

    #[test]
    fn files_that_are_there_are_never_touched() {
        // 210
        let home = tempfile::tempdir().unwrap();
        let paths = Paths::new(home.path());
        fs::create_dir_all(paths.config()).unwrap();
        fs::write(paths.broker_json(), "mine").unwrap();
        let written = write_missing(&paths).unwrap();
        assert_eq!(written.skipped, [paths.broker_json()]);
        let keys = fs::read(paths.authkeys_json()).unwrap();
        assert_eq!(write_missing(&paths).unwrap().created, [] as [PathBuf; 0]);
        assert_eq!(fs::read(paths.authkeys_json()).unwrap(), keys);
        assert_eq!(fs::read(paths.broker_json()).unwrap(), b"mine");
    }
}
