//! Unmodified original brokers as slaves, masters, forwarders and targets of ours. (10.10, 10.11, D)

use serde_json::{Value, json};

use crate::support::{
    Cable, Client, Lab, Lent, Original, any, names_of, only, piece_with, pieces, stacks, wait_until, with,
};

/// A master of ours with `h1`, and an original slave with `h2` and `h3` that announces this host.
fn original_slave(host: &str) -> (Lab, Original) {
    let master = Lab::of(&["h1"], &[]);
    let slave = Original::of(pieces(&["h2", "h3"]));
    slave.share(master.address(), host);
    master.wait_available(&["h1", "h2", "h3"]);
    (master, slave)
}

fn shares(master: &Lab) -> Value {
    master.admin().result("list_shares", json!([]))
}

fn wait_over(client: &mut Client) {
    wait_until("the client's session is over", || client.is_over());
}

#[test]
fn an_original_slave_shares_to_our_master_170_171() {
    for host in ["127.0.0.1", ""] {
        let (master, slave) = original_slave(host);
        let announced = json!([host, slave.address().port()]);
        assert_eq!(shares(&master), json!([announced]));
        let mut client = Client::of(&master);
        let lent = client.lent(json!([only("h2")]));
        assert_ne!(lent[0].at, slave.address(), "at its session's own port");
        assert!(lent[0].is_usable());
        assert_eq!(
            (slave.available(), master.available()),
            (vec!["h3".into()], vec!["h1".into(), "h3".into()])
        );
        assert_eq!(Client::of(&master).refused(json!([only("h2")])).0, "Busy");
        client.close();
        slave.wait_available(&["h2", "h3"]);
        wait_until("it can be had at both", || master.available().len() == 3);
        drop(slave);
        master.wait_listed(&["h1"]);
        assert_eq!(shares(&master), json!([]));
    }
}

/// Original brokers match every member of a profile, and know groups only among themselves. (D3, D6, D7)
#[test]
fn an_original_broker_is_asked_in_its_own_words_170() {
    let (master, slave) = original_slave("");
    let mut client = Client::of(&master);
    let lent = client.lent(json!([[only("h2")], [only("h3")], [only("h1")]]));
    assert_eq!(names_of(&lent), ["h2", "h3", "h1"]);
    assert_eq!(lent[0].door(), lent[1].door(), "one session for both");
    let asked = |name| json!([{"type": "handset", "serial": name, "power_state": "boot_completed"}]);
    assert_eq!(slave.heard("get"), [asked("h2"), asked("h3")]);
    assert!(slave.heard("get_multi_resources").is_empty());
    client.give_back(&lent[..1]).expect("it held it");
    slave.wait_available(&["h2"]);
    assert_eq!(slave.heard("yield_resources").len(), 1);
    client.close();
    slave.wait_available(&["h2", "h3"]);
}

#[test]
fn stacks_and_workspaces_of_an_original_slave_are_lent_170() {
    let master = Lab::of(&["h1"], &[]);
    let slave = Original::of(pieces(&["h3", "r3", "h2"]));
    slave.stacks(stacks(&[&["h3", "r3"]]));
    slave.workspace(json!({"type": "workspace", "root": "/ave/ws", "pretty": "old"}));
    slave.share(master.address(), "");
    let known = || master.admin().result("list_stacks", json!([]));
    wait_until("its stack is known", || known() == stacks(&[&["h3", "r3"]]));
    master.wait_available(&["h1", "h3", "r3", "h2"]);
    let mut client = Client::of(&master);
    let lent = client.lent(json!([any("handset"), any("relay")]));
    assert_eq!(names_of(&lent), ["h3", "r3"]);
    let made = client.lent_one(with(any("workspace"), json!({"pretty": "old"})));
    assert!(made.name.starts_with("old-"));
    assert_eq!(made.door(), lent[0].door());
    wait_until("the workspace is listed", || master.list("list_equipment").contains(&made.name));
    client.close();
    wait_until("it is listed no more", || !master.list("list_equipment").contains(&made.name));
}

