//! A workspace as a session uses it: the driver opens, the unit's calls are made by name, and it is closed.

mod android;
mod archives;
mod downloads;
mod files;
mod git;
mod jenkins;
mod lifetime;
mod promote;
mod run;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ave_core::Granted;
use ave_profile::{Identity, Refusal, Value};
use ave_protocol::arguments::Arguments;
use serde_json::json;

use super::WorkspaceDriver;
use crate::config::workspace::WorkspaceConfig;
use crate::drivers::{Driver, Unit};

/// A home with a driver.
struct Lab {
    folder: tempfile::TempDir,
    driver: WorkspaceDriver,
}

/// One workspace of it.
struct Opened {
    unit: Box<dyn Unit>,
    path: PathBuf,
}

impl Lab {
    /// Its workspaces may run `sh` and know this as well.
    fn with(further: serde_json::Value) -> Lab {
        let folder = tempfile::tempdir().unwrap();
        let mut content = json!({"root": "~/w", "tools": {"sh": "/bin/sh", "none": "/nowhere/none"}});
        content.as_object_mut().unwrap().extend(further.as_object().unwrap().clone());
        let home = folder.path().canonicalize().unwrap();
        let config = WorkspaceConfig::of(Path::new("workspace.json"), content.into(), &home).unwrap();
        let driver = WorkspaceDriver::new(config, &home);
        Lab { folder, driver }
    }

    fn new() -> Lab {
        Lab::with(json!({}))
    }

    fn home(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    async fn open(&self) -> Opened {
        let profile = Arc::new(self.driver.config.generic_profile());
        let item = Identity::new("workspace", "0123456789");
        let granted = Granted {
            item,
            profile: Arc::clone(&profile),
            known: profile,
            again: false,
            at: None,
            number: 1,
        };
        let unit = self.driver.open(&granted).await.unwrap();
        Opened { unit, path: self.home().join("w/0123456789") }
    }
}

impl Opened {
    async fn call(&mut self, method: &str, arguments: serde_json::Value) -> Result<Value, Refusal> {
        let Value::List(arguments) = Value::from(arguments) else { panic!("a list") };
        let signature = self.unit.methods().iter().find(|signature| signature.name() == method).unwrap();
        let bound = signature.bind(Arguments::positional(arguments)).unwrap();
        self.unit.call(method, bound).await
    }

    async fn good(&mut self, method: &str, arguments: serde_json::Value) -> Value {
        self.call(method, arguments).await.unwrap()
    }

    async fn bad(&mut self, method: &str, arguments: serde_json::Value) -> Refusal {
        self.call(method, arguments).await.unwrap_err()
    }

    /// The relative path a call answers.
    async fn path(&mut self, method: &str, arguments: serde_json::Value) -> String {
        let path = self.good(method, arguments).await;
        let relative = Path::new(path.as_str().unwrap()).strip_prefix(&self.path).unwrap();
        relative.to_str().unwrap().to_owned()
    }

    async fn close(self) {
        let path = self.path.clone();
        self.unit.close().await.unwrap();
        assert!(!path.exists());
    }
}

/// Waits for the thing, not for a time.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
