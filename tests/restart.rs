//! `ave-broker --restart`, as clients see it: what they hold stays theirs, and nobody else gets it. (10.12) The
//! exchange between the two processes, and what can go wrong with it, is in `handover`.

mod administered;
mod carried;
mod commanded;
mod contained;
mod network;

use std::fs;

use serde_json::{Value, json};

use crate::endings::{proxies, use_proxy};
use crate::sessions::both;
use crate::support::{Client, Lab, Peer, any, brokers, names, only, pieces, raised};

/// What an old connection is told when it asks for more.
pub(crate) fn restarting() -> (String, String) {
    ("Restarting".into(), "broker is restarting".into())
}

#[test]
fn a_client_uses_what_it_holds_across_a_restart_and_gets_nothing_more_20_192_193() {
    for lab in both(&["h1", "h2"]) {
        let mut client = Client::of(&lab);
        let h1 = client.lent_one(only("h1"));
        let mut used = h1.proxy();
        used.result_on(&h1.profile, "get_profile", json!([]));
        lab.hand_over();
        assert_eq!(used.result_on(&h1.profile, "get_profile", json!([])), h1.profile);
        assert_eq!(client.refused(json!([only("h2")])), restarting());
        assert_eq!(client.allocations(), ["h1"]);
        assert!(h1.is_usable(), "by a proxy that connects only now");
        assert_eq!(used.result_on(&h1.profile, "get_profile", json!([])), h1.profile);
        lab.wait_available(&["h2"]);
        assert_eq!(Client::of(&lab).refused(json!([only("h1")])).0, "Busy");
        client.close();
        lab.wait_available(&["h1", "h2"]);
        lab.wait_generations(1);
    }
}

#[test]
fn restarting_is_said_before_any_other_check_and_again_and_again_193() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let mut client = Client::of(&lab);
    client.lent_one(only("h1"));
    let mut newcomer = Client::of(&lab); // holds nothing
    lab.hand_over();
    let wants =
        [json!([only("h2")]), json!([only("h1")]), json!([only("h9")]), json!([[only("h2")]]), json!([1])];
    for want in wants {
        for client in [&mut client, &mut newcomer] {
            assert_eq!(client.refused(want.clone()), restarting(), "{want}");
            assert!(!client.is_over());
        }
    }
    assert_eq!((client.allocations(), newcomer.allocations()), (vec!["h1".to_owned()], vec![]));
    for method in ["get", "get_resource", "get_resources", "get_multi_resources"] {
        let refused = raised(&newcomer.broker.call(method, json!([only("h2")])));
        assert_eq!(refused, restarting(), "{method}");
    }
}

#[test]
fn our_own_client_keeps_its_proxies_used_and_unused_192_193() {
    for lab in both(&["h1", "h2", "h3"]) {
        let mut broker = lab.broker();
        let mut held = proxies(&mut broker, json!([[only("h1")], [only("h2")]]));
        use_proxy(&mut held[0]).expect("it is held");
        lab.hand_over();
        for proxy in &mut held {
            use_proxy(proxy).expect("it is held still");
        }
        let want = ave_profile::Want { groups: vec![vec![ave_profile::Profile::of(only("h3"))]] };
        let refused = broker.get(&want).map(drop).expect_err("the old process lends nothing");
        assert!(
            matches!(&refused, ave_client::ClientError::Fault(fault) if fault.kind == "Restarting"),
            "{refused}"
        );
        assert!(!broker.liveness().ended());
        for proxy in &mut held {
            use_proxy(proxy).expect("nothing is lost by asking");
        }
        drop(broker);
        lab.wait_available(&["h1", "h2", "h3"]);
    }
}

#[test]
fn a_new_client_meets_the_new_configuration_194() {
    let lab = Lab::of(&["h1", "r1"], &[]);
    let mut old = Client::of(&lab);
    old.lent_one(only("h1"));
    let before = old.broker.result("get_profile", json!([]));
    let path = lab.home().join(".ave/config/broker.json");
    let mut members: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
    members["stacks"] = json!([[only("h1"), only("r1")]]);
    members["note"] = json!("new");
    fs::write(&path, members.to_string()).expect("a file");
    fs::write(lab.home().join(".ave/config/equipment.json"), pieces(&["h1", "r1", "h2"]).to_string())
        .expect("a file");
    lab.hand_over();
    assert_eq!(old.broker.result("get_profile", json!([])), before);
    let mut new = Client::of(&lab);
    let profile = new.broker.result("get_profile", json!([]));
    assert_eq!((&profile["note"], &profile["stacks"]), (&json!("new"), &members["stacks"]));
    lab.wait_listed(&["h1", "r1", "h2"]);
    old.close();
    lab.wait_available(&["h1", "r1", "h2"]);
    assert_eq!(new.lent(json!([any("handset"), any("relay")])).len(), 2);
    assert_eq!(names(&new.broker.result("list_collateral", json!([]))), [""; 0], "both of a stack");
}

