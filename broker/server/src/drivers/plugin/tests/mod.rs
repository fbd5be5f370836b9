//! A driver program as a session uses it: real processes, spoken to by the driver's and the unit's own
//! methods. The program is `driver.py`, which does what a test wants.

mod calls;
mod closing;
mod opening;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ave_core::Granted;
use ave_profile::{Identity, Kind, Profile, Refusal, Value};
use ave_protocol::arguments::Arguments;
use serde_json::{Value as Json, json};

use super::PluginDriver;
use crate::drivers::place::{Place, Sweep};
use crate::drivers::{Driver, Unit};

/// A home, and the driver of a type that `driver.py` drives.
struct Lab {
    home: tempfile::TempDir,
    driver: PluginDriver,
}

impl Lab {
    /// A type that the descriptor says this of besides.
    fn with(further: serde_json::Value) -> Lab {
        // A version manager's stand-in for it takes long to start.
        let python = ["/usr/bin/python3", "python3"].into_iter().find(|path| Path::new(path).exists());
        let mut descriptor = json!({
            "type": "toaster", "identity": "uid", "kept": ["slots"], "limits": {"open_s": 30},
            "driver": {"command": [python.unwrap_or("python3"), "-u", "./driver.py"]},
        });
        for (name, value) in further.as_object().unwrap() {
            match (&mut descriptor[name], value) {
                (Json::Object(members), Json::Object(more)) => members.extend(more.clone()),
                (member, value) => *member = value.clone(),
            }
        }
        let kind: Kind = serde_json::from_value(descriptor).unwrap();
        let home = tempfile::tempdir().unwrap();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/drivers/plugin/tests");
        let place = Place { folder, home: home.path().to_owned(), sweep: Sweep::new(home.path()) };
        let driver = PluginDriver::new(&Arc::new(kind), place).unwrap();
        Lab { home, driver }
    }

    fn new() -> Lab {
        Lab::with(json!({}))
    }

    /// A grant of the piece `t1` with this fault.
    fn granted(fault: &str) -> Granted {
        let profile = |json| Arc::new(Profile::of(json));
        Granted {
            item: Identity::new("toaster", "t1"),
            profile: profile(json!({"type": "toaster", "uid": "t1"})),
            known: profile(json!({"type": "toaster", "uid": "t1", "slots": 2, "fault": fault})),
            again: false,
            at: None,
            number: 1,
        }
    }

    async fn open(&self, fault: &str) -> Opened {
        let unit = self.driver.open(&Lab::granted(fault)).await.unwrap();
        if let Some(refusal) = unit.failed_to_open() {
            panic!("{refusal}");
        }
        Opened { unit }
    }

    /// What happened to drivers, in order.
    fn story(&self) -> Vec<String> {
        let story = fs::read_to_string(self.home.path().join("story")).unwrap_or_default();
        story.lines().map(str::to_owned).collect()
    }
}

/// One open piece.
struct Opened {
    unit: Box<dyn Unit>,
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

    async fn pid(&mut self) -> i64 {
        let place = self.good("where", json!([])).await;
        let Value::Int(pid) = place.as_list().unwrap()[1] else { panic!("{place}") };
        pid
    }
}

/// Whether a process runs.
fn runs(pid: i64) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

/// Waits for the thing, not for a time.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
