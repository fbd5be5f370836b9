//! Notifiers, whatever their masters do. Time is the test's own.

use ave_core::{Event, Source};
use ave_profile::Profile;
use ave_protocol::handshake::{Answer, Credential, KeyId, Salt, Secret};
use ave_protocol::limits::Limits;
use ave_protocol::message::Encoding;
use serde_json::{Value as Json, json};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::*;
use crate::testing::House;
use crate::testing::far::{FarEnd, original_salt, our_salt};

const SILENCE: Duration = Duration::from_secs(12);
const SECOND: Duration = Duration::from_secs(1);
const MASTER_ID: &str = "00000000000000ab";

type Far = FarEnd<DuplexStream>;

/// Gives the test the other end of every connection.
struct ToTheTest(mpsc::UnboundedSender<DuplexStream>);

impl Reach for ToTheTest {
    type Stream = DuplexStream;

    async fn dial(&self) -> Result<Line<DuplexStream>, LineError> {
        let (ours, theirs) = duplex(1 << 16);
        let _ = self.0.send(theirs);
        let key = Secret::new("share_key".to_owned());
        let credential = Credential::Account { name: Some("share".to_owned()), key };
        Line::open(ours, &credential, &Limits::default(), SILENCE).await
    }
}

/// A broker that shares, seen by its master.
struct Shared {
    house: House,
    attempts: mpsc::UnboundedReceiver<DuplexStream>,
    began: Instant,
    _notifier: JoinSet<Infallible>,
}

impl Shared {
    async fn new(pieces: &[&str]) -> Shared {
        let pieces: Vec<_> = pieces.iter().map(|name| (*name, "")).collect();
        let house = House::new(&pieces).await;
        let (sender, attempts) = mpsc::unbounded_channel();
        let mut tasks = JoinSet::new();
        let master = Address::new("master", 4000);
        tasks.spawn(Notifier::new(house.site.clone(), master, ToTheTest(sender)).run());
        Shared { house, attempts, began: Instant::now(), _notifier: tasks }
    }

    /// The next attempt to connect, and how many seconds after the start it comes.
    async fn attempt(&mut self) -> (DuplexStream, f64) {
        let stream = self.attempts.recv().await.expect("the notifier goes on");
        (stream, self.began.elapsed().as_secs_f64())
    }

    /// Lets the notifier in at its next attempt.
    async fn welcome(&mut self, salt: Salt) -> Far {
        FarEnd::welcome(self.attempt().await.0, salt).await.0
    }

    /// Lets it in, as a master of our own kind.
    async fn welcome_as_ours(&mut self) -> Far {
        let mut far = self.welcome(our_salt()).await;
        far.expect("share_hello").await;
        far.result(json!({"id": MASTER_ID, "version": 1})).await;
        far
    }

    /// Lets it in, as a master of our own kind, and takes its first report.
    async fn shared(&mut self) -> Far {
        let mut far = self.welcome_as_ours().await;
        assert_eq!(update(&mut far).await["whole"], true);
        far
    }

    /// Pieces appear or change.
    async fn report(&self, names: &[&str], room: i64) {
        let piece = |name: &&str| Profile::of(json!({"type": "wlan", "uid": name, "room": room}));
        self.house.site.hub.report(Source::Lister, names.iter().map(piece).collect()).await.unwrap();
    }
}

/// The next report to a master of our own kind, which takes it.
async fn update(far: &mut Far) -> Json {
    let arguments = take(far, "share_update").await;
    assert_eq!(arguments[0], json!(["127.0.0.1", 4000]));
    arguments[1].clone()
}

/// The arguments of the next call, which is this one and is answered as the original does.
async fn take(far: &mut Far, method: &str) -> Json {
    let arguments = far.expect(method).await;
    far.result(Json::Null).await;
    arguments
}

/// The names of pieces in a report.
fn names(pieces: &Json) -> Vec<&str> {
    let profile = |piece: &'_ Json| piece.get("profile").is_some();
    let name = |piece| if profile(piece) { &piece["profile"]["uid"] } else { &piece["uid"] };
    pieces.as_array().unwrap().iter().map(|piece| name(piece).as_str().unwrap()).collect()
}

async fn deny(far: &mut Far) {
    far.request().await.expect("a call");
    far.reply(&json!({"exception": "not authorized to make this call"})).await;
}

