//! What one client holds: keys, connections, calls. (10.4) How sessions end is in `endings`.
//!
//! What original clients need as it is written is tested with `session_ports`; beside it stands what
//! happens where sessions share the broker's port. That the sockets of sessions cost no CPU time (76) is
//! tested with those of the broker.

use serde_json::{Value, json};

use crate::endings::{proxies, use_proxy};
use crate::support::{Lab, Peer, any, names, only, pieces, plain, raised, stacks, wait_until};

/// One port for everything, and a port for every session.
pub(crate) fn both(equipment: &[&str]) -> [Lab; 2] {
    let plan = Lab::plan().equipment(pieces(equipment));
    [plan.clone().start(), plan.session_ports().start()]
}

pub(crate) fn with_session_ports(equipment: &[&str]) -> Lab {
    Lab::plan().equipment(pieces(equipment)).session_ports().start()
}

#[test]
fn the_first_grant_tells_a_key_and_an_address_that_never_change_59_60() {
    for lab in both(&["h1", "h2"]) {
        let mut client = lab.client();
        let first = client.get(json!([only("h1")]));
        let (address, key) = Peer::address_of(&first);
        assert_eq!(first["address"][0], "127.0.0.1", "the configured host");
        assert!(key.len() == 16 && key.bytes().all(|digit| digit.is_ascii_digit()), "{key}");
        let again = client.get(json!([only("h2")]));
        assert_eq!(Peer::address_of(&again), (address, key));
        assert_eq!(first.get("session"), None, "an original client is told nothing else");
    }
}

#[test]
fn two_clients_have_different_keys_and_ports_61() {
    let lab = with_session_ports(&["h1", "h2"]);
    let (mut one, mut two) = (lab.client(), lab.client());
    let (one, two) = (one.get(json!([only("h1")])), two.get(json!([only("h2")])));
    let ((one_at, one_key), (two_at, two_key)) = (Peer::address_of(&one), Peer::address_of(&two));
    assert_ne!(one_key, two_key);
    assert!(one_at != two_at && one_at != lab.address() && two_at != lab.address());
    // A key opens its own session only, and never the broker.
    assert!(!Peer::connect(one_at, &two_key).authenticated);
    assert!(!Peer::connect(lab.address(), &one_key).authenticated);
}

#[test]
fn on_one_port_two_clients_have_different_keys_61() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let (mut one, mut two) = (lab.client(), lab.client());
    let (one, two) = (one.get(json!([only("h1")])), two.get(json!([only("h2")])));
    assert_ne!(one["authkey"], two["authkey"]);
    assert_eq!(Peer::address_of(&one).0, lab.address());
    let mut session = Peer::session_of(&one);
    let reply = session.call_on(&two["resources"][0], "get_profile", json!([]));
    assert!(plain(&reply).starts_with("no such resource"), "the key decides whose session it is: {reply}");
}

#[test]
fn a_session_accepts_its_key_only_and_tells_its_version_to_everybody_62_63_64() {
    let lab = with_session_ports(&["h1"]);
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    let (address, key) = Peer::address_of(&got);
    for (attempt, right) in [(key.as_str(), true), ("", false), ("wrong", false), ("admin key", false)] {
        let mut peer = Peer::connect(address, attempt);
        assert_eq!(peer.authenticated, right, "{attempt}");
        assert_eq!(peer.result("get_version", json!([])), 1);
        let reply = peer.call("get_resources", got["resources"].clone());
        if right {
            assert_eq!(names_of_entries(&reply["result"]), ["h1"]);
            continue;
        }
        assert_eq!(reply, json!({"exception": "no such RPC: get_resources"}));
        let h1 = &got["resources"][0];
        assert_eq!(
            peer.call_on(h1, "get_profile", json!([])),
            json!({"exception": "no such RPC: get_profile"})
        );
        for call in ["stop", "crash", "yield_resources"] {
            assert_eq!(plain(&peer.call(call, json!([[only("h1")]]))), format!("no such RPC: {call}"));
        }
    }
    assert_eq!(names(&client.result("list_allocations", json!([]))), ["h1"]);
}

fn names_of_entries(entries: &Value) -> Vec<String> {
    let entries = entries.as_array().unwrap_or_else(|| panic!("not a list: {entries}"));
    names(&entries.iter().map(|entry| entry["profile"].clone()).collect())
}