#[test]
fn our_slave_shares_to_an_original_master_170_172() {
    let master = Original::of(pieces(&["h1"]));
    let stacked = json!({"stacks": stacks(&[&["h2", "r2"]])});
    let slave = Lab::having(&["h2", "r2"]).broker(stacked).workspace(json!({"pretty": "new"}));
    let slave = slave.share(master.address()).start();
    master.wait_shared(&["h2", "r2"]);
    // As C.5 shows it.
    let address = slave.announced();
    let workspace = &master.heard("set_ws_profile")[0];
    assert_eq!((&workspace[0], &workspace[1]["type"]), (&address, &json!("workspace")));
    assert_eq!((&workspace[1]["pretty"], workspace[1].get("uid")), (&json!("new"), None));
    assert_eq!(master.heard("set_stacks"), [json!([address, stacks(&[&["h2", "r2"]])])]);
    assert_eq!(master.heard("set_equipment")[0], json!([address, pieces(&["h2", "r2"]), {}]));
    let mut client = Client::at(master.address());
    let lent = client.lent(json!([only("h2")]));
    assert_eq!(lent[0].at, slave.address());
    assert!(lent[0].is_usable());
    let reported = || master.heard("set_equipment").pop().expect("a report")[2].clone();
    wait_until("the loan is reported", || reported() != json!({}));
    let entries: Vec<_> = reported().as_object().expect("lists").values().cloned().collect();
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0][0]["profile"]["serial"], "h2");
    assert_eq!(entries[0][0]["collateral"], json!([only("r2")]));
    client.close();
    slave.wait_available(&["h2", "r2"]);
    wait_until("the return is reported", || reported() == json!({}));
    // 172
    let mut local = Client::of(&slave);
    local.lent(json!([only("r2")]));
    wait_until("the loan is reported", || reported() != json!({}));
    assert_eq!(Client::at(master.address()).refused(json!([only("r2")])).0, "NoSuch", "its own words for it");
}

#[test]
fn an_original_master_hears_of_changes_only_and_of_all_of_them_190() {
    let master = Original::of(json!([]));
    let slave = Lab::having(&["h2"]).share(master.address()).start();
    master.wait_shared(&["h2"]);
    let told = |name, state: &str| {
        let piece = piece_with(name, json!({"power_state": state}));
        slave.lister().result("add_equipment", json!(["local", [piece]]));
    };
    let states = || {
        let reports = master.heard("set_equipment");
        reports.iter().map(|report| report[1][0]["power_state"].clone()).collect::<Vec<_>>()
    };
    for state in ["boot_completed", "adb", "adb", "offline", "offline"] {
        told("h2", state);
    }
    wait_until("the last state is told", || states().last() == Some(&json!("offline")));
    let mut different = states();
    different.dedup();
    assert_eq!(different, states(), "none is told twice");
    assert_eq!((master.heard("set_ws_profile").len(), master.heard("set_stacks").len()), (1, 0));
}

#[test]
fn our_slave_comes_back_to_an_original_master_with_everything_175() {
    let master = Original::of(json!([]));
    let _slave = Lab::having(&["h2"]).share(master.address()).start();
    for round in 1..4 {
        master.wait_shared(&["h2"]);
        wait_until("it told everything", || master.heard("set_ws_profile").len() == round);
        master.cut();
        wait_until("it is told anew", || master.heard("set_ws_profile").len() > round);
    }
}

#[test]
fn an_original_slave_that_repeats_itself_causes_no_traffic_190() {
    let top = Lab::of(&[], &[]);
    let cable = Cable::to(top.address());
    let middle = Lab::having(&["h1"]).share(cable.address()).broker(json!({"silence_limit_s": 300})).start();
    let slave = Original::of(pieces(&["h2", "h3"]));
    slave.share(middle.address(), "");
    top.wait_listed(&["h1", "h2", "h3"]);
    cable.wait_quiet();
    let before = cable.bytes();
    (0..20).for_each(|_| slave.report_again());
    cable.wait_quiet();
    assert_eq!(cable.bytes(), before);
    slave.equipment(pieces(&["h2"]));
    top.wait_listed(&["h1", "h2"]);
}

#[test]
fn the_three_calls_may_come_in_any_order_170() {
    let orders = [[0, 1, 2], [2, 1, 0], [1, 2, 0]];
    for order in orders {
        let master = Lab::of(&["h1"], &[]);
        let slave = Original::of(pieces(&["h2", "r2"]));
        let address = json!(["", slave.address().port()]);
        let mut reporter = master.lister();
        let calls = [
            ("set_ws_profile", json!([address, {"type": "workspace", "root": "/ave/ws", "pretty": "old"}])),
            ("set_stacks", json!([address, stacks(&[&["h2", "r2"]])])),
            ("set_equipment", json!([address, pieces(&["h2", "r2"]), {}])),
        ];
        for at in order.into_iter().chain(order) {
            let (method, arguments) = &calls[at];
            assert_eq!(reporter.result(method, arguments.clone()), Value::Null);
        }
        assert_eq!(shares(&master), json!([address]));
        let mut client = Client::of(&master);
        assert_eq!(names_of(&client.lent(json!([any("relay"), any("handset")]))), ["r2", "h2"]);
        reporter.close();
        master.wait_listed(&["h1"]);
        assert!(!client.is_over(), "running clients keep what they have");
    }
}

