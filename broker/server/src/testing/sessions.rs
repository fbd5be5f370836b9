//! Sessions, whatever their equipment and their clients do. The numbers are those of `docs/protocol.md`.

use ave_profile::SessionId;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::guest::{resource, wanted};
use super::{ADMIN, Guest, House, PEER};
use crate::limits::{CALLS_WAITING_MAX, CLOSE_GIVE_UP, CLOSE_PATIENCE, CLOSE_WAIT, OPEN_GIVE_UP};
use crate::session::Session;
use crate::site::session_key;

async fn proxy(house: &House, granted: &Value) -> Guest {
    let proxy = house.guest(granted["result"][0]["authkey"].as_str().expect("a grant")).await;
    assert!(proxy.authenticated);
    proxy
}

fn kind(reply: &Value) -> &str {
    reply["exception"]["type"].as_str().unwrap_or_else(|| panic!("{reply}"))
}

#[tokio::test(start_paused = true)]
async fn equipment_that_does_not_open_refuses_with_its_own_words_and_ends_the_session() {
    let house = House::new(&[("a", ""), ("b", "open fails")]).await;
    let mut client = house.guest("").await;
    let refused = client.get(&["a", "b"]).await;
    assert_eq!((kind(&refused), &refused["exception"]["message"]), ("Offline", &json!("no such cable")));
    assert_eq!(house.story.told(), ["open a", "open b", "close a"]);
    assert_eq!(house.available().await, ["a", "b"]);
    let next = client.get(&["a"]).await;
    assert_eq!(next["exception"]["message"], "session closed");
}

#[tokio::test(start_paused = true)]
async fn equipment_that_hangs_while_opening_is_given_up_and_not_lent_again() {
    let house = House::new(&[("a", "open hangs"), ("b", "")]).await;
    let begun = Instant::now();
    let refused = house.guest("").await.get(&["a"]).await;
    assert_eq!(kind(&refused), "Timeout");
    let open_limit = tokio::time::Duration::from_secs(house.site.config.broker.open_limit_s);
    assert_eq!(begun.elapsed().as_secs(), (open_limit + CLOSE_WAIT).as_secs());
    assert_eq!(house.available().await, ["b"]);
    tokio::time::sleep(OPEN_GIVE_UP).await;
    assert_eq!(kind(&house.guest("").await.get(&["a"]).await), "Busy");
    house.guest("").await.get(&["b"]).await;
}

