//! Other brokers as one may meet them: original ones, slow, broken and lying ones. Each costs those who asked
//! it an answer, and nobody anything else.

use std::sync::Arc;

use ave_core::{Event, Origin, Report, SharedPiece};
use ave_profile::{Address, LinkId, Profile};
use ave_protocol::handshake::Salt;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, Instant, timeout};

use super::far::{FarEnd, original_salt, our_salt};
use super::guest::{resource, wanted};
use super::{Guest, House};
use crate::limits::{ASKS_AT_ONCE_MAX, PEER_ANSWER_LIMIT};

const LONG: Duration = Duration::from_secs(20);

/// A broker that does what a test says.
struct Stranger {
    listener: TcpListener,
    salt: Salt,
}

impl Stranger {
    async fn new(salt: Salt) -> Stranger {
        Stranger { listener: TcpListener::bind("127.0.0.1:0").await.unwrap(), salt }
    }

    fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// The next connection, before anything is said.
    async fn accept(&self) -> TcpStream {
        timeout(LONG, self.listener.accept()).await.expect("somebody connects").unwrap().0
    }

    /// The next connection.
    async fn welcome(&self) -> FarEnd<TcpStream> {
        FarEnd::welcome(self.accept().await, self.salt).await.0
    }

    /// What the broker answers to `get`.
    fn grant(&self, names: &[&str]) -> Value {
        with(self.door(), "resources", wanted(names))
    }

    /// What the session answers to `get_resources`.
    fn entries(&self, names: &[&str]) -> Value {
        names.iter().map(|name| with(self.door(), "profile", resource(name))).collect()
    }

    fn door(&self) -> Value {
        json!({"address": ["127.0.0.1", self.port()], "authkey": "0123456789012345"})
    }

    /// Grants what it is asked for next; both connections.
    async fn lend(&self, names: &[&str]) -> (FarEnd<TcpStream>, FarEnd<TcpStream>) {
        let mut broker = self.welcome().await;
        broker.expect("get").await;
        broker.result(self.grant(names)).await;
        let mut session = self.welcome().await;
        assert_eq!(session.expect("get_resources").await, wanted(names));
        session.result(self.entries(names)).await;
        (broker, session)
    }
}

fn with(mut object: Value, name: &str, value: Value) -> Value {
    object.as_object_mut().unwrap().insert(name.to_owned(), value);
    object
}

/// A client that asks for this piece, of its house's forward target.
async fn asking(house: &House, name: &str) -> Guest {
    let mut client = house.guest("").await;
    client.ask(&Value::Null, "get", json!([resource(name)]), false).await;
    client
}

/// The reply to what was asked.
async fn refused(client: &mut Guest) -> (String, String) {
    let reply = timeout(LONG, client.reply()).await.unwrap().unwrap();
    let text = |name| reply["exception"][name].as_str().unwrap_or_else(|| panic!("{reply}")).to_owned();
    (text("type"), text("message"))
}

#[tokio::test]
async fn an_original_broker_is_asked_group_by_group_and_both_lines_are_kept() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&[], Some(stranger.port())).await;
    let mut client = house.guest("").await;
    client.ask(&Value::Null, "get_multi_resources", wanted(&["a", "b"]), false).await;
    let mut broker = stranger.welcome().await;
    let asked = broker.request().await.unwrap();
    assert_eq!((&asked["method"], &asked["params"]["vargs"]), (&json!("get"), &wanted(&["a"])));
    assert_eq!((&asked["via"], &asked["silence_limit_s"]), (&json!([house.site.id.to_string()]), &json!(12)));
    broker.result(stranger.grant(&["a"])).await;
    let mut session = stranger.welcome().await;
    assert_eq!(session.expect("get_resources").await, wanted(&["a"]));
    session.result(stranger.entries(&["a"])).await;
    assert_eq!(broker.expect("get").await, wanted(&["b"]));
    broker.result(stranger.grant(&["b"])).await;
    assert_eq!(session.expect("get_resources").await, wanted(&["b"]));
    session.result(stranger.entries(&["b"])).await;

    let granted = client.reply().await.unwrap();
    let mut proxy = house.guest(granted["result"][0]["authkey"].as_str().unwrap()).await;
    let entries = proxy.call("get_multi_resource", json!([wanted(&["b"]), wanted(&["a"])])).await.unwrap();
    assert_eq!(entries["result"], stranger.entries(&["b", "a"]), "unchanged");
    drop(client);
    assert_eq!(broker.request().await, None);
    assert_eq!(session.request().await, None);
}

