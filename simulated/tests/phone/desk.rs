//! What each of the tests has on its desk.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use ave_simulated::{AdbServer, Phone, PhoneBuilder};

/// How long anything may take that takes a moment.
const PATIENCE: Duration = Duration::from_secs(60);

const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// An adb server with one phone attached.
pub(crate) struct Desk {
    pub(crate) server: AdbServer,
    pub(crate) phone: Phone,
}

impl Desk {
    pub(crate) fn new(phone: PhoneBuilder) -> Desk {
        let server = AdbServer::start().expect("a server");
        let phone = phone.attach_to(server.address()).start().expect("a phone");
        let desk = Desk { server, phone };
        desk.wait_for("device");
        desk
    }

    /// The client's exit code, and what it printed, errors last.
    pub(crate) fn adb(&self, arguments: &[&str]) -> (i32, String) {
        let serial = self.phone.serial();
        let output = self.server.adb(&[&["-s", &serial], arguments].concat()).expect("adb starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().expect("a code"), String::from_utf8(text).expect("text"))
    }

    pub(crate) fn shell(&self, line: &str) -> String {
        self.adb(&["shell", line]).1
    }

    /// How the server sees the phone at this moment, `none` if not at all.
    pub(crate) fn state(&self) -> String {
        let devices = self.server.ask("host:devices").expect("devices");
        let serial = self.phone.serial();
        let state = devices.lines().find_map(|line| line.strip_prefix(&serial)?.strip_prefix('\t'));
        state.unwrap_or("none").to_owned()
    }

    pub(crate) fn wait_for(&self, state: &str) {
        wait_until(|| self.state(), |found| found == state);
    }
}

pub(crate) fn wait_until<T: Debug>(mut look: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if wanted(&found) {
            return;
        }
        assert!(Instant::now() < deadline, "still {found:?}");
        std::thread::sleep(LOOK_AGAIN);
    }
}
