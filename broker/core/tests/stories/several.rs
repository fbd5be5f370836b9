//! Pieces that several sessions may hold at once, and the rules by which a type's members are compared.
//! (Specification 5.3, 5.5 and 5.7; checks 218 and 223.)

use ave_profile::RefusalKind;
use serde_json::json;

use crate::asks::{camera, h, handset, with};
use crate::client::assert_refused;
use crate::lab::Lab;

const BUSY: &str = "all such equipment busy";

/// One camera that looks at one handset.
fn lab() -> Lab {
    let uid = json!({"type": "camera", "uid": "c"});
    let lab = Lab::new().handset("A").piece(uid.clone());
    lab.set_stacks(vec![[handset("A"), uid].map(ave_profile::Profile::of).to_vec()]);
    lab
}

#[test]
fn as_many_sessions_as_the_type_allows_may_hold_a_piece_at_once() {
    let lab = lab();
    let (ann, bob) = (lab.client(), lab.client());
    assert_eq!(ann.gets([camera()]), ["c"]);
    assert_eq!(lab.available(), ["c"], "one more may have it");
    assert_eq!(bob.gets([camera()]), ["c"]);
    assert_eq!(lab.available(), [""; 0]);
    assert_refused(lab.client().get([camera()]), RefusalKind::Busy, BUSY); // 218
    assert_eq!(lab.allocations(None), ["c", "c"]);
    ann.leaves();
    assert_eq!((bob.allocations(), lab.available()), (vec!["c".to_owned()], vec!["c".to_owned()]));
}

#[test]
fn a_session_holds_a_piece_once() {
    let lab = lab().piece(json!({"type": "camera", "uid": "d"}));
    let client = lab.client();
    assert_eq!(client.gets([camera()]), ["c"]);
    assert_eq!(client.gets([camera()]), ["d"], "not the one it has, although one more may have that");
    assert_refused(client.get([camera()]), RefusalKind::Busy, BUSY);
    let twice = lab.client().get([json!([camera()]), json!([camera()]), json!([camera()])]);
    assert_refused(twice, RefusalKind::Busy, BUSY);
}

#[test]
fn a_session_cannot_have_a_piece_again_before_its_own_is_closed() {
    let lab = lab().closing_slowly();
    let client = lab.client();
    client.gets([camera()]);
    client.yields([json!({"type": "camera", "uid": "c"})]).unwrap();
    assert_eq!(lab.client().gets([camera()]), ["c"]);
    assert_refused(client.get([camera()]), RefusalKind::Busy, BUSY);
}

#[test]
fn each_holder_gives_back_its_own() {
    let lab = lab();
    let (ann, bob, eve) = (lab.client(), lab.client(), lab.client());
    let camera_c = || json!({"type": "camera", "uid": "c"});
    ann.gets([camera()]);
    bob.gets([camera()]);
    let refused = eve.yields_at_broker([camera_c()]);
    assert_refused(refused, RefusalKind::NotOwner, "not owner of this resource");
    ann.yields([camera_c()]).unwrap();
    assert_eq!((ann.allocations(), bob.allocations()), (vec![], vec!["c".to_owned()]));
    assert_refused(ann.yields_at_broker([camera_c()]), RefusalKind::NotOwner, "not owner of this resource");
    bob.yields([camera_c()]).unwrap();
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn collateral_is_free_when_the_last_holder_is_gone() {
    let lab = lab();
    let (ann, bob) = (lab.client(), lab.client());
    ann.gets([camera()]);
    bob.gets([camera()]);
    assert_eq!((ann.collateral(), bob.collateral()), (vec!["A".to_owned()], vec!["A".to_owned()]));
    ann.leaves();
    assert_eq!(lab.collateral(None), ["A"]);
    assert_refused(lab.client().get([h()]), RefusalKind::Busy, BUSY);
    bob.leaves();
    assert_eq!(lab.available(), lab.equipment());
}

#[test]
fn a_piece_in_a_stack_is_lent_again_while_its_neighbours_are_not() {
    let lab = lab();
    let ann = lab.client();
    ann.gets([h(), camera()]);
    let shared = lab.client().get([camera()]);
    assert_refused(shared, RefusalKind::Busy, BUSY); // the handset beside it is lent
    ann.yields([handset("A")]).unwrap();
    assert_eq!(lab.client().gets([camera()]), ["c"]);
    assert_refused(lab.client().get([h(), camera()]), RefusalKind::Busy, "cannot allocate");
}

#[test]
fn new_stacks_block_a_shared_piece_until_its_new_neighbour_is_free() {
    let lab = lab();
    let stacks = lab.stacks();
    lab.set_stacks(vec![]);
    let (ann, bob) = (lab.client(), lab.client());
    ann.gets([camera()]);
    bob.gets([h()]);
    lab.set_stacks(stacks);
    let refused = lab.client().get([camera()]);
    assert_refused(refused, RefusalKind::Busy, "equipment shares collateral with a prior allocation");
    bob.leaves();
    assert_eq!(lab.client().gets([camera()]), ["c"]);
}

#[test]
fn a_list_of_values_is_a_choice_where_the_type_says_so() {
    let sized = |uid, size| json!({"type": "camera", "uid": uid, "size": size});
    let lab = Lab::new().piece(sized("s", 1)).piece(sized("m", 2)).piece(sized("l", 3));
    let one_of = |sizes| with(camera(), json!({"size": sizes}));
    // 223
    assert_eq!(lab.client().gets([one_of(json!([3, 2]))]), ["m"], "the first in the order of the list");
    assert_eq!(lab.client().gets([one_of(json!(3))]), ["l"]);
    assert_eq!(lab.equipment_like(one_of(json!([1, 3]))), ["s", "l"]);
    assert_eq!(lab.equipment_like(json!({"size": [1, 3]})), ["s", "l"]);
    assert_refused(lab.client().get([one_of(json!([4, 5]))]), RefusalKind::NoSuch, "no such resource");
    assert_refused(lab.client().get([one_of(json!([]))]), RefusalKind::NoSuch, "no such resource");
}

#[test]
fn an_ignored_member_changes_nothing() {
    let lab = lab();
    assert_eq!(lab.client().gets([with(camera(), json!({"note": "mine"}))]), ["c"]);
    assert_eq!(lab.equipment_like(with(camera(), json!({"note": 1}))), ["c"]);
}
