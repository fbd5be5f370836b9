//! What one broker cannot serve, the next one does. (10.10)

use std::net::{SocketAddr, TcpStream};

use ave_client::ClientError;
use ave_profile::{Profile, Want};
use serde_json::{Value, json};

use crate::support::{
    Cable, Client, Lab, Lent, Peer, Plan, any, free_ports, names_of, only, raised, stacks, wait_until,
};

/// A chain: each lab passes on to the next, the last to nobody.
fn chain<const N: usize>(plans: [Plan; N]) -> [Lab; N] {
    let mut next = None;
    let mut labs: Vec<_> = plans
        .into_iter()
        .rev()
        .map(|plan| {
            let lab = next.map_or(plan.clone(), |address| plan.forward(address)).start();
            next = Some(lab.address());
            lab
        })
        .collect();
    labs.reverse();
    labs.try_into().unwrap_or_else(|_| unreachable!("as many labs as plans"))
}

/// Two labs, the first with `h1`, the second with `h2`.
fn two() -> [Lab; 2] {
    chain([Lab::having(&["h1"]), Lab::having(&["h2"])])
}

/// Three labs with one handset each.
fn three() -> [Lab; 3] {
    chain([Lab::having(&["h1"]), Lab::having(&["h2"]), Lab::having(&["h3"])])
}

fn handsets(count: usize) -> Value {
    vec![json!([any("handset")]); count].into()
}

/// Waits until the only handset of each can be had.
pub(crate) fn all_free(labs: &[Lab]) {
    for (at, lab) in labs.iter().enumerate() {
        lab.wait_available(&[&format!("h{}", at + 1)]);
    }
}

fn wait_over(client: &mut Client) {
    wait_until("the client's session is over", || client.is_over());
}

#[test]
fn the_first_is_served_here_the_second_is_forwarded_158() {
    let [near, far] = two();
    let mut client = Client::of(&near);
    let h1 = client.lent_one(any("handset"));
    let h2 = client.lent_one(any("handset"));
    assert_eq!((h1.name.as_str(), h1.at), ("h1", near.address()));
    assert_eq!((h2.name.as_str(), h2.at), ("h2", far.address()));
    assert!(h1.is_usable() && h2.is_usable());
    assert_eq!(client.allocations(), ["h1", "h2"]);
    assert_eq!((near.available().len(), far.available().len()), (0, 0));
    assert_eq!(client.refused(json!([any("handset")])).0, "Busy");
    all_free(&[near, far]);
}

#[test]
fn two_groups_of_one_call_are_served_by_two_brokers_159() {
    for want in [json!([[any("handset")], [any("handset")]]), json!([[only("h2")], [only("h1")]])] {
        let [near, far] = two();
        let mut client = Client::of(&near);
        let lent = client.lent(want.clone());
        for piece in &lent {
            let home = if piece.name == "h1" { near.address() } else { far.address() };
            assert_eq!(piece.at, home, "{}", piece.name);
            assert!(piece.is_usable());
        }
        let asked: Vec<_> =
            want.as_array().expect("groups").iter().map(|group| &group[0]["serial"]).collect();
        for (piece, asked) in lent.iter().zip(asked) {
            assert!(asked.is_null() || *asked == piece.name, "{want}: in the order asked");
        }
        client.close();
        all_free(&[near, far]);
    }
}

#[test]
fn three_brokers_make_a_chain_and_a_client_talks_straight_to_each_160() {
    let plans = || [Lab::having(&["h1"]), Lab::having(&["h2"]), Lab::having(&["h3"])];
    for labs in [chain(plans()), chain(plans().map(Plan::session_ports))] {
        let mut client = Client::of(&labs[0]);
        let one_by_one: Vec<_> = (0..3).map(|_| client.lent_one(any("handset"))).collect();
        client.close();
        all_free(&labs);
        let mut client = Client::of(&labs[0]);
        for lent in [one_by_one, client.lent(handsets(3))] {
            assert_eq!(names_of(&lent), ["h1", "h2", "h3"]);
            let mut doors: Vec<_> = lent.iter().map(Lent::door).collect();
            doors.sort();
            doors.dedup_by_key(|(address, _)| *address);
            assert_eq!(doors.len(), 3, "each has an address of its own");
        }
        assert_eq!(client.allocations(), ["h1", "h2", "h3"]);
        client.close();
        all_free(&labs);
    }
}

