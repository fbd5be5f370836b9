//! What a master lends of the equipment that its shares have. (10.9 and 10.11) Their workspaces are in
//! `shared_workspaces`.

use serde_json::{Value, json};

use crate::support::{
    Client, Lab, Lent, Original, Plan, any, names, names_of, only, piece, pieces, raised, stacks, wait_until,
    with,
};

/// A share with these pieces, whose workspaces are called like it.
pub(crate) fn share(master: &Lab, pretty: &str, names: &[&str]) -> Lab {
    Lab::having(names).workspace(json!({"pretty": pretty})).share(master.address()).start()
}

/// A master with `h1`, and a share with `h2` and `h3`.
pub(crate) fn master_and_share() -> [Lab; 2] {
    let master = Lab::of(&["h1"], &[]);
    let share = share(&master, "share", &["h2", "h3"]);
    master.wait_available(&["h1", "h2", "h3"]);
    [master, share]
}

pub(crate) fn count(lab: &Lab, wanted: usize) {
    wait_until(&format!("{wanted} can be had"), || lab.available().len() == wanted);
}

#[test]
fn a_piece_of_a_share_is_taken_at_both_and_free_at_both_afterwards_171() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&master);
    let h2 = client.lent_one(only("h2"));
    assert_eq!(h2.at, share.address());
    assert!(h2.is_usable());
    assert_eq!(client.allocations(), ["h2"]);
    assert_eq!((master.available(), share.available()), (vec!["h1".into(), "h3".into()], vec!["h3".into()]));
    for lab in [&master, &share] {
        assert_eq!(Client::of(lab).refused(json!([only("h2")])).0, "Busy");
        assert_eq!(lab.list("list_allocations_all"), ["h2"]);
    }
    client.close();
    share.wait_available(&["h2", "h3"]);
    count(&master, 3);
    assert_eq!(master.list("list_allocations_all"), [""; 0]);
}

#[test]
fn a_piece_that_is_lent_at_the_share_is_taken_at_the_master_172() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&share);
    client.lent(json!([only("h3")]));
    master.wait_available(&["h1", "h2"]);
    assert_eq!(master.list("list_equipment"), ["h1", "h2", "h3"]);
    assert_eq!(Client::of(&master).refused(json!([only("h3")])).0, "Busy");
    wait_until("it is shown as allocated", || master.list("list_allocations_all") == ["h3"]);
    client.close();
    count(&master, 3);
}

#[test]
fn a_shares_pieces_can_be_yielded_through_the_master_156() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&master);
    for _ in 0..3 {
        let lent = client.lent(json!([[only("h2")], [only("h3")], [only("h1")]]));
        for piece in &lent {
            client.give_back(std::slice::from_ref(piece)).expect("it held it");
            assert!(!piece.is_usable());
        }
        share.wait_available(&["h2", "h3"]);
        count(&master, 3);
        let lent = client.lent(json!([[only("h3")], [only("h2")]]));
        client.give_back(&lent).expect("it held them");
        share.wait_available(&["h2", "h3"]);
        count(&master, 3);
        assert_eq!(client.allocations(), [""; 0]);
    }
    let mut other = Client::of(&master);
    other.lent(json!([only("h2")]));
    let (kind, _) = raised(&client.broker.call("yield_resources", json!([only("h2")])));
    assert_eq!(kind, "NotOwner");
    assert!(!client.is_over());
}

#[test]
fn yielding_works_after_the_share_stopped_sharing_157() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&master);
    let lent = client.lent(json!([[only("h2")], [only("h3")]]));
    share.admin().result("stop_sharing", json!([]));
    master.wait_listed(&["h1"]);
    assert!(lent.iter().all(Lent::is_usable), "who has them keeps them");
    client.give_back(&lent[..1]).expect("it held it");
    share.wait_available(&["h2"]);
    share.admin().result("start_sharing", json!([]));
    master.wait_available(&["h1", "h2"]);
    client.give_back(&lent[1..]).expect("it held it");
    share.wait_available(&["h2", "h3"]);
    count(&master, 3);
    assert!(!client.is_over());
}

#[test]
fn lending_goes_on_between_repeated_drops_176() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&master);
    let mut lent = Vec::new();
    for name in ["h2", "h3"] {
        lent.push(client.lent_one(only(name)));
        master.admin().result("drop_share", json!([share.announced()]));
        master.wait_listed(&["h1", "h2", "h3"]);
    }
    assert!(lent.iter().all(Lent::is_usable));
    assert_eq!(master.available(), ["h1"], "it comes back as taken");
    for piece in &lent {
        assert_eq!(Client::of(&master).refused(json!([only(&piece.name)])).0, "Busy");
        client.give_back(std::slice::from_ref(piece)).expect("it held it");
    }
    share.wait_available(&["h2", "h3"]);
    count(&master, 3);
    client.lent(json!([[only("h2")], [only("h3")]]));
}

