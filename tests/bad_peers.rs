//! Brokers that are dead, slow, lying or ill-behaved: they harm nobody but themselves. In each test the bad
//! one comes first by address, so that it is always asked first.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Client, Lab, Manner, Original, Peer, any, assert_within, free_ports, only, piece_with, pieces, plain,
    wait_until,
};

/// A master with `n1`, a bad share with `h2` that is asked first, and a good one with `h3`.
struct Site {
    master: Lab,
    bad: Original,
    good: Lab,
}

impl Site {
    fn new() -> Site {
        let master = Lab::of(&["n1"], &[]);
        // Ports of this range are smaller than those that the system gives out.
        let bad = Original::listening(free_ports().0, pieces(&["h2"]));
        bad.share(master.address(), "127.0.0.1");
        let good = Lab::having(&["h3"]).share(master.address()).start();
        assert!(bad.address().port() < good.address().port());
        master.wait_available(&["n1", "h2", "h3"]);
        Site { master, bad, good }
    }

    fn client(&self) -> Client {
        Client::of(&self.master)
    }

    /// Ends a client, and waits until the others' pieces can be had again.
    fn close(&self, client: Client) {
        client.close();
        let free = |name: &str| self.master.available().iter().any(|other| other == name);
        wait_until("the others' pieces can be had", || free("n1") && free("h3"));
    }

    /// Waits until nobody has anything, anywhere.
    fn wait_free(&self) {
        self.bad.wait_available(&["h2"]);
        self.good.wait_available(&["h3"]);
        wait_until("nothing is lent", || self.master.list("list_allocations_all").is_empty());
        wait_until("all can be had", || self.master.available().len() == 3);
    }
}

#[test]
fn a_slow_share_delays_nothing_that_another_can_serve() {
    let site = Site::new();
    site.bad.behave(Manner::Holding);
    let mut client = site.client();
    assert_eq!(client.lent_one(any("handset")).at, site.good.address());
    assert!(site.bad.heard("get").len() <= 1, "it may have been asked, and has not answered");
    assert_eq!(client.lent_one(any("wlan")).at, site.master.address());
    site.close(client);
    // What it grants at last is wanted by nobody.
    site.bad.behave(Manner::Usual);
    site.wait_free();
    // It lends once more to somebody who has left, and notices.
    wait_until("it is used again", || site.client().get(json!([only("h2")])).is_ok());
}

#[test]
fn a_late_grant_of_a_slow_share_takes_nothing_from_its_client() {
    let site = Site::new();
    site.bad.behave(Manner::Holding);
    let mut client = site.client();
    let lent = client.lent_one(any("handset"));
    site.bad.behave(Manner::Usual);
    site.bad.wait_available(&["h2"]);
    assert!(lent.is_usable());
    assert_eq!(client.allocations(), ["h3"]);
    assert_eq!(client.lent_one(only("n1")).name, "n1");
}

#[test]
fn a_dead_share_delays_nothing_that_another_can_serve() {
    for manner in [Manner::Mute, Manner::Rejecting, Manner::Dying] {
        let site = Site::new();
        site.bad.behave(manner.clone());
        for _ in 0..3 {
            let mut client = site.client();
            assert_eq!(client.lent_one(any("handset")).at, site.good.address(), "{manner:?}");
            assert_eq!(client.lent_one(only("n1")).name, "n1");
            site.close(client);
        }
        site.bad.behave(Manner::Usual);
        site.wait_free();
    }
}

/// Answers to `get` that no broker gives, or that are not true.
fn lies() -> Vec<Value> {
    let granted = |address: Value, resources: Value| json!({"result": {"address": address, "authkey": "0123456789012345", "resources": resources}});
    let (nobody, _) = free_ports();
    vec![
        json!({"result": null}),
        json!({"result": []}),
        json!({}),
        json!([]),
        json!("what?"),
        json!({"exception": "not authenticated to make this call"}),
        json!({"exception": {"type": "Busy"}}),
        json!({"exception": {"type": ["Busy"], "message": {}}}),
        json!({"exception": {"type": "Exit", "message": "broker restarted. please reconnect"}}),
        json!({"exception": {"type": "Restarting", "message": "broker is restarting"}}),
        json!({"result": {"address": ["127.0.0.1", nobody], "authkey": 5, "resources": pieces(&["h2"])}}),
        granted(json!(["127.0.0.1", nobody]), pieces(&["h2"])),
        granted(json!(["127.0.0.1", 70_000]), pieces(&["h2"])),
        granted(json!(["127.0.0.1", -1]), pieces(&["h2"])),
        granted(json!("127.0.0.1"), pieces(&["h2"])),
        granted(json!(["127.0.0.1", nobody]), json!([])),
        granted(json!(["127.0.0.1", nobody]), pieces(&["h2", "h4"])),
        granted(json!(["127.0.0.1", nobody]), pieces(&["r2"])),
        granted(json!(["127.0.0.1", nobody]), json!([{"type": "handset"}])),
        granted(json!(["127.0.0.1", nobody]), json!([[[]], 7])),
    ]
}

