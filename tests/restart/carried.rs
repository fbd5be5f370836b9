//! Pieces that are driven while the broker is replaced: a call in the middle goes on, and what drives a piece stays
//! the same process, board or connection.

use std::fs;
use std::path::Path;

use ave_simulated::{AdbServer, Board, Phone};
use serde_json::{Value, json};

use super::restarting;
use crate::plugins::python;
use crate::sessions::both;
use crate::support::{Bus, Client, Lab, Lent, Peer, any, framed, only, request, wait_until, with};

/// More than all buffers between a broker and a client that does not read.
const LARGE_BYTES: usize = 24 << 20;

fn path_of(workspace: &Lent) -> String {
    let path = workspace.proxy().result_on(&workspace.profile, "get_path", json!([]));
    path.as_str().expect("a path").to_owned()
}

#[test]
fn a_tool_that_runs_goes_on_and_its_end_frees_the_piece_197() {
    for lab in both(&["h1"]) {
        let mut client = Client::of(&lab);
        let workspace = client.lent_one(any("workspace"));
        let path = path_of(&workspace);
        let mut proxy = workspace.proxy();
        let tool = "touch begun; while [ ! -e go ]; do sleep 0.01; done; echo done";
        proxy.ask(&workspace.profile, "run", json!([["sh", "-c", tool]]));
        wait_until("the tool runs", || Path::new(&path).join("begun").exists());
        lab.hand_over();
        lab.hand_over();
        assert_eq!(client.refused(json!([only("h1")])), restarting());
        fs::write(format!("{path}/go"), "").expect("a file");
        assert_eq!(proxy.reply(), Some(json!({"result": [0, "done\r\n", ""]})));
        client.close();
        wait_until("the workspace is deleted", || !Path::new(&path).exists());
        lab.wait_available(&["h1"]);
        lab.wait_generations(1);
    }
}

#[test]
fn a_client_that_vanishes_after_a_restart_takes_its_tool_along_197() {
    let lab = Lab::of(&[], &[]);
    let mut client = Client::of(&lab);
    let workspace = client.lent_one(any("workspace"));
    let path = path_of(&workspace);
    workspace.proxy().ask(&workspace.profile, "run", json!([["sh", "-c", "echo $$ > pid; sleep 600"]]));
    let pid = || fs::read_to_string(format!("{path}/pid")).ok()?.trim().parse::<u32>().ok();
    wait_until("the tool runs", || pid().is_some());
    let tool = format!("/proc/{}", pid().expect("a number"));
    lab.hand_over();
    assert!(Path::new(&tool).exists());
    client.close();
    wait_until("the tool is gone", || !Path::new(&tool).exists());
    wait_until("the workspace is deleted", || !Path::new(&path).exists());
}

#[test]
fn a_large_answer_arrives_whole_by_old_connections_and_new_ones() {
    for lab in both(&[]) {
        let mut client = Client::of(&lab);
        let workspace = client.lent_one(any("workspace"));
        let mut proxy = workspace.proxy();
        let content: String = (0..LARGE_BYTES / 16).map(|number| format!("{number:015}\n")).collect();
        fs::write(format!("{}/large", path_of(&workspace)), &content).expect("a file");
        proxy.ask(&workspace.profile, "cat", json!(["large", "utf-8"]));
        lab.hand_over();
        assert!(proxy.reply().is_some_and(|reply| reply["result"] == json!(content)));
        // The other way round: a proxy that the new process took, and a restart of that one while it passes it on.
        let mut late = workspace.proxy();
        late.ask(&workspace.profile, "cat", json!(["large", "utf-8"]));
        lab.hand_over();
        assert!(late.reply().is_some_and(|reply| reply["result"] == json!(content)));
        assert!(workspace.is_usable());
    }
}

#[test]
fn a_call_right_behind_the_digest_reaches_an_old_session_however_long_it_is() {
    let lab = Lab::of(&[], &[]);
    let mut client = Client::of(&lab);
    let workspace = client.lent_one(any("workspace"));
    let (address, key) = workspace.door();
    lab.hand_over();
    for length in [1, 5_000, 60_000, 70_000, 1_000_000, 8_000_000] {
        let mut proxy = Peer::challenged(address);
        let content = "x".repeat(length);
        let call = request("write_tempfile", workspace.profile.clone(), json!([content])).to_string();
        proxy.send_raw(&[framed(&proxy.digest(&key)), framed(call.as_bytes())].concat());
        let mut proxy = proxy.read_verdict();
        assert!(proxy.authenticated, "{length} bytes");
        let path = proxy.reply().expect("an answer")["result"].as_str().map(str::to_owned).expect("a path");
        assert_eq!(fs::metadata(path).expect("a file").len(), length as u64);
    }
    assert_eq!(client.allocations(), [workspace.name]);
}

#[test]
fn many_proxies_connect_to_an_old_session_at_once() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = Client::of(&lab);
    let h1 = client.lent_one(only("h1"));
    lab.hand_over();
    lab.hand_over();
    let proxies: Vec<_> = (0..200).map(|_| Peer::challenged(h1.at)).collect();
    let (_, key) = h1.door();
    let proxies: Vec<_> = proxies
        .into_iter()
        .map(|mut proxy| {
            proxy.send(&proxy.digest(&key));
            proxy
        })
        .collect();
    for proxy in proxies {
        let mut proxy = proxy.read_verdict();
        assert!(proxy.authenticated);
        assert_eq!(proxy.result_on(&h1.profile, "get_profile", json!([])), h1.profile);
    }
}

