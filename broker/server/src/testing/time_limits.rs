//! Sessions that hold something for too long, or do not use it. (Specification 3.6; the numbers are those of
//! `docs/protocol.md`.)

use ave_protocol::message::Encoding;
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use super::guest::{resource, wanted};
use super::{Guest, House};

async fn house(limits: Value) -> House {
    House::furnished(&[("a", ""), ("b", "")], 4000, limits).await
}

async fn s(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await; // of the test's own time
}

/// A client that has got `a`, and a proxy for it.
async fn holder(house: &House, encoding: Encoding) -> (Guest, Guest) {
    let mut client = house.guest("").await;
    client.speak(encoding);
    let granted = client.get(&["a"]).await;
    let mut proxy = house.guest(granted["result"][0]["authkey"].as_str().expect("a grant")).await;
    proxy.speak(encoding);
    (client, proxy)
}

async fn echo(proxy: &mut Guest) -> Value {
    proxy.call_on(&resource("a"), "echo", json!([1])).await.expect("an answer")
}

#[tokio::test(start_paused = true)]
async fn a_piece_that_is_held_for_too_long_is_taken_away_after_a_warning_224() {
    let house = house(json!({"hold_limit_s": {"wlan": 100}})).await;
    let (mut client, mut proxy) = holder(&house, Encoding::MessagePack).await;
    s(79).await;
    assert_eq!(echo(&mut proxy).await, json!({"result": 1}));
    s(2).await;
    let warned = echo(&mut proxy).await;
    let message = "wlan a is held for long (hold_limit_s = 100): the session ends in 19 s";
    let left_s = warned["warning"]["remaining_s"].as_i64().expect("seconds");
    assert!((18..=19).contains(&left_s), "{warned}");
    let message = message.replace("19", &left_s.to_string());
    assert_eq!(
        warned["warning"],
        json!({"message": message, "type": "wlan", "identity": "a", "remaining_s": left_s})
    );
    assert_eq!(echo(&mut proxy).await, json!({"result": 1}), "once is enough");
    s(20).await;
    assert_eq!(proxy.reply().await, None);
    assert_eq!(house.available().await, ["a", "b"]);
    let why = "session closed: wlan a was held for longer than hold_limit_s = 100";
    for (call, arguments) in [("list_allocations", json!([])), ("get_multi_resources", wanted(&["b"]))] {
        let refused = client.call(call, arguments).await.expect("an answer");
        assert_eq!(refused["exception"]["message"], why, "{call}");
        assert_eq!(refused["exception"]["type"], "Exception");
    }
    assert_eq!(client.call("get_version", json!([])).await, Some(json!({"result": 1})));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_uses_nothing_is_ended_and_one_that_does_is_not_225() {
    let house = house(json!({"idle_limit_s": 10})).await;
    let (mut client, mut proxy) = holder(&house, Encoding::MessagePack).await;
    for _ in 0..5 {
        s(7).await;
        assert_eq!(echo(&mut proxy).await, json!({"result": 1}));
    }
    s(9).await;
    let warned = client.call("get_version", json!([])).await.expect("an answer");
    let message = warned["warning"]["message"].as_str().unwrap_or_default();
    assert!(
        message.starts_with("nothing is called for long (idle_limit_s = 10): the session ends in "),
        "{warned}"
    );
    assert_eq!(warned["warning"].get("type"), None);
    assert_eq!(echo(&mut proxy).await, json!({"result": 1}), "to call something puts the end off");
    proxy.ask(&resource("a"), "hang", json!([]), false).await;
    s(1_000).await; // a call that goes on is a use
    assert!(client.call("list_allocations", json!([])).await.expect("an answer").get("result").is_some());
    drop(proxy); // which nobody answers any more, but the call goes on
    client.call("yield_resources", wanted(&["a"])).await.expect("an answer");
    s(1_000).await; // who holds nothing stands in nobody's way
    assert!(client.get(&["b"]).await.get("result").is_some());
    let since = Instant::now();
    house.until_available(&["a", "b"]).await;
    assert_eq!(since.elapsed().as_secs(), 10);
    let refused = client.call("list_allocations", json!([])).await.expect("an answer");
    let why = "session closed: nothing was called for longer than idle_limit_s = 10";
    assert_eq!(refused["exception"]["message"], why);
}

#[tokio::test(start_paused = true)]
async fn original_clients_see_nothing_of_a_warning_and_what_is_given_back_is_not_warned_of_224() {
    let house = house(json!({"hold_limit_s": {"wlan": 100}, "idle_limit_s": 1_000})).await;
    let (mut client, mut proxy) = holder(&house, Encoding::Json).await;
    s(90).await;
    assert_eq!(echo(&mut proxy).await, json!({"result": 1}));
    assert_eq!(client.call("get_version", json!([])).await, Some(json!({"result": 1})));
    client.speak(Encoding::MessagePack);
    client.call("yield_resources", wanted(&["a"])).await.expect("an answer");
    assert_eq!(client.call("get_version", json!([])).await, Some(json!({"result": 1})));
    s(100).await;
    assert!(client.get(&["b"]).await.get("result").is_some(), "nothing has ended");
}

#[tokio::test(start_paused = true)]
async fn who_calls_nothing_hears_of_it_with_the_first_answer_afterwards_224_225() {
    let held = (
        "wlan a is held for long (hold_limit_s = 100)",
        "wlan a was held for longer than hold_limit_s = 100",
    );
    let idle = (
        "nothing is called for long (idle_limit_s = 10)",
        "nothing was called for longer than idle_limit_s = 10",
    );
    for (limits, (warning, why)) in
        [(json!({"hold_limit_s": {"wlan": 100}}), held), (json!({"idle_limit_s": 10}), idle)]
    {
        let house = house(limits).await;
        let (mut client, _proxy) = holder(&house, Encoding::MessagePack).await;
        s(1_000).await;
        let answer = client.call("list_allocations", json!([])).await.expect("an answer");
        assert_eq!(answer["warning"]["message"], format!("{warning}: the session has ended"));
        assert_eq!(answer["warning"]["remaining_s"], 0);
        assert_eq!(answer["exception"]["message"], format!("session closed: {why}"));
        let again = client.call("list_allocations", json!([])).await.expect("an answer");
        assert_eq!(again.get("warning"), None, "once is enough");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_otherwise_is_not_warned_of_afterwards() {
    let house = house(json!({"hold_limit_s": {"wlan": 100}, "idle_limit_s": 100})).await;
    let (mut client, mut proxy) = holder(&house, Encoding::MessagePack).await;
    s(90).await;
    proxy.ask(&Value::Null, "stop", json!([]), false).await;
    house.until_available(&["a", "b"]).await;
    let answer = client.call("list_allocations", json!([])).await.expect("an answer");
    assert_eq!((answer.get("warning"), &answer["exception"]["message"]), (None, &json!("session closed")));
}

#[tokio::test(start_paused = true)]
async fn without_limits_nothing_is_ever_taken_away() {
    let house = house(json!({})).await;
    let (_client, mut proxy) = holder(&house, Encoding::MessagePack).await;
    s(100_000_000).await;
    assert_eq!(echo(&mut proxy).await, json!({"result": 1}));
}
