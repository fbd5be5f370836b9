//! Several pieces in one call: groups and stacks. (10.6)

use serde_json::{Value, json};

use crate::support::{Lab, any, names, only, piece, piece_with, pieces, stacks, wait_until, with};

const TOGETHER: &str = "cannot allocate all equipment together";

/// Waits until everything there is can be had; a workspace is there until its directory is deleted.
fn all_free(lab: &Lab) {
    wait_until("everything is free", || lab.list("list_equipment") == lab.available());
}

/// Asks with `get` in a connection of its own, which is closed again.
fn got(lab: &Lab, want: Value) -> Vec<String> {
    let mut client = lab.client();
    let names = names(&client.get(want)["resources"]);
    client.close();
    all_free(lab);
    names
}

/// The same with `get_multi_resources`.
fn got_groups(lab: &Lab, groups: Value) -> Vec<String> {
    let mut client = lab.client();
    let names = client.get_groups(groups);
    client.close();
    all_free(lab);
    names
}

fn refused(lab: &Lab, want: Value) -> (String, String) {
    lab.client().get_refused(want)
}

#[test]
fn w15_a_handset_and_a_workspace_come_from_one_host_108() {
    let lab = Lab::of(&["h1"], &[]);
    for call in ["get", "get_multi_resources"] {
        let mut client = lab.client();
        let answer = match call {
            "get" => client.get(json!([any("handset"), any("workspace")])),
            _ => client.result(call, json!([[any("handset"), any("workspace")]]))[0].clone(),
        };
        let found = names(&answer["resources"]);
        assert_eq!((found[0].as_str(), &found[1][..4]), ("h1", "lab-"));
        assert_eq!(answer["address"], json!(["127.0.0.1", lab.address().port()]));
        client.close();
        lab.wait_available(&["h1"]);
    }
}

#[test]
fn handset_and_relay_come_from_one_stack_in_the_order_asked_109_110() {
    let lab = Lab::of(&["h1", "h2", "r1"], &[&["h2", "r1"]]);
    let (h, r, w) = (any("handset"), any("relay"), any("workspace"));
    for order in [[&h, &r, &w], [&h, &w, &r], [&r, &h, &w], [&r, &w, &h], [&w, &h, &r], [&w, &r, &h]] {
        let names = got(&lab, json!(order));
        for (asked, name) in order.into_iter().zip(names) {
            let expected = if *asked == h {
                "h2"
            } else if *asked == r {
                "r1"
            } else {
                "lab-"
            };
            assert!(name.starts_with(expected), "{name} for {asked}");
        }
    }
}

#[test]
fn one_named_member_decides_which_stack_it_is_111_112_113() {
    let lab = Lab::of(&["h1", "h2", "r1", "r2", "n1"], &[&["h1", "r1"], &["h2", "r2"]]);
    assert_eq!(got(&lab, json!([any("handset"), only("r2")])), ["h2", "r2"]);
    assert_eq!(got(&lab, json!([only("h2"), any("relay")])), ["h2", "r2"]);
    for apart in [json!([only("h1"), only("r2")]), json!([only("h1"), only("n1")])] {
        assert_eq!(refused(&lab, apart), ("NoSuch".to_owned(), TOGETHER.to_owned()));
    }
    let mut holder = lab.client();
    holder.get(json!([only("h1")]));
    let busy = refused(&lab, json!([only("h1"), only("r1")]));
    assert_eq!(busy, ("Busy".to_owned(), TOGETHER.to_owned()));
}

#[test]
fn members_of_stacks_are_matched_by_all_that_is_known_114() {
    let equipment =
        json!([piece("h1"), piece_with("h2", json!({"pretty": "jane"})), piece("r1"), piece("r2")]);
    let lab = Lab::with(equipment, stacks(&[&["h1", "r1"], &["h2", "r2"]]));
    let jane = with(any("handset"), json!({"pretty": "jane"}));
    assert_eq!(got(&lab, json!([jane, any("relay")])), ["h2", "r2"]);
}

#[test]
fn two_handsets_in_one_group_are_of_one_stack_115_116() {
    let lab = Lab::of(&["h1", "h2", "h3"], &[&["h2", "h3"]]);
    let h = any("handset");
    assert_eq!(got(&lab, json!([h, h])), ["h2", "h3"]);
    assert_eq!(got_groups(&lab, json!([[h, h]])), ["h2", "h3"]);
    assert_eq!(got_groups(&lab, json!([[h], [h]])), ["h1", "h2"]);
    let unstacked = Lab::of(&["h1", "h2"], &[]);
    assert_eq!(refused(&unstacked, json!([h, h])), ("NoSuch".to_owned(), TOGETHER.to_owned()));
    assert_eq!(got_groups(&unstacked, json!([[h], [h]])), ["h1", "h2"]);
}