#[test]
fn pieces_of_one_remote_broker_are_at_one_session_161() {
    let [near, far] = chain([Lab::having(&["h1"]), Lab::having(&["h2", "h3", "r1", "n1"])]);
    let mut client = Client::of(&near);
    let mut lent = client.lent(json!([only("h2"), any("workspace")]));
    lent.extend(client.lent(json!([only("h3")])));
    lent.extend(client.lent(json!([[any("relay")], [any("wlan")], [only("h1")]])));
    let far_ones: Vec<_> = lent.iter().filter(|piece| piece.name != "h1").collect();
    assert_eq!(far_ones.len(), 5);
    for piece in far_ones {
        assert_eq!(piece.door(), lent[0].door(), "{}", piece.name);
        assert_eq!(piece.at, far.address());
        assert!(piece.is_usable());
    }
    client.close();
    wait_until("all of it is back", || far.available() == ["h2", "h3", "r1", "n1"]);
}

#[test]
fn a_stack_elsewhere_is_had_as_a_stack() {
    let stacked = Lab::having(&["h2", "r2", "h3"]).broker(json!({"stacks": stacks(&[&["h3", "r2"]])}));
    let [near, far] = chain([Lab::having(&["h1"]), stacked]);
    let mut client = Client::of(&near);
    assert_eq!(names_of(&client.lent(json!([any("handset"), any("relay")]))), ["h3", "r2"]);
    assert_eq!(near.available(), ["h1"]);
    assert_eq!(far.available(), ["h2"]);
}

#[test]
fn busy_and_no_such_from_the_end_of_a_chain_are_that_for_every_client_162() {
    let labs = three();
    let _holder = {
        let mut holder = Client::of(&labs[2]);
        holder.lent(json!([only("h3")]));
        holder
    };
    let cases = [("h3", "Busy", "all such equipment busy: "), ("h9", "NoSuch", "no such resource: ")];
    for (name, class, prefix) in cases {
        for want in [json!([only(name)]), json!([[any("wlan")], [only(name)]]), json!([[only(name)]])] {
            let expected =
                if want[0][0]["type"] == "wlan" { ("NoSuch", "no such resource: ") } else { (class, prefix) };
            let mut client = Client::of(&labs[0]);
            let (found, message) = client.refused(want.clone());
            assert_eq!(found, expected.0, "{want}: {message}");
            assert!(message.starts_with(expected.1), "{want}: {message}");
            assert!(client.is_over());
        }
        let mut ours = labs[0].broker();
        let fault = ours.get(&Want { groups: vec![vec![Profile::of(only(name))]] });
        assert!(matches!(&fault, Err(ClientError::Fault(fault)) if fault.kind == class), "{fault:?}");
    }
    labs[0].wait_available(&["h1"]);
    labs[1].wait_available(&["h2"]);
}

#[test]
fn a_failed_forward_ends_the_session_and_frees_what_it_held_163() {
    for plan in [Lab::having(&["h1", "r1"]), Lab::having(&["h1", "r1"]).session_ports()] {
        let [near, far] = chain([plan, Lab::having(&["h2"])]);
        let mut client = Client::of(&near);
        let lent = client.lent(json!([[only("h1")], [any("relay")], [only("h2")]]));
        let mut used = lent[0].proxy();
        used.result_on(&lent[0].profile, "get_profile", json!([]));
        assert_eq!(client.refused(json!([only("h9")])).0, "NoSuch");
        assert!(used.ends(), "a proxy that was in use is closed");
        assert!(!lent[1].is_usable(), "one that was not is refused or closed");
        near.wait_available(&["h1", "r1"]);
        far.wait_available(&["h2"]);
        wait_until("the far piece is lost", || !lent[2].is_usable());
    }
}

