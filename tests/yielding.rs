//! Giving back. (10.9)

use ave_client::ClientError;
use ave_profile::Profile;
use ave_protocol::arguments::Arguments;
use serde_json::{Value, json};

use crate::support::{Lab, Peer, names, only, piece, raised};

#[test]
fn a_piece_can_be_yielded_once_152() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    let mut session = Peer::session_of(&got);
    let told = client.result("yield_resources", got["resources"].clone());
    assert_eq!(names(&told), ["h1"]);
    assert_eq!(lab.available(), ["h1"]);
    assert_eq!(session.result("yield_resources", json!([told])), Value::Null);
    // An original client yields again in two steps, and hears of it at the second.
    let told = client.result("yield_resources", got["resources"].clone());
    let (kind, message) = raised(&session.call("yield_resources", json!([told])));
    assert_eq!(kind, "NoSuch");
    assert!(message.starts_with("no such resource: ") && message.contains("h1"), "{message}");
    assert_eq!(client.result("list_allocations", json!([])), json!([]), "its session lives");
}

#[test]
fn our_own_client_hears_it_too_152_154() {
    let lab = Lab::of(&["h1"], &[]);
    let mut broker = lab.broker();
    let h1 = || vec![Profile::of(only("h1"))];
    let early = broker.yield_resources(h1()).expect_err("nothing was got");
    assert!(matches!(early, ClientError::NothingToYield));
    assert_eq!(early.to_string(), "no resources to yield");
    let want = ave_profile::Want { groups: vec![h1()] };
    broker.get(&want).expect("h1");
    broker.yield_resources(h1()).expect("it was held");
    let twice = broker.yield_resources(h1());
    assert!(matches!(&twice, Err(ClientError::Fault(fault)) if fault.kind == "NoSuch"), "{twice:?}");
    broker.get(&want).expect("h1 again");
    broker.yield_resources(h1()).expect("a new grant can be yielded");
    assert!(broker.call("list_allocations", Arguments::default()).is_ok());
}

#[test]
fn anothers_piece_cannot_be_yielded_153() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let (mut holder, mut other) = (lab.client(), lab.client());
    holder.get(json!([only("h1")]));
    other.get(json!([only("h2")]));
    let (kind, message) = raised(&other.call("yield_resources", json!([only("h2"), only("h1")])));
    assert_eq!(kind, "NotOwner");
    assert!(message.starts_with("not owner of this resource"), "{message}");
    assert_eq!(lab.available(), ["h2"], "what stood before it stays yielded");
    assert_eq!(other.result("list_allocations", json!([])), json!([]), "its session lives");
    assert_eq!(names(&holder.result("list_allocations", json!([]))), ["h1"]);
}

#[test]
fn a_yield_at_the_session_alone_does_all_of_it() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    let mut session = Peer::session_of(&got);
    assert_eq!(session.result("yield_resources", json!([[piece("h1")]])), Value::Null);
    assert_eq!(lab.available(), ["h1", "h2"]);
    for not_held in ["h1", "h2", "h3"] {
        assert_eq!(raised(&session.call("yield_resources", json!([[only(not_held)]]))).0, "NoSuch");
    }
}

#[test]
fn a_free_or_unknown_piece_is_ignored_and_listed() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    let told = client.result("yield_resources", json!([only("h2"), only("h1")]));
    assert_eq!(names(&told), ["h2", "h1"]);
    assert_eq!(lab.available(), ["h1", "h2"]);
}

#[test]
fn a_yielded_piece_can_be_had_again_at_once_by_anybody() {
    let lab = Lab::of(&["h1"], &[]);
    let (mut one, mut two) = (lab.client(), lab.client());
    for _ in 0..5 {
        for client in [&mut one, &mut two] {
            client.get(json!([only("h1")]));
            client.result("yield_resources", json!([only("h1")]));
        }
    }
    assert_eq!(lab.available(), ["h1"]);
}