#[test]
fn we_forward_to_an_original_broker_158_162_163() {
    let far = Original::of(pieces(&["h2"]));
    let near = Lab::having(&["h1"]).forward(far.address()).start();
    let mut client = Client::of(&near);
    let lent = client.lent(json!([[any("handset")], [any("handset")]]));
    assert_eq!(names_of(&lent), ["h1", "h2"]);
    assert!(lent.iter().all(Lent::is_usable));
    let (class, message) = Client::of(&near).refused(json!([only("h2")]));
    assert!(class == "Busy" && message.starts_with("all such equipment busy"), "{class}: {message}");
    let (class, message) = client.refused(json!([any("relay")]));
    assert!(class == "NoSuch" && message.starts_with("no such resource"), "{class}: {message}");
    near.wait_available(&["h1"]);
    far.wait_available(&["h2"]);
}

#[test]
fn an_original_broker_forwards_to_us_158_162() {
    let far = Lab::of(&["h2"], &[]);
    let near = Original::of(pieces(&["h1"]));
    near.forward(far.address());
    let mut client = Client::at(near.address());
    let lent = [client.lent_one(any("handset")), client.lent_one(any("handset"))];
    assert_eq!(names_of(&lent), ["h1", "h2"]);
    assert_eq!(lent[1].at, far.address());
    assert!(lent[1].is_usable());
    // Its clients read our words in its `Exit`. (D4)
    let (class, message) = Client::at(near.address()).refused(json!([only("h2")]));
    assert!(class == "Exit" && message.starts_with("all such equipment busy"), "{class}: {message}");
    client.give_back(&lent[1..]).expect("it held it");
    far.wait_available(&["h2"]);
    let again = client.lent_one(any("handset"));
    client.close();
    far.wait_available(&["h2"]);
    assert!(!again.is_usable());
}

#[test]
fn an_original_in_the_middle_of_a_chain_changes_nothing_160_162_164_165() {
    let far = Lab::of(&["h3"], &[]);
    let middle = Original::of(pieces(&["h2"]));
    middle.forward(far.address());
    let near = Lab::having(&["h1"]).forward(middle.address()).start();
    let free = || {
        near.wait_available(&["h1"]);
        middle.wait_available(&["h2"]);
        far.wait_available(&["h3"]);
    };
    let one_by_one =
        |client: &mut Client| (0..3).map(|_| client.lent_one(any("handset"))).collect::<Vec<_>>();
    let mut client = Client::of(&near);
    let lent = one_by_one(&mut client);
    assert_eq!(names_of(&lent), ["h1", "h2", "h3"]);
    assert_eq!(lent[2].at, far.address(), "the leaf's address, unchanged");
    // What the end refuses comes as the `Exit` of the middle one's session.
    for (name, class) in [("h3", "Busy"), ("h9", "NoSuch")] {
        let (found, message) = Client::of(&near).refused(json!([only(name)]));
        assert_eq!(found, class, "{message}");
    }
    client.close();
    free();
    let mut client = Client::of(&near);
    let lent = one_by_one(&mut client);
    far.admin().result("close_session", json!([lent[2].door().1]));
    wait_over(&mut client);
    free();
    let mut client = Client::of(&near);
    one_by_one(&mut client);
    middle.cut();
    wait_over(&mut client);
    free();
}

#[test]
fn an_original_slave_that_is_dropped_comes_back_175() {
    let (master, slave) = original_slave("");
    let mut client = Client::of(&master);
    client.lent(json!([only("h2")]));
    master.admin().result("drop_share", json!([["", slave.address().port()]]));
    master.wait_listed(&["h1", "h2", "h3"]);
    assert!(!client.is_over());
    assert_eq!(Client::of(&master).refused(json!([only("h2")])).0, "Busy");
    client.close();
    slave.wait_available(&["h2", "h3"]);
    wait_until("all can be had", || master.available().len() == 3);
}

/// What stands in for originals here is what the other tests measure ours by.
#[test]
fn originals_among_themselves() {
    let (master, slave, far) =
        (Original::of(pieces(&["h1"])), Original::of(pieces(&["h2"])), Original::of(pieces(&["h3"])));
    master.forward(far.address());
    slave.share(master.address(), "");
    master.wait_shared(&["h2"]);
    let mut client = Client::at(master.address());
    let lent: Vec<_> = (0..3).map(|_| client.lent_one(any("handset"))).collect();
    assert_eq!(names_of(&lent), ["h1", "h2", "h3"]);
    assert!(lent.iter().all(Lent::is_usable));
    client.give_back(&lent[2..]).expect("it held it");
    far.wait_available(&["h3"]);
    let mut other = Client::at(far.address());
    other.lent(json!([only("h3")]));
    let (class, message) = client.refused(json!([only("h3")]));
    assert!(class == "Exit" && message.starts_with("all such equipment busy"), "{class}: {message}");
    wait_over(&mut client);
    master.wait_available(&["h1"]);
    slave.wait_available(&["h2"]);
    slave.cut();
    wait_until("it has come back", || slave.heard("get").len() == 1 && master.shared() == ["h2"]);
    drop(slave);
    master.wait_shared(&[]);
}
