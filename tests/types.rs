//! Types that a lab brings, by descriptors in `equipment.d`: the items P-1 to P-5, P-12, P-14 and P-15 of the
//! equipment checklist.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::{Lab, Peer, Plan, any, only, piece, raised, wait_until, with};

/// An oven: identified by a member of its own, found by nobody.
fn oven(members: Value) -> Value {
    let oven = json!({
        "type": "oven", "identity": "name", "kept": ["room"], "defaults": {"power_state": "online"},
        "rules": {"trays": "names"}, "fields": {"name": "What is written on its door."},
    });
    with(oven, members)
}

fn lab(descriptor: &Value) -> Plan {
    Lab::plan().file("equipment.d/oven.json", descriptor)
}

fn an_oven(name: &str) -> Value {
    json!({"type": "oven", "name": name, "power_state": "online", "room": 7, "trays": {"deep": 1, "flat": 2}})
}

/// Every oven in the broker's list, with its power state.
fn ovens(lab: &Lab) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let listed = lab.admin().result("list_equipment", json!([any("oven")]));
    let listed = listed.as_array().expect("a list");
    listed.iter().map(|oven| (text(&oven["name"]), text(&oven["power_state"]))).collect()
}

fn wait_ovens(lab: &Lab, wanted: &[(&str, &str)]) {
    wait_until(&format!("the ovens are {wanted:?}"), || {
        ovens(lab).iter().map(|(name, state)| (name.as_str(), state.as_str())).eq(wanted.iter().copied())
    });
}

fn ave_broker(home: &Path, option: &str) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ave-broker"));
    command.arg("--home").arg(home).args(["--allow-root", option]).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

#[test]
fn p_1_p_2_a_new_type_is_lent_as_its_descriptor_says() {
    let offline = with(an_oven("a"), json!({"power_state": "offline"}));
    let lab = lab(&oven(json!({}))).equipment(json!([offline, an_oven("b")])).start();
    assert_eq!(lab.client().get_refused(json!([with(any("oven"), json!({"trays": ["round"]}))])).0, "NoSuch");
    let mut client = lab.client();
    let granted = client.get(json!([with(any("oven"), json!({"trays": ["deep"]}))]));
    let shown =
        json!({"type": "oven", "name": "b", "room": 7, "trays": {"deep": 1}, "power_state": "online"});
    assert_eq!(granted["resources"], json!([shown]));
    assert_eq!(lab.client().get_refused(json!([any("oven")])).0, "Busy");
    client.close();
    wait_until("it is free again", || {
        lab.admin()
            .result("list_available", json!([any("oven")]))
            .as_array()
            .is_some_and(|list| list.len() == 2)
    });
}

#[test]
fn p_2_several_sessions_share_a_piece_and_a_member_may_be_one_of_several() {
    let rules = json!({"room": "one_of", "note": "ignore"});
    let lab = lab(&oven(json!({"rules": rules, "allocations": 2}))).equipment(json!([an_oven("a")])).start();
    let asked = json!([with(any("oven"), json!({"room": [6, 7], "note": "whatever"}))]);
    let mut clients = [lab.client(), lab.client()];
    for client in &mut clients {
        assert_eq!(client.get(asked.clone())["resources"][0]["room"], 7);
    }
    assert_eq!(lab.client().get_refused(asked).0, "Busy");
    assert_eq!(lab.client().get_refused(json!([with(any("oven"), json!({"room": [5]}))])).0, "NoSuch");
}

#[test]
fn p_12_a_client_needs_no_new_code() {
    let lab = lab(&oven(json!({}))).equipment(json!([an_oven("a")])).start();
    let mut client = lab.client();
    let granted = client.get(json!([any("oven")]));
    let resource = granted["resources"][0].clone();
    let mut session = Peer::session_of(&granted);
    assert_eq!(session.result_on(&resource, "get_profile", json!([])), resource);
    let refused = session.call_on(&resource, "bake", json!([]));
    assert_eq!(raised(&refused).1, "no driver for type \"oven\": bake");
}

#[test]
fn p_3_a_lab_changes_what_a_built_in_type_asks_for() {
    let relay = json!({"type": "relay", "defaults": {}});
    let offline = with(piece("r1"), json!({"power_state": "offline"}));
    let lab = Lab::plan().file("equipment.d/relay.json", relay).equipment(json!([offline])).start();
    assert_eq!(lab.client().get(json!([any("relay")]))["resources"][0]["uid"], "r1");
}

#[test]
fn p_4_a_static_list_is_read_again_when_it_changes() {
    let listed = oven(json!({"listers": [{"file": {"path": "ovens.json"}}]}));
    let lab = lab(&listed).file("config/ovens.json", json!([an_oven("a"), {"type": "oven"}])).start();
    wait_ovens(&lab, &[("a", "online")]);
    let list = lab.home().join(".ave/config/ovens.json");
    fs::write(&list, json!([an_oven("b"), an_oven("a")]).to_string()).expect("a list");
    wait_ovens(&lab, &[("a", "online"), ("b", "online")]);
    fs::write(&list, json!([an_oven("b")]).to_string()).expect("a list");
    wait_ovens(&lab, &[("b", "online")]);
}