#[tokio::test(start_paused = true)]
async fn an_original_master_hears_workspaces_stacks_and_equipment_in_this_order_170() {
    let mut shared = Shared::new(&["a"]).await;
    let generic = json!({"type": "workspace", "root": "/w", "tools": {}});
    let stack = json!([{"type": "wlan", "uid": "a"}, {"type": "wlan", "uid": "b"}]);
    let profiles = stack.as_array().unwrap().iter().cloned().map(Profile::of).collect();
    shared.house.site.hub.tell(Event::StacksSet { stacks: vec![profiles] }).await;
    let profile = Some(Profile::of(generic.clone()));
    shared.house.site.hub.tell(Event::WorkspaceProfileSet { profile }).await;
    let from = json!(["127.0.0.1", 4000]);
    for _again in 0..2 {
        let mut far = shared.welcome(original_salt()).await;
        assert_eq!(take(&mut far, "set_ws_profile").await, json!([from, generic]));
        assert_eq!(take(&mut far, "set_stacks").await, json!([from, [stack]]));
        let equipment = take(&mut far, "set_equipment").await;
        assert_eq!((&equipment[0], names(&equipment[1])), (&from, vec!["a"]));
        assert_eq!((far.encoding(), &equipment[2]), (Encoding::Json, &json!({})));
    }
}

#[tokio::test(start_paused = true)]
async fn an_original_master_hears_the_whole_list_after_every_change_172_183() {
    let mut shared = Shared::new(&["a"]).await;
    let mut far = shared.welcome(original_salt()).await;
    take(&mut far, "set_equipment").await;
    shared.report(&["b"], 1).await;
    assert_eq!(names(&take(&mut far, "set_equipment").await[1]), ["a", "b"]);
    shared.report(&["b"], 2).await;
    assert_eq!(take(&mut far, "set_equipment").await[1][1]["room"], 2);
    let mut client = shared.house.guest("").await;
    client.get(&["a"]).await;
    let taken = take(&mut far, "set_equipment").await[2]["0"][0].clone();
    assert_eq!((&taken["profile"]["uid"], &taken["collateral"]), (&json!("a"), &json!([])));
    drop(client);
    assert_eq!(take(&mut far, "set_equipment").await[2], json!({}));
}

#[tokio::test(start_paused = true)]
async fn a_master_of_ours_is_greeted_and_hears_what_has_changed() {
    let mut shared = Shared::new(&["a", "b"]).await;
    let (mut far, answer) = FarEnd::welcome(shared.attempt().await.0, our_salt()).await;
    assert!(matches!(answer, Answer::Named { id: KeyId::Account(name), .. } if name == "share"));
    let hello = far.expect("share_hello").await;
    assert_eq!(hello, json!([{"id": "0000000000000fa0", "version": 1, "silence_limit_s": 12}]));
    assert_eq!(far.encoding(), Encoding::MessagePack);
    far.result(json!({"id": MASTER_ID, "version": 7, "more": []})).await;
    let all = update(&mut far).await;
    assert_eq!((&all["whole"], names(&all["changed"])), (&json!(true), vec!["a", "b"]));
    shared.report(&["b"], 2).await;
    let change = update(&mut far).await;
    assert_eq!((&change["whole"], names(&change["changed"])), (&json!(false), vec!["b"]));
    shared
        .house
        .site
        .hub
        .tell(Event::Vanished {
            source: Source::Lister,
            items: vec![ave_profile::Identity::new("wlan", "b")],
        })
        .await;
    let change = update(&mut far).await;
    assert_eq!((names(&change["changed"]), names(&change["gone"])), (vec![], vec!["b"]));
}