/// Ends the session that holds this piece, as an administrator.
fn close_session(lab: &Lab, piece: &Lent) {
    lab.admin().result("close_session", json!([piece.door().1]));
}

/// The same, as its client.
fn crash(_: &Lab, piece: &Lent) {
    let mut session = piece.proxy();
    session.call_in_vain("crash", json!([]));
}

#[test]
fn the_death_of_either_session_is_that_of_the_other_164() {
    for kill in [close_session, crash] {
        for is_connected in [true, false] {
            for kills_far in [true, false] {
                let labs = two();
                let mut client = Client::of(&labs[0]);
                let lent = client.lent(json!([[only("h1")], [only("h2")]]));
                let mut used: Vec<Peer> = Vec::new();
                if is_connected {
                    used.extend(lent.iter().map(Lent::proxy));
                }
                let at = usize::from(kills_far);
                kill(&labs[at], &lent[at]);
                wait_over(&mut client);
                all_free(&labs);
                assert!(used.iter_mut().all(Peer::ends));
                assert!(!lent.iter().any(Lent::is_usable));
            }
        }
    }
}

#[test]
fn in_a_chain_any_death_ends_all_of_it_165() {
    for at in 0..3 {
        let labs = three();
        let mut client = Client::of(&labs[0]);
        let lent = client.lent(handsets(3));
        labs[at].admin().result("close_session", json!([lent[at].door().1]));
        wait_over(&mut client);
        all_free(&labs);
    }
}

#[test]
fn in_a_chain_the_death_of_a_broker_ends_all_of_it_165() {
    for at in [1, 2] {
        let mut labs = three();
        let mut client = Client::of(&labs[0]);
        client.lent(handsets(3));
        labs[at].kill();
        wait_over(&mut client);
        for (other, lab) in labs.iter().enumerate().filter(|(other, _)| *other != at) {
            lab.wait_available(&[&format!("h{}", other + 1)]);
        }
    }
}

#[test]
fn a_client_that_leaves_frees_the_whole_chain() {
    for _ in 0..5 {
        let labs = three();
        let mut client = Client::of(&labs[0]);
        client.lent(handsets(3));
        client.close();
        all_free(&labs);
    }
}

#[test]
fn a_target_that_is_away_fails_with_a_message_that_says_so_166() {
    let (nobody, _) = free_ports();
    let near = Lab::having(&["h1"]).forward(SocketAddr::from(([127, 0, 0, 1], nobody))).start();
    let (class, message) = Client::of(&near).refused(json!([any("relay")]));
    assert_eq!(class, "Exit");
    assert!(message.starts_with("Broker connection failed"), "{message}");
    let mut client = Client::of(&near);
    assert_eq!(client.lent_one(any("handset")).name, "h1", "it serves what it has");
    assert_eq!(client.refused(json!([any("handset")])).0, "Busy", "this may come back, here");
    near.wait_available(&["h1"]);
}

#[test]
fn clients_of_different_brokers_do_not_disturb_each_other_155_167() {
    let labs = three();
    let [mut first, mut middle, mut last] = labs.each_ref().map(Client::of);
    let h3 = first.lent_one(only("h3"));
    let h2 = middle.lent_one(any("handset"));
    assert_eq!(h2.name, "h2");
    let mut spare = Client::of(&labs[2]);
    assert_eq!(spare.refused(json!([any("handset")])).0, "Busy");
    // Yielded at the end of the chain, it is had from the end at once.
    first.give_back(&[h3]).expect("it held it");
    let h3 = last.lent_one(any("handset"));
    assert_eq!((h3.name.as_str(), h3.at), ("h3", labs[2].address()));
    // Yielded in the middle, it is had through the first.
    middle.give_back(&[h2]).expect("it held it");
    assert_eq!(names_of(&first.lent(handsets(2))), ["h1", "h2"]);
    assert_eq!(Client::of(&labs[1]).refused(json!([any("handset")])).0, "Busy");
    assert!(!first.is_over() && !last.is_over() && !middle.is_over());
}

