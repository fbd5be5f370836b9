use super::*;
use crate::peers::limits::{STACK_PIECES_MAX, STACKS_PER_PIECE_MAX};
use serde_json::{Value as Json, json};

fn lists(equipment: Json, allocations: Json) -> Result<Heard, Refusal> {
    Heard::of_lists(&KindTable::builtin(), equipment.into(), allocations.into())
}

fn changes(update: Json) -> Result<Heard, Refusal> {
    Heard::of_changes(&KindTable::builtin(), update.into())
}

fn stacks(stacks: Json) -> Result<Heard, Refusal> {
    Heard::of_stacks(&KindTable::builtin(), stacks.into())
}

fn profile(json: &Json) -> Arc<Profile> {
    Arc::new(Profile::of(json.clone()))
}

/// An update of nothing but these members.
fn with(members: Json) -> Json {
    let mut update = json!({"whole": false, "changed": [], "gone": []});
    let members = members.as_object().expect("members").clone();
    update.as_object_mut().expect("an object").extend(members);
    update
}

/// An update of one piece with these members instead of good ones.
fn with_piece(members: Json) -> Json {
    let mut piece = json!({"profile": {"type": "wlan", "uid": "a"}, "taken": [], "holder": null, "path": []});
    let members = members.as_object().expect("members").clone();
    piece.as_object_mut().expect("an object").extend(members);
    with(json!({"changed": [piece]}))
}

#[test]
fn complete_lists_say_who_has_what_170() {
    let phone = json!({"type": "handset", "serial": "h1", "pretty": "mary"});
    let (board, room) = (json!({"type": "relay", "uid": "r1"}), json!({"type": "workspace", "uid": "w"}));
    let lent = json!({"type": "handset", "serial": "h1"});
    let update = lists(
        json!([phone, board, room]),
        json!({"0": [{"profile": lent, "collateral": [board]}, {"profile": room, "collateral": []}]}),
    )
    .unwrap();
    let [h1, r1, w] = update.report.changed.as_slice() else { panic!("{update:?}") };
    assert_eq!((&h1.profile, &r1.profile, &w.profile), (&profile(&phone), &profile(&board), &profile(&room)));
    let by_somebody = |item: &Json, collateral| Taken { profile: profile(item), collateral };
    assert_eq!(h1.taken, [by_somebody(&lent, vec![profile(&board)])]);
    assert_eq!(
        (r1.taken.as_slice(), w.taken.as_slice()),
        ([].as_slice(), [by_somebody(&room, vec![])].as_slice())
    );
    assert!(update.whole && update.left_out.is_none() && update.report.stacks.is_none());
}

#[test]
fn unknown_types_are_left_out_and_counted_189() {
    let (toaster, known) = (json!({"type": "toaster", "id": 7}), json!({"type": "wlan", "uid": "a"}));
    let taken = json!({"0": [{"profile": toaster, "collateral": []}]});
    let update = lists(json!([toaster, known, toaster]), taken).unwrap();
    assert_eq!(update.report.changed.len(), 1);
    assert_eq!(update.left_out, Some((2, "toaster".to_owned())));
    let told = with(json!({"gone": [toaster, known], "stacks": [[toaster, known], [{"type": "wlan"}]]}));
    let update = changes(told).unwrap();
    assert_eq!(update.report.gone, [Identity::new("wlan", "a")]);
    let stacks = update.report.stacks.unwrap();
    assert_eq!(stacks.iter().map(|stack| stack.len()).collect::<Vec<_>>(), [1, 0]);
}

#[test]
fn changes_say_where_a_piece_is_and_how_the_word_came() {
    let told = with_piece(json!({"holder": ["far", 4001], "path": ["00000000000000aa"],
        "taken": [{"profile": {"type": "wlan", "uid": "a"}, "collateral": []}]}));
    let update = changes(told).unwrap();
    let [piece] = update.report.changed.as_slice() else { panic!("{update:?}") };
    let origin = Origin {
        holder: Some(ave_profile::Address::new("far", 4001)),
        path: vec![ave_profile::BrokerId(0xaa)],
    };
    assert_eq!((&*piece.origin, piece.taken.len()), (&origin, 1));
    let quiet = changes(with(json!({}))).unwrap().report;
    assert_eq!((quiet.stacks, quiet.workspace), (None, None));
    let loud = changes(with(json!({"stacks": [], "workspace": null}))).unwrap().report;
    assert_eq!((loud.stacks, loud.workspace), (Some(vec![]), Some(None)));
}

#[test]
fn malformed_lists_are_refused_whole() {
    let piece = json!({"type": "wlan", "uid": "a"});
    let bad = [
        (json!({}), json!({}), "equipment: wanted a list, found {}"),
        (json!([piece, 7]), json!({}), "profile: wanted an object, found 7"),
        (json!([piece, {"type": "wlan"}]), json!({}), "uid"),
        (json!([piece, {"uid": "a"}]), json!({}), "invalid profile: \"type\" is missing"),
        (json!([piece, {"type": "wlan", "uid": 1}]), json!({}), "invalid profile: \"uid\" is not a string"),
        (json!([piece]), json!([]), "allocations: wanted an object, found []"),
        (json!([piece]), json!({"0": 1}), "allocations of a session: wanted a list, found 1"),
        (json!([piece]), json!({"0": [1]}), "an allocation: wanted an object, found 1"),
        (json!([piece]), json!({"0": [{"collateral": []}]}), "profile"),
        (json!([piece]), json!({"0": [{"profile": piece}]}), "collateral"),
        (json!([piece]), json!({"0": [{"profile": piece, "collateral": [1]}]}), "profile: wanted an object"),
    ];
    for (equipment, allocations, says) in bad {
        let refusal = lists(equipment, allocations).unwrap_err();
        assert!(refusal.message.starts_with(says), "{refusal} instead of {says}");
    }
}

