//! Configuration and command line: checks 202 to 217.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{Lab, Peer, wait_until};

/// A home whose broker is started and stopped from the command line. Its broker ends with it.
struct Home(TempDir);

/// What a command came to.
#[derive(Debug)]
struct Ended {
    status: Option<i32>,
    stdout: String,
}

impl Home {
    /// A home without any file.
    fn empty() -> Home {
        Home(tempfile::tempdir().expect("a home"))
    }

    /// A home with a broker for this host alone, on any port.
    fn with(members: Value) -> Home {
        let home = Home::empty();
        let mut broker = json!({"port": 0, "listen": "127.0.0.1", "host": "127.0.0.1"});
        for (name, value) in members.as_object().expect("members") {
            broker[name] = value.clone();
        }
        home.write("broker", &broker.to_string());
        home.write("adb_server", r#"{"port": 0}"#); // no test meets an adb server of this host
        home
    }

    fn write(&self, name: &str, content: &str) {
        fs::create_dir_all(self.file("config")).expect("a folder");
        fs::write(self.file("config").join(format!("{name}.json")), content).expect("a file");
    }

    fn file(&self, path: &str) -> PathBuf {
        self.0.path().join(".ave").join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Runs `ave-broker` in this home.
    fn run(&self, options: &[&str]) -> Ended {
        run(Command::new(env!("CARGO_BIN_EXE_ave-broker"))
            .args(options)
            .arg("--allow-root")
            .arg("--home")
            .arg(self.0.path()))
    }

    /// Runs it and expects success.
    fn done(&self, options: &[&str]) -> String {
        let ended = self.run(options);
        assert_eq!(ended.status, Some(0), "{options:?}: {ended:?}");
        ended.stdout
    }

    /// Runs it and expects this status.
    fn fails(&self, options: &[&str], status: i32) -> String {
        let ended = self.run(options);
        assert_eq!(ended.status, Some(status), "{options:?}: {ended:?}");
        ended.stdout
    }

    fn client(&self) -> Peer {
        let port = self.read("run/port").trim().parse::<u16>().expect("a port");
        Peer::connect(([127, 0, 0, 1], port).into(), "")
    }

    fn pid(&self) -> String {
        self.read("run/ave-broker.pid").trim().to_owned()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.run(&["--stop"]);
    }
}

fn run(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("the binary runs");
    Ended { status: output.status.code(), stdout: String::from_utf8(output.stdout).expect("UTF-8") }
}

#[test]
fn check_202_an_empty_object_is_a_configuration() {
    let home = Home::empty();
    home.write("broker", "{}");
    home.done(&["--check"]);
}

#[test]
fn check_203_an_invalid_field_keeps_the_broker_from_starting() {
    let home = Home::with(json!({"port": "invalid"}));
    home.write("authkeys", r#"{"admin": "readable by all, which is no error"}"#);
    for action in ["--start", "--foreground"] {
        let said = home.fails(&[action], 1);
        let line = said.lines().next().expect("a message");
        assert!(
            line.starts_with("ERROR: broker attribute \"port\" must be on the form {\"port\":<int>}. "),
            "{said}"
        );
        assert!(line.ends_with("current value=invalid (type=<type 'unicode'>)"), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
        assert!(!home.file("run/ave-broker.pid").exists());
    }
}

#[test]
fn check_203_every_fault_of_every_file_is_explained() {
    let home = Home::with(
        json!({"host": 1, "stacks": [[], [{"type": "relay"}]], "session_ports": [1, 9], "port": 5}),
    );
    home.write("authkeys", "[]");
    home.write("workspace", "{}");
    home.write("equipment", r#"[{"type": "toaster", "uid": "t"}]"#);
    home.write("devantech", r#"{"*": {"groups": {"a": {"usb.pc.vcc": 9}}}}"#);
    let said = home.fails(&["--check"], 1);
    let places = [
        "broker.json: host: ",
        "broker.json: session_ports: ",
        "broker.json: stacks[1][0]: ",
        "authkeys.json: ",
        "workspace.json: root: ",
        "warning: equipment.json: [0]: ",
        "warning: devantech.json: *.groups.a.usb.pc.vcc: ",
    ];
    for place in places {
        let line =
            said.lines().find(|line| line.contains(place)).unwrap_or_else(|| panic!("{place}\n{said}"));
        assert!(line.contains("wanted ") && line.contains(", found "), "{line}");
    }
    let faults: Value = serde_json::from_str(&home.fails(&["--check", "--json"], 1)).expect("JSON");
    assert_eq!(faults.as_array().expect("a list").len(), places.len() + 1, "{faults}"); // and the mode of authkeys.json
}

#[test]
fn check_204_205_a_remote_rule_and_stacks_of_absent_equipment_may_stand_together() {
    let stacks = json!([[{"type": "relay", "uid": "absent"}]]);
    for remote in [
        json!(null),
        json!({}),
        json!({"host": "h", "port": 1, "policy": "forward"}),
        json!({"host": "h", "port": 1, "policy": "share", "authkey": "SECRET"}),
    ] {
        let lab = Lab::plan().broker(json!({"stacks": stacks, "remote": remote})).start();
        let profile = lab.client().call("get_profile", json!([]))["result"].clone();
        assert_eq!(profile["stacks"], stacks);
        assert_eq!(profile["remote"]["host"], remote["host"]);
        assert!(!profile.to_string().contains("SECRET"), "{profile}");
    }
}

#[test]
fn check_206_the_file_says_host_and_port() {
    let lab = Lab::plan().broker(json!({"host": "localhost"})).start();
    let profile = lab.client().call("get_profile", json!([]))["result"].clone();
    assert_eq!((&profile["host"], &profile["port"]), (&json!("localhost"), &json!(lab.address().port())));
}

#[test]
fn check_207_invalid_authkeys_keep_the_broker_from_starting() {
    let cases = [
        ("[]", "authkeys.json: contents is not a dictionary: <type 'list'>"),
        (r#"{"admin": 1}"#, "authkeys.json: value of \"admin\" is not a string: <type 'int'>"),
        ("", "authkeys.json: not valid JSON encoding: "),
        (r#"{"admin": ""}"#, "authkeys.json: value of \"admin\" is empty"),
    ];
    for (content, message) in cases {
        let home = Home::with(json!({}));
        home.write("authkeys", content);
        let said = home.fails(&["--start"], 1);
        assert!(said.starts_with("ERROR: ") && said.contains(message), "{said}");
    }
    let said = Home::with(json!({})).fails(&["--list"], 1);
    assert!(said.starts_with("ERROR: no such configuration file: "), "{said}");
}

#[test]
fn check_208_a_later_duplicate_member_wins_silently() {
    let home = Home::empty();
    home.write(
        "broker",
        r#"{"port": "invalid", "host": "h", "port": 0, "listen": "127.0.0.1", "host": "127.0.0.1"}"#,
    );
    home.write("adb_server", r#"{"port": 0}"#);
    home.done(&["--start"]);
    let profile = home.client().call("get_profile", json!([]));
    assert_eq!(profile["result"]["host"], json!("127.0.0.1"));
}

#[test]
fn check_209_the_root_of_workspaces_may_name_the_home() {
    for root in ["~/w", "$HOME/w"] {
        let lab = Lab::plan().workspace(json!({"root": root})).start();
        let result = lab.client().get(json!([{"type": "workspace"}]));
        let profile = &result["resources"][0];
        let wanted = fs::canonicalize(lab.home()).expect("a home").join("w");
        assert_eq!(profile["root"].as_str(), wanted.to_str(), "{result}");
    }
}

#[test]
fn check_210_a_first_start_writes_what_is_missing_and_nothing_else() {
    let home = Home::with(json!({}));
    let broker = home.read("config/broker.json");
    home.done(&["--start"]);
    assert_eq!(home.read("config/broker.json"), broker);
    let keys: Value = serde_json::from_str(&home.read("config/authkeys.json")).expect("JSON");
    assert_ne!(keys["admin"], keys["share"]);
    let mode = home.file("config/authkeys.json").metadata().expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(home.read("config/equipment.json").trim(), "[]");
    assert!(home.read("config/workspace.json").contains("tools"));
    home.done(&["--stop"]);
    home.done(&["--start"]);
    assert_eq!(serde_json::from_str::<Value>(&home.read("config/authkeys.json")).expect("JSON"), keys);
    assert!(!home.read("log/ave-broker.log").contains(keys["admin"].as_str().expect("a key"))); // 58
}

#[test]
fn check_211_a_second_start_is_refused_unless_forced() {
    let home = Home::with(json!({}));
    home.done(&["--start"]);
    let first = home.pid();
    let path = fs::canonicalize(home.file("run/ave-broker.pid")).expect("a PID file");
    let said = home.fails(&["--start"], 8);
    let message = format!("ERROR: could not start: pid file {} exists", path.display());
    assert!(said.starts_with(&message), "{said}");
    home.fails(&["--foreground"], 8);
    assert_eq!(home.pid(), first);
    let mut client = home.client();
    home.done(&["--start", "--force"]);
    assert_ne!(home.pid(), first);
    assert_eq!(client.reply(), None);
    home.client();
}

#[test]
fn check_211_force_never_ends_a_process_that_is_no_broker() {
    let home = Home::with(json!({}));
    fs::create_dir_all(home.file("run")).expect("a folder");
    let mut bystander = Command::new("sleep").arg("600").spawn().expect("sleep");
    fs::write(home.file("run/ave-broker.pid"), bystander.id().to_string()).expect("a PID file");
    let said = home.fails(&["--start"], 8);
    assert!(said.contains("stale"), "{said}");
    home.fails(&["--stop"], 8);
    home.done(&["--start", "--force"]);
    let alive = bystander.try_wait().expect("a child").is_none();
    bystander.kill().expect("sleep");
    bystander.wait().expect("sleep");
    assert!(alive);
}

#[test]
fn check_212_stop_ends_broker_and_sessions_and_leaves_nothing() {
    let home = Home::with(json!({}));
    home.write("workspace", r#"{"root": "~/w", "tools": {}}"#);
    home.done(&["--start"]);
    let mut client = home.client();
    let result = client.get(json!([{"type": "workspace"}]));
    let mut session = Peer::session_of(&result);
    home.done(&["--stop"]);
    assert_eq!((client.reply(), session.reply()), (None, None));
    assert_eq!(fs::read_dir(home.file("run")).expect("a folder").count(), 0);
    let workspaces = fs::read_dir(home.0.path().join("w")).expect("a folder");
    assert_eq!(workspaces.map(|entry| entry.expect("an entry").file_name()).collect::<Vec<_>>(), [""; 0]);
    let said = home.fails(&["--stop"], 8);
    assert!(
        said.starts_with("ERROR: could not stop: pid file ") && said.contains("does not exist"),
        "{said}"
    );
}

#[test]
fn check_214_lists_are_paragraphs() {
    let relay =
        json!({"type": "relay", "uid": "a", "power_state": "online", "circuits": {"usb.pc.vcc": 1, "b": 2}});
    let handset = json!({"type": "handset", "serial": "CB5A1JYXRQ", "pretty": "yuga", "power_state": "boot_completed",
        "sysfs_path": "/sys/1-1"});
    let lab = Lab::plan().equipment(json!([relay, handset])).start();
    let list = |options: &[&str]| {
        let ended = run(lab.command().args(options));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        ended.stdout
    };
    let relay_lines = "Relay a\n    circuits       b,usb.pc.vcc\n    power_state    online\n";
    let handset_lines = "Handset /sys/1-1\n    pretty         yuga\n    serial         CB5A1JYXRQ\n    power_state    boot_completed\n";
    let mut client = lab.client();
    client.get(json!([{"type": "relay"}]));
    assert_eq!(list(&["--list"]), handset_lines);
    let all = list(&["--list-all"]);
    assert!(all.contains(relay_lines.trim_end()) && all.contains(handset_lines.trim_end()), "{all}");
    let listed: Value = serde_json::from_str(&list(&["--list", "--json"])).expect("JSON");
    assert_eq!(listed, json!([handset]));
    let ended = run(lab.command().args(["--list-all", "--admin=another key"]));
    assert_eq!(ended.status, Some(1), "{ended:?}");
}

#[test]
fn check_215_root_is_refused() {
    let home = Home::empty();
    let ended =
        run(Command::new(env!("CARGO_BIN_EXE_ave-broker")).args(["--check", "--home"]).arg(home.0.path()));
    let is_root = fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0);
    if is_root {
        assert_eq!(ended.status, Some(2), "{ended:?}");
        assert!(
            ended.stdout.starts_with("ERROR: cannot execute as root. set /etc/ave/user properly"),
            "{ended:?}"
        );
    } else {
        assert_eq!(ended.status, Some(0), "{ended:?}");
    }
}

#[test]
fn check_216_a_dump_disturbs_nothing() {
    let home = Home::with(json!({}));
    home.done(&["--start"]);
    let mut client = home.client();
    let before = client.call("get_profile", json!([]));
    home.done(&["--hickup"]);
    let folder = home.file("hickup");
    let dumps = || fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    wait_until("a dump is written", || dumps().any(|path| !path.to_string_lossy().contains("/.ave-")));
    let dump = dumps().next().expect("a dump");
    let name = dump.file_name().expect("a name").to_string_lossy().into_owned();
    assert!(name.ends_with(&format!("-ave-broker-{}", home.pid())) && name.starts_with("20"), "{name}");
    let keys: Value = serde_json::from_str(&home.read("config/authkeys.json")).expect("JSON");
    let text = fs::read_to_string(&dump).expect("a dump");
    assert!(text.contains("Equipment:\t") && text.contains("Allocated:\t0"), "{text}");
    assert!(keys.as_object().expect("keys").values().all(|key| !text.contains(key.as_str().expect("a key"))));
    assert_eq!(client.call("get_profile", json!([])), before);
}

#[test]
fn check_217_the_exit_status_tells_what_went_wrong() {
    let home = Home::empty();
    assert!(home.done(&["--help"]).contains("--start"));
    assert!(home.done(&["--version"]).starts_with("ave-broker "));
    assert!(home.fails(&["--bogus"], 1).contains("Usage: ave-broker"));
    assert!(home.fails(&["--start", "--stop"], 2).contains("ERROR: cannot combine --stop and --start"));
    assert!(home.fails(&[], 3).contains("ERROR: no action specified"));
    for action in ["stop", "hickup", "restart"] {
        let said = home.fails(&[&format!("--{action}")], 8);
        assert!(said.starts_with(&format!("ERROR: could not {action}: pid file ")), "{said}");
    }
    fs::create_dir_all(home.file("run")).expect("a folder");
    fs::write(home.file("run/ave-broker.pid"), "").expect("a PID file");
    for action in ["--start", "--stop", "--hickup"] {
        let said = home.fails(&[action], 5);
        assert!(said.starts_with("ERROR: The pid file(") && said.contains(") size is zero. "), "{said}");
    }
}

#[test]
fn check_217_what_cannot_be_written_is_a_failure() {
    let home = Home::with(json!({}));
    home.write("equipment", r#"[{"type": "relay", "uid": "a"}]"#);
    home.done(&["--start"]);
    for action in ["--help", "--check", "--list-all"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("a device");
        let mut command = Command::new(env!("CARGO_BIN_EXE_ave-broker"));
        command
            .args([action, "--allow-root", "--home"])
            .arg(home.0.path())
            .stdout(full)
            .stderr(Stdio::null());
        assert_eq!(command.status().expect("the binary runs").code(), Some(1), "{action}");
    }
}

#[test]
fn check_217_a_start_that_fails_says_why() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let home = Home::with(json!({"port": taken.local_addr().expect("an address").port()}));
    let said = home.fails(&["--start"], 1);
    assert!(said.starts_with("ERROR: ") && said.contains("127.0.0.1"), "{said}");
    assert!(said.contains("\"port\" of broker.json"), "{said}");
    assert_eq!(fs::read_dir(home.file("run")).expect("a folder").count(), 0);
}
