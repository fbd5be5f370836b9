//! Workspaces of shares, and of a master that has shares. (10.8)

use std::fs;

use serde_json::{Value, json};

use crate::shared_lending::{count, master_and_share, share};
use crate::support::{Client, Lab, any, only, wait_until, with};

fn workspace(pretty: &str) -> Value {
    with(any("workspace"), json!({"pretty": pretty}))
}

/// How many workspaces a lab has made and not deleted.
fn directories(lab: &Lab) -> usize {
    fs::read_dir(lab.home().join("workspaces")).map_or(0, Iterator::count)
}

#[test]
fn a_master_prefers_its_own_workspaces_147() {
    let [master, share] = master_and_share();
    let mut client = Client::of(&master);
    assert_eq!(client.lent_one(any("workspace")).at, master.address());
    assert_eq!(client.lent_one(only("h2")).at, share.address());
    assert_eq!(client.lent_one(any("workspace")).at, master.address());
    let beside = client.lent(json!([[only("h3")], [any("workspace")]]));
    assert_eq!(beside[1].at, master.address());
    assert_eq!((directories(&master), directories(&share)), (3, 0));
}

#[test]
fn a_workspace_comes_from_the_share_that_is_called_so_148() {
    let master = Lab::of(&[], &[]);
    let shares = ["one", "two", "three"].map(|pretty| share(&master, pretty, &[]));
    for (pretty, home) in ["one", "two", "three"].into_iter().zip(&shares) {
        let mut client = Client::of(&master);
        wait_until("the share is known", || Client::of(&master).get(json!([workspace(pretty)])).is_ok());
        let made = client.lent_one(workspace(pretty));
        assert_eq!(made.at, home.address());
        assert!(made.name.starts_with(&format!("{pretty}-")), "{}", made.name);
        let (_, message) = Client::of(&master).refused(json!([workspace("four")]));
        assert!(message.starts_with("no such workspace"), "{message}");
        client.close();
    }
    shares.iter().for_each(|share| wait_until("it is deleted", || directories(share) == 0));
    assert_eq!(directories(&master), 0);
}

#[test]
fn a_shares_workspace_comes_and_goes_in_the_masters_list_149() {
    let [master, share] = master_and_share();
    for through in [&share, &master] {
        for is_yielded in [true, false] {
            let mut client = Client::of(through);
            let made = client.lent_one(workspace("share"));
            assert_eq!(made.at, share.address());
            wait_until("it is listed", || master.list("list_equipment").contains(&made.name));
            assert!(!master.available().contains(&made.name));
            if is_yielded {
                client.give_back(&[made]).expect("it held it");
            } else {
                client.close();
            }
            wait_until("it is listed no more", || {
                let listed = master.list("list_equipment");
                listed.len() == 3 && directories(&share) == 0
            });
        }
    }
}

#[test]
fn a_workspace_beside_a_shares_handset_is_on_that_share_150() {
    let master = Lab::of(&["h1"], &[]);
    let shares = [share(&master, "one", &["h2"]), share(&master, "two", &["h3"])];
    count(&master, 3);
    for (name, home) in [("h3", &shares[1]), ("h2", &shares[0]), ("h1", &master)] {
        let mut client = Client::of(&master);
        let lent = client.lent(json!([any("workspace"), only(name)]));
        assert_eq!((lent[0].at, lent[1].at), (home.address(), home.address()), "{name}");
        for lab in shares.iter().chain([&master]) {
            assert_eq!(directories(lab), usize::from(lab.address() == home.address()));
        }
        client.close();
        wait_until("all of it is back", || directories(home) == 0 && master.available().len() == 3);
    }
}

#[test]
fn a_uid_leads_to_the_share_that_has_it_151() {
    let master = Lab::of(&["h1"], &[]);
    let shares = [share(&master, "one", &["h2"]), share(&master, "two", &["h3"])];
    count(&master, 3);
    for (pretty, home) in [("one", &shares[0]), ("two", &shares[1])] {
        let mut client = Client::of(&master);
        let made = client.lent_one(workspace(pretty));
        let by_uid = json!([{"type": "workspace", "uid": made.name}]);
        let again = client.lent(by_uid.clone());
        assert_eq!((again[0].name.as_str(), again[0].door()), (made.name.as_str(), made.door()));
        assert_eq!(directories(home), 1);
        wait_until("the master knows of it", || master.list("list_equipment").contains(&made.name));
        let (class, message) = Client::of(&master).refused(by_uid.clone());
        assert_eq!(class, "Busy");
        assert!(message.contains("resource already allocated"), "{message}");
        assert_eq!(client.lent(by_uid)[0].door(), made.door(), "it is still held");
    }
    let nobodys = json!([{"type": "workspace", "uid": "two-0123456789"}]);
    let (class, message) = Client::of(&master).refused(nobodys);
    assert!(class == "NoSuch" && message.starts_with("no such workspace"), "{class}: {message}");
}
