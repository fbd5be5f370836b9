//! One piece at a time: matching, results, lists. (10.5)

use serde_json::{Value, json};

use crate::support::{Lab, Peer, any, names, only, piece, piece_with, pieces, raised, with};

fn pair(kind: &str, message: &str) -> (String, String) {
    (kind.to_owned(), message.to_owned())
}

#[test]
fn a_listed_handset_can_be_had_once_83_84() {
    let lab = Lab::of(&["h1", "r1"], &[]);
    let handsets = lab.admin().result("list_handsets", json!([]));
    assert_eq!(names(&handsets), ["h1"]);
    let mut client = lab.client();
    let got = client.get(handsets.clone());
    assert_eq!(names(&got["resources"]), ["h1"]);
    for other in [&mut lab.client(), &mut client] {
        let (kind, message) = other.get_refused(handsets.clone());
        assert_eq!(kind, "Busy");
        assert!(message.starts_with("all such equipment busy"), "{message}");
    }
    lab.wait_available(&["h1", "r1"]);
}

#[test]
fn what_cannot_be_is_no_such_85() {
    let lab = Lab::of(&["h1"], &[]);
    for want in [only("h2"), any("relay"), with(any("handset"), json!({"pretty": "jane"}))] {
        let (kind, message) = lab.client().get_refused(json!([want]));
        assert_eq!(kind, "NoSuch");
        assert!(message.starts_with("no such resource"), "{message}");
    }
}

#[test]
fn bad_profiles_are_exceptions_and_cost_the_session_86_87_88_89_90() {
    let lab = Lab::of(&["h1"], &[]);
    for (bad, prefix) in [
        (json!([{"pretty": "mary"}]), "profile \"type\" field is missing"),
        (json!([[{"type": "handset"}, {"pretty": "mary"}]]), "profile \"type\" field is missing"),
        (json!([{"type": "toaster"}]), "unknown profile type \"toaster\""),
        (json!(["handset"]), "profile is not an object"),
        (json!([{"type": "handset", "serial": "h1"}]), "all such equipment busy"),
        (json!([{"type": "handset", "serial": "h2"}]), "no such resource"),
    ] {
        let mut client = lab.client();
        client.get(json!([only("h1")]));
        let (kind, message) = client.get_refused(bad);
        assert!(["Exception", "Busy", "NoSuch"].contains(&kind.as_str()), "{kind}");
        assert!(message.starts_with(prefix), "{message}");
        // What it held can be had by others before it even hears of its failure.
        assert_eq!(lab.available(), ["h1"]);
        let closed = pair("Exception", "session closed");
        assert_eq!(client.get_refused(json!([only("h1")])), closed);
        for call in ["list_allocations", "list_collateral"] {
            assert_eq!(raised(&client.call(call, json!([]))), closed, "{call}");
        }
        assert_eq!(raised(&client.call("yield_resources", json!([only("h1")]))), closed);
        assert_eq!(client.result("get_profile", json!([]))["type"], "broker");
    }
}

#[test]
fn offline_handsets_are_lent_only_to_those_who_ask_for_them_91_92() {
    let lab = Lab::with(json!([{"type": "handset", "serial": "h1", "power_state": "offline"}]), json!([]));
    assert_eq!(lab.available(), ["h1"]);
    assert_eq!(lab.client().get_refused(json!([any("handset")])).0, "NoSuch");
    let got = lab.client().get(json!([with(any("handset"), json!({"power_state": "offline"}))]));
    assert_eq!(got["resources"], json!([{"type": "handset", "serial": "h1", "power_state": "offline"}]));
}

#[test]
fn offline_relays_are_lent_only_to_those_who_ask_for_them_93() {
    let lab = Lab::with(json!([piece_with("r1", json!({"power_state": "offline"}))]), json!([]));
    assert_eq!(lab.client().get_refused(json!([any("relay")])).0, "NoSuch");
    let asked = with(any("relay"), json!({"power_state": "offline"}));
    assert_eq!(names(&lab.client().get(json!([asked]))["resources"]), ["r1"]);
}

