//! Restarts of brokers that share with each other or forward to each other: nothing that is lent is lost on either
//! side, and what is free can be had again at once.

use serde_json::json;

use super::restarting;
use crate::support::{Client, Lab, Original, any, names, only, pieces, wait_until, with};

/// A master with `h1`, and a share of it with `h2` and `h3`. At a port of its own each, which a restart keeps.
fn master_and_share() -> [Lab; 2] {
    let master = Lab::of(&["h1"], &[]);
    let share =
        Lab::having(&["h2", "h3"]).workspace(json!({"pretty": "share"})).share(master.address()).start();
    master.wait_available(&["h1", "h2", "h3"]);
    [master, share]
}

#[test]
fn a_restarted_master_gets_its_shares_back_and_what_is_lent_stays_taken_200() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&master);
    let lent = client.lent(json!([[only("h1")], [only("h2")]]));
    for _ in 0..2 {
        master.hand_over();
        master.wait_available(&["h3"]);
        share.wait_available(&["h3"]);
        assert!(lent.iter().all(|piece| piece.is_usable()));
        assert_eq!(client.refused(json!([only("h3")])), restarting());
    }
    let mut other = Client::of(&master);
    assert_eq!(other.lent_one(only("h3")).at, share.address());
    assert_eq!(client.allocations(), ["h1", "h2"]);
    client.close();
    master.wait_available(&["h1", "h2"]);
    other.close();
    master.wait_available(&["h1", "h2", "h3"]);
    share.wait_available(&["h2", "h3"]);
    master.wait_generations(1);
}

#[test]
fn a_restarted_share_reappears_with_what_is_lent_still_taken_200() {
    let [master, share] = master_and_share();
    let [mut through_master, mut direct] = [Client::of(&master), Client::of(&share)];
    let h2 = through_master.lent_one(only("h2"));
    let h3 = direct.lent_one(only("h3"));
    for _ in 0..2 {
        share.hand_over();
        wait_until("the share is back", || master.list("list_equipment").len() == 3);
        master.wait_available(&["h1"]);
        share.wait_available(&[]);
        assert!(h2.is_usable() && h3.is_usable());
    }
    assert_eq!(through_master.allocations(), ["h2"]);
    for name in ["h2", "h3"] {
        assert_eq!(Client::of(&share).refused(json!([only(name)])).0, "Busy", "{name}");
    }
    through_master.close();
    share.wait_available(&["h2"]);
    master.wait_available(&["h1", "h2"]);
    direct.close();
    master.wait_available(&["h1", "h2", "h3"]);
    share.wait_generations(1);
}

#[test]
fn what_was_lent_through_a_master_can_be_given_back_after_a_restart_of_either_side_200() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&master);
    let lent = client.lent(json!([[only("h2")], [only("h3")]]));
    master.hand_over();
    share.hand_over();
    client.give_back(&lent[..1]).expect("it was lent");
    share.wait_available(&["h2"]);
    master.wait_available(&["h1", "h2"]);
    assert!(lent[1].is_usable());
    let mut other = Client::of(&master);
    assert_eq!(other.lent_one(only("h2")).at, share.address());
    client.close();
    master.wait_available(&["h1", "h3"]);
}

#[test]
fn a_forwarded_piece_is_held_over_a_restart_of_either_side() {
    for in_order in [true, false] {
        let far = Lab::of(&["h2"], &[]);
        let near = Lab::having(&["h1"]).forward(far.address()).start();
        let mut client = Client::of(&near);
        let lent = client.lent(json!([
            [only("h1")],
            [only("h2")],
            [with(any("workspace"), json!({"pretty": "lab"}))]
        ]));
        let mut used = lent[1].proxy();
        let restarts = if in_order { [&near, &far] } else { [&far, &near] };
        for lab in restarts {
            lab.hand_over();
            used.result_on(&lent[1].profile, "get_profile", json!([]));
            assert!(lent.iter().all(|piece| piece.is_usable()));
            assert_eq!(far.available(), [""; 0]);
            let allocated = client.allocations();
            assert!(lent.iter().all(|piece| allocated.contains(&piece.name)), "{allocated:?}");
        }
        // A new client of the new process is served there, and forwarded as ever.
        assert_eq!(Client::of(&near).refused(json!([only("h2")])).0, "Busy");
        client.close();
        near.wait_available(&["h1"]);
        far.wait_available(&["h2"]);
        let mut other = Client::of(&near);
        assert_eq!(other.lent_one(only("h2")).at, far.address());
        near.wait_generations(1);
        far.wait_generations(1);
    }
}

#[test]
fn a_request_that_comes_from_a_broker_of_the_old_connection_is_asked_anew() {
    // Near has a connection to far, whose process is replaced: the next request must reach the new one.
    let far = Lab::of(&["h2", "h3"], &[]);
    let near = Lab::having(&["h1"]).forward(far.address()).start();
    let mut client = Client::of(&near);
    let h2 = client.lent_one(only("h2"));
    far.hand_over();
    let mut other = Client::of(&near);
    assert_eq!(other.lent_one(only("h3")).at, far.address());
    // One session uses one session there: what the old one cannot give is refused, and harms nothing.
    other.close();
    far.wait_available(&["h3"]);
    assert!(h2.is_usable());
}

#[test]
fn who_holds_something_of_a_restarted_broker_loses_nothing_by_asking_it_for_more() {
    let far = Lab::of(&["h2", "h3"], &[]);
    let near = Lab::having(&["h1"]).forward(far.address()).start();
    let mut client = Client::of(&near);
    let h2 = client.lent_one(only("h2"));
    far.hand_over();
    assert_eq!(client.refused(json!([only("h3")])).0, "Restarting");
    assert!(h2.is_usable());
    assert_eq!(client.lent_one(only("h1")).name, "h1", "this broker lends as ever");
    assert_eq!(client.allocations().len(), 2);
}

#[test]
fn an_original_share_finds_a_restarted_master_200() {
    let master = Lab::of(&["h1"], &[]);
    let share = Original::of(pieces(&["h2", "h3"]));
    share.share(master.address(), "127.0.0.1");
    master.wait_available(&["h1", "h2", "h3"]);
    let mut client = Client::of(&master);
    let h2 = client.lent_one(only("h2"));
    assert_eq!(h2.at.ip(), master.address().ip());
    for _ in 0..2 {
        master.hand_over();
        master.wait_available(&["h1", "h3"]);
        assert!(h2.is_usable());
        assert_eq!(share.available(), ["h3"]);
    }
    client.close();
    share.wait_available(&["h2", "h3"]);
    master.wait_available(&["h1", "h2", "h3"]);
}

#[test]
fn an_original_master_sees_a_restarted_share_with_what_is_lent_still_taken_200() {
    let master = Original::of(json!([]));
    let share = Lab::having(&["h1", "h2"]).share(master.address()).start();
    master.wait_shared(&["h1", "h2"]);
    let mut client = Client::of(&share);
    let h1 = client.lent_one(only("h1"));
    master.wait_shared_free(&["h2"]);
    for _ in 0..2 {
        let before = master.heard("set_equipment").len();
        share.hand_over();
        wait_until("the new process reports", || master.heard("set_equipment").len() > before);
        master.wait_shared(&["h1", "h2"]);
        master.wait_shared_free(&["h2"]);
        assert!(h1.is_usable());
    }
    client.close();
    master.wait_shared_free(&["h1", "h2"]);
    assert_eq!(names(&share.admin().result("list_equipment", json!([]))), ["h1", "h2"]);
}
