//! Handsets in a broker's list and in clients' hands: the real adb server, simulated phones. What the calls do is
//! the driver's matter and tested there. The numbers are those of the checks in `docs/handset.md`.

use std::fs;
use std::time::{Duration, Instant};

use ave_simulated::{AdbServer, Authorization, Phone, UsbDevice, UsbTree};
use serde_json::{Value, json};

use crate::support::{Lab, Peer, assert_within, free_ports, raised, wait_until, with};

/// An adb server, a phone, and a broker that lends it.
struct Bench {
    adb: AdbServer,
    phone: Phone,
    lab: Lab,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(AdbServer::start().expect("adb"))
    }

    fn with(adb: AdbServer) -> Bench {
        let phone = Phone::builder().start().expect("a phone");
        adb.connect(&phone.serial()).expect("a connection");
        let lab = Lab::plan().adb_server(adb.address().port()).start();
        Bench { adb, phone, lab }
    }

    /// The phone's profile in the broker's list.
    fn listed(&self) -> Option<Value> {
        let list = self.lab.admin().result("list_equipment", json!([]));
        let serial = json!(self.phone.serial());
        list.as_array().expect("a list").iter().find(|profile| profile["serial"] == serial).cloned()
    }

    fn state(&self) -> String {
        let state = self.listed().map(|profile| profile["power_state"].clone()).unwrap_or_default();
        state.as_str().unwrap_or_default().to_owned()
    }

    fn wait_state(&self, state: &str) {
        wait_until(&format!("the phone is {state}"), || self.state() == state);
    }

    /// Somebody who holds the phone: the session, and the profile that was granted.
    fn lent(&self) -> (Peer, Peer, Value) {
        let mut client = self.lab.client();
        let got = client.get(json!([self.want()]));
        (Peer::session_of(&got), client, got["resources"][0].clone())
    }

    fn want(&self) -> Value {
        json!({"type": "handset", "serial": self.phone.serial()})
    }
}

#[test]
fn an_attached_handset_is_listed_with_its_properties_h1() {
    let begun = Instant::now();
    let bench = Bench::new();
    bench.wait_state("boot_completed");
    assert_within(Duration::from_secs(10), begun);
    let profile = bench.listed().expect("it is listed");
    for (member, value) in [
        ("type", json!("handset")),
        ("serial", json!(bench.phone.serial())),
        ("sysfs_path", json!(null)),
        ("platform", json!("android")),
        ("product.model", json!("fake1")),
        ("sdk.version", json!(28)),
        ("sw.label", json!("1.0.A.0.1")),
        ("gsm-capable", json!(true)),
        ("pretty", json!(null)),
        ("sim.operator", json!(null)),
    ] {
        assert_eq!(profile.get(member), Some(&value), "{member}");
    }
    assert!(profile["workstation"].as_str().is_some_and(|name| !name.is_empty()));
    assert_eq!((profile.get("usb.vid"), profile.get("broken")), (None, None));
}

#[test]
fn a_changed_property_is_seen_h2() {
    let bench = Bench::new();
    bench.wait_state("boot_completed");
    bench.phone.set_property("gsm.operator.alpha", "Elsewhere").expect("a property");
    let begun = Instant::now();
    let operator = || bench.listed().map(|profile| profile["gsm.operator"].clone());
    wait_until("the operator has changed", || operator() == Some(json!("Elsewhere")));
    assert_within(Duration::from_secs(10), begun);
}

#[test]
fn an_unplugged_handset_is_offline_with_its_identity_alone_h3() {
    let home = |lab: &Lab| lab.home().join(".ave/config/handset.json");
    let mut bench = Bench::new();
    bench.lab.kill();
    let pretty = json!({"handsets": [{"model": "fake1", "pretty": "bench"}]});
    fs::write(home(&bench.lab), pretty.to_string()).expect("a file");
    bench.lab.restart();
    bench.wait_state("boot_completed");
    assert_eq!(bench.listed().expect("it is listed")["pretty"], "bench"); // H8
    bench.phone.unplug();
    let begun = Instant::now();
    bench.wait_state("offline");
    assert_within(Duration::from_secs(2), begun);
    let profile = bench.listed().expect("it is listed");
    let members: Vec<_> = profile.as_object().expect("a profile").keys().map(String::as_str).collect();
    assert_eq!(members, ["power_state", "pretty", "serial", "sysfs_path", "type", "workstation"]);
    assert_eq!(profile["pretty"], "bench");
}

