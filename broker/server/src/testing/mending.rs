//! Broken pieces: shown, kept from everybody, and lent again after a reset. (Specification 5.11; the numbers
//! are those of `docs/protocol.md`.)

use ave_core::Source;
use ave_profile::{Identity, Profile};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, timeout};

use super::guest::{Guest, resource};
use super::{ADMIN, House};
use crate::limits::{CLOSE_GIVE_UP, RESET_GIVE_UP};
use crate::sightings::Sightings;

/// A house whose piece `a` has been lent and could not be closed.
async fn broken(fault: &str) -> House {
    let house = House::new(&[("a", fault), ("b", "")]).await;
    let mut client = house.guest("").await;
    assert!(client.get(&["a"]).await.get("result").is_some());
    drop(client);
    timeout(CLOSE_GIVE_UP * 2, house.until_available(&["b"])).await.expect("it is closing");
    while house.reason("a").await.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await; // of the test's own time
    }
    house
}

impl House {
    /// Why a piece is broken, by the list.
    async fn reason(&self, name: &str) -> Option<String> {
        let filter = Profile::of(resource(name));
        let listed = self.site.hub.look(move |core| core.equipment(Some(&filter), None)).await.unwrap();
        Some(listed[0].get("broken")?.as_str()?.to_owned())
    }

    async fn reset(&self, name: &str) -> Value {
        self.guest(ADMIN).await.call("reset_equipment", json!([resource(name)])).await.expect("an answer")
    }

    /// Has the broken piece `a` reset by a driver that never ends. Who asked still waits.
    async fn begin_endless_reset(&self) -> Guest {
        self.report("a", "reset hangs").await;
        let mut admin = self.guest(ADMIN).await;
        admin.ask(&Value::Null, "reset_equipment", json!([resource("a")]), false).await;
        self.until_told("reset a").await;
        admin
    }

    /// Waits until this is the last that the driver did.
    async fn until_told(&self, last: &str) {
        while self.story.told().last().is_none_or(|line| line != last) {
            tokio::task::yield_now().await;
        }
    }

    /// Says something else of a piece, so that its driver behaves differently.
    async fn report(&self, name: &str, fault: &str) {
        let profile = Profile::of(json!({"type": "wlan", "uid": name, "fault": fault}));
        self.site.hub.report(Source::File, vec![profile]).await.unwrap();
    }
}

fn message(reply: &Value) -> &str {
    reply["exception"]["message"].as_str().unwrap_or_else(|| panic!("{reply}"))
}

#[tokio::test(start_paused = true)]
async fn a_broken_piece_is_lent_again_after_its_reset_220() {
    let house = broken("close fails").await;
    assert_eq!(house.reason("a").await.as_deref(), Some("a screw is loose")); // 219
    house.report("a", "").await;
    assert_eq!(house.available().await, ["b"], "no report mends anything");
    assert_eq!(house.reset("a").await, json!({"result": null}));
    assert_eq!((house.available().await, house.reason("a").await), (vec!["a".into(), "b".into()], None));
    assert_eq!(house.story.told(), ["open a", "reset a"]);
    assert!(house.guest("").await.get(&["a"]).await.get("result").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_piece_whose_reset_fails_stays_broken_with_the_new_reason_221() {
    let house = broken("close hangs").await;
    for (fault, reason) in [
        ("reset fails", "the screw is still loose"),
        ("reset panics", "its driver panicked"),
        ("reset hangs", "its reset did not end within its time limit"),
    ] {
        house.report("a", fault).await;
        let begun = Instant::now();
        let refused = house.reset("a").await;
        assert!(message(&refused).ends_with(reason), "{refused}");
        assert!(begun.elapsed() <= RESET_GIVE_UP + Duration::from_secs(1), "{fault}");
        assert_eq!(house.reason("a").await.as_deref(), Some(reason));
        assert_eq!(house.available().await, ["b"]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_an_administrator_may_reset_and_only_what_is_broken_222() {
    let house = broken("close fails").await;
    let refused = json!({"exception": "not authorized to make this call"});
    let mut client = house.guest("").await;
    assert_eq!(client.call("reset_equipment", json!([resource("a")])).await, Some(refused));
    assert_eq!(message(&house.reset("b").await), "wlan:b is not broken");
    let unknown = house.reset("z").await;
    assert_eq!(
        (&unknown["exception"]["type"], message(&unknown)),
        (&json!("NoSuch"), "no such resource: wlan:z")
    );
    let mut admin = house.guest(ADMIN).await;
    let unnamed = admin.call("reset_equipment", json!([{"type": "wlan"}])).await.unwrap();
    assert!(message(&unnamed).starts_with("profile does not name a piece: "), "{unnamed}");
}

#[tokio::test(start_paused = true)]
async fn a_reset_delays_nobody_and_is_done_once_at_a_time() {
    let house = broken("close fails").await;
    let _admin = house.begin_endless_reset().await;
    let begun = Instant::now();
    assert_eq!(message(&house.reset("a").await), "wlan:a is being reset already");
    assert!(house.guest("").await.get(&["b"]).await.get("result").is_some());
    assert!(begun.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_watch_has_a_piece_reset_that_is_fit_again() {
    let house = broken("close fails").await;
    let sightings = Sightings::new(house.site.hub.clone(), 0);
    sightings.reset(Identity::new("wlan", "b")).await; // nobody hears that it is not broken
    sightings.reset(Identity::new("wlan", "a")).await;
    house.until_available(&["a", "b"]).await;
    assert_eq!(house.story.told(), ["open a", "reset a"]);
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_given_up_when_the_broker_stops() {
    let house = broken("close fails").await;
    let _admin = house.begin_endless_reset().await;
    let begun = Instant::now();
    house.site.stop.cancel();
    house.until_told("dropped a").await;
    assert!(begun.elapsed() < RESET_GIVE_UP);
}

#[tokio::test(start_paused = true)]
async fn a_broken_piece_is_reset_until_that_helps_without_being_asked_for() {
    let house = broken("close fails").await;
    house.report("a", "reset fails").await;
    while house.story.told().iter().filter(|line| *line == "reset a").count() < 3 {
        tokio::time::sleep(Duration::from_secs(1)).await; // of the test's own time
    }
    assert_eq!(house.reason("a").await.as_deref(), Some("the screw is still loose"));
    house.report("a", "").await;
    timeout(Duration::from_secs(100), house.until_available(&["a", "b"]))
        .await
        .expect("the next reset helps");
}
