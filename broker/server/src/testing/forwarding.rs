//! Brokers in a row, each of which asks the next over the loopback interface for what it has not. The numbers
//! are those of `docs/protocol.md`.

use ave_protocol::message::Encoding;
use serde_json::{Value, json};
use tokio::time::{Duration, timeout};

use super::guest::{resource, wanted};
use super::{ADMIN, Guest, House};

const LONG: Duration = Duration::from_secs(20);

/// A row of brokers with these pieces, the first one asking the second and so on.
async fn row(pieces: &[&[&str]]) -> Vec<House> {
    let mut houses: Vec<House> = Vec::new();
    for pieces in pieces.iter().rev() {
        let next = houses.last().map(House::port);
        houses.push(House::in_town(pieces, next).await);
    }
    houses.reverse();
    houses
}

/// What the session of this grant says about these pieces.
async fn entries(house: &House, granted: &Value, names: &[&str]) -> Value {
    let mut session = session(house, granted).await;
    session.call("get_resources", wanted(names)).await.unwrap()["result"].clone()
}

async fn session(house: &House, granted: &Value) -> Guest {
    let session = house.guest(granted["result"][0]["authkey"].as_str().expect("a grant")).await;
    assert!(session.authenticated);
    session
}

fn refusal(reply: &Value) -> (&str, &str) {
    let exception = &reply["exception"];
    (exception["type"].as_str().unwrap(), exception["message"].as_str().unwrap())
}

async fn until_free(house: &House, names: &[&str]) {
    timeout(LONG, house.until_available(names)).await.expect("everything is given back");
}

#[tokio::test]
async fn what_is_not_here_comes_from_the_next_broker_and_is_called_there_158_159_161() {
    let houses = row(&[&["a"], &["b", "c"]]).await;
    let mut client = houses[0].guest("").await;
    let local = client.get(&["a"]).await;
    let far = client.get(&["b", "c"]).await;
    assert_eq!(far["result"][1]["resources"], json!([resource("c")]), "{far}");
    assert_eq!(far["result"][0]["authkey"], local["result"][0]["authkey"]);
    let entries = entries(&houses[0], &local, &["b", "a", "c"]).await;
    assert_eq!(entries[0]["address"], json!(["127.0.0.1", houses[1].port()]));
    assert_eq!(entries[1]["address"], json!(["127.0.0.1", houses[0].port()]));
    assert_eq!(entries[0]["authkey"], entries[2]["authkey"]);
    assert_eq!(entries[0].as_object().unwrap().len(), 3, "original clients are told no more: {entries}");
    let mut proxy = houses[1].guest(entries[0]["authkey"].as_str().unwrap()).await;
    assert_eq!(proxy.call_on(&resource("b"), "echo", json!([7])).await.unwrap(), json!({"result": 7}));
    let allocations = client.call("list_allocations", json!([])).await.unwrap();
    assert_eq!(allocations["result"].as_array().unwrap().len(), 3);
    drop(client);
    until_free(&houses[1], &["b", "c"]).await;
    until_free(&houses[0], &["a"]).await;
    assert_eq!(proxy.reply().await, None);
}

#[tokio::test]
async fn a_session_that_holds_only_far_pieces_lets_its_client_in() {
    let houses = row(&[&[], &["b"]]).await;
    let mut client = houses[0].guest("").await;
    let granted = client.get(&["b"]).await;
    assert_eq!(entries(&houses[0], &granted, &["b"]).await[0]["profile"], resource("b"));
}

#[tokio::test]
async fn clients_of_our_own_kind_are_told_the_leaf_session_s_id() {
    let houses = row(&[&[], &["b"]]).await;
    let mut client = houses[0].guest("").await;
    let granted = client.get(&["b"]).await;
    let mut session = session(&houses[0], &granted).await;
    session.speak(Encoding::MessagePack);
    let entries = session.call("get_resources", wanted(&["b"])).await.unwrap();
    assert_eq!(entries["result"][0]["session"].as_str().unwrap().len(), 16, "{entries}");
}