#[tokio::test(start_paused = true)]
async fn equipment_that_cannot_be_closed_leaves_the_pool_and_delays_nobody_for_long() {
    for fault in ["close hangs", "close fails", "close panics"] {
        let house = House::new(&[("a", fault), ("b", "")]).await;
        let mut client = house.guest("").await;
        assert!(client.get(&["a", "b"]).await.get("result").is_some());
        let begun = Instant::now();
        assert_eq!(kind(&client.get(&["c"]).await), "NoSuch");
        assert!(begun.elapsed() <= CLOSE_WAIT + tokio::time::Duration::from_secs(1), "{fault}");
        timeout(CLOSE_GIVE_UP * 2, house.until_available(&["b"])).await.expect(fault);
        assert_eq!(kind(&house.guest("").await.get(&["a"]).await), "Busy", "{fault}");
        timeout(CLOSE_GIVE_UP * 2, house.until_available(&["a", "b"])).await.expect("it is reset by and by");
    }
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_is_not_closed_does_not_keep_others_from_being_closed() {
    let house = House::new(&[("a", ""), ("b", ""), ("c", "close hangs"), ("d", "close hangs")]).await;
    let mut client = house.guest("").await;
    assert!(client.get(&["a", "b", "c", "d"]).await.get("result").is_some());
    let begun = Instant::now();
    drop(client);
    house.until_available(&["a", "b"]).await;
    assert!(begun.elapsed() < CLOSE_PATIENCE * 3, "{:?}", begun.elapsed());
    assert_eq!(house.story.told()[4..], ["close b", "close a"]);
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_panics_costs_its_own_piece_only() {
    let house = House::new(&[("a", ""), ("b", "")]).await;
    let mut client = house.guest("").await;
    let granted = client.get(&["a", "b"]).await;
    let mut proxy = proxy(&house, &granted).await;
    proxy.call_on(&resource("a"), "panic", json!([])).await.unwrap();
    let after = proxy.call_on(&resource("a"), "echo", json!([])).await.unwrap();
    assert!(after["exception"]["message"].as_str().unwrap().contains("failed"), "{after}");
    assert_eq!(proxy.call_on(&resource("b"), "echo", json!([1])).await.unwrap(), json!({"result": 1}));
    drop(client);
    house.until_available(&["b"]).await;
    assert_eq!(kind(&house.guest("").await.get(&["a"]).await), "Busy");
}

#[tokio::test(start_paused = true)]
async fn pieces_are_closed_in_reverse_order_after_their_calls_are_stopped() {
    let house = House::new(&[("a", ""), ("b", ""), ("c", "")]).await;
    let mut client = house.guest("").await;
    let granted = client.get(&["a", "b", "c"]).await;
    let mut busy = proxy(&house, &granted).await;
    busy.ask(&resource("a"), "hang", json!([]), false).await;
    let mut other = proxy(&house, &granted).await;
    other.call_on(&resource("b"), "echo", json!([])).await.unwrap();
    drop(client);
    house.until_available(&["a", "b", "c"]).await;
    assert_eq!(house.story.told()[3..], ["dropped a", "close c", "close b", "close a"]);
    assert_eq!(busy.reply().await, None);
}

#[tokio::test(start_paused = true)]
async fn a_long_call_delays_neither_its_session_nor_another_79() {
    let house = House::new(&[("a", ""), ("b", ""), ("c", "")]).await;
    let mut client = house.guest("").await;
    let granted = client.get(&["a", "b"]).await;
    proxy(&house, &granted).await.ask(&resource("a"), "hang", json!([]), false).await;
    let mut other = proxy(&house, &granted).await;
    assert_eq!(other.call("get_version", json!([])).await.unwrap(), json!({"result": 1}));
    let held = other.call("get_resources", wanted(&["a"])).await.unwrap();
    assert_eq!(held["result"][0]["profile"], resource("a"));
    assert_eq!(other.call_on(&resource("b"), "echo", json!([2])).await.unwrap(), json!({"result": 2}));
    let mut third = house.guest("").await;
    assert!(third.get(&["c"]).await.get("result").is_some());
    assert_eq!(client.call("yield_resources", wanted(&["a"])).await.unwrap()["result"], wanted(&["a"]));
    assert_eq!(house.available().await, ["a"]);
}

#[tokio::test(start_paused = true)]
async fn calls_on_one_piece_are_serial_and_bounded_in_number() {
    let house = House::new(&[("a", "")]).await;
    let mut client = house.guest("").await;
    let granted = client.get(&["a"]).await;
    let mut waiting = Vec::new();
    for _ in 0..=CALLS_WAITING_MAX {
        let mut proxy = proxy(&house, &granted).await;
        proxy.ask(&resource("a"), "hang", json!([]), false).await;
        proxy.ask(&Value::Null, "get_version", json!([]), false).await;
        waiting.push(proxy);
    }
    let mut one_more = proxy(&house, &granted).await;
    let refused = loop {
        // The first call has to be taken up before all others can be waiting.
        let a = resource("a");
        if let Ok(reply) = timeout(CLOSE_WAIT, one_more.call_on(&a, "echo", json!([]))).await {
            break reply.unwrap();
        }
    };
    assert!(refused["exception"]["message"].as_str().unwrap().starts_with("too many calls"), "{refused}");
    drop(client);
    house.until_available(&["a"]).await;
    assert_eq!(house.story.told().iter().filter(|line| *line == "dropped a").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_cuts_connections_and_revokes_the_key_before_it_is_answered() {
    let house = House::new(&[("a", "close hangs")]).await;
    let mut client = house.guest("").await;
    let granted = client.get(&["a"]).await;
    let mut used = proxy(&house, &granted).await;
    let key = granted["result"][0]["authkey"].as_str().unwrap();
    client.ask(&Value::Null, "get", json!([{"type": "wlan", "uid": "c"}]), false).await;
    assert_eq!(used.reply().await, None, "cut while the refusal still waits for the closing");
    let mut unused = house.guest(key).await;
    assert!(!unused.authenticated);
    assert_eq!(unused.call_on(&resource("a"), "echo", json!([])).await, None);
    assert_eq!(kind(&client.reply().await.unwrap()), "NoSuch");
}

#[tokio::test(start_paused = true)]
async fn exit_is_answered_once_and_ends_the_session_82_and_texts_arrive_intact_81() {
    let house = House::new(&[("a", "")]).await;
    let mut client = house.guest("").await;
    let granted = client.get(&["a"]).await;
    let mut proxy = proxy(&house, &granted).await;
    let failed = proxy.call_on(&resource("a"), "fail", json!(["RunError"])).await.unwrap();
    assert_eq!((kind(&failed), &failed["exception"]["message"]), ("RunError", &json!("as you wish: å")));
    let exit = proxy.call_on(&resource("a"), "fail", json!(["Exit"])).await.unwrap();
    assert_eq!(exit, json!({"exception": {"type": "Exit", "message": "as you wish: å"}}));
    assert_eq!(proxy.reply().await, None);
    house.until_available(&["a"]).await;
    assert_eq!(client.get(&["a"]).await["exception"]["message"], "session closed");
}

#[tokio::test]
async fn a_session_whose_task_is_gone_lets_nobody_in() {
    let house = House::new(&[]).await;
    let lodging = house.site.crowd.lodge(PEER.ip()).unwrap();
    let (session, _orders, handle) = Session::new(house.site.clone(), SessionId(1), session_key(), lodging);
    house.site.keys.admit(handle.clone());
    let mut used = house.guest(handle.key.expose()).await;
    assert!(used.authenticated);
    drop(session);
    assert_eq!(used.reply().await, None);
    assert!(!house.guest(handle.key.expose()).await.authenticated);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_its_equipment_opens_leaves_nothing_behind() {
    let house = House::new(&[("a", ""), ("b", "open hangs")]).await;
    let mut client = house.guest("").await;
    client.ask(&Value::Null, "get_multi_resources", wanted(&["a", "b"]), false).await;
    while house.story.told().len() < 2 {
        tokio::task::yield_now().await;
    }
    drop(client);
    timeout(OPEN_GIVE_UP * 2, house.until_available(&["a"])).await.expect("a is closed and free");
}

#[tokio::test(start_paused = true)]
async fn asynchronous_calls_are_silent_and_keep_their_place_37_38_39() {
    let house = House::new(&[("a", "")]).await;
    let mut client = house.guest("").await;
    client.ask(&Value::Null, "get", json!([resource("a")]), true).await;
    client.ask(&Value::Null, "no_such_thing", json!([]), true).await;
    let allocations = client.call("list_allocations", json!([])).await.unwrap();
    assert_eq!(allocations["result"][0]["uid"], "a");
}

#[tokio::test(start_paused = true)]
async fn an_administrator_ends_a_session_and_hears_when_its_holder_is_cut_off_46() {
    let house = House::new(&[("a", "")]).await;
    let mut client = house.guest("").await;
    let granted = client.get(&["a"]).await;
    let mut proxy = proxy(&house, &granted).await;
    let mut admin = house.guest(ADMIN).await;
    let key = &granted["result"][0]["authkey"];
    assert_eq!(admin.call("close_session", json!([key])).await.unwrap(), json!({"result": null}));
    assert_eq!(house.available().await, ["a"]);
    assert_eq!(proxy.reply().await, None);
    assert_eq!(kind(&admin.call("close_session", json!([key])).await.unwrap()), "KeyError");
    assert_eq!(client.get(&["a"]).await["exception"]["message"], "session closed");
}
