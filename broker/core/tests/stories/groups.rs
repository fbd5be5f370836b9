//! Allocating several pieces at once. (Specification 5.1, 5.5 and 5.6; checks 108 to 131.)

use std::time::{Duration, Instant};

use ave_profile::RefusalKind;
use serde_json::json;

use crate::asks::{h, handset, r, relay, w, with};
use crate::client::{assert_refused, names};
use crate::lab::Lab;

const APART: &str = "cannot allocate all equipment together";

/// Two stacks of a handset and a relay, and a handset without a stack.
fn two_stacks() -> Lab {
    let pieces = Lab::new().handset("X").handset("A").handset("B").relay("a").relay("b");
    pieces.stack("A a").stack("B b").workspaces(json!({"pretty": "jane"}))
}

/// Whether these names are what was wanted; `*` stands for a workspace.
fn assert_names(got: &[String], wanted: &[&str]) {
    let fits =
        |(got, wanted): (&String, &&str)| got == wanted || (*wanted == "*" && got.starts_with("jane-"));
    assert!(got.len() == wanted.len() && got.iter().zip(wanted).all(fits), "{got:?}, wanted {wanted:?}");
}

#[test]
fn a_handset_and_a_workspace_come_together() {
    assert_names(&two_stacks().client().gets([h(), w()]), &["X", "*"]); // 108
    assert_names(&two_stacks().client().gets([json!([h(), w()])]), &["X", "*"]);
}

#[test]
fn a_handset_and_a_relay_come_from_one_stack() {
    assert_names(&two_stacks().client().gets([h(), r(), w()]), &["A", "a", "*"]); // 109
    assert_names(&two_stacks().client().gets([json!([h(), r(), w()])]), &["A", "a", "*"]);
}

#[test]
fn results_come_in_the_order_of_the_request() {
    for (request, wanted) in [
        ([w(), h(), r()], ["*", "A", "a"]), // 110
        ([h(), r(), w()], ["A", "a", "*"]),
        ([r(), w(), h()], ["a", "*", "A"]),
        ([w(), r(), h()], ["*", "a", "A"]),
    ] {
        assert_names(&two_stacks().client().gets(request), &wanted);
    }
}

#[test]
fn asking_for_one_member_of_a_stack_decides_the_others() {
    assert_names(&two_stacks().client().gets([h(), relay("b")]), &["B", "b"]); // 111
    assert_names(&two_stacks().client().gets([r(), handset("B")]), &["b", "B"]);
}

#[test]
fn equipment_that_no_stack_combines_does_not_exist_together() {
    for apart in [[handset("A"), relay("b")], [handset("X"), r()], [h(), h()], [r(), r()]] {
        assert_refused(two_stacks().client().get(apart), RefusalKind::NoSuch, APART); // 112, 113
    }
}

#[test]
fn a_combination_in_use_is_busy() {
    let lab = two_stacks();
    let _holder = lab.client().gets([handset("A")]);
    let refused = lab.client().get([handset("A"), r()]);
    assert_refused(refused, RefusalKind::Busy, APART); // 113
    let refused = lab.client().get([h(), relay("a")]);
    assert_refused(refused, RefusalKind::Busy, APART);
    assert_names(&lab.client().gets([h(), r()]), &["B", "b"]);
}

#[test]
fn stack_members_are_matched_by_their_full_profile() {
    let pretty =
        |serial, pretty| with(handset(serial), json!({"pretty": pretty, "power_state": "boot_completed"}));
    let lab = || {
        let pieces = Lab::new().relay("r").relay("s").piece(pretty("A", "mary")).piece(pretty("B", "jane"));
        pieces.stack("A r").stack("A s B")
    };
    let jane = || with(h(), json!({"pretty": "jane"}));
    let mary = || with(h(), json!({"pretty": "mary"}));
    assert_eq!(lab().client().gets([jane(), r()]), ["B", "s"]); // 114
    assert_eq!(lab().client().gets([jane(), mary()]), ["B", "A"]); // 124
    let got = lab().client().get([jane(), mary()]).unwrap();
    assert_eq!(got[0].profile.get("pretty"), Some(&"jane".into()));
    let nobody = lab().client().get([jane(), jane()]);
    assert_refused(nobody, RefusalKind::NoSuch, APART);
}

#[test]
fn two_handsets_of_one_group_come_from_one_stack() {
    let lab = || Lab::new().handset("X").handset("A").handset("B").stack("A B");
    assert_eq!(lab().client().gets([h(), h()]), ["A", "B"]); // 115
    assert_eq!(lab().client().gets([json!([h(), h()])]), ["A", "B"]);
}

#[test]
fn two_groups_need_no_stack() {
    assert_names(&two_stacks().client().gets([json!([h()]), json!([h()])]), &["X", "A"]); // 116
}

#[test]
fn one_handset_with_a_relay_and_another_on_its_own() {
    assert_names(&two_stacks().client().gets([json!([h(), r()]), h()]), &["A", "a", "X"]); // 117
    assert_names(&two_stacks().client().gets([json!([h(), r(), w()]), h()]), &["A", "a", "*", "X"]); // 119
}

#[test]
fn two_groups_take_two_stacks() {
    let got = two_stacks().client().gets([json!([h(), r(), w()]), json!([h(), r(), w()])]);
    assert_names(&got, &["A", "a", "*", "B", "b", "*"]); // 118
    assert_ne!(got[2], got[5], "each group has a workspace of its own");
}