#[test]
fn a_reboot_is_seen_also_while_the_handset_is_lent_h4() {
    let bench = Bench::new();
    bench.wait_state("boot_completed");
    let (mut session, _client, handset) = bench.lent();
    bench.phone.reboot_takes(None);
    bench.phone.set("boots_to", Some("")).expect("a slow boot");
    session.result_on(&handset, "reboot", json!([]));
    bench.wait_state("offline");
    bench.phone.plug();
    // It comes back without having booted, and boots then.
    wait_until("it is back", || matches!(bench.state().as_str(), "adb" | "package_manager"));
    bench.phone.set_property("sys.boot_completed", "1").expect("a property");
    bench.wait_state("boot_completed");
    let state = session.result_on(&handset, "wait_power_state", json!(["boot_completed", 60]));
    assert_eq!(state, "boot_completed");
}

#[test]
fn only_who_asks_for_another_state_gets_a_handset_that_has_not_booted_h7() {
    let bench = Bench::new();
    bench.wait_state("boot_completed");
    for (property, state) in [(Some("sys.boot_completed"), "adb"), (None, "offline")] {
        match property {
            Some(property) => bench.phone.set_property(property, "").expect("a property"),
            None => bench.phone.unplug(),
        }
        bench.wait_state(state);
        let (kind, _) = bench.lab.client().get_refused(json!([bench.want()]));
        assert_eq!(kind, "NoSuch", "{state}");
        let mut client = bench.lab.client();
        let got = client.get(json!([with(bench.want(), json!({"power_state": state}))]));
        let handset = &got["resources"][0];
        let mut session = Peer::session_of(&got);
        assert_eq!(session.result_on(handset, "get_power_state", json!([])), state);
        let reply = session.call_on(handset, "shell", json!(["true"]));
        match state {
            "offline" => assert_eq!(raised(&reply).0, "Offline", "{reply}"),
            _ => assert_eq!(reply["result"], "", "{reply}"),
        }
        drop((session, client));
        wait_until("it is given back", || bench.lab.available().len() == 1);
    }
}

#[test]
fn a_killed_client_leaves_nothing_on_the_handset_h28() {
    let bench = Bench::new();
    bench.wait_state("boot_completed");
    let (mut session, client, handset) = bench.lent();
    session.result_on(&handset, "shell", json!([["sleep 55"], 0, true]));
    session.result_on(&handset, "open_forwarded_port", json!(["tcp:8"]));
    session.ask(&handset, "shell", json!([["sleep 56"]]));
    let sleeping = || bench.phone.running().iter().filter(|line| line.starts_with("sleep")).count();
    wait_until("both sleep", || sleeping() == 2);
    client.close();
    session.close();
    wait_until("nothing sleeps", || sleeping() == 0);
    wait_until("no port leads there", || {
        bench.adb.ask("host:list-forward").is_ok_and(|list| list.is_empty())
    });
    bench.lab.wait_available(&[&bench.phone.serial()]);
}

#[test]
fn a_killed_broker_leaves_no_command_on_the_handset_h28() {
    let mut bench = Bench::new();
    bench.wait_state("boot_completed");
    let (mut session, _client, handset) = bench.lent();
    session.ask(&handset, "shell", json!([["sleep 55"]]));
    let sleeping = || bench.phone.running().iter().any(|line| line.starts_with("sleep"));
    wait_until("it sleeps", sleeping);
    bench.lab.kill();
    wait_until("it does not", || !sleeping());
    bench.lab.restart();
    bench.wait_state("boot_completed");
}

#[test]
fn an_adb_server_killed_during_a_call_ends_it_and_leaves_nothing_running() {
    let bench = Bench::new();
    bench.wait_state("boot_completed");
    let (mut session, client, handset) = bench.lent();
    session.ask(&handset, "shell", json!([["sleep 55"]]));
    let sleeping = || bench.phone.running().iter().any(|line| line.starts_with("sleep"));
    wait_until("it sleeps", sleeping);
    drop(bench.adb); // by SIGKILL
    // A shell without exit codes does not tell a lost connection from a command that is done. The server may also be gone
    // before it has passed on that the command has begun.
    let reply = session.reply().expect("an answer");
    assert!(reply == json!({"result": ""}) || raised(&reply).0 == "Offline", "{reply}");
    wait_until("it does not", || !sleeping());
    let reply = session.call_on(&handset, "ls", json!(["/"]));
    assert_eq!(raised(&reply).0, "Offline", "{reply}");
    drop((session, client));
    wait_until("it is given back", || bench.lab.available().len() == 1);
}