/// Three levels with five handsets each, from the top down.
fn three_levels(bottom: impl FnOnce(Plan) -> Plan) -> [Lab; 3] {
    let five = |level| (0..5).map(|at| piece(&format!("h{level}{at}"))).collect::<Value>();
    let top = Lab::plan().equipment(five(0)).start();
    let middle = Lab::plan().equipment(five(1)).share(top.address()).start();
    let bottom = bottom(Lab::plan().equipment(five(2)).share(middle.address())).start();
    count(&top, 15);
    count(&middle, 10);
    [top, middle, bottom]
}

#[test]
fn three_levels_add_up_and_count_what_is_lent_at_any_178_179() {
    let labs = three_levels(|plan| plan);
    let all = |wanted: [usize; 3]| labs.iter().zip(wanted).for_each(|(lab, wanted)| count(lab, wanted));
    all([15, 10, 5]);
    let mut clients = labs.each_ref().map(Client::of);
    clients[2].lent(json!([only("h20")]));
    all([14, 9, 4]);
    clients[1].lent(json!([only("h10")]));
    all([13, 8, 4]);
    let [from_top, straight] = [clients[0].lent_one(only("h21")), clients[0].lent_one(only("h00"))];
    assert_eq!((from_top.at, straight.at), (labs[2].address(), labs[0].address()));
    all([11, 7, 3]);
    assert_eq!(clients[1].lent_one(only("h22")).at, labs[2].address());
    all([10, 6, 2]);
    assert_eq!(clients[0].lent_one(only("h11")).at, labs[1].address());
    all([9, 5, 2]);
    // A failure ends a session and frees what it had, wherever that was.
    assert_eq!(clients[1].refused(json!([only("h90")])).0, "NoSuch");
    all([11, 7, 3]);
    assert_eq!(clients[0].refused(json!([only("h20")])).0, "Busy");
    all([14, 9, 4]);
    clients[2].broker.result("yield_resources", json!([only("h20")]));
    all([15, 10, 5]);
}

#[test]
fn a_stack_two_levels_down_is_had_as_a_stack_180() {
    let stacked = |plan: Plan| {
        let equipment = pieces(&["h20", "h21", "r22", "h23", "h24"]);
        plan.equipment(equipment).broker(json!({"stacks": stacks(&[&["h23", "r22"]])}))
    };
    let labs = three_levels(stacked);
    let known = || labs[0].admin().result("list_stacks", json!([]));
    wait_until("the stack is known at the top", || known() == stacks(&[&["h23", "r22"]]));
    let mut client = Client::of(&labs[0]);
    let lent = client.lent(json!([any("relay"), any("handset"), any("workspace")]));
    assert_eq!(names_of(&lent)[..2], ["r22", "h23"]);
    assert!(lent.iter().all(|piece| piece.at == labs[2].address()));
    assert!(
        client.refused(json!([any("relay"), any("handset")])).1.starts_with("cannot allocate all equipment")
    );
    count(&labs[0], 15);
}

#[test]
fn the_top_forgets_a_lowest_share_that_is_gone_181() {
    let mut labs = three_levels(|plan| plan);
    let mut client = Client::of(&labs[0]);
    client.lent(json!([[only("h20")], [only("h10")]]));
    labs[2].kill();
    wait_until("the top lists the rest", || labs[0].list("list_equipment").len() == 10);
    wait_until("the middle lists its own", || labs[1].list("list_equipment").len() == 5);
    wait_until("who had a piece there has lost all", || client.is_over());
    count(&labs[0], 10);
    assert_eq!(Client::of(&labs[0]).refused(json!([only("h20")])).0, "NoSuch");
}

#[test]
fn after_a_failure_a_shares_piece_is_gone_until_the_next_report_182() {
    let master = Lab::of(&["h1"], &[]);
    let owner = Original::of(pieces(&["h2"]));
    let address = json!(["127.0.0.1", owner.address().port()]);
    let mut reporter = master.lister();
    let mut report = || reporter.result("set_equipment", json!([address, pieces(&["h2"]), {}]));
    report();
    let mut client = Client::of(&master);
    client.lent(json!([only("h2")]));
    assert_eq!(master.available(), ["h1"]);
    report();
    assert_eq!(master.available(), ["h1"], "it may not have known yet");
    assert_eq!(client.refused(json!([only("h9")])).0, "NoSuch");
    master.wait_listed(&["h1"]);
    owner.wait_available(&["h2"]);
    assert_eq!(Client::of(&master).refused(json!([only("h2")])).0, "Busy", "it is on its way back");
    report();
    assert_eq!(master.available(), ["h1", "h2"]);
    assert_eq!(Client::of(&master).lent_one(only("h2")).name, "h2");
}