#[test]
fn old_and_new_offer_the_same_and_the_new_one_more_as_old_clients_leave_195() {
    for lab in both(&["h1", "h2", "h3", "r1"]) {
        let mut elder = lab.admin();
        let [mut first, mut second] = [Client::of(&lab), Client::of(&lab)];
        first.lent(json!([[only("h1")], [any("workspace")]]));
        second.lent(json!([[only("h2")], [only("r1")]]));
        lab.hand_over();
        assert_eq!(
            elder.result("list_available", json!([])),
            lab.admin().result("list_available", json!([]))
        );
        assert_eq!(lab.available(), ["h3"]);
        first.close();
        lab.wait_available(&["h1", "h3"]);
        let mut third = Client::of(&lab);
        third.lent_one(only("h1"));
        second.close();
        lab.wait_available(&["h2", "h3", "r1"]);
        assert_eq!(third.allocations(), ["h1"]);
    }
}

#[test]
fn what_an_old_client_gives_back_is_free_in_both() {
    for lab in both(&["h1", "h2"]) {
        let mut elder = lab.admin();
        let mut client = Client::of(&lab);
        let lent = client.lent(json!([[only("h1")], [only("h2")]]));
        lab.hand_over();
        client.give_back(&lent[..1]).expect("it was lent");
        lab.wait_available(&["h1"]);
        assert_eq!(names(&elder.result("list_available", json!([]))), ["h1"]);
        let mut other = Client::of(&lab);
        let h1 = other.lent_one(only("h1"));
        assert!(h1.is_usable() && lent[1].is_usable());
        // The old session has no way to it any more, nor to give it back a second time.
        let reply = lent[1].proxy().call_on(&lent[0].profile, "get_profile", json!([]));
        assert!(
            reply["exception"].as_str().is_some_and(|text| text.starts_with("no such resource")),
            "{reply}"
        );
        client.give_back(&lent[..1]).expect_err("it has been given back");
        assert_eq!(
            (other.allocations(), client.allocations()),
            (vec!["h1".to_owned()], vec!["h2".to_owned()])
        );
    }
}

#[test]
fn sessions_that_end_while_the_broker_restarts_leave_nothing_taken_196() {
    for lab in both(&["h1", "h2", "r1"]) {
        let mut stays = Client::of(&lab);
        stays.lent_one(only("h2"));
        let mut ends = Client::of(&lab);
        ends.lent(json!([[only("h1")], [only("r1")], [any("workspace")]]));
        // The end of the session and the wish to take over reach the old process together.
        lab.pause();
        let mut command = lab.restarting().spawn().expect("the binary runs");
        ends.close();
        lab.resume();
        assert!(command.wait().expect("a child").success());
        lab.wait_available(&["h1", "r1"]);
        assert_eq!(stays.allocations(), ["h2"]);
        assert_eq!(lab.list("list_allocations_all"), ["h2"]);
    }
}

#[test]
fn sessions_that_end_at_any_moment_of_a_restart_leave_nothing_taken_196() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    for round in 0..8 {
        let mut client = Client::of(&lab);
        let lent = client.lent(json!([[only("h1")], [only("h2")]]));
        std::thread::scope(|scope| {
            let restarted = scope.spawn(|| lab.hand_over());
            match round % 2 {
                0 => client.close(),
                _ => {
                    lent[0].proxy().ask(&Value::Null, "stop", json!([]));
                    lab.wait_available(&["h1", "h2"]);
                    assert!(client.is_over());
                }
            }
            restarted.join().expect("no panic");
        });
        lab.wait_available(&["h1", "h2"]);
        lab.wait_generations(1);
    }
}