#[test]
fn a_lying_share_is_not_believed() {
    let site = Site::new();
    for lie in lies() {
        site.bad.behave(Manner::Answering(lie.clone()));
        let mut client = site.client();
        assert_eq!(client.lent_one(any("handset")).at, site.good.address(), "{lie}");
        site.close(client);
        site.client().refused(json!([only("h2")]));
        let mut client = site.client();
        assert_eq!(client.lent_one(only("n1")).name, "n1", "{lie}");
        site.close(client);
        site.bad.report_again();
        wait_until("all is as before", || site.master.available().len() == 3);
    }
    site.bad.behave(Manner::Usual);
    site.wait_free();
}

/// A lying target of forwarding: there is nobody else to ask.
#[test]
fn a_lying_target_costs_its_client_the_session_and_nobody_else_anything() {
    let far = Original::of(pieces(&["h2"]));
    let near = Lab::having(&["n1"]).forward(far.address()).start();
    for lie in lies() {
        far.behave(Manner::Answering(lie.clone()));
        let mut client = Client::of(&near);
        client.lent(json!([only("n1")]));
        client.refused(json!([only("h2")]));
        assert!(client.is_over(), "{lie}");
        near.wait_available(&["n1"]);
    }
    far.behave(Manner::Usual);
    assert_eq!(Client::of(&near).lent_one(only("h2")).name, "h2");
}

#[test]
fn who_waits_for_a_slow_broker_keeps_nobody_waiting() {
    let far = Original::of(pieces(&["h2"]));
    far.behave(Manner::Holding);
    let near = Lab::having(&["n1"]).forward(far.address()).start();
    let mut waiting = near.client();
    waiting.ask(&Value::Null, "get", json!([only("h2")]));
    far.wait_heard("get");
    for _ in 0..10 {
        let mut client = Client::of(&near);
        assert_eq!(client.lent_one(only("n1")).name, "n1");
        client.close();
        near.wait_available(&["n1"]);
    }
    far.behave(Manner::Usual);
    let granted = waiting.reply().expect("an answer");
    assert_eq!(granted["result"]["resources"][0]["serial"], "h2", "{granted}");
}

#[test]
fn who_leaves_while_a_slow_broker_is_asked_leaves_nothing_behind() {
    let far = Original::of(pieces(&["h2"]));
    far.behave(Manner::Holding);
    let near = Lab::having(&["h1"]).forward(far.address()).start();
    let mut leaving = near.client();
    leaving.ask(&Value::Null, "get_multi_resources", json!([[only("h1")], [only("h2")]]));
    far.wait_heard("get");
    leaving.close();
    near.wait_available(&["h1"]);
    far.behave(Manner::Usual);
    // It lends once more to somebody who has left, and notices.
    wait_until("it can be had", || Client::of(&near).get(json!([only("h2")])).is_ok());
}

/// Original clients give up after five seconds, so a broker that never answers is given up after three.
#[test]
fn a_broker_that_never_answers_is_given_up_in_time() {
    for manner in [Manner::Holding, Manner::Mute] {
        let far = Original::of(pieces(&["h2"]));
        let near = Lab::having(&["h1"]).forward(far.address()).start();
        far.behave(manner.clone());
        let mut client = Client::of(&near);
        client.lent(json!([only("h1")]));
        let asked = Instant::now();
        let (class, message) = client.refused(json!([only("h2")]));
        assert!(
            class == "Exit" && message.starts_with("Broker connection failed"),
            "{manner:?}: {class}: {message}"
        );
        assert_within(Duration::from_secs(3), asked);
        near.wait_available(&["h1"]);
        far.behave(Manner::Usual);
        far.wait_available(&["h2"]);
    }
}

