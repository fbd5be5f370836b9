//! Brokers that ask each other in circles, and clients that want the same the other way round: everybody gets
//! an answer, and everything comes to rest. (10.10, 10.11)

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::forwarding::all_free;
use crate::shared_lending::{count, share};
use crate::sharing::{at, set_power_state, wait_power_state};
use crate::support::{Cable, Client, Lab, Original, Plan, any, free_ports, only, pieces, wait_until};

/// Brokers that forward to each other in a ring.
fn ring(pieces: &[&[&str]]) -> Vec<Lab> {
    let addresses: Vec<_> =
        pieces.iter().map(|_| SocketAddr::from(([127, 0, 0, 1], free_ports().0))).collect();
    let labs = pieces.iter().enumerate().map(|(at, names)| {
        let next = addresses[(at + 1) % addresses.len()];
        Lab::having(names).port(addresses[at].port()).forward(next).start()
    });
    labs.collect()
}

#[test]
fn brokers_in_a_ring_refuse_what_none_has_and_come_to_rest_168() {
    for pieces in [vec![&["h1"][..]], vec![&["h1"], &["h2"]], vec![&["h1"], &["h2"], &["h3"]]] {
        let labs = ring(&pieces);
        let all: Vec<_> = pieces.iter().map(|names| names[0]).collect();
        for lab in &labs {
            let (class, message) = Client::of(lab).refused(json!([any("relay")]));
            assert_eq!(class, "NoSuch", "{} in the ring: {message}", labs.len());
            let mut client = Client::of(lab);
            let mut lent: Vec<_> = all.iter().map(|_| client.lent_one(any("handset")).name).collect();
            lent.sort();
            assert_eq!(lent, all, "each of them is found");
            assert_eq!(client.refused(json!([any("handset")])).0, "Busy");
            all_free(&labs);
        }
    }
}

/// Again and again two clients ask at once, at these labs, for the same two pieces in opposite order.
/// No broker holds one of them while it waits for the other, so neither client can wait for the other.
fn ask_in_opposite_order(labs: [&Lab; 2], [one, other]: [&str; 2], wait_free: impl Fn()) {
    const ROUNDS: usize = 20;
    let start = Barrier::new(2);
    let ask = |lab, first, second| {
        let mut client = Client::of(lab);
        start.wait();
        let outcome = client.get(json!([[only(first)], [only(second)]]));
        start.wait();
        outcome
    };
    for _ in 0..ROUNDS {
        let outcomes = thread::scope(|scope| {
            let asked = [scope.spawn(|| ask(labs[0], one, other)), scope.spawn(|| ask(labs[1], other, one))];
            asked.map(|client| client.join().expect("an answer"))
        });
        assert!(outcomes.iter().any(Result::is_err), "nothing is lent twice: {outcomes:?}");
        for (class, message) in outcomes.into_iter().filter_map(Result::err) {
            assert_eq!(class, "Busy", "{message}");
        }
        wait_free();
    }
}

#[test]
fn wanting_the_same_in_opposite_order_at_two_labs_is_no_deadlock() {
    let labs = ring(&[&["h1"], &["h2"]]);
    ask_in_opposite_order([&labs[0], &labs[1]], ["h1", "h2"], || all_free(&labs));
}

#[test]
fn wanting_the_same_of_two_shares_in_opposite_order_is_no_deadlock() {
    let master = Lab::of(&[], &[]);
    let shares = [share(&master, "one", &["h2"]), share(&master, "two", &["h3"])];
    count(&master, 2);
    ask_in_opposite_order([&master, &master], ["h2", "h3"], || {
        count(&master, 2);
        shares.iter().for_each(|share| count(share, 1));
    });
}