#[test]
fn one_group_may_name_a_type_twice() {
    let lab = two_stacks().handset("C").relay("c").stack("A a C");
    assert_names(&lab.client().gets([h(), r(), h(), w()]), &["A", "a", "C", "*"]); // 120
    let refused = two_stacks().client().get([h(), r(), h(), w()]);
    assert_refused(refused, RefusalKind::NoSuch, APART); // 121
}

#[test]
fn an_earlier_group_leaves_a_later_one_what_only_that_can_use() {
    let lab = || Lab::new().handset("A").relay("a").handset("X").stack("A a");
    assert_eq!(lab().client().gets([h(), json!([h(), r()])]), ["X", "A", "a"]); // 122
    assert_eq!(lab().client().gets([h(), json!([handset("A")])]), ["X", "A"]);
}

#[test]
fn a_group_finds_the_only_assignment_there_is() {
    let lab = || Lab::new().handset("A").relay("r").handset("B").stack("A r B");
    assert_eq!(lab().client().gets([handset("B"), handset("A")]), ["B", "A"]); // 123
    assert_eq!(lab().client().gets([h(), handset("A")]), ["B", "A"]); // 125
    assert_eq!(lab().client().gets([h(), r(), handset("A")]), ["B", "r", "A"]);
}

#[test]
fn the_first_assignment_in_the_order_of_request_and_stack_is_taken() {
    let lab = Lab::new().handset("C").handset("A").handset("B").stack("B A C");
    assert_eq!(lab.client().gets([h(), h()]), ["B", "A"]);
}

#[test]
fn a_list_beside_profiles_is_a_shape_that_works() {
    assert_names(&two_stacks().client().gets([h(), h(), json!([r()])]), &["X", "A", "b"]); // 126
}

#[test]
fn if_any_group_fails_nothing_stays_allocated() {
    let lab = two_stacks();
    let client = lab.client();
    let refused = client.get([json!([h(), r(), w()]), json!([handset("Z")])]);
    assert_refused(refused, RefusalKind::NoSuch, ""); // 127
    assert_eq!((lab.allocations(None), lab.collateral(None)), (vec![], vec![]));
    assert_eq!(lab.available().len(), 5);
}

#[test]
fn several_groups_are_busy_if_each_would_be_possible_and_no_such_if_one_is_not() {
    let lab = two_stacks();
    let twice = lab.client().get([json!([handset("A")]), json!([handset("A")])]);
    assert_refused(twice, RefusalKind::Busy, "");
    let entangled = lab.client().get([json!([handset("A")]), json!([relay("a")])]);
    assert_refused(entangled, RefusalKind::Busy, "");
    let _holder = lab.client().gets([handset("X")]);
    let impossible = lab.client().get([json!([handset("X")]), json!([handset("Z")])]);
    assert_refused(impossible, RefusalKind::NoSuch, "");
}

#[test]
fn the_shortest_fitting_stack_is_used_and_the_first_of_those() {
    let pieces = || Lab::new().handset("A").relay("r").handset("B").relay("s").handset("C").relay("t");
    let lab = pieces().stack("A r B").stack("B s").stack("C t");
    assert_eq!(lab.client().gets([h(), r()]), ["B", "s"]); // 128
    let lab = pieces().stack("A r GONE").stack("C t");
    assert_eq!(lab.client().gets([h(), r()]), ["C", "t"]); // absent members count
}

#[test]
fn a_stack_serves_while_a_member_nobody_asked_for_is_unplugged() {
    let lab = Lab::new().handset("A").relay("r").stack("A r GONE");
    let client = lab.client();
    assert_eq!(client.gets([h(), r()]), ["A", "r"]); // 129
    assert_eq!(client.collateral(), ["GONE"]);
}

#[test]
fn asking_for_nothing_gives_nothing() {
    let client = Lab::new().client();
    assert_eq!(client.gets([]), [""; 0]); // 130
    assert!(client.is_open());
}

#[test]
fn lending_never_alters_the_stacks() {
    let lab = two_stacks();
    let before = lab.stacks();
    for _ in 0..3 {
        let client = lab.client();
        client.gets([h(), r(), w()]);
        client.leaves();
    }
    assert_eq!(lab.stacks(), before); // 131
    assert_eq!(before.len(), 2);
}

#[test]
fn a_call_beyond_the_search_bound_says_so_or_answers_exactly_and_soon() {
    let mut lab = Lab::new();
    let serials: Vec<String> = (0..15).map(|n| format!("H{n}")).collect();
    for serial in &serials {
        lab = lab.handset(serial);
    }
    let client = lab.client();
    let started = Instant::now();
    let refusal = client.get(vec![json!([h()]); 16]).unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(20), "the hub is held no longer than the bound");
    let exact = refusal.kind == RefusalKind::Busy;
    let honest = refusal.kind == RefusalKind::Exception && refusal.message.starts_with("request too complex");
    assert!(exact || honest, "{refusal}");
    assert!(!client.is_open());
    assert_eq!(lab.available(), serials);
}

#[test]
fn a_large_group_of_one_large_stack_is_found() {
    let serials: Vec<String> = (0..20).map(|n| format!("H{n}")).collect();
    let mut lab = Lab::new();
    for serial in &serials {
        lab = lab.handset(serial);
    }
    let lab = lab.stack(&serials.join(" "));
    let mut request = vec![h(); 19];
    request.push(handset("H0"));
    let got = lab.client().get(request).unwrap();
    let mut wanted = serials;
    wanted.rotate_left(1);
    assert_eq!(names(&got), wanted);
}
