//! Brokers that report their equipment, and what the others see of it. The numbers are those of
//! `docs/protocol.md`.

use ave_profile::Address;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use super::guest::resource;
use super::{ADMIN, Guest, House, SHARE};
use crate::peers::limits::{ADDRESSES_PER_LINK_MAX, PIECES_AT_ONCE, SHARES_MAX};

const LONG: Duration = Duration::from_secs(20);
const NOTHING: Value = Value::Null;

fn site(port: u16) -> Value {
    json!(["site-b", port])
}

/// A complete list of pieces that nobody has.
fn list(port: u16, names: &[&str]) -> Value {
    json!([site(port), names.iter().map(|name| resource(name)).collect::<Vec<_>>(), {}])
}

/// One change of a broker of our own kind.
fn update(whole: bool, changed: &[&str], gone: &[&str]) -> Value {
    let piece = |name: &&str| json!({"profile": resource(name), "taken": [], "holder": null, "path": []});
    let changed: Vec<_> = changed.iter().map(piece).collect();
    let gone: Vec<_> = gone.iter().map(|name| resource(name)).collect();
    json!({"whole": whole, "changed": changed, "gone": gone})
}

impl House {
    /// A broker that shares with this one, and has these pieces.
    async fn share(&self, port: u16, names: &[&str]) -> Guest {
        let mut share = self.guest(SHARE).await;
        share.done("set_equipment", list(port, names)).await;
        share
    }

    async fn asked(&self, call: &str, vargs: Value) -> Value {
        self.guest(ADMIN).await.call(call, vargs).await.expect("an answer")["result"].take()
    }

    /// What a share has, by the list.
    async fn shared(&self, port: u16) -> Vec<String> {
        let listed = self.asked("list_equipment", json!([null, site(port)])).await;
        let listed = listed.as_array().expect("a list").iter();
        listed.map(|piece| piece["uid"].as_str().expect("a name").to_owned()).collect()
    }

    async fn until_shares(&self, wanted: Value) {
        let gone = async {
            while self.asked("list_shares", json!([])).await != wanted {
                tokio::task::yield_now().await;
            }
        };
        timeout(LONG, gone).await.expect("the shares come and go");
    }
}

impl Guest {
    async fn done(&mut self, call: &str, vargs: Value) {
        assert_eq!(self.call(call, vargs).await, Some(json!({"result": NOTHING})), "{call}");
    }

    /// Why a call is refused.
    async fn refused(&mut self, call: &str, vargs: Value) -> String {
        let reply = self.call(call, vargs).await.expect("an answer");
        reply["exception"]["message"].as_str().unwrap_or_else(|| panic!("{call}: {reply}")).to_owned()
    }
}

#[tokio::test]
async fn a_share_is_listed_until_its_connection_ends_169_174() {
    let house = House::new(&[("own", "")]).await;
    let share = house.share(4000, &["a", "b"]).await;
    assert_eq!(house.shared(4000).await, ["a", "b"]);
    assert_eq!(house.asked("list_shares", json!([])).await, json!([site(4000)]));
    assert_eq!(house.asked("list_allocators", json!([])).await, json!(["local", site(4000)]));
    let own = house.asked("list_equipment", json!([null, "local"])).await;
    assert_eq!(own.as_array().unwrap().len(), 1, "{own}");
    assert_eq!(house.asked("list_equipment", json!([null, ["nowhere", 1]])).await, json!([]));
    let held = house.asked("list_holders", json!([resource("a"), true])).await;
    assert_eq!(held, json!([{"holder": site(4000), "profile": resource("a")}]));
    let all = house.asked("list_holders", json!([])).await;
    assert_eq!((all.as_array().unwrap().len(), &all[0]["holder"]), (3, &json!("local")));
    drop(share);
    house.until_shares(json!([])).await;
    assert_eq!(house.shared(4000).await, [""; 0]);
    assert_eq!(house.available().await, ["own"]);
}

#[tokio::test]
async fn a_new_list_replaces_the_old_one_190() {
    let house = House::new(&[]).await;
    let mut share = house.share(4000, &["a", "b", "c"]).await;
    let before = house.site.hub.look(|core| core.revision()).await.unwrap();
    share.done("set_equipment", list(4000, &["a", "b", "c"])).await;
    let after = house.site.hub.look(|core| core.revision()).await.unwrap();
    assert_eq!(before, after, "nothing has changed");
    share.done("set_equipment", list(4000, &["b", "d"])).await;
    assert_eq!(house.shared(4000).await, ["b", "d"]);
    share.done("set_equipment", list(4000, &[])).await;
    assert_eq!(house.shared(4000).await, [""; 0]);
    assert_eq!(house.asked("list_shares", json!([])).await, json!([site(4000)]));
}

