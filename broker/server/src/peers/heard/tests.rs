use super::*;
use crate::peers::limits::{
    PATH_MAX, PIECE_LEVELS_MAX, PIECE_WEIGHT_MAX, STACK_PIECES_MAX, STACKS_PER_PIECE_MAX,
};
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
    assert!(update.whole && update.left_out == LeftOut::default() && update.report.stacks.is_none());
}

#[test]
fn unknown_types_are_left_out_and_counted_189() {
    let (toaster, known) = (json!({"type": "toaster", "id": 7}), json!({"type": "wlan", "uid": "a"}));
    let taken = json!({"0": [{"profile": toaster, "collateral": []}]});
    let update = lists(json!([toaster, known, toaster]), taken).unwrap();
    assert_eq!(update.report.changed.len(), 1);
    let first = "type \"toaster\" is not known here".to_owned();
    assert_eq!(update.left_out, LeftOut { count: 2, first });
    let told = with(json!({"gone": [toaster, known], "stacks": [[toaster, known], [{"type": "wlan"}]]}));
    let update = changes(told).unwrap();
    assert_eq!(update.report.gone, [Identity::new("wlan", "a")]);
    let stacks = update.report.stacks.unwrap();
    assert_eq!(stacks.iter().map(|stack| stack.len()).collect::<Vec<_>>(), [1]);
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
}

/// A list within so many others.
fn nested(levels: usize) -> Json {
    (0..levels).fold(json!(1), |inner, _| json!([inner]))
}

#[test]
fn one_odd_piece_is_left_out_and_the_others_are_taken() {
    let path = |brokers: usize| (0..brokers).map(|n| format!("{n:016x}")).collect::<Vec<_>>();
    let wlan = |more: Json| json!({"type": "wlan", "uid": "a", "more": more});
    let taken = json!({"profile": {"type": "wlan", "uid": "a"}, "collateral": []});
    let cases = [
        (json!({"path": path(PATH_MAX)}), json!({"path": path(PATH_MAX + 1)}), "wlan:a: a word that came"),
        (
            json!({"profile": wlan(nested(PIECE_LEVELS_MAX - 1))}),
            json!({"profile": wlan(nested(PIECE_LEVELS_MAX))}),
            "wlan:a: a profile of 65 levels, at most 64",
        ),
        (
            json!({"profile": wlan(json!(vec![0; PIECE_WEIGHT_MAX - 100]))}),
            json!({"profile": wlan(json!(vec![0; PIECE_WEIGHT_MAX]))}),
            "wlan:a: too much is said of one piece: at most 65536 values",
        ),
        (
            json!({"taken": [taken, taken]}),
            json!({"taken": vec![taken; PIECE_WEIGHT_MAX]}),
            "wlan:a: too much is said of one piece",
        ),
    ];
    for (good, odd, says) in cases {
        let taken = changes(with_piece(good)).unwrap();
        assert_eq!((taken.report.changed.len(), taken.left_out.count), (1, 0), "{says}");
        let left = changes(with_piece(odd)).unwrap();
        assert_eq!((left.report.changed.len(), left.left_out.count), (0, 1), "{says}");
        assert!(left.left_out.first.starts_with(says), "{} instead of {says}", left.left_out.first);
        assert_eq!(left.report.gone, [Identity::new("wlan", "a")], "it is not what was known before");
    }
    let all = json!([{"type": "wlan", "uid": "b"}, wlan(nested(PIECE_LEVELS_MAX))]);
    let whole = lists(all, json!({})).unwrap();
    assert_eq!((whole.report.changed.len(), whole.left_out.count), (1, 1));
}

#[test]
fn stacks_cannot_make_the_core_count_for_long() {
    let piece = |n: usize| json!({"type": "wlan", "uid": n.to_string()});
    let stack = |count: usize| Json::from((0..count).map(piece).collect::<Vec<_>>());
    let left_out = |said: Vec<Json>| {
        let heard = stacks(Json::from(said)).unwrap();
        let kept = heard.report.stacks.expect("stacks").len();
        (kept, heard.left_out.count, heard.left_out.first)
    };
    let all = |kept| (kept, 0, String::new());
    assert_eq!(left_out(vec![stack(STACK_PIECES_MAX)]), all(1));
    let (kept, count, why) = left_out(vec![stack(2), stack(STACK_PIECES_MAX + 1), stack(3)]);
    assert_eq!((kept, count, why.as_str()), (2, 1, "a stack: at most 32 pieces, found 33"));
    assert_eq!(left_out(vec![stack(2); STACKS_PER_PIECE_MAX]), all(STACKS_PER_PIECE_MAX));
    let (kept, count, why) = left_out(vec![stack(2); STACKS_PER_PIECE_MAX + 2]);
    assert_eq!((kept, count), (STACKS_PER_PIECE_MAX, 2));
    assert_eq!(why, "a stack: wlan:0 is in 64 others, which is the most");
    let long = |n: usize| json!([{"type": "wlan", "uid": n.to_string(), "long": "x".repeat(1 << 20)}]);
    let (kept, count, why) = left_out((0..100).map(long).collect());
    assert_eq!((kept, count), (95, 5));
    assert!(why.starts_with("a stack: all of them say more than"), "{why}");
    assert_eq!(left_out(vec![json!([]); 100]), all(0), "stacks of nothing are none");
}