#[test]
fn several_restarts_in_a_row_keep_sessions_of_each_generation_198() {
    for lab in both(&["h1", "h2", "h3", "h4"]) {
        let mut clients = Vec::new();
        for name in ["h1", "h2", "h3"] {
            let mut client = Client::of(&lab);
            let lent = client.lent_one(only(name));
            clients.push((client, lent));
            lab.hand_over();
        }
        assert_eq!(brokers(lab.home()).len(), 4);
        lab.wait_available(&["h4"]);
        let mut lent = lab.list("list_allocations_all");
        lent.sort();
        assert_eq!(lent, ["h1", "h2", "h3"]);
        for (client, lent) in &mut clients {
            assert_eq!(client.allocations(), [lent.name.as_str()]);
            assert!(lent.is_usable(), "{}", lent.name);
        }
        // The middle one leaves first, the youngest last.
        let (client, _) = clients.remove(1);
        client.close();
        lab.wait_available(&["h2", "h4"]);
        lab.wait_generations(3);
        lab.hand_over();
        lab.wait_available(&["h2", "h4"]);
        assert!(clients.iter().all(|(_, lent)| lent.is_usable()));
        drop(clients);
        lab.wait_available(&["h1", "h2", "h3", "h4"]);
        lab.wait_generations(1);
    }
}

#[test]
fn an_old_broker_ends_with_its_last_anonymous_client_and_says_so_to_the_rest_199() {
    for lab in both(&["h1"]) {
        let [mut admin, mut lister] = [lab.admin(), lab.lister()];
        let mut holder = Client::of(&lab);
        holder.lent_one(only("h1"));
        let idle = Client::of(&lab); // has a session, and nothing in it
        lab.hand_over();
        holder.close();
        lab.wait_available(&["h1"]);
        assert_eq!(names(&admin.result("list_available", json!([]))), ["h1"], "it is there for the idle one");
        idle.close();
        for keyed in [&mut admin, &mut lister] {
            let said =
                json!({"exception": {"message": "broker restarted. please reconnect", "type": "Exit"}});
            assert_eq!(keyed.reply(), Some(said));
            assert!(keyed.ends());
        }
        lab.wait_generations(1);
        assert_eq!(lab.available(), ["h1"]);
    }
}

#[test]
fn a_restart_without_any_session_works_again_and_again_201() {
    for mut lab in both(&["h1"]) {
        for _ in 0..3 {
            let mut admin = lab.admin();
            lab.hand_over();
            assert_eq!(admin.reply().map(|said| said["exception"]["type"].clone()), Some(json!("Exit")));
            lab.wait_generations(1);
            let mut client = Client::of(&lab);
            assert!(client.lent_one(only("h1")).is_usable());
            client.close();
            lab.wait_available(&["h1"]);
        }
        assert!(lab.has_ended(), "the first process");
    }
}

#[test]
fn a_key_of_an_old_session_opens_nothing_once_it_has_ended() {
    for lab in both(&["h1"]) {
        let mut client = Client::of(&lab);
        let h1 = client.lent_one(only("h1"));
        let mut used = h1.proxy();
        lab.hand_over();
        let mut late = h1.proxy();
        late.result_on(&h1.profile, "get_profile", json!([]));
        client.close();
        lab.wait_available(&["h1"]);
        assert!(used.ends() && late.ends());
        assert!(!h1.is_usable());
    }
}

#[test]
fn a_proxy_that_connects_before_a_restart_and_shows_its_key_after_it_reaches_an_older_process() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = Client::of(&lab);
    let h1 = client.lent_one(only("h1"));
    let (address, key) = h1.door();
    lab.hand_over();
    // Accepted by the second process, which serves nobody, and has handed over by the time the key is shown.
    let mut early = [(); 2].map(|()| Peer::challenged(address));
    for (restarts, proxy) in early.iter_mut().enumerate() {
        if restarts > 0 {
            lab.hand_over();
        }
        lab.hand_over();
        proxy.send(&proxy.digest(&key));
        let reply = proxy.receive().expect("a verdict");
        assert_eq!(serde_json::from_slice::<Value>(&reply).expect("JSON"), json!({"authenticated": true}));
        assert_eq!(proxy.result_on(&h1.profile, "get_profile", json!([])), h1.profile);
    }
    drop(early);
    lab.wait_generations(2);
    assert!(h1.is_usable());
}
