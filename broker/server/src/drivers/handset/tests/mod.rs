//! A handset as a session uses it: the real adb server, a simulated phone, the unit's calls by name. The numbers
//! in names and comments are those of the handset checks in `docs/handset.md`.

mod android;
mod documents;
mod files;
mod forwards;
mod lifetime;
mod patience;
mod power;
mod properties;
mod shell;
mod transfers;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ave_adb::Server;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal, Value};
use ave_protocol::arguments::{Arguments, Bound};
use ave_simulated::{AdbServer, Phone, PhoneBuilder};
use serde_json::json;

use super::HandsetDriver;
use crate::config::handset::HandsetConfig;
use crate::drivers::{Driver, Unit};
use crate::usb::UsbBus;

/// An adb server with one phone.
struct Lab {
    adb: AdbServer,
    phone: Phone,
    driver: HandsetDriver,
    home: tempfile::TempDir,
}

/// One lent handset.
struct Opened(Box<dyn Unit>);

impl Lab {
    fn with(phone: PhoneBuilder) -> Lab {
        let phone = phone.start().unwrap();
        let adb = AdbServer::start().unwrap();
        adb.connect(&phone.serial()).unwrap();
        let home = tempfile::tempdir().unwrap();
        let driver = driver(adb.address(), home.path());
        let lab = Lab { adb, phone, driver, home };
        lab.wait_state("device");
        lab
    }

    fn new() -> Lab {
        Lab::with(Phone::builder())
    }

    /// Without and with `shell_v2`, which must make no difference.
    fn both() -> [Lab; 2] {
        [Lab::new(), Lab::with(Phone::builder().shell_v2())]
    }

    /// Waits until the adb server says this of the phone.
    fn wait_state(&self, state: &str) {
        let question = format!("host-serial:{}:get-state", self.phone.serial());
        until(state, || self.adb.ask(&question).is_ok_and(|found| found == state));
    }

    /// Waits until the adb server does not reach the phone any more.
    fn wait_gone(&self) {
        let question = format!("host-serial:{}:get-state", self.phone.serial());
        until("gone", || self.adb.ask(&question).map_or(true, |found| found != "device"));
    }

    async fn open(&self) -> Opened {
        self.open_as(json!({"platform": "android"})).await
    }

    async fn open_as(&self, members: serde_json::Value) -> Opened {
        let serial = self.phone.serial();
        let mut profile = Profile::of(json!({"type": "handset", "serial": serial, "workstation": "here"}));
        profile.0.extend(Profile::of(members).0);
        let profile = Arc::new(profile);
        let item = Identity::new("handset", &serial);
        let granted = Granted {
            item,
            profile: Arc::clone(&profile),
            known: profile,
            again: false,
            at: None,
            number: 1,
        };
        Opened(self.driver.open(&granted).await.unwrap())
    }

    /// The lines of the adb server's list of forwards.
    fn forwards(&self) -> Vec<String> {
        self.adb.ask("host:list-forward").unwrap().lines().map(str::to_owned).collect()
    }
}

fn driver(adb: std::net::SocketAddr, home: &Path) -> HandsetDriver {
    let (usb, _scan) = UsbBus::new(Path::new("/nowhere"), Path::new("/nowhere"));
    let (config, _) = HandsetConfig::load(&home.join("handset.json"));
    HandsetDriver::new(Server::new(adb), config, home, usb.devices()).0
}

impl Opened {
    fn bound(&self, method: &str, positional: serde_json::Value) -> Bound {
        let Value::List(positional) = Value::from(positional) else { panic!("a list") };
        let signature = self.0.methods().iter().find(|signature| signature.name() == method).unwrap();
        signature.bind(Arguments::positional(positional)).unwrap()
    }

    async fn call(&mut self, method: &str, positional: serde_json::Value) -> Result<Value, Refusal> {
        let bound = self.bound(method, positional);
        self.0.call(method, bound).await
    }

    /// The answer, as JSON.
    async fn good(&mut self, method: &str, positional: serde_json::Value) -> serde_json::Value {
        let answer = self.call(method, positional.clone()).await;
        let answer = answer.unwrap_or_else(|refusal| panic!("{method}{positional}: {refusal}"));
        serde_json::to_value(answer).unwrap()
    }

    async fn bad(&mut self, method: &str, positional: serde_json::Value) -> Refusal {
        let answer = self.call(method, positional.clone()).await;
        answer.err().unwrap_or_else(|| panic!("{method}{positional} worked"))
    }

    /// Asserts that a call fails with a message that contains this.
    async fn fails(&mut self, method: &str, positional: serde_json::Value, fragment: &str) {
        let refusal = self.bad(method, positional.clone()).await;
        assert!(refusal.message.contains(fragment), "{method}{positional}: {refusal}");
    }
}

/// Waits for the thing, not for a time.
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