#[test]
fn a_workspace_of_an_old_session_is_neither_swept_nor_lent() {
    let lab = Lab::of(&[], &[]);
    let mut client = Client::of(&lab);
    let workspace = client.lent_one(any("workspace"));
    let path = path_of(&workspace);
    fs::write(format!("{path}/mine"), "").expect("a file");
    for _ in 0..2 {
        lab.hand_over();
        let other = Client::of(&lab).lent_one(any("workspace"));
        assert_ne!(other.name, workspace.name);
    }
    assert!(Path::new(&path).join("mine").exists());
    assert!(lab.list("list_allocations_all").contains(&workspace.name));
}

#[test]
fn a_driver_of_the_labs_own_stays_the_same_process() {
    let driver = json!({"command": [python(), "./driver.py"]});
    let lab = Lab::plan()
        .broker(json!({"open_limit_s": 30}))
        .file("equipment.d/toaster.json", json!({"type": "toaster", "identity": "uid", "driver": driver}))
        .file("equipment.d/driver.py", include_str!("../../broker/server/src/drivers/plugin/tests/driver.py"))
        .equipment(json!([{"type": "toaster", "uid": "a"}, {"type": "toaster", "uid": "b"}]))
        .start();
    let mut client = Client::of(&lab);
    let toaster = client.lent_one(json!({"type": "toaster", "uid": "a"}));
    let mut used = toaster.proxy();
    let before = used.result_on(&toaster.profile, "where", json!([]));
    lab.hand_over();
    assert_eq!(used.result_on(&toaster.profile, "where", json!([])), before);
    assert_eq!(toaster.proxy().result_on(&toaster.profile, "where", json!([])), before);
    lab.wait_available(&["b"]);
    let process = format!("/proc/{}", before[1]);
    client.close();
    wait_until("its driver is gone", || !Path::new(&process).exists());
    lab.wait_available(&["a", "b"]);
    let mut other = Client::of(&lab);
    let toaster = other.lent_one(json!({"type": "toaster", "uid": "a"}));
    assert_ne!(toaster.proxy().result_on(&toaster.profile, "where", json!([]))[1], before[1]);
}

#[test]
fn a_relay_that_is_held_is_switched_as_before_and_nothing_in_between_r4_r9() {
    const UID: &str = "00099001.left";
    let (bus, board) = (Bus::new(), Board::new().expect("a board"));
    bus.plug("00099001", "ttyACM0", &board);
    let groups = json!({"left": {"usb.pc.vcc": 2}, "right": {"usb.pc.vcc": 5}});
    let lab = Lab::plan().broker(bus.members()).devantech(json!({"*": {"groups": groups}})).start();
    lab.wait_available(&[UID, "00099001.right"]);
    let mut client = Client::of(&lab);
    let want = |uid: &str| json!({"type": "relay", "uid": uid, "circuits": ["usb.pc.vcc"]});
    let left = client.lent_one(want(UID));
    let set = |relay: &Lent, high: bool| {
        relay.proxy().result_on(&relay.profile, "set_circuit", json!(["usb.pc.vcc", high]))
    };
    set(&left, false);
    board.received();
    lab.hand_over();
    lab.wait_available(&["00099001.right"]);
    assert_eq!((board.received(), board.relays() & 0b10), (vec![], 0), "nothing was switched");
    // Each process switches its own relay of the one board.
    let mut other = Client::of(&lab);
    let right = other.lent_one(want("00099001.right"));
    set(&right, false);
    set(&left, true);
    assert_eq!(board.relays() & 0b1_0010, 0b0_0010);
    client.close();
    lab.wait_available(&[UID]);
    assert_eq!(board.relays() & 0b1_0000, 0, "the other relay of the board was not reset");
    assert!(right.is_usable());
}

#[test]
fn a_handset_that_is_held_answers_as_before() {
    let phone = Phone::builder().start().expect("a phone");
    let adb = AdbServer::start().expect("adb");
    adb.connect(&phone.serial()).expect("a connection");
    let lab = Lab::plan().adb_server(adb.address().port()).start();
    let want = json!({"type": "handset", "serial": phone.serial()});
    let booted = with(want.clone(), json!({"power_state": "boot_completed"}));
    let listed = |lab: &Lab| lab.admin().result("list_equipment", json!([booted])) != json!([]);
    wait_until("the phone is listed as booted", || listed(&lab));
    let mut client = Client::of(&lab);
    let handset = client.lent_one(want.clone());
    let mut used = handset.proxy();
    let hello = |proxy: &mut Peer| {
        let said: Value = proxy.result_on(&handset.profile, "shell", json!(["echo hello"]));
        said.as_str().is_some_and(|said| said.trim() == "hello")
    };
    assert!(hello(&mut used));
    lab.hand_over();
    assert!(hello(&mut used) && hello(&mut handset.proxy()));
    wait_until("the new process has found the phone too", || listed(&lab));
    assert_eq!(Client::of(&lab).refused(json!([want])).0, "Busy");
    client.close();
    lab.wait_available(&[&phone.serial()]);
    assert!(Client::of(&lab).lent_one(want).is_usable());
}
