//! What is not here is asked for elsewhere. (Specification 5.6, 5.9, 6.7.)

use ave_core::{Effect, Event, Report, Setback, Source};
use ave_profile::{BrokerId, Profile, Refusal, RefusalKind, RequestId, SessionId, Value, Want};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use crate::peers::*;

#[test]
fn a_request_that_cannot_be_satisfied_is_passed_on_and_tried_there_instead_158() {
    let mut broker = Broker::new(&["a"]).forwarding();
    assert_eq!(granted(broker.get(json!([any()])), &[]), [("a".into(), None)]);
    let asked = question(broker.get_via(json!([any()]), vec![BrokerId(3)]));
    assert_eq!((&asked.peer, &asked.via), (&at("far"), &vec![BrokerId(3), ID]));
    assert_eq!(asked.groups[0][0].get("power_state").unwrap().as_str(), Some("online"), "with defaults");
    let grant = broker.answers(&asked, json!([[relay("z")]]));
    assert_eq!(granted(grant, &[]), [("z".into(), Some(at("far")))]);
    assert_eq!(broker.core.allocations(Some(SESSION)).len(), 2);
}

#[test]
fn groups_go_to_different_brokers_and_come_back_in_order_159() {
    let mut broker = Broker::new(&["a"]).share("s", &["s"]).forwarding();
    let asked = questions(broker.get(json!([named("z"), named("s"), named("a")])));
    let [first, second] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&first.peer, &second.peer), (&at("far"), &at("s")));
    assert_eq!(broker.available(), [""; 0], "reserved while the others are asked");
    assert!(broker.answers(second, json!([[relay("s")]])).is_empty());
    let grant = granted(broker.answers(first, json!([[relay("z")]])), &[]);
    assert_eq!(grant, [("z".into(), Some(at("far"))), ("s".into(), Some(at("s"))), ("a".into(), None)]);
}

#[test]
fn a_refusal_at_the_end_is_a_refusal_here_and_nothing_stays_held_162_163() {
    for kind in [RefusalKind::Busy, RefusalKind::NoSuch] {
        let mut broker = Broker::new(&["a"]).share("s", &["s"]).forwarding();
        let asked = questions(broker.get(json!([named("a"), named("s"), named("z")])));
        assert!(broker.answers(&asked[0], json!([[relay("s")]])).is_empty());
        let (closed, refusal) = refused(broker.refuses(&asked[1], kind.clone()));
        assert_eq!((closed, &refusal.kind), (vec!["a".to_owned()], &kind));
        assert!(!broker.core.is_open(SESSION));
    }
}

#[test]
fn a_target_that_is_down_is_said_to_be_166() {
    let mut broker = Broker::new(&[]).forwarding();
    let asked = question(broker.get(json!([any()])));
    let (_, refusal) = refused(broker.fails(&asked));
    assert_eq!(refusal.kind.as_str(), "Exit");
    assert!(refusal.message.starts_with("Broker connection failed"), "{refusal}");
}

#[test]
fn a_request_that_has_been_here_before_is_refused_168() {
    let mut broker = Broker::new(&[]).forwarding();
    let (_, refusal) = refused(broker.get_via(json!([any()]), vec![BrokerId(1), ID]));
    assert_eq!(refusal.kind, RefusalKind::NoSuch);
}

#[test]
fn a_refusal_leads_to_the_next_candidate() {
    let mut broker = Broker::new(&[]).share("s1", &["a"]).share("s2", &["b"]);
    let first = question(broker.get(json!([any()])));
    assert_eq!(first.peer, at("s1"));
    let second = question(broker.refuses(&first, RefusalKind::Busy));
    assert_eq!(second.peer, at("s2"));
    assert_eq!(broker.available(), ["a"], "a is not reserved any more");
    assert_eq!(granted(broker.answers(&second, json!([[relay("b")]])), &[]), [("b".into(), Some(at("s2")))]);
}

#[test]
fn a_refusal_of_several_groups_blames_the_one_it_names() {
    let says = |kind, nth| Setback::Refused(Refusal::new(kind, "the owner says no").of_group(nth, 2));
    let mut broker = Broker::new(&[]).share("s1", &["a", "b"]).share("s2", &["a"]);
    let both = question(broker.get(json!([named("a"), named("b")])));
    assert_eq!((&both.peer, both.groups.len()), (&at("s1"), 2));
    let mut again = questions(broker.is_set_back(&both, says(RefusalKind::Busy, 0)));
    again.sort_by_key(|question| question.peer.clone());
    let [b, a] = &again[..] else { panic!("{again:?}") };
    assert_eq!((&b.peer, &a.peer), (&at("s1"), &at("s2")));
    assert!(broker.answers(b, json!([[relay("b")]])).is_empty());
    granted(broker.answers(a, json!([[relay("a")]])), &[]);

    let mut broker = Broker::new(&["a"]).forwarding();
    granted(broker.get(json!([named("a")])), &[]);
    broker.apply(Event::SessionOpened { session: SessionId(2) });
    let want = Want::of_groups(Value::from(json!([named("a"), named("b")])).as_list().expect("a list"));
    let (session, request) = (SessionId(2), RequestId(9));
    let mut effects = broker.apply(Event::Asked { session, request, want, nonce: 0, via: Vec::new() });
    let Some(Effect::AskPeer { ask, groups, .. }) = effects.pop() else { panic!("nobody is asked") };
    assert_eq!(groups.len(), 2);
    let outcome = Err(says(RefusalKind::NoSuch, 0));
    let (_, refusal) = refused(broker.apply(Event::PeerAnswered { session, ask, outcome }));
    assert_eq!(refusal.kind, RefusalKind::Busy, "a is here and taken, and nobody said that b is not there");
}