#[tokio::test]
async fn our_own_kind_is_asked_for_all_groups_at_once() {
    let stranger = Stranger::new(our_salt()).await;
    let house = House::in_town(&[], Some(stranger.port())).await;
    let mut client = house.guest("").await;
    client.ask(&Value::Null, "get_multi_resources", wanted(&["a", "b"]), false).await;
    let mut broker = stranger.welcome().await;
    let groups = json!([wanted(&["a"]), wanted(&["b"])]);
    assert_eq!(broker.expect("get_multi_resources").await, groups);
    broker.result(json!([stranger.grant(&["a"]), stranger.grant(&["b"])])).await;
    let mut session = stranger.welcome().await;
    assert_eq!(session.expect("get_multi_resource").await, groups);
    session.result(stranger.entries(&["a", "b"])).await;
    assert!(client.reply().await.unwrap().get("result").is_some());
}

#[tokio::test]
async fn refusals_keep_their_meaning_whoever_says_them() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&[], Some(stranger.port())).await;
    let cases = [
        ("Busy", "in use", "Busy", "in use"),
        ("NoSuch", "none here", "NoSuch", "none here"),
        ("Exit", "all such equipment busy: {}", "Busy", "all such equipment busy: {}"),
        ("Exit", "cannot allocate all equipment together", "Busy", "cannot allocate all"),
        ("Exit", "equipment shares collateral", "Busy", "equipment shares"),
        ("Exit", "resource already allocated", "Busy", "resource already"),
        ("Exit", "no such resource: {}", "NoSuch", "no such resource: {}"),
        ("Exit", "no such workspace", "NoSuch", "no such workspace"),
        ("Exit", "Broker connection failed", "Exit", "Broker connection failed"),
        ("Exit", "killed", "Exit", "Broker connection failed: killed"),
        ("Exception", "session closed", "Exit", "Broker connection failed: session closed"),
        ("Exception", "profile is odd", "Exception", "profile is odd"),
        ("Offline", "no such cable", "Offline", "no such cable"),
    ];
    for (kind, message, seen_kind, seen_message) in cases {
        for at_session in [false, true] {
            let mut client = asking(&house, "a").await;
            let mut broker = stranger.welcome().await;
            broker.expect("get").await;
            let refusal = json!({"exception": {"type": kind, "message": message}});
            if at_session {
                broker.result(stranger.grant(&["a"])).await;
                let mut session = stranger.welcome().await;
                session.request().await.unwrap();
                session.reply(&refusal).await;
            } else {
                broker.reply(&refusal).await;
            }
            let (kind, message) = refused(&mut client).await;
            assert_eq!(kind, seen_kind, "{message}");
            assert!(message.starts_with(seen_message), "{message}");
            assert_eq!(broker.request().await, None, "the connection is spent");
        }
    }
}

#[tokio::test]
async fn a_broker_that_was_restarted_is_asked_anew_unless_something_is_held_there() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&[], Some(stranger.port())).await;
    let restarting = json!({"exception": {"type": "Restarting", "message": "broker is restarting"}});
    let mut client = asking(&house, "a").await;
    let mut old = stranger.welcome().await;
    old.expect("get").await;
    old.reply(&restarting).await;
    let mut new = stranger.welcome().await;
    new.expect("get").await;
    assert_eq!(old.request().await, None);
    new.result(stranger.grant(&["a"])).await;
    let mut session = stranger.welcome().await;
    session.request().await.unwrap();
    session.result(stranger.entries(&["a"])).await;
    assert!(client.reply().await.unwrap().get("result").is_some());
    // In two groups: what the first was granted is given back.
    client.ask(&Value::Null, "get_multi_resources", wanted(&["b", "c"]), false).await;
    new.expect("get").await;
    new.result(stranger.grant(&["b"])).await;
    session.request().await.unwrap();
    session.result(stranger.entries(&["b"])).await;
    new.expect("get").await;
    new.reply(&restarting).await;
    new.expect("yield_resources").await;
    new.result(json!([])).await;
    session.expect("yield_resources").await;
    session.result(Value::Null).await;
    assert_eq!(refused(&mut client).await.0, "Restarting");
    let held = client.call("list_allocations", json!([])).await.unwrap();
    assert_eq!(held["result"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_broker_that_answers_nonsense_is_as_good_as_none() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&[], Some(stranger.port())).await;
    let grants = [
        json!(null),
        json!([stranger.grant(&["a"])]),
        json!({}),
        stranger.grant(&[]),
        stranger.grant(&["a", "b"]),
        with(stranger.grant(&["a"]), "resources", json!("a")),
        with(stranger.grant(&["a"]), "address", json!(["127.0.0.1"])),
        with(stranger.grant(&["a"]), "address", json!(["127.0.0.1", 65_536])),
        with(stranger.grant(&["a"]), "address", json!([null, 4000])),
        with(stranger.grant(&["a"]), "authkey", json!(17)),
    ];
    for grant in &grants {
        let mut client = asking(&house, "a").await;
        let mut broker = stranger.welcome().await;
        broker.expect("get").await;
        broker.result(grant.clone()).await;
        let (kind, message) = refused(&mut client).await;
        assert_eq!(kind, "Exit");
        assert!(
            message.starts_with("Broker connection failed: ") && message.contains("nonsense"),
            "{message}"
        );
    }
    let [entry] = <[Value; 1]>::try_from(stranger.entries(&["a"]).as_array().unwrap().clone()).unwrap();
    let entries = [
        json!(null),
        json!([]),
        json!([entry, entry]),
        json!([null]),
        json!([with(entry.clone(), "address", json!("here"))]),
        json!([with(entry.clone(), "authkey", json!(null))]),
        json!([with(entry.clone(), "profile", json!(null))]),
        json!([with(entry.clone(), "profile", json!({"type": "wlan"}))]),
        json!([with(entry.clone(), "profile", json!({"type": "relay", "uid": "a"}))]),
        json!([with(entry.clone(), "profile", json!({"type": "unheard of", "uid": "a"}))]),
    ];
    for entry in &entries {
        let mut client = asking(&house, "a").await;
        let mut broker = stranger.welcome().await;
        broker.expect("get").await;
        broker.result(stranger.grant(&["a"])).await;
        let mut session = stranger.welcome().await;
        session.request().await.unwrap();
        session.result(entry.clone()).await;
        let (kind, message) = refused(&mut client).await;
        assert_eq!((kind.as_str(), message.contains("nonsense")), ("Exit", true), "{message}");
        assert_eq!(broker.request().await, None);
    }
}