#[test]
fn on_one_port_who_lacks_the_key_is_cut_off_from_the_session_62_63_64() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    let h1 = &got["resources"][0];
    assert!(Peer::session_of(&got).authenticated);
    let connect = |key: &str| {
        let peer = Peer::connect(lab.address(), key);
        assert!(!peer.authenticated);
        peer
    };
    for attempt in ["", "wrong", "0123456789012345"] {
        assert_eq!(connect(attempt).result("get_version", json!([])), 1);
        let mut peer = connect(attempt);
        peer.ask(h1, "get_profile", json!([]));
        assert!(peer.ends());
        connect(attempt).call_in_vain("get_multi_resource", json!([got["resources"]]));
        connect(attempt).call_in_vain("crash", json!([]));
        assert_eq!(plain(&connect(attempt).call("stop", json!([]))), "not authorized to make this call");
    }
    assert_eq!(names(&client.result("list_allocations", json!([]))), ["h1"]);
}

#[test]
fn get_resources_tells_where_each_piece_is_65_66() {
    for lab in both(&["h1", "h2", "r1"]) {
        let mut client = lab.client();
        let got = client.result("get_multi_resources", json!([only("r1"), only("h1")]));
        let mut session = Peer::session_of(&got[0]);
        let wanted = [got[1]["resources"][0].clone(), got[0]["resources"][0].clone()];
        let expected: Value = wanted
            .iter()
            .map(|profile| json!({"address": got[0]["address"], "authkey": got[0]["authkey"], "profile": profile}))
            .collect();
        assert_eq!(session.result("get_resources", wanted.clone().into()), expected);
        let groups = json!([[wanted[0]], [wanted[1]]]);
        assert_eq!(session.result("get_multi_resource", groups), expected);
        let (kind, message) = raised(&session.call("get_resources", json!([wanted[0], only("h2")])));
        assert_eq!(kind, "Exception");
        assert!(message.starts_with("INTERNAL ERROR: no local resource "), "{message}");
        assert!(message.contains("h2"), "{message}");
    }
}

#[test]
fn methods_can_be_called_through_proxies_again_and_again_67() {
    for lab in both(&["h1", "h2"]) {
        let mut client = lab.client();
        let got = client.get(json!([only("h1"), any("workspace")]));
        let [h1, workspace] = [0, 1].map(|index| got["resources"][index].clone());
        let (mut first, mut second) = (Peer::session_of(&got), Peer::session_of(&got));
        for _ in 0..3 {
            assert_eq!(first.result_on(&h1, "get_profile", json!([])), h1);
            let ran = second.result_on(&workspace, "run", json!(["sh -c exit"]));
            assert_eq!(ran, json!([0, "", ""]));
            assert_eq!(first.result_on(&workspace, "get_path", json!([])), path_of(&workspace));
            // Only type and identity count.
            assert_eq!(first.result_on(&only("h1"), "get_profile", json!([])), h1); // C3
            let foreign = first.call_on(&only("h2"), "get_profile", json!([]));
            assert!(plain(&foreign).starts_with("no such resource"), "{foreign}"); // C3
        }
    }
}

/// The directory of a workspace that was granted.
fn path_of(workspace: &Value) -> String {
    let text = |member: &str| workspace[member].as_str().expect("text").to_owned();
    format!("{}/{}", text("root"), text("uid"))
}

#[test]
fn a_yielded_piece_cannot_be_called_68() {
    for lab in both(&["h1", "h2"]) {
        let mut client = lab.client();
        let got = client.get_groups(json!([only("h1"), only("h2")]));
        assert_eq!(got, ["h1", "h2"]);
        let mut session = Peer::session_of(&client.get(json!([])));
        session.result_on(&only("h1"), "get_profile", json!([]));
        client.result("yield_resources", json!([only("h1")]));
        let reply = session.call_on(&only("h1"), "get_profile", json!([]));
        assert!(plain(&reply).starts_with("no such resource"), "{reply}");
        assert!(plain(&reply).contains("h1"), "{reply}");
        session.result_on(&only("h2"), "get_profile", json!([]));
    }
}