#[test]
fn a_refusal_by_somebody_who_has_lent_something_ends_it_all() {
    let mut broker = Broker::new(&[]).share("s1", &["a", "b"]).share("s2", &["c"]);
    let first = question(broker.get(json!([any()])));
    granted(broker.answers(&first, json!([[relay("a")]])), &[]);
    let second = question(broker.get(json!([any()])));
    assert_eq!(second.peer, at("s1"));
    let (_, refusal) = refused(broker.refuses(&second, RefusalKind::Busy));
    assert_eq!(refusal.kind, RefusalKind::Busy);
    assert_eq!(broker.available(), ["b", "c"], "a is absent until its share speaks of it");
}

#[test]
fn when_a_broker_is_slow_another_is_asked_too_and_the_first_who_serves_wins() {
    for quick in [0, 1] {
        let mut broker = Broker::new(&[]).share("s1", &["a"]).share("s2", &["b"]);
        let first = question(broker.get(json!([any()])));
        let second = question(broker.is_slow(&first));
        assert_eq!((&first.peer, &second.peer), (&at("s1"), &at("s2")));
        assert_eq!(broker.available(), [""; 0]);
        let (winner, loser) = if quick == 0 { (&first, &second) } else { (&second, &first) };
        let uid = if quick == 0 { "a" } else { "b" };
        let effects = broker.answers(winner, json!([[relay(uid)]]));
        let hung_up = if quick == 0 { "s2" } else { "s1" };
        assert_eq!(granted(effects, &[hung_up]), [(uid.into(), Some(winner.peer.clone()))]);
        assert!(broker.answers(loser, json!([[relay("late")]])).is_empty(), "nobody listens any more");
        assert_eq!(broker.available().len(), 1);
    }
}

#[test]
fn a_broker_known_to_be_slow_is_asked_last_until_it_answers() {
    let mut broker = Broker::new(&[]).share("s1", &["a"]).share("s2", &["b", "c"]);
    let first = question(broker.get(json!([any()])));
    let second = question(broker.is_slow(&first));
    granted(broker.answers(&second, json!([[relay("b")]])), &["s1"]);
    let third = question(broker.get(json!([any()])));
    assert_eq!(third.peer, at("s2"));
    granted(broker.answers(&third, json!([[relay("c")]])), &[]);
    let last = question(broker.get(json!([any()])));
    assert_eq!(last.peer, at("s1"), "there is nobody else");
    granted(broker.answers(&last, json!([[relay("a")]])), &[]);
}

#[test]
fn nobody_whom_the_session_needs_is_asked_besides_a_slow_broker() {
    let mut broker = Broker::new(&[]).share("s1", &["a"]).share("s2", &["b", "c"]);
    let needed = question(broker.get(json!([named("b")])));
    granted(broker.answers(&needed, json!([[relay("b")]])), &[]);
    let slow = question(broker.get(json!([any()])));
    assert_eq!(slow.peer, at("s1"));
    assert!(broker.is_slow(&slow).is_empty(), "to turn away from s2 would be to lose what is held there");
    granted(broker.answers(&slow, json!([[relay("a")]])), &[]);
}

#[test]
fn two_slow_brokers_do_not_hold_up_a_request_that_a_third_can_serve() {
    let mut broker = Broker::new(&[]);
    for host in ["s1", "s2", "s3", "s4"] {
        broker = broker.share(host, &[host]);
    }
    let first = question(broker.get(json!([any()])));
    let second = question(broker.is_slow(&first));
    let third = question(broker.is_slow(&second));
    assert!(broker.is_slow(&third).is_empty(), "three are enough");
    assert_eq!((&third.peer, broker.available()), (&at("s3"), vec!["s4".to_owned()]));
    let effects = broker.answers(&third, json!([[relay("s3")]]));
    granted(effects, &["s1", "s2"]);
}

