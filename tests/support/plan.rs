//! What a lab is made from: the files of its home, and how its broker is started.

use std::net::{SocketAddr, TcpListener};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::sync::Mutex;
use std::{fs, io};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{ADMIN, Lab, SHARE, with};

/// What a lab is made from.
#[derive(Clone)]
pub(crate) struct Plan {
    broker: Value,
    authkeys: Value,
    equipment: Value,
    workspace: Value,
    adb_server: Value,
    devantech: Value,
    files: Vec<(String, String)>,
    launcher: Option<String>,
}

impl Plan {
    /// Both keys, no equipment, and workspaces that may run a few tools.
    pub(super) fn usual() -> Plan {
        Plan {
            broker: json!({
                "port": 0, "listen": "127.0.0.1", "host": "127.0.0.1", "usb_devices": "/none", "device_nodes": "/none",
            }),
            authkeys: json!({"admin": ADMIN, "share": SHARE}),
            equipment: json!([]),
            workspace: json!({
                "root": "~/workspaces", "pretty": "lab",
                "tools": {"sh": "/bin/sh", "sleep": "/bin/sleep", "true": "/bin/true"},
            }),
            adb_server: json!({"port": 0}),
            devantech: json!({}),
            files: Vec::new(),
            launcher: None,
        }
    }

    /// Members of `broker.json` that differ from the usual ones.
    pub(crate) fn broker(mut self, members: Value) -> Plan {
        for (name, value) in members.as_object().expect("members") {
            self.broker[name] = value.clone();
        }
        self
    }

    /// The content of `authkeys.json`.
    pub(crate) fn authkeys(mut self, keys: Value) -> Plan {
        self.authkeys = keys;
        self
    }

    /// Listens on this port.
    pub(crate) fn port(self, port: u16) -> Plan {
        self.broker(json!({"port": port}))
    }

    /// Passes on to this broker what it cannot serve.
    pub(crate) fn forward(self, target: SocketAddr) -> Plan {
        self.remote(target, json!({"policy": "forward"}))
    }

    /// Shares its equipment with this broker.
    pub(crate) fn share(self, master: SocketAddr) -> Plan {
        self.remote(master, json!({"policy": "share", "authkey": SHARE}))
    }

    fn remote(self, other: SocketAddr, rule: Value) -> Plan {
        let address = json!({"host": other.ip().to_string(), "port": other.port()});
        self.broker(json!({"remote": with(address, rule)}))
    }

    /// The content of `equipment.json`.
    pub(crate) fn equipment(mut self, profiles: Value) -> Plan {
        self.equipment = profiles;
        self
    }

    /// The port of the adb server whose handsets this lab lends.
    pub(crate) fn adb_server(mut self, port: u16) -> Plan {
        self.adb_server = json!({"port": port});
        self
    }

    /// Members of `workspace.json` that differ from the usual ones; null is none.
    pub(crate) fn workspace(mut self, members: Value) -> Plan {
        for (name, value) in members.as_object().expect("members") {
            self.workspace[name] = value.clone();
        }
        self.workspace.as_object_mut().expect("members").retain(|_, value| !value.is_null());
        self
    }

    /// The content of `devantech.json`.
    pub(crate) fn devantech(mut self, boards: Value) -> Plan {
        self.devantech = boards;
        self
    }

    /// A file of the broker's home, below `.ave`.
    pub(crate) fn file(mut self, path: &str, content: impl ToString) -> Plan {
        self.files.push((path.to_owned(), content.to_string()));
        self
    }

    /// Has a shell start the broker with this script: `$0` is the home, `"$@"` the command.
    pub(crate) fn launched_by(mut self, script: &str) -> Plan {
        self.launcher = Some(script.to_owned());
        self
    }

    /// Gives every session a port of its own.
    pub(crate) fn session_ports(self) -> Plan {
        let (first, last) = free_ports();
        self.broker(json!({"session_ports": [first, last]}))
    }

    /// Starts the broker and waits until it answers.
    pub(crate) fn start(self) -> Lab {
        Lab::launch(self.home(), self.launcher.as_deref())
    }

    /// Only the home, with all its files.
    pub(crate) fn home(&self) -> TempDir {
        let home = tempfile::tempdir().expect("a home");
        let config = home.path().join(".ave/config");
        fs::create_dir_all(&config).expect("a configuration folder");
        for (name, content) in [
            ("broker", &self.broker),
            ("authkeys", &self.authkeys),
            ("equipment", &self.equipment),
            ("workspace", &self.workspace),
            ("adb_server", &self.adb_server),
            ("devantech", &self.devantech),
        ] {
            fs::write(config.join(format!("{name}.json")), content.to_string())
                .expect("a configuration file");
        }
        for (path, content) in &self.files {
            let path = home.path().join(".ave").join(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            fs::write(path, content).expect("a file");
        }
        home
    }
}

/// A range of ports nobody uses now, outside of those the system gives out by itself. It is this process's own as long
/// as it lives: no other test on this host is given it.
pub(crate) fn free_ports() -> (u16, u16) {
    const FIRST: u16 = 10_000;
    const LAST: u16 = 32_000;
    const COUNT: u16 = 8;
    static OWN: Mutex<Vec<UnixListener>> = Mutex::new(Vec::new());
    let free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
    for first in (FIRST..LAST).step_by(COUNT.into()) {
        let last = first + COUNT - 1;
        if let Ok(mark) = mark(first)
            && (first..=last).all(free)
        {
            OWN.lock().expect("no panic").push(mark);
            return (first, last);
        }
    }
    panic!("no ports are free");
}

/// Tells every other test that the ports from this one on are taken; the system takes the mark away with the process.
fn mark(port: u16) -> io::Result<UnixListener> {
    let name = format!("ports of a test of ave-broker, from {port}");
    UnixListener::bind_addr(&UnixAddr::from_abstract_name(name)?)
}