#[tokio::test]
async fn our_own_kind_introduces_itself_and_tells_changes_only() {
    let house = House::new(&[]).await;
    let mut share = house.guest(SHARE).await;
    let hello = json!([{"id": "00000000000000aa", "version": 1, "silence_limit_s": 300}]);
    let answer = share.call("share_hello", hello).await.unwrap();
    assert_eq!(answer["result"], json!({"id": house.site.id.to_string(), "version": 1}));
    share.done("share_update", json!([site(4000), update(true, &["a", "b"], &[])])).await;
    share.done("share_update", json!([site(4000), update(false, &["c"], &["a"])])).await;
    assert_eq!(house.shared(4000).await, ["b", "c"]);
    share.done("share_update", json!([site(4000), update(true, &["d"], &[])])).await;
    assert_eq!(house.shared(4000).await, ["d"]);
}

#[tokio::test]
async fn a_hello_that_makes_no_sense_is_refused() {
    let house = House::new(&[]).await;
    let mut share = house.guest(SHARE).await;
    let own = house.site.id.to_string();
    let hello = |id: &str, version: Value, silence: Value| json!([{"id": id, "version": version, "silence_limit_s": silence}]);
    let id = "00000000000000aa";
    for (hello, says) in [
        (json!([1]), "hello: wanted an object"),
        (json!([{}]), "id"),
        (hello("aa", json!(1), json!(12)), "a broker's id: wanted 16"),
        (hello(id, json!(0), json!(12)), "version: wanted a number from 1"),
        (hello(id, json!(1), json!(0)), "silence_limit_s: wanted a number from 1 to 300"),
        (hello(id, json!(1), json!(301)), "silence_limit_s: wanted"),
        (hello(&own, json!(1), json!(12)), "a broker cannot share with itself"),
    ] {
        let refusal = share.refused("share_hello", hello).await;
        assert!(refusal.starts_with(says), "{refusal} instead of {says}");
    }
    assert!(share.call("share_hello", hello(id, json!(7), json!(12))).await.unwrap().get("result").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_share_that_is_silent_for_longer_than_it_said_is_given_up() {
    let house = House::new(&[]).await;
    let mut share = house.guest(SHARE).await;
    share
        .call("share_hello", json!([{"id": "00000000000000aa", "version": 1, "silence_limit_s": 12}]))
        .await
        .unwrap();
    share.done("share_update", json!([site(4000), update(true, &["a"], &[])])).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(share.call("get_version", json!([])).await.is_some(), "a ping is a word");
    }
    assert_eq!(house.shared(4000).await, ["a"]);
    let begun = tokio::time::Instant::now();
    assert_eq!(share.reply().await, None);
    assert_eq!(begun.elapsed().as_secs(), 12);
    house.until_shares(json!([])).await;
}

#[tokio::test]
async fn only_the_share_key_opens_the_calls_of_shares_187() {
    let house = House::new(&[]).await;
    let calls = [
        ("set_equipment", list(4000, &["a"])),
        ("set_stacks", json!([site(4000), []])),
        ("set_ws_profile", json!([site(4000), {"type": "workspace"}])),
        ("share_hello", json!([{"id": "00000000000000aa", "version": 1, "silence_limit_s": 12}])),
        ("share_update", json!([site(4000), update(true, &["a"], &[])])),
    ];
    for key in ["", "wrong", ADMIN] {
        let mut guest = house.guest(key).await;
        for (call, vargs) in &calls {
            let reply = guest.call(call, vargs.clone()).await.unwrap();
            assert_eq!(reply, json!({"exception": "not authorized to make this call"}), "{key} {call}");
        }
    }
    let mut share = house.guest(SHARE).await;
    for call in ["list_shares", "list_holders", "drop_all_shares"] {
        let reply = share.call(call, json!([])).await.unwrap();
        assert_eq!(reply, json!({"exception": "not authorized to make this call"}), "{call}");
    }
    assert_eq!(house.asked("list_shares", json!([])).await, json!([]));
}

#[tokio::test]
async fn a_malformed_report_stores_nothing() {
    let house = House::new(&[]).await;
    let mut stranger = house.guest(SHARE).await;
    for (call, vargs) in [
        ("set_equipment", json!(["nowhere", [], {}])),
        ("set_equipment", json!([["h", 65536], [], {}])),
        ("set_equipment", json!([site(4000), [resource("a"), {"type": "wlan"}], {}])),
        ("set_equipment", json!([site(4000), [resource("a")], {"0": [{}]}])),
        ("set_stacks", json!([site(4000), ["a"]])),
        ("set_ws_profile", json!([site(4000), {"type": "workspace", "uid": "w"}])),
        ("share_update", json!([site(4000), {"whole": true}])),
        ("add_equipment", json!([site(4000), [resource("a")]])),
    ] {
        stranger.refused(call, vargs).await;
    }
    assert_eq!(house.asked("list_shares", json!([])).await, json!([]));
    let mut share = house.share(4000, &["a"]).await;
    share.refused("set_equipment", json!([site(4000), [resource("b"), 7], {}])).await;
    assert_eq!(house.shared(4000).await, ["a"], "half a list replaces nothing");
    share.done("set_equipment", json!([site(4000), [{"type": "toaster", "id": 1}, resource("b")], {}])).await;
    assert_eq!(house.shared(4000).await, ["b"], "189");
}

#[tokio::test]
async fn the_newest_connection_speaks_for_a_share_188() {
    let house = House::new(&[]).await;
    let mut old = house.share(4000, &["a", "b"]).await;
    old.done("set_stacks", json!([site(4000), [[resource("a"), resource("b")]]])).await;
    let mut new = house.guest(SHARE).await;
    new.done("set_ws_profile", json!([site(4000), {"type": "workspace", "root": "/ws"}])).await;
    assert_eq!(house.shared(4000).await, ["a", "b"], "nothing vanishes meanwhile");
    assert_eq!(house.asked("list_stacks", json!([])).await, json!([]), "it may have none any more");
    new.done("set_equipment", list(4000, &["b", "c"])).await;
    assert_eq!(old.reply().await, None, "the old one is cut");
    drop(old);
    assert_eq!(house.shared(4000).await, ["b", "c"]);
    drop(new);
    house.until_shares(json!([])).await;
}

#[tokio::test]
async fn a_dropped_share_is_disconnected_and_may_come_back_175() {
    let house = House::new(&[]).await;
    let mut share = house.share(4000, &["a"]).await;
    let mut other = house.share(4001, &["b"]).await;
    let mut admin = house.guest(ADMIN).await;
    assert!(admin.refused("drop_share", json!(["site-b"])).await.starts_with("address: wanted [host, port]"));
    admin.done("drop_share", json!([["nowhere", 4000]])).await;
    admin.done("drop_share", json!([site(4000)])).await;
    assert_eq!(house.asked("list_shares", json!([])).await, json!([site(4001)]));
    assert_eq!(share.reply().await, None, "its connection is closed");
    let _share = house.share(4000, &["a"]).await;
    assert_eq!(house.asked("list_shares", json!([])).await, json!([site(4000), site(4001)]));
    admin.done("drop_all_shares", json!([])).await;
    assert_eq!(house.asked("list_shares", json!([])).await, json!([]));
    assert_eq!(other.reply().await, None);
}

#[tokio::test]
async fn one_connection_speaks_for_so_many_addresses_and_there_are_so_many_shares() {
    let house = House::new(&[]).await;
    let mut greedy = house.guest(SHARE).await;
    for port in 0..ADDRESSES_PER_LINK_MAX as u16 {
        greedy.done("set_equipment", list(port, &[])).await;
    }
    let refusal = greedy.refused("set_equipment", list(100, &[])).await;
    assert_eq!(refusal, "one connection speaks for 8 addresses at most");
    greedy.done("set_equipment", list(0, &[])).await;
    let places = &house.site.share_places;
    assert_eq!(places.available_permits(), SHARES_MAX - ADDRESSES_PER_LINK_MAX);
    let all = places.try_acquire_many(places.available_permits() as u32).unwrap();
    let mut late = house.guest(SHARE).await;
    let refusal = late.refused("set_equipment", list(200, &[])).await;
    assert_eq!(refusal, "this broker takes 1024 shares at most");
    drop(all);
    late.done("set_equipment", list(200, &["a"])).await;
    assert_eq!(house.shared(200).await, ["a"]);
}

#[tokio::test]
async fn a_flood_is_taken_in_between_the_calls_of_others() {
    let house = House::new(&[("own", "")]).await;
    let names: Vec<String> = (0..80 * PIECES_AT_ONCE).map(|n| format!("n{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut share = house.guest(SHARE).await;
    share.ask(&Value::Null, "set_equipment", list(4000, &names), false).await;
    let (hub, mut client) = (house.site.hub.clone(), house.guest("").await);
    // A task of its own, since a test's own future has its turn less often than those.
    let others = tokio::spawn(async move {
        let known = || async {
            let address = Address::new("site-b", 4000);
            hub.look(move |core| core.shared_by(&address).len()).await.unwrap()
        };
        while known().await == 0 {}
        assert!(client.get(&["own"]).await.get("result").is_some());
        known().await
    });
    let known = timeout(LONG, others).await.expect("in time").unwrap();
    assert!(known < names.len(), "others are served while {known} of {} are known", names.len());
    assert_eq!(share.reply().await, Some(json!({"result": NOTHING})));
    assert_eq!(house.shared(4000).await.len(), names.len());
}
