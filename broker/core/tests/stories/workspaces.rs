//! Workspaces: made when asked for, gone when given back. (Specification 5.8; checks 141 to 146.)

use ave_profile::{Profile, RefusalKind};
use serde_json::{Value as Json, json};

use crate::asks::{h, handset, w, with};
use crate::client::assert_refused;
use crate::lab::Lab;

const NO_SUCH: &str = "no such workspace";

/// A host that makes workspaces.
fn host() -> Lab {
    Lab::new().handset("A").workspaces(json!({
        "root": "/srv/ave", "pretty": "jane", "wifi-capable": true,
        "tools": {"git": "/usr/bin/git", "ls": "/bin/ls"}
    }))
}

/// The workspace with this uid.
fn workspace(uid: &str) -> Json {
    with(w(), json!({"uid": uid}))
}

#[test]
fn a_workspace_shows_what_the_host_configures() {
    let client = host().client();
    for criteria in [json!({}), json!({"tools": ["git"]}), json!({"wifi-capable": true, "pretty": "jane"})] {
        let got = client.get([with(w(), criteria)]).unwrap(); // 141, 143
        let tools = got[0].profile.get("tools").and_then(|tools| tools.as_map()).unwrap();
        assert_eq!(tools.keys().collect::<Vec<_>>(), ["git", "ls"]);
        assert_eq!(got[0].profile.get("root"), Some(&"/srv/ave".into()));
        assert_eq!(got[0].profile.get("uid"), Some(&(&*got[0].item.value).into()));
    }
}

#[test]
fn what_the_host_does_not_have_is_no_such_workspace_and_creates_nothing() {
    for criteria in [
        json!({"tools": ["git", "svn"]}),
        json!({"pretty": "mary"}),
        json!({"uid": "jane-0000000000"}),
        json!({"wifi-capable": false}),
        json!({"colour": "blue"}),
    ] {
        let lab = host();
        assert_refused(lab.client().get([with(w(), criteria)]), RefusalKind::NoSuch, NO_SUCH); // 142
        assert_eq!(lab.equipment(), ["A"]);
    }
    assert_refused(Lab::new().client().get([w()]), RefusalKind::NoSuch, NO_SUCH);
}

#[test]
fn a_uid_is_the_hosts_name_and_ten_digits() {
    let digits = |text: &str| text.len() == 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let uid = &host().client().gets([w()])[0];
    assert!(uid.strip_prefix("jane-").is_some_and(digits), "{uid}"); // 144
    let uid = &Lab::new().workspaces(json!({})).client().gets([w()])[0];
    assert!(digits(uid), "{uid}");
}

#[test]
fn several_workspaces_of_one_call_differ() {
    let lab = host();
    let mut got = lab.client().gets([w(), w(), h(), w()]);
    assert_eq!(got.remove(2), "A");
    got.sort();
    got.dedup();
    assert_eq!(got.len(), 3);
}

#[test]
fn the_same_client_gets_the_same_workspace_again_by_its_uid() {
    let lab = host();
    let client = lab.client();
    let uid = client.gets([w()]).remove(0);
    let again = client.get([with(workspace(&uid), json!({"tools": ["git"]}))]).unwrap(); // 145
    assert_eq!(*again[0].item.value, *uid);
    assert!(again[0].again);
    let shown = json!({"root": "/srv/ave", "tools": {"git": "/usr/bin/git"}});
    assert_eq!(*again[0].profile, Profile::of(with(workspace(&uid), shown)));
    assert_eq!(client.allocations(), [uid.as_str()]);
    client.yields([workspace(&uid)]).unwrap();
    assert_eq!(lab.equipment(), ["A"], "deleted once, however often it was granted");
}

#[test]
fn another_client_does_not_get_it() {
    let lab = host();
    let uid = lab.client().gets([w()]).remove(0);
    assert_refused(lab.client().get([workspace(&uid)]), RefusalKind::Busy, "resource already allocated"); // 146
    let misfit = lab.client().get([with(workspace(&uid), json!({"pretty": "mary"}))]);
    assert_refused(misfit, RefusalKind::NoSuch, NO_SUCH);
}

#[test]
fn a_workspace_is_listed_while_it_exists_but_never_available() {
    let lab = host();
    let client = lab.client();
    let uid = client.gets([w()]).remove(0);
    assert_eq!(lab.equipment_like(w()), [uid.as_str()]);
    assert_eq!(lab.available(), ["A"]);
    client.leaves();
    assert_eq!(lab.equipment(), ["A"]);
    assert_refused(lab.client().get([workspace(&uid)]), RefusalKind::NoSuch, NO_SUCH);
}

#[test]
fn a_workspace_has_no_collateral_and_is_never_stacked() {
    let lab = host();
    let client = lab.client();
    let uid = client.gets([w(), h()]).remove(0);
    assert_eq!(client.collateral(), [""; 0]);
    lab.set_stacks(vec![vec![Profile::of(workspace(&uid)), Profile::of(handset("A"))]]);
    client.gets([w()]);
    assert_eq!(client.collateral(), [""; 0]);
    client.yields([handset("A")]).unwrap();
    assert_eq!(lab.client().gets([h()]), ["A"]);
}

#[test]
fn busy_equipment_leaves_no_workspace_behind() {
    let lab = host();
    let _holder = lab.client().gets([h()]);
    assert_refused(lab.client().get([w(), h()]), RefusalKind::Busy, "all such equipment busy");
    assert_eq!(lab.equipment(), ["A"]);
}

#[test]
fn existing_workspaces_outlive_a_change_of_the_hosts_profile() {
    let lab = host();
    let client = lab.client();
    let uid = client.gets([w()]).remove(0);
    let lab = lab.workspaces(json!({"pretty": "mary"}));
    assert_eq!(client.gets([workspace(&uid)]), [uid.as_str()]);
    assert!(client.gets([w()])[0].starts_with("mary-"));
    assert_eq!(lab.allocations(None).len(), 2);
}