/// So far a conversation gets with somebody who goes silent.
const PHASES: usize = 5;

/// Everything said up to this phase, and what is then still open.
async fn up_to(phase: usize, stranger: &Stranger) -> Box<dyn std::any::Any> {
    let stream = stranger.accept().await;
    if phase == 0 {
        return Box::new(stream);
    }
    let (mut broker, _) = FarEnd::welcome(stream, stranger.salt).await;
    broker.expect("get").await;
    if phase == 1 {
        return Box::new(broker);
    }
    broker.result(stranger.grant(&["a"])).await;
    let stream = stranger.accept().await;
    if phase == 2 {
        return Box::new((broker, stream));
    }
    let (mut session, _) = FarEnd::welcome(stream, stranger.salt).await;
    session.expect("get_resources").await;
    match phase {
        3 => Box::new(broker),
        _ => Box::new((broker, session)),
    }
}

#[tokio::test]
async fn a_broker_that_hangs_up_in_any_phase_is_told_from_one_that_refuses() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&[], Some(stranger.port())).await;
    for phase in 0..PHASES {
        let mut client = asking(&house, "a").await;
        drop(up_to(phase, &stranger).await);
        let (kind, message) = refused(&mut client).await;
        assert_eq!(
            (kind.as_str(), message.starts_with("Broker connection failed: ")),
            ("Exit", true),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_broker_that_hangs_in_any_phase_is_given_up_in_time() {
    let begun = Instant::now();
    let phases = (0..PHASES).filter(|phase| *phase != 3).map(|phase| async move {
        let stranger = Stranger::new(original_salt()).await;
        let house = House::in_town(&["b"], Some(stranger.port())).await;
        let mut client = house.guest("").await;
        client.get(&["b"]).await;
        client.ask(&Value::Null, "get", json!([resource("a")]), false).await;
        let silent = up_to(phase, &stranger).await;
        let (kind, message) = refused(&mut client).await;
        assert_eq!(kind, "Exit");
        assert!(message.starts_with("Broker connection failed: no answer within 3 s"), "{message}");
        house.until_available(&["b"]).await;
        drop(silent);
    });
    futures::future::join_all(phases).await;
    assert!(begun.elapsed() >= PEER_ANSWER_LIMIT, "they were waited for");
}

#[tokio::test]
async fn the_loss_of_either_line_ends_what_depends_on_it_and_only_that() {
    let stranger = Stranger::new(our_salt()).await;
    let house = House::in_town(&["b", "c"], Some(stranger.port())).await;
    let mut other = house.guest("").await;
    other.get(&["c"]).await;
    for broker_goes in [true, false] {
        let mut client = house.guest("").await;
        client.get(&["b"]).await;
        client.ask(&Value::Null, "get", json!([resource("a")]), false).await;
        let (broker, session) = stranger.lend(&["a"]).await;
        assert!(client.reply().await.unwrap().get("result").is_some());
        let (gone, mut rest) = if broker_goes { (broker, session) } else { (session, broker) };
        drop(gone);
        let mut why = "session closed".to_owned();
        if !broker_goes {
            rest.expect("list_allocations").await;
            let closed = "session closed: it was late";
            rest.reply(&json!({"exception": {"type": "Exception", "message": closed}})).await;
            why += &format!(": at 127.0.0.1:{}: it was late", stranger.port());
        }
        timeout(LONG, house.until_available(&["b"])).await.unwrap();
        assert_eq!(rest.request().await, None);
        assert_eq!(client.get(&["b"]).await["exception"]["message"], why);
    }
    assert!(other.call("list_allocations", json!([])).await.unwrap().get("result").is_some());
}

#[tokio::test]
async fn a_link_through_which_nothing_is_held_may_end_and_is_made_anew() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&["b"], Some(stranger.port())).await;
    let mut client = asking(&house, "a").await;
    let (mut broker, mut session) = stranger.lend(&["a"]).await;
    client.reply().await.unwrap();
    client.ask(&Value::Null, "yield_resources", wanted(&["a"]), false).await;
    assert_eq!(broker.expect("yield_resources").await, wanted(&["a"]));
    let failed = json!({"exception": {"type": "NotOwner", "message": "whatever it says"}});
    broker.reply(&failed).await;
    assert_eq!(session.expect("yield_resources").await, json!([wanted(&["a"])]));
    session.reply(&failed).await;
    assert_eq!(client.reply().await.unwrap()["result"], wanted(&["a"]));
    drop((broker, session));
    assert!(client.get(&["b"]).await.get("result").is_some());
    client.ask(&Value::Null, "get", json!([resource("a")]), false).await;
    let (_broker, _session) = stranger.lend(&["a"]).await;
    assert!(client.reply().await.unwrap().get("result").is_some());
}

