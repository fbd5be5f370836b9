//! Faults that users of other lab systems report, each as a test that this broker does not have it.

use std::sync::Barrier;
use std::time::Duration;
use std::{fs, thread};

use ave_client::{ClientError, Connection, Credential, Options};
use ave_profile::Value as Wire;
use ave_protocol::arguments::Arguments;
use ave_protocol::message::Request;
use serde_json::{Value, json};

use crate::support::{
    Lab, Peer, SHARE, any, names, only, piece, piece_with, pieces, plain, raised, stacks, wait_until,
};

/// The identities that a reply to `get` grants; none if it refuses.
fn granted(reply: &Value) -> Vec<String> {
    reply.get("result").map(|result| names(&result["resources"])).unwrap_or_default()
}

/// labgrid #1739: a cancelled job leaves its lock for ever.
#[test]
fn a_job_that_is_cancelled_at_any_moment_leaves_no_lock() {
    let lab = Lab::of(&["h1", "r1"], &[&["h1", "r1"]]);
    let want = json!([any("handset"), any("relay"), any("workspace")]);
    let moments: [fn(&mut Peer); 3] = [|_| {}, |peer| drop(peer.reply()), |peer| peer.send_raw(&[0, 0, 1])];
    for round in 0..30 {
        let mut job = lab.client();
        job.ask(&Value::Null, "get", want.clone());
        moments[round % moments.len()](&mut job);
        job.close();
        lab.wait_available(&["h1", "r1"]);
    }
    wait_until("no workspace is left", || lab.list("list_equipment") == ["h1", "r1"]);
    assert_eq!(lab.list("list_allocations_all"), [""; 0]);
    assert_eq!(lab.list("list_collateral_all"), [""; 0]);
}

/// Selenium #13723 and #10551: a request that timed out is served afterwards, for nobody.
#[test]
fn a_request_that_nobody_waits_for_any_more_lends_nothing() {
    let lab = Lab::of(&["h1"], &[]);
    let options = Options { reply_limit: Some(Duration::from_secs(3)), ..Options::default() };
    let get = Request::new("get", Arguments::positional([Wire::from(any("handset"))]));
    for _ in 0..2 {
        let address = ("127.0.0.1", lab.address().port());
        let mut client = Connection::open(address, &Credential::Anonymous, &options).expect("a broker");
        let version = client.call(&Request::new("get_version", Arguments::default()));
        assert_eq!(version.expect("it is quick"), 1_i64.into());
        lab.pause();
        let late = client.call(&get);
        lab.resume();
        assert!(matches!(late, Err(ClientError::TimedOut)), "{late:?}");
        let next = client.call(&Request::new("get_version", Arguments::default()));
        assert!(next.is_err(), "not the answer to what was asked before: {next:?}");
        drop(client);
        lab.wait_available(&["h1"]);
        assert_eq!(names(&lab.client().get(json!([only("h1")]))["resources"]), ["h1"]);
        lab.wait_available(&["h1"]);
    }
}

/// labgrid #449 and #450: the old holder's console keeps working after its board went to somebody else.
#[test]
fn an_old_holder_cannot_use_what_the_next_one_has() {
    let lab = Lab::of(&["h1"], &[]);
    let mut old = lab.client();
    let got = old.get(json!([only("h1"), any("workspace")]));
    let mut console = Peer::session_of(&got);
    console.result_on(&only("h1"), "get_profile", json!([]));
    old.result("yield_resources", json!([only("h1")]));
    let mut next = lab.client();
    next.get(json!([only("h1")]));
    for console in [&mut console, &mut Peer::session_of(&got)] {
        let reply = console.call_on(&only("h1"), "get_profile", json!([]));
        assert!(plain(&reply).starts_with("no such resource"), "{reply}");
    }
    let (kind, _) = raised(&old.call("yield_resources", json!([only("h1")])));
    assert_eq!(kind, "NotOwner");
    assert_eq!(names(&next.result("list_allocations", json!([]))), ["h1"]);
}

/// GADS #128: who was thrown out reloads the page and drives the device again. A paused client of etcd's
/// locks believes that it still holds what has been lent to the next.
#[test]
fn who_lost_a_piece_does_not_get_it_back_by_coming_again() {
    let lab = Lab::of(&["h1"], &[]);
    let mut paused = lab.client();
    let got = paused.get(json!([only("h1")]));
    let mut proxy = Peer::session_of(&got);
    lab.admin().result("close_session", json!([Peer::address_of(&got).1]));
    let mut next = lab.client();
    next.get(json!([only("h1")]));
    assert!(proxy.ends());
    let mut again = Peer::session_of(&got);
    assert!(!again.authenticated);
    again.ask(&only("h1"), "get_profile", json!([]));
    assert!(again.ends());
    assert_eq!(paused.get_refused(json!([only("h1")])).1, "session closed");
    assert_eq!(lab.client().get_refused(json!([only("h1")])).0, "Busy");
    assert_eq!(names(&next.result("list_allocations", json!([]))), ["h1"]);
}