#[test]
fn collateral_is_honoured_at_share_and_master_186() {
    let master = Lab::of(&["h1"], &[]);
    let stacked = json!({"stacks": stacks(&[&["h2", "r2"], &["h3", "r2"], &["h4", "r4"]])});
    let share = Lab::having(&["h2", "r2", "h3", "h4", "r4"]).broker(stacked).share(master.address()).start();
    count(&master, 6);
    for through in [&master, &share] {
        let mut client = Client::of(through);
        client.lent(json!([only("h2")]));
        for lab in [&master, &share] {
            wait_until("the rest of the stack is collateral", || {
                let free = lab.available();
                !free.contains(&"r2".to_owned()) && free.contains(&"h3".to_owned())
            });
            for wanted in [json!([only("r2")]), json!([only("h3"), only("r2")])] {
                assert_eq!(Client::of(lab).refused(wanted).0, "Busy");
            }
        }
        assert_eq!(share.list("list_collateral_all"), ["r2"]);
        let mut other = Client::of(&master);
        assert_eq!(names_of(&other.lent(json!([any("handset"), any("relay")]))), ["h4", "r4"]);
        client.close();
        other.close();
        share.wait_available(&["h2", "r2", "h3", "h4", "r4"]);
        count(&master, 6);
    }
}

#[test]
fn what_one_share_has_not_the_next_one_has() {
    let master = Lab::of(&[], &[]);
    let shares = [share(&master, "one", &["h2"]), share(&master, "two", &["h3"])];
    count(&master, 2);
    let mut clients = [Client::of(&master), Client::of(&master)];
    let mut lent: Vec<_> = clients.iter_mut().map(|client| client.lent_one(any("handset"))).collect();
    lent.sort_by(|one, other| one.name.cmp(&other.name));
    assert_eq!(names_of(&lent), ["h2", "h3"]);
    assert!(lent.iter().zip(&shares).all(|(piece, share)| piece.at == share.address()));
    assert_eq!(Client::of(&master).refused(json!([any("handset")])).0, "Busy");
}

#[test]
fn groups_over_shares_and_a_forward_target_are_all_or_nothing() {
    let far = Lab::of(&["n4"], &[]);
    let master = Lab::having(&["h1"]).forward(far.address()).start();
    let share = share(&master, "share", &["h2"]);
    count(&master, 2);
    let groups = |names: &[&str]| names.iter().map(|name| json!([only(name)])).collect::<Value>();
    for wanted in [["h1", "h2", "n9"], ["n9", "h2", "n4"], ["n4", "n9", "h2"]] {
        assert_eq!(Client::of(&master).refused(groups(&wanted)).0, "NoSuch");
        far.wait_available(&["n4"]);
        share.wait_available(&["h2"]);
        count(&master, 2);
    }
    let mut client = Client::of(&master);
    let lent = client.lent(groups(&["n4", "h2", "h1"]));
    let homes = [&far, &share, &master].map(Lab::address);
    assert!(lent.iter().zip(homes).all(|(piece, home)| piece.at == home));
    let mut rest = Client::of(&master);
    assert_eq!(rest.refused(groups(&["h1", "h2"])).0, "Busy");
    assert_eq!(client.allocations().len(), 3);
}

/// A type that only a lab's own descriptor describes.
fn oven() -> Value {
    json!({
        "type": "oven", "identity": "name", "kept": ["room"], "rules": {"trays": "names"},
        "fields": {"name": "What is written on its door."},
    })
}

fn with_oven(name: &str, handset: &str) -> Plan {
    let equipment = json!([{"type": "oven", "name": name, "room": 7, "trays": {"deep": 1}}, piece(handset)]);
    let stack = json!([[{"type": "oven", "name": name}, only(handset)]]);
    Lab::plan().file("equipment.d/oven.json", oven()).equipment(equipment).broker(json!({"stacks": stack}))
}

#[test]
fn p_14_types_of_a_labs_own_are_shared_and_forwarded_like_any() {
    let master = with_oven("own", "h1").start();
    let share = with_oven("shared", "h2").share(master.address()).start();
    let near = Lab::plan().file("equipment.d/oven.json", oven()).forward(master.address()).start();
    count(&master, 4);
    let ovens = || master.admin().result("list_available", json!([any("oven")]));
    for lab in [&master, &near] {
        let mut client = Client::of(lab);
        let deep = with(any("oven"), json!({"trays": ["deep"]}));
        let lent = client.broker.result("get", json!([deep, only("h2")]));
        let shown = json!({"type": "oven", "name": "shared", "room": 7, "trays": {"deep": 1}});
        assert_eq!(lent["resources"][0], shown);
        assert_eq!(lent["resources"][1]["serial"], "h2");
        let mut other = Client::of(&master);
        assert_eq!(other.broker.get(json!([any("oven")]))["resources"][0]["name"], "own");
        assert_eq!(Client::of(lab).refused(json!([any("oven")])).0, "Busy");
        assert_eq!(other.broker.result("list_collateral", json!([])), json!([only("h1")]));
        other.close();
        client.close();
        wait_until("both are free again", || ovens().as_array().is_some_and(|list| list.len() == 2));
        count(&share, 2);
    }
    // A master that knows no such type lists the rest.
    let strange = Lab::of(&[], &[]);
    let _share = with_oven("shared", "h2").share(strange.address()).start();
    strange.wait_listed(&["h2"]);
    assert_eq!(names(&strange.admin().result("list_available", json!([]))), ["h2"]);
}
