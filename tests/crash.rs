//! A broker that is killed, and the one that follows it in the same home: nothing is lent twice, nothing is left
//! behind, and what was in use is reset before anybody gets it. (Specification 3.4)

mod kills;
mod spoiled;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use ave_client::ClientError;
use ave_simulated::Board;
use serde_json::{Value, json};

use crate::endings::{proxies, use_proxy};
use crate::support::{Bus, Lab, PATIENCE, Peer, Plan, any, assert_within, wait_until};

/// Wipes a lamp: whoever had it put a file there.
const WIPE: &str = "#!/bin/sh
uid=$(sed 's/.*\"uid\":\"\\([^\"]*\\)\".*/\\1/')
rm -f \"$AVE_BROKER_HOME/dirt/$uid\"
";

/// A lab with lamps. A script leaves each dirty that it gets; only a reset makes it clean.
fn lamps(count: usize) -> Plan {
    let kind = json!({"type": "lamp", "identity": "uid", "reset": {"command": ["/bin/sh", "./wipe"]}});
    let lamps: Value = (0..count).map(|n| json!({"type": "lamp", "uid": format!("l{n}")})).collect();
    Lab::plan().file("equipment.d/lamp.json", kind).file("equipment.d/wipe", WIPE).equipment(lamps)
}

/// Leaves a lamp dirty. False if it is dirty already.
fn soil(home: &Path, uid: &str) -> bool {
    let folder = home.join("dirt");
    fs::create_dir_all(&folder).expect("a folder");
    fs::File::create_new(folder.join(uid)).is_ok()
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn what_was_in_use_when_the_broker_died_is_clean_before_it_is_lent_again() {
    let (bus, board) = (Bus::new(), Board::new().expect("a board"));
    bus.plug("00099001", "ttyACM0", &board);
    let groups = json!({"*": {"groups": {"left": {"usb.pc.vcc": 2}}, "defaults": [1, 1, 1, 1, 1, 1, 1, 1]}});
    let mut lab = lamps(2).broker(bus.members()).devantech(groups).start();
    lab.wait_available(&["l0", "l1", "00099001.left"]);
    let mut client = lab.client();
    let lamp = json!({"type": "lamp", "uid": "l0"});
    let mut session = Peer::session_of(&client.get(json!([lamp])));
    assert!(soil(lab.home(), "l0"));
    let relay = client.get(json!([{"type": "relay", "circuits": ["usb.pc.vcc"]}]))["resources"][0].clone();
    session.result_on(&relay, "set_circuit", json!(["usb.pc.vcc", false]));
    let workspace = client.get(json!([any("workspace")]))["resources"][0].clone();
    let workspace = session.result_on(&workspace, "get_path", json!([]));
    let workspace = Path::new(workspace.as_str().expect("a path")).to_owned();
    assert!(workspace.is_dir());
    lab.kill();
    assert!(client.ends() && session.ends());
    lab.restart();
    let mut next = lab.client();
    wait_until("the lamp can be had", || lab.available().iter().any(|name| name == "l0"));
    next.get(json!([lamp]));
    assert!(soil(lab.home(), "l0"), "it was lent before it was clean");
    wait_until("the relay can be had", || lab.available().iter().any(|name| name == "00099001.left"));
    let relay = next.get(json!([{"type": "relay", "uid": "00099001.left"}]));
    assert_eq!(relay["resources"][0]["uid"], "00099001.left");
    wait_until("the workspace is gone", || !workspace.exists());
    wait_until("it is not listed any more", || {
        lab.admin().result("list_equipment", json!([any("workspace")])) == json!([])
    });
}

#[test]
fn clients_of_a_killed_broker_hear_of_it_at_once() {
    let mut lab = lamps(2).start();
    let mut broker = lab.broker();
    let mut held = proxies(&mut broker, json!([{"type": "lamp"}]));
    use_proxy(&mut held[0]).expect("it is held");
    lab.kill();
    let begun = Instant::now();
    assert!(matches!(use_proxy(&mut held[0]), Err(ClientError::Closed)));
    let again = ave_profile::Want { groups: vec![vec![ave_profile::Profile::of(any("lamp"))]] };
    assert!(matches!(broker.get(&again), Err(ClientError::Closed)));
    assert_within(Duration::from_secs(1), begun);
}

/// What `ave-broker --replay` says of a journal.
fn replayed(lab: &Lab, journal: &Path) -> (Option<i32>, Value) {
    let mut command = lab.command();
    let ended = command.arg("--replay").arg(journal).arg("--json").output().expect("it runs");
    let text = String::from_utf8(ended.stdout).expect("text");
    (ended.status.code(), serde_json::from_str(&text).unwrap_or_else(|_| Value::from(text)))
}

/// What a broker says of itself when it is asked for a dump, by the name of the line.
fn dumped(lab: &Lab, name: &str) -> String {
    let folder = lab.home().join(".ave/hickup");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("a folder");
    let status = lab.command().arg("--hickup").status().expect("it runs");
    assert!(status.success());
    let dump = || {
        let path = fs::read_dir(&folder).expect("a folder").flatten().next()?.path();
        let text = fs::read_to_string(path).ok()?;
        text.lines().find_map(|line| line.strip_prefix(name)).map(|said| said.trim().to_owned())
    };
    let mut said = None;
    wait_until("the dump is there", || {
        said = dump();
        said.is_some()
    });
    said.expect("it is there")
}

#[test]
fn a_brokers_journal_replays_into_what_it_says_of_itself() {
    let mut lab = lamps(20).start();
    let mut clients: Vec<Peer> = (0..4).map(|_| lab.client()).collect();
    for round in 0..16 {
        let client = &mut clients[round % 4];
        let got = client.get(json!([any("lamp"), any("workspace")]));
        if round % 2 == 0 {
            client.result("yield_resources", got["resources"].clone());
        }
    }
    // Two of four have kept four pairs each; one of them leaves.
    clients.remove(1).close();
    clients[0].get_refused(json!([{"type": "lamp", "uid": "no such lamp"}]));
    wait_until("closing is over", || lab.list("list_allocations_all").len() == 8);
    wait_until("what is given back is clean", || lab.available().len() == 16);
    let fingerprint = dumped(&lab, "Fingerprint:");
    let held = lab.list("list_allocations_all").len();
    let journal = lab.home().join(".ave/state/journal");
    let (status, said) = replayed(&lab, &journal);
    assert_eq!((status, &said["end"]), (Some(0), &json!("whole")), "{said}");
    assert_eq!(said["fingerprint"], json!(fingerprint));
    let sessions = said["state"]["sessions"].as_array().expect("sessions");
    let items: usize = sessions.iter().map(|session| session["items"].as_array().expect("items").len()).sum();
    assert_eq!(items, held);
    let shown = lab.command().arg("--replay").arg(&journal).output().expect("it runs");
    let shown = String::from_utf8(shown.stdout).expect("text");
    assert!(shown.contains(&fingerprint) && shown.contains("    lamp:l"), "{shown}");
    lab.kill();
    let torn = lab.home().join("torn");
    let bytes = fs::read(&journal).expect("a journal");
    fs::write(&torn, &bytes[..bytes.len() - 1]).expect("a file");
    let (status, said) = replayed(&lab, &torn);
    assert!(status == Some(0) && said["end"].as_str().is_some_and(|end| end.starts_with("torn at byte ")));
}