#[tokio::test]
async fn a_chain_gives_every_piece_its_own_broker_s_session_160() {
    let houses = row(&[&["a"], &["b"], &["c"]]).await;
    let mut client = houses[0].guest("").await;
    let granted = client.get(&["a", "b", "c"]).await;
    let entries = entries(&houses[0], &granted, &["a", "b", "c"]).await;
    for (nth, house) in houses.iter().enumerate() {
        assert_eq!(entries[nth]["address"][1], house.port(), "{entries}");
    }
}

#[tokio::test]
async fn refusals_at_the_end_of_a_chain_arrive_as_what_they_are_162() {
    let houses = row(&[&[], &[], &["c"]]).await;
    let mut holder = houses[2].guest("").await;
    assert!(holder.get(&["c"]).await.get("result").is_some());
    let busy = houses[0].guest("").await.get(&["c"]).await;
    assert_eq!(refusal(&busy).0, "Busy");
    assert!(refusal(&busy).1.starts_with("all such equipment busy"), "{busy}");
    let none = houses[0].guest("").await.get(&["d"]).await;
    assert_eq!(refusal(&none).0, "NoSuch");
    assert!(refusal(&none).1.starts_with("no such resource"), "{none}");
}

#[tokio::test]
async fn a_failed_question_takes_everything_back_everywhere_163() {
    let houses = row(&[&["a"], &["b"]]).await;
    let mut client = houses[0].guest("").await;
    let granted = client.get(&["a", "b"]).await;
    let mut session = session(&houses[0], &granted).await;
    assert_eq!(refusal(&client.get(&["nowhere"]).await).0, "NoSuch");
    assert_eq!(session.reply().await, None);
    until_free(&houses[0], &["a"]).await;
    until_free(&houses[1], &["b"]).await;
    assert_eq!(client.get(&["a"]).await["exception"]["message"], "session closed");
}

#[tokio::test]
async fn the_end_of_one_session_of_a_chain_ends_all_164_165() {
    for dying in 0..3 {
        let houses = row(&[&["a"], &["b"], &["c"]]).await;
        let mut client = houses[0].guest("").await;
        let granted = client.get(&["a", "b", "c"]).await;
        let entries = entries(&houses[0], &granted, &["a", "b", "c"]).await;
        let mut killer = houses[dying].guest(entries[dying]["authkey"].as_str().unwrap()).await;
        assert_eq!(killer.call("crash", json!([])).await, None);
        for (house, name) in houses.iter().zip(["a", "b", "c"]) {
            until_free(house, &[name]).await;
        }
        assert_eq!(client.get(&["a"]).await["exception"]["message"], "session closed");
    }
}

#[tokio::test]
async fn the_end_of_a_broker_in_the_middle_ends_the_sessions_on_both_sides_165() {
    let houses = row(&[&["a"], &["b"], &["c"]]).await;
    let mut client = houses[0].guest("").await;
    client.get(&["a", "b", "c"]).await;
    houses[1].site.stop.cancel();
    until_free(&houses[0], &["a"]).await;
    until_free(&houses[2], &["c"]).await;
}

#[tokio::test]
async fn nobody_at_the_next_broker_is_said_to_the_client_166() {
    let gone = House::in_town(&[], None).await;
    let port = gone.port();
    gone.site.stop.cancel();
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {}
    let house = House::in_town(&["a"], Some(port)).await;
    let refused = house.guest("").await.get(&["b"]).await;
    assert_eq!(refusal(&refused).0, "Exit");
    assert!(refusal(&refused).1.starts_with("Broker connection failed"), "{refused}");
    assert!(house.guest("").await.get(&["a"]).await.get("result").is_some());
}

#[tokio::test]
async fn what_is_given_back_in_the_middle_is_usable_from_the_end_167() {
    let houses = row(&[&[], &["b"]]).await;
    let mut middle = houses[1].guest("").await;
    let mut end = houses[0].guest("").await;
    middle.get(&["b"]).await;
    middle.call("yield_resources", wanted(&["b"])).await.unwrap();
    let granted = end.get(&["b"]).await;
    let mut session = session(&houses[0], &granted).await;
    for _ in 0..3 {
        let given_back = end.call("yield_resources", wanted(&["b"])).await.unwrap();
        assert_eq!(given_back, json!({"result": wanted(&["b"])}));
        let at_session = session.call("yield_resources", json!([wanted(&["b"])])).await.unwrap();
        assert_eq!(at_session, json!({"result": null}));
        assert_eq!(houses[1].available().await, ["b"], "given back before that is answered");
        let lost = session.call("get_resources", wanted(&["b"])).await.unwrap();
        assert!(refusal(&lost).1.starts_with("INTERNAL ERROR: no local resource"), "{lost}");
        let unknown = session.call("yield_resources", json!([wanted(&["b"])])).await.unwrap();
        assert_eq!(refusal(&unknown).0, "NoSuch");
        assert!(end.get(&["b"]).await.get("result").is_some(), "over the same link");
    }
}

