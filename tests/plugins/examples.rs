//! The shipped examples, as they are: files copied, programs run.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use super::*;

/// A program that imitates a device, killed at the end.
pub(super) struct Imitation {
    child: Child,
    /// The first line it printed.
    pub(super) says: String,
}

impl Imitation {
    pub(super) fn run(folder: &str, program: &str, argument: Option<&Path>) -> Imitation {
        let mut command = Command::new(python());
        command.arg(examples(folder).join(program)).args(argument);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("an imitation");
        let mut says = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut says).expect("a line");
        Imitation { child, says: says.trim().to_owned() }
    }

    pub(super) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Imitation {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A file of an example, with its interpreter as the tests want it.
pub(super) fn file(folder: &str, name: &str) -> String {
    let text = fs::read_to_string(examples(folder).join(name)).expect("an example");
    text.replace("\"python3\"", &format!("\"{}\"", python()))
}

/// A lab with the satellite simulator at this port.
pub(super) fn satellites(port: &str) -> Plan {
    Lab::plan()
        .broker(json!({"open_limit_s": 30}))
        .file("equipment.d/testdrive.json", file("gps", "testdrive.json"))
        .file("equipment.d/testdrive.py", file("gps", "testdrive.py"))
        .file("config/testdrives.json", file("gps", "testdrives.json").replace("6800", port))
}

pub(super) fn meters(device: &Path) -> Plan {
    let list = file("powermeter", "powermeters.json");
    Lab::plan()
        .broker(json!({"open_limit_s": 30}))
        .file("equipment.d/powermeter.json", file("powermeter", "powermeter.json"))
        .file("equipment.d/powermeter.py", file("powermeter", "powermeter.py"))
        .file("config/powermeters.json", list.replace("/tmp/readings", &device.display().to_string()))
}

fn held(lab: &Lab, kind: &str) -> Held {
    wait_until("the piece is listed", || !lab.available().is_empty());
    Held::of(lab, any(kind))
}

#[test]
fn p_16_a_satellite_simulator_is_driven_through_its_control_host_and_rewound() {
    let host = Imitation::run("gps", "simulated_control_host.py", None);
    let lab = satellites(&host.says).start();
    let mut simulator = held(&lab, "testdrive");
    assert_eq!(simulator.resource, json!({"type": "testdrive", "uid": "spirent1", "vendor": "spirent"}));
    assert_eq!(simulator.result("load_scenario", json!(["lund-harbour"])), Value::Null);
    simulator.result("start", json!([]));
    simulator.result("set_position", json!([55.7, 13.19]));
    let running = json!({"scenario": "lund-harbour", "running": true, "position": [55.7, 13.19, 0.0]});
    assert_eq!(simulator.result("get_status", json!([])), running);
    simulator.result("stop", json!([]));
    assert_eq!(simulator.result("get_status", json!([]))["running"], false);
    drop(simulator);
    lab.wait_available(&["spirent1"]);
    let clean = json!({"scenario": null, "running": false, "position": null});
    assert_eq!(held(&lab, "testdrive").result("get_status", json!([])), clean);
}

#[test]
fn p_16_what_is_wrong_is_said_and_nothing_else_happens() {
    let mut host = Imitation::run("gps", "simulated_control_host.py", None);
    let lab = satellites(&host.says).start();
    let mut simulator = held(&lab, "testdrive");
    let cases = [
        ("start", json!([]), "Refused", "no scenario is loaded"),
        ("load_scenario", json!(["atlantis"]), "Refused", "no such scenario: atlantis"),
        ("load_scenario", json!(["a b"]), "ValueError", "name must be a scenario's name without spaces"),
        ("set_position", json!([91, 0]), "ValueError", "latitude must be from -90 to 90, found 91"),
        ("set_position", json!([0, "east"]), "ValueError", "longitude must be a number, found 'east'"),
    ];
    for (method, arguments, kind, message) in cases {
        let found = raised(&simulator.call(method, arguments));
        assert!(found.0 == kind && found.1.starts_with(message), "{found:?}");
    }
    host.stop();
    for method in ["start", "get_status"] {
        let (kind, message) = raised(&simulator.call(method, json!([])));
        assert!(
            kind == "ControlHostLost" && message.starts_with("lost the control host at 127"),
            "{message}"
        );
    }
    drop(simulator);
    let known = || lab.admin().result("list_equipment", json!([any("testdrive")]))[0].clone();
    wait_until("nobody gets it", || known()["broken"].is_string());
    assert!(known()["broken"].as_str().is_some_and(|why| why.contains("no control host at")), "{}", known());
}

#[test]
fn p_16_only_a_session_connects_to_the_control_host() {
    let host = Imitation::run("gps", "simulated_control_host.py", None);
    let port: u16 = host.says.parse().expect("a port");
    let mut by_hand = BufReader::new(TcpStream::connect(("127.0.0.1", port)).expect("a control host"));
    let lab = satellites(&host.says).start();
    wait_until("the piece is listed", || lab.available() == ["spirent1"]);
    by_hand.get_mut().write_all(b"LOAD lund-harbour\n").expect("a connection");
    let mut answer = String::new();
    by_hand.read_line(&mut answer).expect("an answer");
    assert_eq!(answer, "OK\n", "nobody else has connected");
    let _session = held(&lab, "testdrive");
    assert_eq!(by_hand.read(&mut [0]).expect("an end"), 0, "whoever worked by hand is thrown out");
}

#[test]
fn p_1_the_power_meter_measures_from_a_line_that_is_imitated() {
    let folder = tempfile::tempdir().expect("a folder");
    let device = folder.path().join("meter");
    let mut line = Imitation::run("powermeter", "simulated_meter.py", Some(&device));
    let lab = meters(&device).start();
    let mut meter = held(&lab, "powermeter");
    let reading = meter.result("read", json!([]));
    assert_eq!(reading["volts"], 5.0);
    let measured = meter.result("measure", json!([0.1]));
    assert!(measured["readings"].as_u64().is_some_and(|count| count > 0), "{measured}");
    let mean = measured["mean"].as_f64().expect("a number");
    assert!((2.5..3.0).contains(&mean) && measured["peak"].as_f64() >= Some(mean), "{measured}");
    assert_eq!(raised(&meter.call("measure", json!([0]))).0, "ValueError");
    line.stop();
    wait_until("the loss is noticed", || meter.call("read", json!([])).get("exception").is_some());
    let lines = file("powermeter", "powermeter.py").lines().count();
    assert!(lines < 100, "a template is short: {lines} lines");
}