#[test]
fn two_brokers_that_share_to_each_other_come_to_rest_191() {
    let [a_port, b_port] = [free_ports().0, free_ports().0];
    let (to_a, to_b) = (Cable::to(at(a_port)), Cable::to(at(b_port)));
    let calm = |plan: Plan| plan.broker(json!({"silence_limit_s": 300}));
    let a = calm(Lab::having(&["h1"])).port(a_port).share(to_b.address()).start();
    let b = calm(Lab::having(&["h2"])).port(b_port).share(to_a.address()).start();
    a.wait_listed(&["h1", "h2"]);
    b.wait_listed(&["h2", "h1"]);
    for (owner, other, name) in [(&a, &b, "h1"), (&b, &a, "h2"), (&a, &b, "h1")] {
        let before = (to_a.bytes(), to_b.bytes());
        set_power_state(owner, name, "adb");
        wait_power_state(other, name, "adb");
        set_power_state(owner, name, "boot_completed");
        wait_power_state(other, name, "boot_completed");
        to_a.wait_quiet();
        to_b.wait_quiet();
        let passed = to_a.bytes() + to_b.bytes() - before.0 - before.1;
        assert!(passed < 20_000, "{passed} bytes for two changes");
    }
    let mut client = Client::of(&a);
    let h2 = client.lent_one(only("h2"));
    assert_eq!(h2.at, b.address());
    assert_eq!(client.refused(json!([any("relay")])).0, "NoSuch");
    a.wait_available(&["h1", "h2"]);
    b.wait_available(&["h2", "h1"]);
}

#[test]
fn three_brokers_that_share_in_a_ring_come_to_rest() {
    let ports = [free_ports().0, free_ports().0, free_ports().0];
    let cables = ports.map(|port| Cable::to(at(port)));
    let labs: Vec<_> = (0..3)
        .map(|lab| {
            let plan = Lab::having(&[&format!("h{lab}")]).port(ports[lab]);
            plan.share(cables[(lab + 1) % 3].address()).broker(json!({"silence_limit_s": 300})).start()
        })
        .collect();
    for (at, lab) in labs.iter().enumerate() {
        wait_until("all have all", || lab.list("list_equipment").len() == 3);
        for state in ["adb", "boot_completed"] {
            set_power_state(lab, &format!("h{at}"), state);
            labs.iter().for_each(|other| wait_power_state(other, &format!("h{at}"), state));
        }
    }
    cables.iter().for_each(Cable::wait_quiet);
    for lab in &labs {
        assert_eq!(Client::of(lab).refused(json!([any("relay")])).0, "NoSuch");
        let mut client = Client::of(lab);
        for (at, owner) in labs.iter().enumerate() {
            assert_eq!(client.lent_one(only(&format!("h{at}"))).at, owner.address());
        }
        client.close();
        labs.iter().for_each(|lab| wait_until("all is free", || lab.available().len() == 3));
    }
    cables.iter().for_each(Cable::wait_quiet);
}

#[test]
fn a_ring_with_an_original_in_it_refuses_and_comes_to_rest_168() {
    let (port, _) = free_ports();
    let old = Original::of(pieces(&["h2"]));
    let ours = Lab::having(&["h1"]).port(port).forward(old.address()).start();
    old.forward(ours.address());
    let (class, _) = Client::of(&ours).refused(json!([any("relay")]));
    assert!(["NoSuch", "Exit"].contains(&class.as_str()), "{class}");
    let mut heard = (0, Instant::now());
    wait_until("it hears no more questions", || {
        let now = old.heard("get").len();
        if now != heard.0 {
            heard = (now, Instant::now());
        }
        heard.1.elapsed() > Duration::from_millis(500)
    });
    let mut client = Client::of(&ours);
    assert_eq!(client.lent_one(only("h2")).name, "h2");
    assert_eq!(client.lent_one(only("h1")).name, "h1");
    client.close();
    ours.wait_available(&["h1"]);
    old.wait_available(&["h2"]);
}

#[test]
fn who_forwards_into_a_ring_of_shares_gets_an_answer_from_there() {
    let [a_port, b_port] = [free_ports().0, free_ports().0];
    let a = Lab::having(&["h1"]).port(a_port).share(at(b_port)).start();
    let b = Lab::having(&["h2"]).port(b_port).share(at(a_port)).start();
    let near = Lab::having(&["h3"]).forward(at(a_port)).start();
    [&a, &b].into_iter().for_each(|lab| count(lab, 2));
    for _ in 0..3 {
        assert_eq!(Client::of(&near).refused(json!([any("relay")])).0, "NoSuch");
        let mut client = Client::of(&near);
        let lent: Vec<_> =
            ["h1", "h2", "h3"].into_iter().map(|name| client.lent_one(only(name)).at).collect();
        assert_eq!(lent, [&a, &b, &near].map(|lab| lab.address()));
        assert_eq!(client.refused(json!([any("handset")])).0, "Busy");
        [&a, &b].into_iter().for_each(|lab| count(lab, 2));
        near.wait_available(&["h3"]);
    }
}