#[tokio::test]
async fn a_client_that_leaves_while_another_broker_is_asked_leaves_nothing_behind() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&["b"], Some(stranger.port())).await;
    let mut client = house.guest("").await;
    client.ask(&Value::Null, "get_multi_resources", wanted(&["b", "a"]), false).await;
    let mut broker = stranger.welcome().await;
    broker.expect("get").await;
    drop(client);
    assert_eq!(broker.request().await, None);
    timeout(LONG, house.until_available(&["b"])).await.unwrap();
}

#[tokio::test]
async fn a_slow_share_delays_nobody_whom_another_can_serve_and_is_hung_up() {
    let stranger = Stranger::new(our_salt()).await;
    let quick = House::in_town(&["b"], None).await;
    let house = House::in_town(&[], None).await;
    for (link, port, name) in [(1, stranger.port(), "a"), (2, quick.port(), "b")] {
        // 127.0.0.1 comes before localhost: the slow one is asked first.
        let host = if port == quick.port() { "localhost" } else { "127.0.0.1" };
        let profile = Arc::new(Profile::of(resource(name)));
        let piece = SharedPiece { profile, taken: Vec::new(), origin: Arc::new(Origin::default()) };
        let report = Report { changed: vec![piece], ..Report::default() };
        let (share, link) = (Address::new(host, port), LinkId(link));
        house.site.hub.tell(Event::ShareReported { share, link, broker: None, report, request: None }).await;
    }
    let mut client = house.guest("").await;
    client.ask(&Value::Null, "get", json!([{"type": "wlan"}]), false).await;
    let mut broker = stranger.welcome().await;
    broker.expect("get").await;
    let granted = timeout(PEER_ANSWER_LIMIT, client.reply()).await.expect("long before it gives up").unwrap();
    assert_eq!(granted["result"]["resources"], wanted(&["b"]), "{granted}");
    assert_eq!(broker.request().await, None);
}

#[tokio::test]
async fn so_many_questions_are_under_way_to_one_broker_and_no_more() {
    let stranger = Stranger::new(original_salt()).await;
    let house = House::in_town(&[], Some(stranger.port())).await;
    let mut clients = Vec::new();
    let mut asked = Vec::new();
    for _ in 0..ASKS_AT_ONCE_MAX {
        clients.push(asking(&house, "a").await);
        asked.push(stranger.welcome().await);
    }
    clients.push(asking(&house, "a").await);
    let turns = house.site.turns.at(&Address::new("127.0.0.1", stranger.port()));
    assert_eq!(turns.available_permits(), 0);
    drop(asked.pop());
    let _next = stranger.welcome().await;
}