#[test]
fn any_member_can_be_asked_for_94_95() {
    let members = json!({"platform": "firefox", "sw.label": "ICS-1", "gsm.operator": "GTE"});
    let lab = Lab::with(json!([piece("h1"), piece_with("h2", members.clone())]), json!([]));
    for (name, value) in members.as_object().expect("members") {
        let got = lab.client().get(json!([with(any("handset"), json!({name: value}))]));
        assert_eq!(names(&got["resources"]), ["h2"], "{name}");
        assert_eq!(&got["resources"][0][name], value, "what was asked for is shown");
        lab.wait_available(&["h1", "h2"]);
        let other = with(any("handset"), json!({name: "other"}));
        assert_eq!(lab.client().get_refused(json!([other])).0, "NoSuch", "{name}");
    }
}

#[test]
fn circuits_must_exist_and_only_those_asked_for_are_shown_96_97_98() {
    let lab = Lab::of(&["r1"], &[]);
    let with_circuits = |circuits: Value| json!([with(any("relay"), json!({"circuits": circuits}))]);
    let mut client = lab.client();
    let battery = client.get(with_circuits(json!(["handset.battery"])));
    let shown = json!({
        "type": "relay", "uid": "r1", "circuits": {"handset.battery": 2}, "power_state": "online",
    });
    assert_eq!(battery["resources"][0], shown);
    let profile = Peer::session_of(&battery).result_on(&shown, "get_profile", json!([]));
    assert_eq!(profile, shown);
    client.close();
    lab.wait_available(&["r1"]);
    let missing = lab.client().get_refused(with_circuits(json!(["handset.battery", "no.such"])));
    assert_eq!(missing.0, "NoSuch");
    assert_eq!(lab.client().get(json!([any("relay")]))["resources"][0]["circuits"], json!({}));
}

#[test]
fn a_handsets_result_has_its_known_members_and_those_asked_for_99() {
    let lab =
        Lab::with(json!([piece_with("h1", json!({"usb.vid": "0fce", "imei": "1", "x": 2}))]), json!([]));
    let got = lab.client().get(json!([any("handset")]));
    let expected = with(piece("h1"), json!({"usb.vid": "0fce"}));
    assert_eq!(got["resources"], json!([expected]));
    lab.wait_available(&["h1"]);
    let got = lab.client().get(json!([with(any("handset"), json!({"imei": "1"}))]));
    assert_eq!(got["resources"], json!([with(expected, json!({"imei": "1"}))]));
}

#[test]
fn results_follow_the_request_100() {
    let lab = Lab::of(&["h1", "r1", "n1"], &[&["h1", "r1", "n1"]]);
    for order in [["h1", "r1", "n1"], ["n1", "h1", "r1"], ["r1", "n1", "h1"]] {
        let got = lab.client().get(order.map(only).into());
        assert_eq!(names(&got["resources"]), order);
        lab.wait_available(&["h1", "r1", "n1"]);
    }
}

#[test]
fn list_allocations_shrinks_with_every_yield_101() {
    let lab = Lab::of(&["h1", "h2", "r1"], &[]);
    let mut client = lab.client();
    assert_eq!(client.result("list_allocations", json!([])), json!([]));
    client.get_groups(json!([only("h1"), only("h2"), only("r1")]));
    for left in [["h1", "h2", "r1"].as_slice(), &["h2", "r1"], &["r1"], &[]] {
        let mut held = names(&client.result("list_allocations", json!([])));
        held.sort();
        assert_eq!(held, left);
        if let Some(first) = left.first() {
            client.result("yield_resources", json!([only(first)]));
        }
    }
}