/// labgrid: when the second of several places is busy, the first stays held. LAVA: a job holds some of its
/// devices while it waits for the rest.
#[test]
fn who_cannot_have_all_has_none() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let mut holder = lab.client();
    holder.get(json!([only("h2")]));
    let mut greedy = lab.client();
    let groups = json!([[only("h1")], [only("h2")], [only("h3")]]);
    assert_eq!(raised(&greedy.call("get_multi_resources", groups)).0, "Busy");
    assert_eq!(lab.available(), ["h1", "h3"], "while the refused one is still there");
}

/// LAVA, again: two jobs that want the same devices in different order wait for each other for ever.
#[test]
fn wanting_the_same_in_different_order_is_no_deadlock() {
    const ROUNDS: usize = 40;
    let lab = Lab::of(&["h1", "h2"], &[]);
    let orders = [["h1", "h2"], ["h2", "h1"]];
    let start = Barrier::new(orders.len());
    let job = &|order: [&str; 2]| {
        let groups = json!(order.map(|name| json!([only(name)])));
        start.wait();
        let replies = (0..ROUNDS).map(|_| lab.client().call("get_multi_resources", groups.clone()));
        replies.filter(|reply| reply["exception"]["type"] != "Busy").count()
    };
    let served: usize = thread::scope(|scope| {
        let jobs = orders.map(|order| scope.spawn(move || job(order)));
        jobs.map(|job| job.join().expect("a job")).iter().sum()
    });
    assert!(served > 0, "everybody was refused every time");
    lab.wait_available(&["h1", "h2"]);
}

/// Jenkins lockable-resources #123: two jobs pick the same one.
#[test]
fn of_many_who_ask_at_once_each_piece_goes_to_one() {
    const CLIENTS: usize = 24;
    let pool = ["h1", "h2", "h3", "h4", "h5"];
    let lab = Lab::of(&pool, &[]);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| lab.client()).collect();
    for client in &mut clients {
        client.ask(&Value::Null, "get", json!([any("handset")]));
    }
    let replies: Vec<_> = clients.iter_mut().map(|client| client.reply().expect("a reply")).collect();
    let mut lent: Vec<_> = replies.iter().flat_map(granted).collect();
    lent.sort();
    assert_eq!(lent, pool);
    let busy = replies.iter().filter(|reply| reply["exception"]["type"] == "Busy").count();
    assert_eq!(busy, CLIENTS - pool.len());
}

/// Appium Device Farm #1411: always the last device is picked.
#[test]
fn the_first_piece_that_fits_is_picked() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[]);
    let mut client = lab.client();
    for expected in ["h1", "h2", "h3"] {
        assert_eq!(names(&client.get(json!([any("handset")]))["resources"]), [expected]);
    }
}

/// Appium Device Farm #531 and #513: a device is freed while a test runs on it.
#[test]
fn nothing_that_is_reported_frees_what_is_in_use() {
    let lab = Lab::of(&["h1", "r1"], &[&["h1", "r1"]]);
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    let mut proxy = Peer::session_of(&got);
    let mut lister = lab.lister();
    for (call, report) in [
        ("add_equipment", json!([piece("h1")])),
        ("add_equipment", json!([piece_with("h1", json!({"power_state": "offline"}))])),
        ("set_stacks", json!([])),
        ("set_stacks", stacks(&[&["h1", "r1"]])),
        ("set_ws_profile", json!({"type": "workspace", "root": lab.home().join("others"), "tools": {}})),
    ] {
        lister.result(call, json!(["local", report]));
        assert_eq!(lab.list("list_allocations_all"), ["h1"], "{call}");
        let refused = lab.client().get_refused(json!([only("h1")])).0;
        assert!(["Busy", "NoSuch"].contains(&refused.as_str()), "{call}: {refused}"); // as an offline one
        proxy.result_on(&only("h1"), "get_profile", json!([]));
    }
    client.close();
    lab.wait_available(&["h1", "r1"]);
}

/// labgrid: deleting a held place leaves its resource stuck.
#[test]
fn a_piece_that_vanishes_while_lent_stays_with_its_holder_and_can_come_back() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let rewrite = |names: &[&str]| {
        let file = lab.home().join(".ave/config/equipment.json");
        fs::write(file, pieces(names).to_string()).expect("the list of equipment");
    };
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    rewrite(&["h2"]);
    wait_until("it has left the lists", || lab.list("list_equipment") == ["h2"]);
    Peer::session_of(&got).result_on(&only("h1"), "get_profile", json!([]));
    assert_eq!(names(&client.result("list_allocations", json!([]))), ["h1"]);
    client.close();
    wait_until("it is gone", || lab.client().get_refused(json!([only("h1")])).0 == "NoSuch");
    rewrite(&["h1", "h2"]);
    wait_until("it is back", || lab.available().len() == 2);
    assert_eq!(names(&lab.client().get(json!([only("h1")]))["resources"]), ["h1"]);
}