#[test]
fn handsets_come_back_with_the_adb_server() {
    let (port, _) = free_ports();
    let mut bench = Bench::with(AdbServer::start_on(port).expect("adb"));
    bench.wait_state("boot_completed");
    drop(bench.adb);
    bench.adb = AdbServer::start().expect("another one"); // in the meantime, elsewhere
    let lab = &bench.lab;
    let serial = bench.phone.serial();
    let state = || lab.admin().result("list_equipment", json!([]))[0]["power_state"].clone();
    wait_until("it is offline", || state() == "offline");
    let again = AdbServer::start_on(port).expect("adb");
    again.connect(&serial).expect("a connection");
    wait_until("it is back", || state() == "boot_completed");
}

#[test]
fn a_handset_on_usb_is_seen_before_adb_sees_it_and_in_service_mode() {
    let folder = tempfile::tempdir().expect("a folder");
    let tree = UsbTree::new(folder.path()).expect("a tree");
    let adb = AdbServer::start().expect("adb");
    let places = json!({"usb_devices": tree.devices(), "device_nodes": tree.nodes()});
    let lab = Lab::plan().broker(places).adb_server(adb.address().port()).start();
    let device = |product: &str, serial: Option<&str>| {
        let (vendor, product) = ("0fce".to_owned(), product.to_owned());
        UsbDevice { vendor, product, serial: serial.map(str::to_owned), ..UsbDevice::default() }
    };
    let listed = || lab.admin().result("list_equipment", json!([]))[0].clone();
    let place = tree.plug("1-2", &device("01f5", Some("CB5A"))).expect("a device");
    wait_until("it enumerates", || listed()["power_state"] == "enumeration");
    let profile = listed();
    let place = fs::canonicalize(place).expect("a place");
    assert_eq!((&profile["serial"], &profile["sysfs_path"]), (&json!("CB5A"), &json!(place)));
    assert_eq!((&profile["usb.vid"], &profile["usb.pid"]), (&json!("0fce"), &json!("01f5")));
    // In service mode it says no serial: it is known by its place.
    tree.plug("1-2", &device("adde", None)).expect("a device");
    wait_until("it is to be flashed", || listed()["power_state"] == "service");
    assert_eq!((&listed()["serial"], &listed()["usb.pid"]), (&json!("CB5A"), &json!("adde")));
    tree.unplug("1-2").expect("no device");
    wait_until("it is gone", || listed()["power_state"] == "offline");
    assert_eq!((listed().get("usb.vid"), &listed()["sysfs_path"]), (None, &json!(place)));
}

#[test]
fn handsets_that_hang_babble_or_refuse_delay_no_other() {
    let adb = AdbServer::start().expect("adb");
    let refusing = Phone::builder().authorization(Authorization::Refused);
    let phones = [Phone::builder(), Phone::builder(), refusing, Phone::builder()];
    let [slow, babbling, refusing, good] = phones.map(|phone| phone.start().expect("a phone"));
    slow.set("slow", Some("60")).expect("a fault");
    babbling.set("garbage", Some("")).expect("a fault");
    for phone in [&slow, &babbling, &refusing, &good] {
        // Who is refused is told so, and listed all the same.
        let connected = adb.connect(&phone.serial());
        assert!(connected.is_ok() || phone.serial() == refusing.serial(), "{connected:?}");
    }
    let lab = Lab::plan().adb_server(adb.address().port()).start();
    let state = |phone: &Phone| {
        let list = lab.admin().result("list_equipment", json!([]));
        let serial = json!(phone.serial());
        let found = list.as_array().expect("a list").iter().find(|profile| profile["serial"] == serial);
        found.map(|profile| profile["power_state"].clone()).unwrap_or_default()
    };
    let begun = Instant::now();
    wait_until("the good one is there", || state(&good) == "boot_completed");
    assert_within(Duration::from_secs(5), begun);
    for phone in [&babbling, &refusing, &slow] {
        wait_until("it enumerates", || state(phone) == "enumeration");
    }
    assert_eq!(state(&good), "boot_completed");
    babbling.set("garbage", None).expect("no fault");
    wait_until("it has come to its senses", || state(&babbling) == "boot_completed");
}