#[test]
fn a_report_about_a_lent_piece_does_not_free_it_103_104() {
    let lab = Lab::of(&["h1", "h2"], &[]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    for members in [json!({"power_state": "offline"}), json!({"pretty": ""}), json!({"pretty": "jane"})] {
        lab.lister().result("add_equipment", json!(["local", [piece_with("h1", members)]]));
        assert_eq!(lab.available(), ["h2"]);
        assert_eq!(lab.list("list_equipment"), ["h1", "h2"], "it keeps its place");
    }
    let mut bare = piece("h1");
    bare.as_object_mut().expect("a profile").remove("pretty");
    lab.lister().result("add_equipment", json!(["local", [bare]]));
    let listed = lab.admin().result("list_equipment", json!([]));
    assert_eq!(listed[0], piece_with("h1", json!({"pretty": "jane"})), "replaced whole, but for pretty");
    client.close();
    lab.wait_available(&["h1", "h2"]);
}

#[test]
fn equal_identities_of_different_types_are_different_pieces_105() {
    let dongle = json!({"type": "wlan", "uid": "same"});
    let relay = with(piece("r1"), json!({"uid": "same"}));
    let lab = Lab::with(json!([relay, dongle]), json!([]));
    let mut client = lab.client();
    client.get(json!([dongle]));
    assert_eq!(lab.admin().result("list_available", json!([])), json!([relay]));
    lab.client().get(json!([{"type": "relay", "uid": "same"}]));
}

#[test]
fn lists_can_be_narrowed_106_107() {
    let lab = Lab::of(&["h1", "h2", "r1", "n1"], &[&["h1", "r1"]]);
    let mut client = lab.client();
    client.get(json!([only("h1")]));
    let mut admin = lab.admin();
    let mut list = |call: &str, arguments: Value| names(&admin.result(call, arguments));
    assert_eq!(list("list_equipment", json!([])), ["h1", "h2", "r1", "n1"]);
    assert_eq!(list("list_equipment", json!([null, "local"])), ["h1", "h2", "r1", "n1"]);
    assert_eq!(list("list_equipment", json!([any("handset")])), ["h1", "h2"]);
    assert_eq!(list("list_equipment", json!([{"serial": "h2"}])), ["h2"]);
    assert_eq!(list("list_equipment", json!([only("h1"), "local"])), ["h1"]);
    for nowhere in [json!(["elsewhere", 4000]), json!("elsewhere")] {
        assert_eq!(list("list_equipment", json!([null, nowhere])), [""; 0]);
    }
    assert_eq!(list("list_available", json!([])), ["h2", "n1"]);
    assert_eq!(list("list_available", json!([any("handset")])), ["h2"]);
    assert_eq!(list("list_handsets", json!([])), ["h1", "h2"]);
    assert_eq!(list("list_handsets", json!([only("h2")])), ["h2"]);
    assert_eq!(list("list_handsets", json!([any("relay")])), [""; 0]);
    assert_eq!(list("list_relays", json!([])), ["r1"]);
}

#[test]
fn get_has_two_more_names() {
    let lab = Lab::of(&["h1"], &[]);
    for call in ["get", "get_resource", "get_resources"] {
        let got = lab.client().result(call, json!([any("handset")]));
        assert_eq!(names(&got["resources"]), ["h1"], "{call}");
        lab.wait_available(&["h1"]);
    }
}

#[test]
fn a_piece_without_a_driver_answers_get_profile_and_names_what_is_missing() {
    let lab = Lab::of(&["h1", "r1", "n1"], &[&["h1", "r1", "n1"]]);
    let mut client = lab.client();
    let got = client.get(pieces(&["h1", "n1"]));
    let mut session = Peer::session_of(&got);
    for resource in got["resources"].as_array().expect("a list") {
        assert_eq!(&session.result_on(resource, "get_profile", json!([])), resource);
        let (kind, message) = raised(&session.call_on(resource, "reboot", json!([])));
        assert_eq!(kind, "Exception");
        let missing =
            format!("no driver for type \"{}\": reboot", resource["type"].as_str().expect("a type"));
        assert_eq!(message, missing);
    }
}