/// Appium Device Farm #1637: anybody can unblock your run. STF: any user can drive any device.
#[test]
fn nobody_else_can_end_or_use_what_one_client_holds() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let mut holder = lab.client();
    let got = holder.get(json!([only("h1")]));
    let (_, key) = Peer::address_of(&got);
    let mut other = lab.client();
    let others = other.get(json!([only("h2")]));
    assert_eq!(raised(&other.call("yield_resources", json!([only("h1")]))).0, "NotOwner");
    for mut stranger in [lab.client(), lab.lister(), Peer::connect(lab.address(), "wrong")] {
        for (call, arguments) in [("close_session", json!([key])), ("stop", json!([]))] {
            let reply = stranger.call(call, arguments);
            assert_eq!(plain(&reply), "not authorized to make this call", "{call}");
        }
    }
    let mut session = Peer::session_of(&others);
    assert_eq!(raised(&session.call("yield_resources", json!([[only("h1")]]))).0, "NoSuch");
    let reply = session.call_on(&only("h1"), "get_profile", json!([]));
    assert!(plain(&reply).starts_with("no such resource"), "{reply}");
    assert_eq!(names(&holder.result("list_allocations", json!([]))), ["h1"]);
    Peer::session_of(&got).result_on(&only("h1"), "get_profile", json!([]));
}

/// labgrid #748: a place is blocked by itself.
#[test]
fn a_piece_does_not_stand_in_its_own_way() {
    let lab = Lab::with(pieces(&["h1", "r1"]), stacks(&[&["h1", "h1", "r1"], &["r1", "h1"], &["h1"]]));
    let mut client = lab.client();
    for want in [json!([only("h1")]), json!([any("relay"), any("handset")])] {
        for _ in 0..2 {
            let got = client.get(want.clone());
            client.result("yield_resources", got["resources"].clone());
            assert_eq!(lab.available(), ["h1", "r1"]);
        }
    }
    assert_eq!(client.result("list_collateral", json!([])), json!([]));
}

/// labgrid #1477: something offline is handed out.
#[test]
fn what_went_offline_is_not_handed_out() {
    let lab = Lab::of(&["h1", "r1"], &[]);
    for (name, kind) in [("h1", "handset"), ("r1", "relay")] {
        let offline = piece_with(name, json!({"power_state": "offline"}));
        lab.lister().result("add_equipment", json!(["local", [offline]]));
        assert_eq!(lab.client().get_refused(json!([any(kind)])).0, "NoSuch");
        lab.lister().result("add_equipment", json!(["local", [piece(name)]]));
        assert_eq!(names(&lab.client().get(json!([any(kind)]))["resources"]), [name]);
        lab.wait_available(&["h1", "r1"]);
    }
}

/// labgrid #526: one exporter that hangs hangs the lab.
#[test]
fn a_tool_that_will_not_end_holds_up_nobody() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    let got = client.get(json!([any("workspace"), only("h1")]));
    let workspace = &got["resources"][0];
    let uid = workspace["uid"].as_str().expect("a uid");
    let directory = lab.home().join("workspaces").join(uid);
    let mut stubborn = Peer::session_of(&got);
    let script = "trap '' TERM HUP INT; touch started; while :; do sleep 600; done";
    stubborn.ask(workspace, "run", json!([["sh", "-c", script]]));
    wait_until("the tool runs", || directory.join("started").exists());
    client.close();
    lab.wait_available(&["h1"]);
    assert!(stubborn.ends());
    wait_until("its workspace is gone", || !directory.exists());
}

/// Jumpstarter #241: states arrive out of order.
#[test]
fn reports_count_in_the_order_they_were_sent() {
    let lab = Lab::of(&["h1"], &[]);
    let mut lister = Peer::connect(lab.address(), SHARE);
    for round in 0..50 {
        let state = if round % 2 == 0 { "offline" } else { "boot_completed" };
        let h1 = piece_with("h1", json!({"power_state": state, "round": round}));
        lister.ask(&Value::Null, "add_equipment", json!(["local", [h1]]));
    }
    for _ in 0..50 {
        assert_eq!(lister.reply(), Some(json!({"result": null})));
    }
    let listed = lab.admin().result("list_equipment", json!([]));
    assert_eq!(listed[0], piece_with("h1", json!({"round": 49})));
}

/// Jumpstarter #237: a lease that nobody uses blocks a device. #860: a client waits, and nobody says why.
#[test]
fn who_asks_for_nothing_blocks_nothing_and_who_is_refused_hears_why() {
    let lab = Lab::of(&["h1"], &[]);
    let mut idle: Vec<_> = (0..50).map(|_| lab.client()).collect();
    for peer in &mut idle {
        assert_eq!(peer.get(json!([]))["resources"], json!([]));
    }
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    for (want, kind, why) in [
        (only("h1"), "Busy", "all such equipment busy"),
        (only("h2"), "NoSuch", "no such resource"),
        (any("toaster"), "Exception", "unknown profile type \"toaster\""),
    ] {
        let (found, message) = lab.client().get_refused(json!([want]));
        assert_eq!((found.as_str(), message.starts_with(why)), (kind, true), "{message}");
    }
}