#[test]
fn several_groups_come_in_the_order_asked_117_118_119() {
    let lab = Lab::of(&["h1", "h2", "h3", "r1", "r2"], &[&["h1", "r1"], &["h2", "r2"]]);
    let (h, r, w) = (any("handset"), any("relay"), any("workspace"));
    assert_eq!(got_groups(&lab, json!([[h, r], h])), ["h1", "r1", "h2"]);
    let names = got_groups(&lab, json!([[h, r, w], [h, r, w]]));
    assert_eq!(
        (&names[..2], &names[3..5]),
        (&["h1", "r1"].map(str::to_owned)[..], &["h2", "r2"].map(str::to_owned)[..])
    );
    assert!(names[2] != names[5] && [&names[2], &names[5]].iter().all(|name| name.starts_with("lab-")));
    let names = got_groups(&lab, json!([[h, r, w], h]));
    assert_eq!([&names[0], &names[1], &names[3]], ["h1", "r1", "h2"]);
}

#[test]
fn two_handsets_and_a_relay_of_one_stack_120_121() {
    let want = json!([any("handset"), any("relay"), any("handset"), any("workspace")]);
    let lab = Lab::of(&["h1", "h2", "r1"], &[&["h1", "r1", "h2"]]);
    assert_eq!(got(&lab, want.clone())[..3], ["h1", "r1", "h2"]);
    let lab = Lab::of(&["h1", "h2", "r1"], &[&["h1", "r1"], &["h2", "r1"]]);
    assert_eq!(refused(&lab, want), ("NoSuch".to_owned(), TOGETHER.to_owned()));
}

#[test]
fn no_feasible_choice_is_missed_122_123_124_125() {
    let (h, r) = (any("handset"), any("relay"));
    // The first handset is the only one with a relay.
    let lab = Lab::of(&["h1", "h2", "r1"], &[&["h1", "r1"]]);
    assert_eq!(got_groups(&lab, json!([h, [h, r]])), ["h2", "h1", "r1"]);

    let jane = piece_with("h1", json!({"pretty": "jane"}));
    let lab = Lab::with(json!([piece("h2"), jane, piece("r1")]), stacks(&[&["h1", "r1", "h2"]]));
    assert_eq!(got(&lab, json!([only("h2"), only("h1")])), ["h2", "h1"]);
    let pretty = |pretty: &str| with(any("handset"), json!({"pretty": pretty}));
    let mut client = lab.client();
    let resources = client.get(json!([pretty("jane"), pretty("mary")]))["resources"].clone();
    assert_eq!((&resources[0]["pretty"], &resources[1]["pretty"]), (&json!("jane"), &json!("mary")));
    assert_eq!(names(&resources), ["h1", "h2"]);
    client.close();
    lab.wait_available(&["h2", "h1", "r1"]);
    assert_eq!(got(&lab, json!([h, only("h1")])), ["h2", "h1"]);
}

#[test]
fn a_list_among_profiles_of_get_makes_groups_of_all_and_a_flat_answer_126() {
    let lab = Lab::of(&["h1", "h2", "r1"], &[]);
    let (h, r) = (any("handset"), any("relay"));
    assert_eq!(got(&lab, json!([h, h, [r]])), ["h1", "h2", "r1"]);
}

#[test]
fn if_one_group_fails_nothing_is_held_127() {
    let lab = Lab::of(&["h1", "h2", "r1"], &[&["h1", "r1"]]);
    let mut holder = lab.client();
    holder.get(json!([only("h2")]));
    for (groups, kind) in [
        (json!([only("h1"), only("h2")]), "Busy"),
        (json!([only("h1"), only("h3")]), "NoSuch"),
        (json!([only("h2"), only("h3")]), "NoSuch"),
        (json!([[only("h1"), only("r1")], only("h2"), any("workspace")]), "Busy"),
        (json!([only("h1"), with(any("workspace"), json!({"pretty": "elsewhere"}))]), "NoSuch"),
    ] {
        let reply = lab.client().call("get_multi_resources", groups);
        assert_eq!(reply["exception"]["type"], kind, "{reply}");
        assert_eq!(lab.available(), ["h1", "r1"]);
        assert_eq!(lab.list("list_collateral_all"), [""; 0]);
    }
}

#[test]
fn the_shortest_stack_that_fits_is_used_128() {
    let names = ["h1", "h2", "n1", "r1", "r2"];
    let lab = Lab::of(&names, &[&["h1", "r1", "n1"], &["h2", "r2"]]);
    assert_eq!(got(&lab, json!([any("handset"), any("relay")])), ["h2", "r2"]);
}

#[test]
fn a_stack_serves_without_members_that_are_not_asked_for_129() {
    let lab = Lab::with(pieces(&["h1", "r1"]), stacks(&[&["h1", "r1", "n9"]]));
    assert_eq!(got(&lab, json!([any("handset"), any("relay")])), ["h1", "r1"]);
}

#[test]
fn nothing_asked_for_is_nothing_granted_130() {
    let lab = Lab::of(&["h1"], &[]);
    let mut client = lab.client();
    assert_eq!(client.get(json!([]))["resources"], json!([]));
    assert_eq!(client.result("list_allocations", json!([])), json!([]), "its session lives");
    assert_eq!(client.get_groups(json!([])), [""; 0]);
}

#[test]
fn using_stacks_does_not_change_them_131() {
    let written = stacks(&[&["h1", "r1"], &["h2", "r1", "n9"]]);
    let lab = Lab::with(pieces(&["h1", "h2", "r1"]), written.clone());
    for _ in 0..5 {
        got(&lab, json!([any("handset"), any("relay")]));
        assert_eq!(lab.admin().result("list_stacks", json!([])), written);
    }
}