#[test]
fn a_lost_proxy_leaves_the_others_working_69() {
    for lab in both(&["h1"]) {
        let mut client = lab.client();
        let got = client.get(json!([only("h1"), any("workspace")]));
        let [h1, workspace] = [0, 1].map(|index| got["resources"][index].clone());
        let (mut lost, mut other) = (Peer::session_of(&got), Peer::session_of(&got));
        lost.result_on(&h1, "get_profile", json!([]));
        lost.ask(&workspace, "run", json!(["sleep 0.1"])); // lost in the middle of a call
        lost.close();
        other.result_on(&h1, "get_profile", json!([]));
        other.result_on(&workspace, "get_path", json!([]));
        Peer::session_of(&got).result_on(&h1, "get_profile", json!([]));
        assert_eq!(client.result("list_allocations", json!([])).as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn get_use_and_yield_five_times_on_one_connection_70() {
    for lab in both(&["h1"]) {
        let mut client = lab.client();
        for _ in 0..5 {
            let got = client.get(json!([only("h1"), any("workspace")]));
            let mut session = Peer::session_of(&got);
            session.result_on(&got["resources"][0], "get_profile", json!([]));
            session.result_on(&got["resources"][1], "run", json!(["true"]));
            let told = client.result("yield_resources", got["resources"].clone());
            session.result("yield_resources", json!([told]));
            assert_eq!(lab.list("list_equipment"), ["h1"]);
        }
    }
}

#[test]
fn what_sessions_do_among_themselves_cannot_be_called_78() {
    for lab in both(&["h1", "h2"]) {
        let mut client = lab.client();
        let mut session = Peer::session_of(&client.get(json!([only("h1")])));
        for call in ["add_resource", "async_add_resources", "multi_async_add_resources", "run", "_close"] {
            let arguments = json!([["127.0.0.1", 4000], only("h2")]);
            assert_eq!(plain(&session.call(call, arguments.clone())), format!("no such RPC: {call}"));
            let reply = session.call_on(&only("h1"), "__class__", json!([]));
            assert_eq!(plain(&reply), "no such RPC: __class__");
        }
        assert_eq!(names(&client.result("list_allocations", json!([]))), ["h1"]);
    }
}

/// Has a tool run for a very long time and waits until it does.
pub(crate) fn busy(lab: &Lab, granted: &Value) -> Peer {
    let workspace = &granted["resources"][0];
    let mut session = Peer::session_of(granted);
    session.ask(workspace, "run", json!([["sh", "-c", "touch started; exec sleep 600"]]));
    let started =
        lab.home().join("workspaces").join(workspace["uid"].as_str().expect("a uid")).join("started");
    wait_until("the tool runs", || started.exists());
    session
}

#[test]
fn a_long_call_delays_nobody_79_c7() {
    for lab in both(&["h1", "h2"]) {
        let mut client = lab.client();
        let got = client.get(json!([any("workspace"), only("h1")]));
        let _busy = busy(&lab, &got);
        // Not other clients, nor the broker, nor this client, nor its session, nor another piece of it.
        assert_eq!(names(&lab.client().get(json!([only("h2")]))["resources"]), ["h2"]);
        assert_eq!(lab.list("list_handsets"), ["h1", "h2"]);
        assert_eq!(client.result("list_allocations", json!([])).as_array().map(Vec::len), Some(2));
        let mut session = Peer::session_of(&got);
        assert_eq!(session.result("get_version", json!([])), 1);
        session.result("get_resources", got["resources"].clone());
        session.result_on(&only("h1"), "get_profile", json!([]));
        client.result("yield_resources", got["resources"].clone());
        lab.wait_available(&["h1", "h2"]);
    }
}

#[test]
fn texts_of_a_sessions_exceptions_arrive_intact_81() {
    for lab in both(&[]) {
        let mut client = lab.client();
        let got = client.get(json!([any("workspace")]));
        let mut session = Peer::session_of(&got);
        let (_, message) = raised(&session.call_on(&got["resources"][0], "cat", json!(["åäö 🌍"])));
        assert!(message.contains("åäö 🌍"), "{message}");
    }
}

#[test]
fn session_ports_run_out_with_a_clear_exception_and_come_back() {
    let lab = with_session_ports(&["h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8", "h9"]);
    let mut holders: Vec<_> = (0..8).map(|_| lab.client()).collect();
    let mut ports: Vec<_> =
        holders.iter_mut().map(|holder| Peer::address_of(&holder.get(json!([any("handset")]))).0).collect();
    ports.sort();
    ports.dedup();
    assert_eq!(ports.len(), holders.len());
    let refused = lab.client().get_refused(json!([any("handset")]));
    assert_eq!(refused, ("Exception".to_owned(), "no free port available".to_owned()));
    assert_eq!(lab.available(), ["h9"]);
    holders.remove(0).close();
    wait_until("a port is free again", || {
        lab.client().call("get", json!([any("handset")])).get("result").is_some()
    });
}

#[test]
fn a_stack_is_lent_in_both_modes() {
    let plan =
        Lab::plan().equipment(pieces(&["h1", "r1"])).broker(json!({"stacks": stacks(&[&["h1", "r1"]])}));
    for lab in [plan.clone().start(), plan.session_ports().start()] {
        let mut broker = lab.broker();
        let mut both = proxies(&mut broker, json!([any("relay"), any("handset")]));
        for proxy in &mut both {
            use_proxy(proxy).expect("it is held");
        }
        assert_eq!(both.len(), 2);
    }
}