#[test]
fn a_broker_that_is_asked_about_one_group_may_be_asked_about_another_afterwards() {
    let mut broker = Broker::new(&[]).share("s1", &["a"]).forwarding();
    let asked = questions(broker.get(json!([any(), named("b")])));
    let [s1, far] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&s1.peer, &far.peer), (&at("s1"), &at("far")));
    assert!(broker.refuses(s1, RefusalKind::Busy).is_empty(), "far may have one, but is being asked");
    let again = question(broker.answers(far, json!([[relay("b")]])));
    assert_eq!((&again.peer, again.groups.len()), (&at("far"), 1));
    let pieces = granted(broker.answers(&again, json!([[relay("c")]])), &[]);
    assert_eq!(pieces, [("c".into(), Some(at("far"))), ("b".into(), Some(at("far")))]);

    let mut broker = Broker::new(&[]).share("s1", &["a"]).share("s2", &["b"]);
    let asked = questions(broker.get(json!([named("a"), named("b")])));
    let (_, refusal) = refused(broker.refuses(&asked[0], RefusalKind::Busy));
    assert_eq!(refusal.kind, RefusalKind::Busy, "s2 has no other: there is nothing to wait for");
}

#[test]
fn nobody_else_is_asked_when_the_client_will_not_wait_for_the_answer() {
    for (took_s, is_late) in [(1, false), (3, true)] {
        let mut broker = Broker::new(&[]).share("s1", &["a"]).share("s2", &["b"]);
        let first = question(broker.get(json!([any()])));
        broker.now += Duration::from_secs(took_s);
        let effects = broker.refuses(&first, RefusalKind::Busy);
        if is_late {
            assert_eq!(refused(effects).1.kind, RefusalKind::Busy, "s2 was not asked");
        } else {
            assert_eq!(question(effects).peer, at("s2"));
        }
    }
}

#[test]
fn nonsense_is_as_good_as_no_answer() {
    let nonsense = [
        json!([]),
        json!([[]]),
        json!([[relay("a"), relay("b")]]),
        json!([[{"type": "relay"}]]),
        json!([[{"type": "handset", "serial": "a"}]]),
        json!([[{"type": "toaster", "uid": "a"}]]),
    ];
    for answer in nonsense {
        let mut broker = Broker::new(&[]).share("s1", &["a"]).share("s2", &["b"]);
        let first = question(broker.get(json!([any()])));
        let mut effects = broker.answers(&first, answer.clone());
        assert!(matches!(effects.remove(0), Effect::HangUp { .. }), "{answer}");
        assert_eq!(question(effects).peer, at("s2"), "{answer}");
    }
    let mut broker = Broker::new(&[]).forwarding();
    let asked = question(broker.get(json!([any(), any()])));
    let (_, refusal) = refused(broker.answers(&asked, json!([[relay("a")], [relay("a")]])));
    assert!(refusal.message.contains("relay:a twice"), "{refusal}");
}

#[test]
fn the_end_of_a_link_ends_the_session_that_holds_something_there_164() {
    let mut broker = Broker::new(&["a"]).forwarding();
    granted(broker.get(json!([any()])), &[]);
    assert!(broker.apply(Event::PeerLost { session: SESSION, peer: at("far") }).is_empty());
    let asked = question(broker.get(json!([any()])));
    granted(broker.answers(&asked, json!([[relay("z")]])), &[]);
    let effects = broker.apply(Event::PeerLost { session: SESSION, peer: at("far") });
    assert!(matches!(&effects[..], [Effect::End { items, .. }] if items.len() == 1), "{effects:?}");
}

#[test]
fn a_session_that_ends_while_others_are_asked_is_answered() {
    let mut broker = Broker::new(&[]).share("s", &["a"]);
    let asked = question(broker.get(json!([any()])));
    let (_, refusal) = refused(broker.apply(Event::SessionEnded { session: SESSION }));
    assert_eq!(refusal.message, "session closed");
    assert_eq!(broker.available(), ["a"]);
    assert!(broker.answers(&asked, json!([[relay("a")]])).is_empty());
}

#[test]
fn a_share_that_is_the_target_too_may_lend_for_one_question_what_is_reserved_for_another() {
    let mut broker = Broker::new(&[]).share("far", &["a"]).forwarding();
    let stack = [named("a"), named("b")].map(|short| Arc::new(Profile::of(short))).into();
    broker.reports("far", 1, Report { stacks: Some(vec![stack]), ..Report::default() });
    let asked = questions(broker.get(json!([[any(), any()], [named("a")]])));
    let [pair, named] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&pair.peer, &named.peer), (&at("far"), &at("far")));
    let two = json!([[relay("a"), relay("b")]]);
    assert!(broker.answers(pair, two).is_empty(), "the other group is still being asked for");
    refused(broker.refuses(named, RefusalKind::Busy));
}