#[test]
fn p_4_a_device_is_there_when_it_is_plugged_in_and_p_5_offline_when_it_is_not() {
    let usb = json!({"vendor": "04d8", "product": "ffef", "fields": {"name": "serial", "node": "tty"}});
    let tree = tempfile::tempdir().expect("a folder");
    let device = tree.path().join("1-1");
    let plug = || {
        let attributes =
            [("idVendor", "04D8"), ("idProduct", "ffef"), ("serial", "a"), ("1-1:1.0/tty/ttyACM7/dev", "")];
        for (name, value) in attributes {
            let file = device.join(name);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(file, value).expect("an attribute");
        }
    };
    plug();
    let descriptor = oven(json!({"listers": [{"usb": usb}], "defaults": {}}));
    let lab = lab(&descriptor).broker(json!({"usb_devices": tree.path(), "device_nodes": "/nodes"})).start();
    wait_ovens(&lab, &[("a", "online")]);
    let known = lab.admin().result("list_equipment", json!([any("oven")]))[0].clone();
    assert_eq!(known["node"], "/nodes/ttyACM7");
    fs::remove_dir_all(&device).expect("a device");
    wait_ovens(&lab, &[("a", "offline")]);
    let known = lab.admin().result("list_equipment", json!([any("oven")]))[0].clone();
    assert_eq!(known["node"], Value::Null);
    lab.client().get_refused(json!([any("oven")]));
    let asked = with(any("oven"), json!({"power_state": "offline"}));
    assert_eq!(lab.client().get(json!([asked]))["resources"][0]["name"], "a");
    plug();
    wait_ovens(&lab, &[("a", "online")]);
    lab.client().get(json!([any("oven")]));
}

/// An oven found by a script beside its descriptor, every second.
fn scripted(grace_s: u64) -> Value {
    let lister = json!({"command": ["sh", "./find"], "every_s": 1, "grace_s": grace_s});
    oven(json!({"listers": [{"command": lister}]}))
}

#[test]
fn p_4_a_program_finds_pieces_and_p_5_they_are_offline_once_it_fails_for_too_long() {
    let lab = lab(&scripted(1)).file("equipment.d/find", "cat list").file("equipment.d/list", "[]").start();
    let list = lab.home().join(".ave/equipment.d/list");
    fs::write(&list, json!([an_oven("a"), an_oven("b")]).to_string()).expect("a list");
    wait_ovens(&lab, &[("a", "online"), ("b", "online")]);
    fs::write(&list, json!([an_oven("b")]).to_string()).expect("a list");
    wait_ovens(&lab, &[("a", "offline"), ("b", "online")]);
    fs::remove_file(&list).expect("a list");
    wait_ovens(&lab, &[("a", "offline"), ("b", "offline")]);
    fs::write(&list, json!([an_oven("a")]).to_string()).expect("a list");
    wait_ovens(&lab, &[("a", "online"), ("b", "offline")]);
    let log = lab.stop();
    assert!(
        log.contains("a lister has failed for too long") && log.contains("a lister works again"),
        "{log}"
    );
}

#[test]
fn p_5_a_killed_broker_leaves_no_lister_behind_for_long() {
    let script = "echo $$ >>pids; exec sleep 1000";
    let mut lab = lab(&scripted(600)).file("equipment.d/find", script).start();
    let started = lab.home().join(".ave/equipment.d/pids");
    let pids = || fs::read_to_string(&started).unwrap_or_default();
    wait_until("the lister runs", || pids().ends_with('\n'));
    let pid = pids().trim().to_owned();
    let runs = || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    lab.kill();
    assert!(runs(), "nobody was there to end it");
    lab.restart();
    wait_until("it is gone", || !runs());
    wait_until("another one runs", || pids().lines().count() == 2);
    let second = pids().lines().last().expect("a number").to_owned();
    lab.stop();
    wait_until("a broker that is stopped leaves nothing", || !Path::new("/proc").join(&second).exists());
}

#[test]
fn p_4_any_program_with_the_share_key_reports_pieces_of_a_new_type() {
    let lab = lab(&oven(json!({}))).start();
    lab.lister().result("add_equipment", json!(["local", [an_oven("a")]]));
    assert_eq!(ovens(&lab), [("a".to_owned(), "online".to_owned())]);
    let gone = with(an_oven("a"), json!({"power_state": "offline"}));
    lab.lister().result("add_equipment", json!(["local", [gone]]));
    lab.client().get_refused(json!([any("oven")]));
    let nameless = lab.lister().call("add_equipment", json!(["local", [{"type": "oven"}]]));
    assert_eq!(raised(&nameless), ("KeyError".to_owned(), "name".to_owned()));
}