#[test]
fn malformed_changes_are_refused_whole() {
    let long: Vec<String> = (0..=PATH_MAX).map(|n| format!("{n:016x}")).collect();
    let bad = [
        (json!([]), "update: wanted an object"),
        (json!({"changed": [], "gone": []}), "whole"),
        (json!({"whole": true, "gone": []}), "changed"),
        (json!({"whole": true, "changed": []}), "gone"),
        (with(json!({"whole": 1})), "whole: wanted true or false, found 1"),
        (with(json!({"changed": [1]})), "changed[0]: a changed piece: wanted an object"),
        (with(json!({"changed": [{}]})), "profile"),
        (with(json!({"gone": [{"type": "wlan"}]})), "uid"),
        (with(json!({"gone": [[]]})), "gone[0]: profile: wanted an object"),
        (with_piece(json!({"holder": "far:4001"})), "changed[0]: address: wanted [host, port]"),
        (with_piece(json!({"path": ["AA"]})), "changed[0]: a broker's id: wanted 16 lower-case hex digits"),
        (with_piece(json!({"path": long})), "changed[0]: path: at most 16 brokers, found 17"),
        (with_piece(json!({"taken": [{}]})), "profile"),
        (with_piece(json!({"profile": {"type": "wlan"}})), "uid"),
        (with(json!({"stacks": [1]})), "stacks must be a list of list of profiles"),
        (with(json!({"stacks": [[1]]})), "stacks must be a list of list of profiles"),
        (with(json!({"workspace": {"type": "workspace", "uid": "x"}})), "cannot set generic workspace"),
        (with(json!({"workspace": {"type": "relay"}})), "not a workspace profile"),
    ];
    for (update, says) in bad {
        let refusal = changes(update).unwrap_err();
        assert!(refusal.message.starts_with(says), "{refusal} instead of {says}");
    }
}

#[test]
fn addresses_are_a_host_and_a_port() {
    let read = |json: Json| address(&json.into());
    assert_eq!(read(json!(["", 4000])), Ok(ave_profile::Address::new("", 4000)), "D8");
    let long = "h".repeat(256);
    for bad in [
        json!("h:1"),
        json!(["h"]),
        json!(["h", "1"]),
        json!(["h", -1]),
        json!(["h", 65536]),
        json!([1, 1]),
        json!(["h\n", 1]),
        json!([long, 1]),
        json!(["h", 1, 1]),
        json!(null),
    ] {
        let refusal = read(bad.clone()).unwrap_err();
        assert!(refusal.message.starts_with("address: wanted [host, port]"), "{bad}: {refusal}");
    }
}

#[test]
fn a_share_can_have_and_say_so_much_and_no_more() {
    let pieces = |count: usize| Json::from(vec![json!({"type": "wlan", "uid": "a"}); count]);
    assert!(lists(pieces(PIECES_PER_SHARE_MAX), json!({})).is_ok());
    let refusal = lists(pieces(PIECES_PER_SHARE_MAX + 1), json!({})).unwrap_err();
    assert!(refusal.message.starts_with("too much equipment: at most 100000 pieces"), "{refusal}");
    let heavy = json!([{"type": "wlan", "uid": "a", "much": vec![0; PIECE_WEIGHT_MAX]}]);
    let refusal = lists(heavy, json!({})).unwrap_err();
    assert!(refusal.message.starts_with("too much is said of one piece"), "{refusal}");
    let taken = json!({"profile": {"type": "wlan", "uid": "a"}, "collateral": []});
    let held = json!({"0": vec![taken; PIECE_WEIGHT_MAX]});
    assert!(lists(pieces(1), held).is_err(), "nor of those who have it");
}

#[test]
fn stacks_cannot_make_the_core_count_for_long() {
    let piece = |n: usize| json!({"type": "wlan", "uid": n.to_string()});
    let stack = |count: usize| Json::from((0..count).map(piece).collect::<Vec<_>>());
    assert!(stacks(json!([stack(STACK_PIECES_MAX)])).is_ok());
    let refusal = stacks(json!([stack(STACK_PIECES_MAX + 1)])).unwrap_err();
    assert!(refusal.message.starts_with("too many pieces in one stack: at most 32"), "{refusal}");
    assert!(stacks(Json::from(vec![stack(2); STACKS_PER_PIECE_MAX])).is_ok());
    let refusal = stacks(Json::from(vec![stack(2); STACKS_PER_PIECE_MAX + 1])).unwrap_err();
    assert!(refusal.message.starts_with("too many stacks with the same piece: at most 64"), "{refusal}");
    let much = json!([[{"type": "wlan", "uid": "a", "much": vec![0; 8 * PIECES_PER_SHARE_MAX]}]]);
    assert!(stacks(much).unwrap_err().message.starts_with("too many values in stacks"));
}