#[test]
fn wrong_keys_share_nothing() {
    let master = Lab::of(&["h1"], &[]);
    let calls = [
        ("set_equipment", json!([["s", 4000], pieces(&["h2"]), {}])),
        ("set_stacks", json!([["s", 4000], [[only("h1"), only("h2")]]])),
        ("set_ws_profile", json!([["s", 4000], any("workspace")])),
        ("add_equipment", json!(["local", pieces(&["h2"])])),
    ];
    for key in ["", "wrong key", crate::support::ADMIN] {
        let mut peer = Peer::connect(master.address(), key);
        for (method, arguments) in &calls {
            let reply = peer.call(method, arguments.clone());
            let refusal = plain(&reply);
            assert!(
                refusal.starts_with("not authorized") || refusal.starts_with("not authenticated"),
                "{method}: {refusal}"
            );
        }
    }
    assert_eq!(master.list("list_equipment"), ["h1"]);
    assert_eq!(master.admin().result("list_shares", json!([])), json!([]));
    assert_eq!(master.admin().result("list_stacks", json!([])), json!([]));
}

#[test]
fn a_share_that_sends_garbage_loses_its_connection_and_nobody_else_theirs() {
    let site = Site::new();
    let mut stray = site.master.lister();
    stray.result("set_equipment", json!([["s", 4000], pieces(&["h5"]), {}]));
    site.master.wait_listed(&["n1", "h2", "h3", "h5"]);
    stray.send_raw(&[0xff; 64]);
    wait_until("what it shared is forgotten", || !site.master.list("list_equipment").contains(&"h5".into()));
    assert_eq!(site.master.available(), ["n1", "h2", "h3"]);
}

#[test]
fn a_share_cannot_take_the_place_of_what_is_here() {
    let master = Lab::of(&["h1"], &[]);
    let mut share = master.lister();
    let mut forged = json!([["s", 4000], [piece_with("h1", json!({"pretty": "forged"}))], {}]);
    share.result("set_equipment", forged.clone());
    assert_eq!(master.admin().result("list_equipment", json!([])), pieces(&["h1"]));
    // Nor can it say that somebody has it.
    forged[2] = json!({"0": [{"profile": only("h1"), "collateral": [only("h1")]}]});
    share.result("set_equipment", forged);
    assert_eq!(Client::of(&master).lent_one(any("handset")).at, master.address());
}

#[test]
fn a_share_that_announces_its_master_as_itself_serves_nothing() {
    let master = Lab::of(&["h1"], &[]);
    let mut share = master.lister();
    share.result("set_equipment", json!([master.announced(), pieces(&["h2", "h3"]), {}]));
    let (class, _) = Client::of(&master).refused(json!([only("h2")]));
    assert_eq!(class, "NoSuch");
    assert_eq!(Client::of(&master).lent_one(any("handset")).name, "h1");
}

#[test]
fn a_flood_of_reports_keeps_nobody_from_being_served() {
    const PIECES: usize = 5_000;
    let site = Site::new();
    let is_over = AtomicBool::new(false);
    let served = thread::scope(|scope| {
        scope.spawn(|| {
            let mut flood = site.master.lister();
            for round in 0..10 {
                let state = if round % 2 == 0 { "adb" } else { "offline" };
                let all = (0..PIECES).map(|at| piece_with(&format!("h9{at}"), json!({"power_state": state})));
                let report = json!([["s", 4000], all.collect::<Value>(), {}]);
                flood.result("set_equipment", report);
            }
            is_over.store(true, Ordering::SeqCst);
        });
        let mut served = 0;
        while !is_over.load(Ordering::SeqCst) {
            let mut client = site.client();
            assert_eq!(client.lent_one(only("h3")).at, site.good.address());
            site.close(client);
            served += 1;
        }
        served
    });
    assert!(served >= 3, "{served} served meanwhile");
    site.wait_free();
}

#[test]
fn a_share_at_an_address_of_nobody_is_listed_and_not_waited_for() {
    let site = Site::new();
    let (nobody, _) = free_ports();
    let mut share = site.master.lister();
    let address = SocketAddr::from(([127, 0, 0, 1], nobody));
    share.result("set_equipment", json!([[address.ip(), nobody], pieces(&["h4"]), {}]));
    let (class, message) = site.client().refused(json!([only("h4")]));
    assert!(class == "Exit" && message.starts_with("Broker connection failed"), "{class}: {message}");
    let mut client = site.client();
    assert_eq!(client.lent_one(only("h3")).at, site.good.address());
}