#[tokio::test]
async fn two_brokers_that_ask_each_other_refuse_what_neither_has_168() {
    let one = House::in_town(&["a"], None).await;
    let other = House::in_town(&["b"], Some(one.port())).await;
    let target = Some(ave_profile::Address::new("127.0.0.1", other.port()));
    one.site.hub.tell(ave_core::Event::ForwardSet { target }).await;
    for house in [&one, &other] {
        let refused = timeout(LONG, async { house.guest("").await.get(&["nowhere"]).await }).await.unwrap();
        assert_eq!(refusal(&refused).0, "NoSuch", "{refused}");
    }
    assert!(one.guest("").await.get(&["b"]).await.get("result").is_some());
}

#[tokio::test]
async fn a_question_that_has_been_here_or_everywhere_is_refused() {
    let house = House::new(&[("a", "")]).await;
    let here = house.site.id.to_string();
    for via in [json!([here]), json!(vec!["00000000000000ff"; 17]), json!("elsewhere")] {
        let mut client = house.guest("").await;
        client.ask_with("get", json!([resource("b")]), json!({"via": via})).await;
        let refused = client.reply().await.unwrap();
        assert_eq!(refusal(&refused).0, "NoSuch");
    }
    let mut client = house.guest("").await;
    client.ask_with("get", json!([resource("a")]), json!({"via": ["00000000000000ff"]})).await;
    assert!(client.reply().await.unwrap().get("result").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_silent_for_longer_than_it_said_is_given_up() {
    let house = House::new(&[("a", "")]).await;
    let mut broker = house.guest("").await;
    broker.ask_with("get", json!([resource("a")]), json!({"silence_limit_s": 9})).await;
    assert!(broker.reply().await.unwrap().get("result").is_some());
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(8)).await;
        assert_eq!(broker.call("get_version", json!([])).await.unwrap(), json!({"result": 1}));
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(broker.reply().await, None);
    assert_eq!(begun.elapsed(), Duration::from_secs(9));
    house.until_available(&["a"]).await;
    let mut patient = house.guest("").await;
    patient.get(&["a"]).await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert!(patient.call("get_version", json!([])).await.is_some(), "others announced nothing");
}

#[tokio::test]
async fn an_administrator_who_ends_a_far_session_ends_what_depends_on_it() {
    let houses = row(&[&["a"], &["b"]]).await;
    let mut client = houses[0].guest("").await;
    let granted = client.get(&["a", "b"]).await;
    let entries = entries(&houses[0], &granted, &["b"]).await;
    let mut admin = houses[1].guest(ADMIN).await;
    admin.call("close_session", json!([entries[0]["authkey"]])).await.unwrap();
    until_free(&houses[0], &["a"]).await;
}

#[tokio::test]
async fn a_limit_of_the_owner_is_named_to_the_client_wherever_that_is_224() {
    let owner = House::in_town_with(&["c"], None, json!({"hold_limit_s": {"wlan": 3}})).await;
    let between = House::in_town(&[], Some(owner.port())).await;
    let near = House::in_town(&["a"], Some(between.port())).await;
    let mut client = near.guest("").await;
    assert!(client.get(&["a", "c"]).await.get("result").is_some());
    until_free(&near, &["a"]).await;
    until_free(&owner, &["c"]).await;
    let refused = client.call("list_allocations", json!([])).await.unwrap();
    let (b, c) = (between.port(), owner.port());
    let why = "wlan c was held for longer than hold_limit_s = 3";
    let why = format!("session closed: at 127.0.0.1:{b}: at 127.0.0.1:{c}: {why}");
    assert_eq!(refusal(&refused), ("Exception", &*why));
}
