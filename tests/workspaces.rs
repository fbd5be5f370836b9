//! Workspaces: which one is lent, and what its directory goes through. (10.8)
//!
//! What can be done in one is the driver's matter and tested there.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Lab, Peer, any, names, only, pieces, raised, wait_until, with};

/// A workspace with these members.
fn workspace(members: Value) -> Value {
    with(any("workspace"), members)
}

/// Everything in the folder where workspaces are made.
fn directories(lab: &Lab) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(lab.home().join("workspaces")) else { return Vec::new() };
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

/// The path a granted workspace tells.
fn path_of(session: &mut Peer, workspace: &Value) -> PathBuf {
    PathBuf::from(session.result_on(workspace, "get_path", json!([])).as_str().expect("a path"))
}

#[test]
fn w4_a_workspace_is_asked_for_by_its_tools_and_shows_them_141() {
    let lab = Lab::of(&[], &[]);
    for tools in [json!(["sh"]), json!(["true", "sleep"]), json!({"sh": "anything"})] {
        let mut client = lab.client();
        let got = client.get(json!([workspace(json!({"tools": tools}))]));
        let shown = &got["resources"][0]["tools"];
        for (tool, path) in [("sh", "/bin/sh"), ("true", "/bin/true"), ("sleep", "/bin/sleep")] {
            assert_eq!(shown[tool], path, "all of the host's: {shown}");
        }
        let profile = Peer::session_of(&got).result_on(&got["resources"][0], "get_profile", json!([]));
        assert_eq!(&profile["tools"], shown);
    }
}

#[test]
fn w4_what_no_workspace_has_is_no_such_workspace_and_makes_none_142() {
    let lab = Lab::of(&["h1"], &[]);
    for members in [
        json!({"tools": ["no such tool"]}),
        json!({"tools": ["sh", "no such tool"]}),
        json!({"pretty": "elsewhere"}),
        json!({"uid": "lab-0123456789"}),
        json!({"uid": "../lab-0123456789"}),
        json!({"uid": ""}),
        json!({"root": "/tmp"}),
        json!({"color": "red"}),
    ] {
        let mut client = lab.client();
        let want = json!([only("h1"), workspace(members.clone())]);
        let (kind, message) = client.get_refused(want);
        assert_eq!((kind.as_str(), message.starts_with("no such workspace")), ("NoSuch", true), "{message}");
        assert!(directories(&lab).is_empty(), "{members}");
        assert_eq!(lab.available(), ["h1"], "{members}");
    }
}

#[test]
fn w4_wifi_is_matched_and_its_name_and_password_can_be_read_143() {
    let wifi = json!({"wifi-capable": true, "wlan": {"ssid": "lab åäö", "auth": "secret"}});
    let lab = Lab::plan().workspace(wifi).start();
    let mut client = lab.client();
    let got = client.get(json!([workspace(json!({"wifi-capable": true}))]));
    let granted = &got["resources"][0];
    let mut session = Peer::session_of(&got);
    assert_eq!(session.result_on(granted, "get_wifi_ssid", json!([])), "lab åäö");
    assert_eq!(session.result_on(granted, "get_wifi_pw", json!([])), "secret");
    let without = workspace(json!({"wifi-capable": false}));
    assert_eq!(lab.client().get_refused(json!([without])).0, "NoSuch");
}

#[test]
fn without_wifi_none_is_lent_and_none_can_be_read_143() {
    let lab = Lab::of(&[], &[]);
    let wanted = workspace(json!({"wifi-capable": true}));
    assert_eq!(lab.client().get_refused(json!([wanted])).0, "NoSuch");
    let mut client = lab.client();
    let got = client.get(json!([any("workspace")]));
    let (_, message) =
        raised(&Peer::session_of(&got).call_on(&got["resources"][0], "get_wifi_ssid", json!([])));
    assert!(message.starts_with("Fail to get wlan-ssid"), "{message}");
}

#[test]
fn w2_a_uid_begins_with_the_hosts_pretty_and_every_workspace_has_its_own_144() {
    for (pretty, prefix) in [(json!("mary's lab"), "mary's lab-"), (Value::Null, "")] {
        let members = json!({"pretty": pretty});
        let lab = Lab::plan().workspace(members).start();
        let mut client = lab.client();
        let mut uids = client.get_groups(json!([[any("workspace"), any("workspace")], any("workspace")]));
        for uid in &uids {
            let digits = uid.strip_prefix(prefix).unwrap_or_else(|| panic!("{uid}"));
            assert!(digits.len() == 10 && digits.bytes().all(|digit| digit.is_ascii_digit()), "{uid}");
        }
        uids.sort();
        uids.dedup();
        assert_eq!((uids.len(), directories(&lab).len()), (3, 3));
    }
}

#[test]
fn w3_a_client_gets_its_workspace_again_by_uid_145() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    let got = client.get(json!([any("workspace")]));
    let first = &got["resources"][0];
    let uid = first["uid"].clone();
    let mut session = Peer::session_of(&got);
    session.result_on(first, "run", json!([["sh", "-c", "echo mine > file"]]));
    let again = client.get(json!([only("h1"), workspace(json!({"uid": uid, "tools": ["sh"]}))]));
    let expected = json!({
        "type": "workspace", "uid": uid, "root": first["root"], "tools": {"sh": "/bin/sh"},
    });
    assert_eq!(again["resources"][1], expected);
    assert_eq!(session.result_on(&expected, "cat", json!(["file", "utf-8"])), "mine\n");
    assert_eq!(directories(&lab).len(), 1);
    assert_eq!(lab.list("list_allocations_all").len(), 2);
    // However often it was granted, it is given back once.
    client.result("yield_resources", json!([expected]));
    assert!(directories(&lab).is_empty());
    assert_eq!(names(&client.result("list_allocations", json!([]))), ["h1"]);
}