#[test]
fn what_a_share_has_is_busy_even_while_that_is_asked_for_something_else() {
    let mut broker = Broker::new(&[]).share("s", &["a"]).forwarding();
    broker.reports("s", 1, Report { changed: vec![lent(relay("b"), &[])], ..Report::default() });
    let asked = questions(broker.get(json!([[named("a")], [named("b")]])));
    let [share, target] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&share.peer, &target.peer), (&at("s"), &at("far")));
    let (_, refusal) = refused(broker.refuses(target, RefusalKind::NoSuch));
    assert_eq!(refusal.kind, RefusalKind::Busy);
}

#[test]
fn what_a_share_says_is_busy_is_busy_if_there_is_no_time_to_ask_the_target() {
    let mut broker = Broker::new(&[]).share("s", &["a"]).forwarding();
    let asked = questions(broker.get(json!([[named("a")], [named("b")]])));
    let [share, target] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((&share.peer, &target.peer), (&at("s"), &at("far")));
    broker.now = Duration::from_secs(2);
    let (_, refusal) = refused(broker.refuses(share, RefusalKind::Busy));
    assert_eq!(refusal.kind, RefusalKind::Busy);
}

#[test]
fn the_refusal_of_a_broker_that_is_needed_says_which_group_of_the_whole_request_it_is_about() {
    let mut broker = Broker::new(&[]).share("far", &["a"]).forwarding();
    let asked = questions(broker.get(json!([[named("a")], [named("b")]])));
    let [far, other] = &asked[..] else { panic!("{asked:?}") };
    assert!(broker.answers(far, json!([[relay("a")]])).is_empty());
    let (_, refusal) = refused(broker.refuses(other, RefusalKind::NoSuch));
    assert_eq!((refusal.kind.clone(), refusal.group()), (RefusalKind::NoSuch, Some(1)));
}

#[test]
fn what_is_busy_here_is_busy_even_if_the_broker_that_is_needed_for_the_rest_has_no_such_thing() {
    let mut broker = Broker::new(&["own"]).share("far", &["a"]).forwarding();
    broker.apply(Event::SessionOpened { session: SessionId(2) });
    let want = Ok(Want { groups: vec![vec![Profile::of(named("own"))]] });
    let (session, request) = (SessionId(2), RequestId(50));
    broker.apply(Event::Asked { session, request, want, nonce: 0, via: Vec::new() });
    let asked = questions(broker.get(json!([[named("a")], [named("own")]])));
    let [far, own] = &asked[..] else { panic!("{asked:?}") };
    assert!(broker.answers(far, json!([[relay("a")]])).is_empty());
    let (_, refusal) = refused(broker.refuses(own, RefusalKind::NoSuch));
    assert_eq!(refusal.kind, RefusalKind::Busy);
}

#[test]
fn somebody_who_has_been_restarted_leaves_what_is_held_there_193_200() {
    let mut broker = Broker::new(&["l"]).share("s1", &["a", "b"]);
    let first = question(broker.get(json!([named("a")])));
    granted(broker.answers(&first, json!([[relay("a")]])), &[]);
    let second = question(broker.get(json!([named("l"), named("b")])));
    let effects = broker.is_set_back(&second, Setback::Restarting);
    let [Effect::Close { items, .. }, Effect::Refuse { refusal, .. }] = &effects[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((&*items[0].value, &refusal.kind), ("l", &RefusalKind::Restarting));
    let l = items[0].clone();
    broker.apply(Event::Closed { session: SESSION, item: l, outcome: Ok(()) });
    assert_eq!(broker.available(), ["l", "b"], "a is still held");
    // Somebody else who has it is asked first.
    let mut broker = broker.share("s2", &["b"]);
    let third = question(broker.get(json!([named("b")])));
    let fourth = question(broker.is_set_back(&third, Setback::Restarting));
    assert_ne!(fourth.peer, third.peer);
    granted(broker.answers(&fourth, json!([[relay("b")]])), &[]);
}

#[test]
fn what_was_asked_over_a_link_that_is_broken_is_not_waited_for() {
    let mut broker = Broker::new(&[]).forwarding().share("far", &["a"]);
    let mut asked = questions(broker.get(json!([[named("a")], [named("z")]])));
    let (z, a) = (asked.pop().unwrap(), asked.pop().unwrap());
    assert_eq!([&a.peer, &z.peer], [&at("far"), &at("far")], "by both its names");
    let profiles = vec![Profile::of(relay("a"))];
    broker.apply(Event::Reported { source: Source::File, profiles, request: None });
    // a is here now, and the question for z goes with the link.
    let (held, refusal) = refused(broker.is_slow(&a));
    assert_eq!(held, ["a"]);
    assert_eq!(refusal.to_string(), "Exit: Broker connection failed: far:4000 was slow");
    assert!(broker.answers(&z, json!([[relay("z")]])).is_empty());
}