#[test]
fn what_was_forwarded_and_yielded_can_be_had_again_at_once_155() {
    let [near, _far] = two();
    let (mut one, mut other) = (Client::of(&near), Client::of(&near));
    for _ in 0..5 {
        for client in [&mut one, &mut other] {
            let h2 = client.lent_one(only("h2"));
            assert!(h2.is_usable());
            client.give_back(std::slice::from_ref(&h2)).expect("it held it");
            assert!(!h2.is_usable());
            assert_eq!(client.allocations(), [""; 0]);
        }
    }
    let twice = one.lent_one(only("h2"));
    one.give_back(std::slice::from_ref(&twice)).expect("it held it");
    let (kind, message) = raised(&twice_yielded(&mut one, &twice));
    assert_eq!(kind, "NoSuch");
    assert!(message.starts_with("no such resource: "), "{message}");
}

/// The reply to a second yield, at the second door.
fn twice_yielded(client: &mut Client, piece: &Lent) -> Value {
    client.broker.result("yield_resources", json!([piece.profile]));
    let h1 = client.lent_one(only("h1"));
    let mut session = h1.proxy();
    session.call("yield_resources", json!([[piece.profile]]))
}

#[test]
fn groups_over_several_brokers_are_all_or_nothing() {
    let labs = three();
    for wanted in [["h1", "h2", "h9"], ["h9", "h3", "h2"], ["h3", "h9", "h1"]] {
        let want: Value = wanted.iter().map(|name| json!([only(name)])).collect();
        let mut client = Client::of(&labs[0]);
        assert_eq!(client.refused(want).0, "NoSuch");
        all_free(&labs);
        assert!(client.is_over());
    }
    for (held, lab) in ["h2", "h3"].into_iter().zip(&labs[1..]) {
        let mut holder = Client::of(lab);
        holder.lent(json!([only(held)]));
        for wanted in [["h1", "h2", "h3"], ["h3", "h2", "h1"], ["h2", "h1", "h3"]] {
            let want: Value = wanted.iter().map(|name| json!([only(name)])).collect();
            assert_eq!(Client::of(&labs[0]).refused(want).0, "Busy", "{wanted:?} while {held} is taken");
        }
        assert_eq!(holder.allocations(), [held]);
        holder.close();
        all_free(&labs);
    }
}

/// A cable that is cut says so to both sides; over one that is dead nothing comes, and both notice that.
#[test]
fn a_dead_cable_ends_both_sides() {
    for kill in [Cable::cut, Cable::freeze] {
        let far = Lab::of(&["h2"], &[]);
        let cable = Cable::to(far.address());
        let near =
            Lab::having(&["h1"]).forward(cable.address()).broker(json!({"silence_limit_s": 3})).start();
        let mut client = Client::of(&near);
        client.lent(json!([[only("h1")], [only("h2")]]));
        kill(&cable);
        wait_over(&mut client);
        near.wait_available(&["h1"]);
        far.wait_available(&["h2"]);
    }
}

#[test]
fn a_target_that_comes_back_is_asked_again() {
    let (port, _) = free_ports();
    let far = Lab::having(&["h2"]).port(port);
    let near = Lab::having(&[]).forward(SocketAddr::from(([127, 0, 0, 1], port))).start();
    assert_eq!(Client::of(&near).refused(json!([any("handset")])).0, "Exit");
    let mut lab = far.start();
    assert_eq!(Client::of(&near).lent_one(any("handset")).name, "h2");
    lab.kill();
    assert_eq!(Client::of(&near).refused(json!([any("handset")])).0, "Exit");
    lab.restart();
    assert_eq!(lab.address().port(), port);
    lab.wait_available(&["h2"]); // somebody may have had it when the broker was killed
    assert_eq!(Client::of(&near).lent_one(any("handset")).name, "h2");
}

#[test]
fn forwarded_pieces_keep_nobody_from_stopping_a_broker() {
    let [near, far] = two();
    let mut client = Client::of(&near);
    client.lent(handsets(2));
    near.stop();
    far.wait_available(&["h2"]);
    assert!(TcpStream::connect(far.address()).is_ok());
}