#[test]
fn w3_another_client_cannot_have_it_146() {
    let lab = Lab::of(&[], &[]);
    let mut holder = lab.client();
    let got = holder.get(json!([any("workspace")]));
    let uid = &got["resources"][0]["uid"];
    let (kind, message) = lab.client().get_refused(json!([workspace(json!({"uid": uid}))]));
    assert_eq!(kind, "Busy");
    assert!(message.starts_with("resource already allocated"), "{message}");
    let mut session = Peer::session_of(&got);
    assert!(path_of(&mut session, &got["resources"][0]).is_dir());
}

#[test]
fn a_workspace_is_listed_while_it_exists_and_no_longer() {
    let lab = Lab::of(&[], &[]);
    let mut client = lab.client();
    let got = client.get(json!([any("workspace")]));
    let listed = lab.list("list_equipment");
    assert_eq!(listed, names(&got["resources"]));
    assert_eq!(lab.available(), [""; 0]);
    client.close();
    wait_until("the list is empty", || lab.list("list_equipment").is_empty());
    let uid = &got["resources"][0]["uid"];
    let gone = lab.client().get_refused(json!([workspace(json!({"uid": uid}))]));
    assert_eq!(gone.0, "NoSuch");
}

/// A workspace with a file in it, and a tool that runs there and has started another.
fn lived_in(lab: &Lab) -> (Peer, Peer, Value, PathBuf) {
    let mut client = lab.client();
    let got = client.get(json!([any("workspace")]));
    let granted = got["resources"][0].clone();
    let mut session = Peer::session_of(&got);
    let directory = path_of(&mut session, &granted);
    let mut busy = Peer::session_of(&got);
    let script = "mkdir -p .hidden/deep; sleep 600 & echo $! > pid; exec sleep 600";
    busy.ask(&granted, "run", json!([["sh", "-c", script]]));
    wait_until("the tool runs", || left_behind(&directory).is_some());
    (client, busy, granted, directory)
}

/// The process id that the tool in this workspace noted.
fn left_behind(directory: &Path) -> Option<u32> {
    fs::read_to_string(directory.join("pid")).ok()?.trim().parse().ok()
}

/// Whether a process is running; one that has ended may wait for its parent to notice.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with('Z'))
}

#[test]
fn w2_whatever_takes_a_workspace_away_stops_its_tools_and_deletes_it_74() {
    let ends: [fn(&Lab, Peer, &Value); 5] = [
        |_, mut client, granted| drop((client.result("yield_resources", json!([granted])), client)),
        |_, mut client, _| drop((client.get_refused(json!([only("h9")])), client)),
        |_, client, _| client.close(),
        |lab, mut client, _| {
            let (_, key) = Peer::address_of(&client.get(json!([])));
            lab.admin().result("close_session", json!([key]));
        },
        |lab, client, _| {
            lab.admin().ask(&Value::Null, "stop", json!([]));
            drop(client);
        },
    ];
    for end in ends {
        let lab = Lab::of(&[], &[]);
        let (client, _busy, granted, directory) = lived_in(&lab);
        let pid = left_behind(&directory).expect("a process");
        assert!(runs(pid));
        end(&lab, client, &granted);
        wait_until("the directory is gone", || !directory.exists());
        wait_until("its processes are gone", || !runs(pid));
    }
}

#[test]
fn what_a_dead_broker_left_is_swept_at_the_next_start_and_nothing_else() {
    let plan = Lab::plan().equipment(pieces(&["h1"]));
    let mut lab = plan.start();
    let (_client, _busy, _granted, directory) = lived_in(&lab);
    let strangers = lab.home().join("workspaces/lab-0000000000");
    fs::create_dir(&strangers).expect("somebody's directory");
    lab.kill();
    assert!(directory.exists(), "a dead broker cannot clean up");
    lab.restart();
    wait_until("what is left goes while the broker answers", || directories(&lab) == [strangers.clone()]);
    wait_until("nothing else is listed", || lab.list("list_equipment") == ["h1"]);
}

#[test]
fn no_path_leads_out_of_a_workspace() {
    let lab = Lab::of(&[], &[]);
    let mut client = lab.client();
    let got = client.get(json!([any("workspace"), any("workspace")]));
    let (one, two) = (&got["resources"][0], &got["resources"][1]);
    let mut session = Peer::session_of(&got);
    let (inside, beside) = (path_of(&mut session, one), path_of(&mut session, two));
    session.result_on(one, "run", json!([["sh", "-c", "ln -s / root; ln -s .. up"]]));
    let sibling = format!("{}0", inside.display());
    fs::create_dir(&sibling).expect("a sibling whose name begins alike");
    fs::write(format!("{sibling}/file"), "theirs").expect("a file");
    for path in [
        "/etc/passwd".to_owned(),
        "../../.ave/config/authkeys.json".to_owned(),
        "root/etc/passwd".to_owned(),
        "up".to_owned(),
        format!("{}/file", beside.display()),
        format!("{sibling}/file"),
        format!("{}/../x", inside.display()),
    ] {
        for call in ["cat", "ls", "delete_git"] {
            let reply = session.call_on(one, call, json!([path]));
            let (_, message) = raised(&reply);
            assert!(message.contains("workspace"), "{call} {path}: {message}");
        }
    }
    assert!(Path::new("/etc/passwd").exists() && beside.exists());
}