#[tokio::test(start_paused = true)]
async fn a_master_of_ours_that_knows_no_greeting_is_told_as_an_original_one() {
    let mut shared = Shared::new(&["a"]).await;
    let mut far = shared.welcome(our_salt()).await;
    far.expect("share_hello").await;
    far.reply(&json!({"exception": "no such RPC: share_hello"})).await;
    assert_eq!(names(&take(&mut far, "set_equipment").await[1]), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_first_change_is_told_at_once_and_those_that_follow_together_190() {
    let mut shared = Shared::new(&[]).await;
    let mut far = shared.shared().await;
    tokio::time::sleep(SECOND).await;
    let begun = Instant::now();
    shared.report(&["a"], 1).await;
    assert_eq!(names(&update(&mut far).await["changed"]), ["a"]);
    assert_eq!(begun.elapsed(), Duration::ZERO);
    for room in 0..9 {
        shared.report(&["b", "c"], room).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let change = update(&mut far).await;
    assert_eq!(begun.elapsed().as_millis(), 100);
    assert_eq!(
        (names(&change["changed"]), &change["changed"][0]["profile"]["room"]),
        (vec!["b", "c"], &json!(8))
    );
}

#[tokio::test(start_paused = true)]
async fn nothing_is_told_when_nothing_has_changed_190() {
    for salt in [our_salt(), original_salt()] {
        let mut shared = Shared::new(&[]).await;
        shared.report(&["a"], 1).await;
        let mut far = match salt.has_marker() {
            true => shared.shared().await,
            false => shared.welcome(salt).await,
        };
        if !salt.has_marker() {
            take(&mut far, "set_equipment").await;
        }
        for _ping in 0..5 {
            shared.report(&["a"], 1).await;
            far.expect("get_version").await;
            far.result(json!(1)).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_master_that_rejects_connections_is_tried_ever_more_rarely_until_it_accepts_173_177() {
    let mut shared = Shared::new(&["a"]).await;
    for expected in [0, 1, 3, 7, 15, 31, 47] {
        assert_eq!(shared.attempt().await.1.floor() as i64, expected);
    }
    let far = shared.shared().await;
    let lost = Instant::now();
    drop(far);
    shared.attempt().await;
    assert_eq!(lost.elapsed().as_secs(), 1, "175: a master that has closed is back soon");
    shared.shared().await;
    assert_eq!(lost.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn news_are_worth_an_attempt_but_one_a_second_at_most() {
    let mut shared = Shared::new(&["a"]).await;
    for _ in 0..6 {
        shared.attempt().await;
    }
    let last = Instant::now();
    tokio::time::sleep(5 * SECOND).await;
    shared.report(&["b"], 1).await;
    shared.attempt().await;
    assert_eq!(last.elapsed().as_secs(), 5);
    shared.report(&["b"], 2).await;
    shared.attempt().await;
    assert_eq!(last.elapsed().as_secs(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_master_that_does_not_know_the_key_is_told_nothing_and_tried_ever_more_rarely_187() {
    for salt in [our_salt(), original_salt()] {
        let mut shared = Shared::new(&["a"]).await;
        for expected in [0, 1, 3, 7, 15, 31, 47] {
            let (stream, at) = shared.attempt().await;
            assert_eq!(at.floor() as i64, expected);
            deny(&mut FarEnd::refuse(stream, salt).await).await;
        }
        shared.shared().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_master_that_never_answers_is_given_up_wherever_it_stops() {
    let mut shared = Shared::new(&["a"]).await;
    let mut silent: Vec<Far> = Vec::new();
    let limits = [
        ("share_hello", HELLO_LIMIT),
        ("share_update", SILENCE),
        ("get_version", SILENCE),
        ("set_equipment", REPORT_LIMIT),
    ];
    for (method, limit) in limits {
        let mut far = match method {
            "share_hello" => shared.welcome(our_salt()).await,
            "share_update" => shared.welcome_as_ours().await,
            "set_equipment" => shared.welcome(original_salt()).await,
            _ => shared.shared().await,
        };
        let heard = Instant::now();
        far.expect(method).await;
        silent.push(far);
        let (stream, _) = timeout(limit + 5 * SECOND, shared.attempt()).await.expect(method);
        drop(stream);
        assert!(heard.elapsed() > limit, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_master_that_makes_no_sense_is_left_and_tried_again() {
    let mut shared = Shared::new(&["a"]).await;
    let mut far = FarEnd::new(shared.attempt().await.0);
    far.send(b"HTTP/1.1 400 Bad Request").await;
    for hello in [json!(null), json!({"version": 1}), json!({"id": 5}), json!({"id": "AB"}), json!([1])] {
        let mut far = shared.welcome(our_salt()).await;
        far.expect("share_hello").await;
        far.result(hello).await;
    }
    for nonsense in [&b"\xff"[..], b"{}", b"[]", br#"{"exception": {"type": "Busy", "message": "no"}}"#] {
        let mut far = shared.welcome_as_ours().await;
        far.expect("share_update").await;
        far.send(nonsense).await;
    }
    shared.shared().await;
}

#[tokio::test(start_paused = true)]
async fn a_master_that_closes_at_any_step_hears_everything_the_next_time() {
    let mut shared = Shared::new(&["a"]).await;
    drop(shared.welcome(our_salt()).await);
    let mut far = shared.welcome(our_salt()).await;
    far.expect("share_hello").await;
    drop(far);
    drop(shared.welcome_as_ours().await);
    let mut far = shared.welcome_as_ours().await;
    far.expect("share_update").await;
    drop(far);
    let mut far = shared.shared().await;
    shared.report(&["b"], 1).await;
    far.expect("share_update").await;
    drop(far);
    let mut far = shared.welcome_as_ours().await;
    let all = update(&mut far).await;
    assert_eq!((&all["whole"], names(&all["changed"])), (&json!(true), vec!["a", "b"]));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_the_master_does_not_know_is_named_in_the_log_187() {
    let house = House::new(&[("a", "")]).await;
    let (sender, mut attempts) = mpsc::unbounded_channel();
    let master = Address::new("master", 4000);
    let mut notifier = Notifier::new(house.site.clone(), master, ToTheTest(sender));
    for salt in [our_salt(), original_salt()] {
        let (Err(trouble), ()) = tokio::join!(notifier.share(), async {
            deny(&mut FarEnd::refuse(attempts.recv().await.unwrap(), salt).await).await;
        });
        assert!(matches!(trouble, Trouble::Key), "{trouble}");
    }
}

#[test]
fn a_trouble_is_logged_when_it_is_new() {
    let mut logged = Logged::default();
    let troubles = ["refused", "refused", "key", "key", "refused"];
    assert_eq!(troubles.map(|trouble| logged.is_new(trouble)), [true, false, true, false, true]);
}