#[test]
fn p_14_stacks_and_collateral_hold_for_a_new_type() {
    let stacked =
        json!([[{"type": "oven", "name": "a"}, only("r1")], [{"type": "oven", "name": "b"}, only("h1")]]);
    let equipment = json!([an_oven("a"), an_oven("b"), piece("r1"), piece("h1")]);
    let lab = lab(&oven(json!({}))).equipment(equipment).broker(json!({"stacks": stacked})).start();
    let mut client = lab.client();
    let groups = client.result("get_multi_resources", json!([[any("handset"), any("oven")]]));
    assert_eq!(groups[0]["resources"][1]["name"], "b");
    let mut other = lab.client();
    assert_eq!(other.get(json!([any("oven")]))["resources"][0]["name"], "a");
    assert_eq!(lab.list("list_collateral_all"), ["r1"]);
    assert_eq!(lab.client().get_refused(json!([any("relay")])).0, "Busy");
    other.close();
    wait_until("the relay is free", || lab.list("list_collateral_all").is_empty());
    lab.client().get(json!([any("relay")]));
}

#[test]
fn p_15_a_wrong_descriptor_disables_its_type_and_says_why() {
    let wrong = oven(json!({"driver": {"command": ["./gone"]}}));
    let grill = json!({"type": "grill", "identity": "uid", "listers": [{"file": {"path": "grills.json"}}]});
    let lab = lab(&wrong)
        .file("equipment.d/grill.json", grill)
        .file("config/grills.json", json!([{"type": "grill"}, {"type": "grill", "uid": "g"}]))
        .equipment(json!([an_oven("a"), piece("r1")]))
        .start();
    let kinds = || {
        let listed = lab.admin().result("list_equipment", json!([]));
        listed.as_array().expect("a list").iter().map(|piece| piece["type"].clone()).collect::<Vec<_>>()
    };
    wait_until("the others are there", || kinds() == ["relay", "grill"]);
    assert!(lab.client().get_refused(json!([any("oven")])).1.contains("oven"));
    let place = "oven.json: driver.command: wanted an executable file, found none at ";
    let check = ave_broker(lab.home(), "--check");
    assert!(check.status.success(), "a broker starts with it");
    assert!(said(&check).contains(&format!("warning: {place}")), "{}", said(&check));
    assert!(said(&check).contains("warning: grills.json: [0]: wanted \"uid\""), "{}", said(&check));
    let types = said(&ave_broker(lab.home(), "--list-types"));
    let paragraph = types.split("\n\n").find(|paragraph| paragraph.starts_with("oven: disabled"));
    assert!(paragraph.is_some_and(|paragraph| paragraph.contains(&format!("fault: {place}"))), "{types}");
    assert!(types.contains("    fault: grills.json: [0]: wanted"), "{types}");
    let log = lab.stop();
    assert!(log.contains("driver.command") && log.contains("oven.json"), "{log}");
}

#[test]
fn p_2_every_type_is_described_for_people_and_programs() {
    let home = tempfile::tempdir().expect("a home");
    let folder = home.path().join(".ave/equipment.d");
    fs::create_dir_all(&folder).expect("a folder");
    let bought = oven(
        json!({"driver": {"command": ["sh", "-c", "bake"]}, "reset": {"method": "cool"}, "allocations": 2}),
    );
    fs::write(folder.join("oven.json"), bought.to_string()).expect("a descriptor");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ave-broker"))
        .args(["--list-types", "--json", "--allow-root", "--home"])
        .arg(home.path())
        .output()
        .expect("the binary runs");
    let types: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let types = types.as_array().expect("a list");
    let names: Vec<_> = types.iter().filter_map(|shown| shown["type"].as_str()).collect();
    assert_eq!(
        names,
        ["beryllium", "handset", "oven", "powermeter", "relay", "testdrive", "wlan", "workspace"]
    );
    for shown in types {
        assert_eq!((&shown["enabled"], &shown["faults"]), (&json!(true), &json!([])), "{shown}");
        let fields = shown["description"]["fields"].as_object().expect("members");
        assert!(fields.values().all(|sentence| sentence.as_str().is_some_and(|text| text.ends_with('.'))));
    }
    for shown in types.iter().filter(|shown| shown["driven_by"] == "broker") {
        let page =
            format!("{}/../../docs/{}.md", env!("CARGO_MANIFEST_DIR"), shown["type"].as_str().expect("text"));
        let page = fs::read_to_string(page).expect("a page");
        let fields = shown["description"]["fields"].as_object().expect("members");
        assert!(!fields.is_empty());
        for name in fields.keys() {
            assert!(page.contains(&format!("`{name}`")), "{name} of {}", shown["type"]);
        }
    }
    let (oven, workspace) = (&types[2], &types[7]);
    assert_eq!((&oven["driven_by"], &workspace["driven_by"]), (&json!("program"), &json!("broker")));
    assert_eq!(oven["description"]["rules"], json!({"trays": "names"}));
    let calls = workspace["methods"].as_array().expect("calls");
    assert!(calls.iter().any(|call| call == "get_path()"), "{calls:?}");
    let text = said(&ave_broker(home.path(), "--list-types"));
    for line in [
        "    defaults   power_state: \"online\"",
        "    lent to    2 sessions at once",
        "    reset by   cool()",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}
