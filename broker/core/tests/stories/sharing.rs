//! What shares report, what becomes of it, and what is passed on. (Specification 6.)

use ave_core::{Allocator, Door, Effect, Event, Moment, News, Origin, Report, Revision, SharedPiece, Toward};
use ave_profile::{BrokerId, Identity, LinkId, Profile, RefusalKind, RequestId, Value};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

use crate::peers::*;

#[test]
fn a_share_s_equipment_is_listed_after_our_own_and_what_we_have_ourselves_is_not_listed_twice() {
    let broker = Broker::new(&["a", "b"]).share("s", &["b", "c"]);
    assert_eq!(broker.listed(), ["a", "b", "c"]);
    assert_eq!(broker.available(), ["a", "b", "c"]);
    assert_eq!(broker.core.shares(), [at("s")]);
    let of_share = |host| broker.core.equipment(None, Some(&Allocator::Share(at(host)))).len();
    assert_eq!((of_share("s"), of_share("t")), (1, 0));
    let holders: Vec<_> = broker.core.holders(None, false).into_iter().map(|(holder, _)| holder).collect();
    assert_eq!(holders, [None, None, Some(at("s"))]);
}

#[test]
fn what_others_have_at_the_share_is_neither_available_nor_lent_172_186() {
    let stack = [named("x"), named("y")];
    let stacks = vec![stack.iter().map(|short| Arc::new(Profile::of(short.clone()))).collect()];
    let mut broker = Broker::new(&[]);
    let changed = vec![lent(relay("x"), &[named("y")]), shared(relay("y")), shared(relay("z"))];
    broker.reports("s", 1, Report { changed, stacks: Some(stacks), ..Report::default() });
    assert_eq!((broker.listed().len(), broker.available()), (3, vec!["z".to_owned()]));
    assert_eq!(broker.core.allocations(None).len(), 1);
    assert_eq!(broker.core.stacks().len(), 1);
    let (_, refusal) = refused(broker.get(json!([named("y")])));
    assert_eq!(refusal.kind, RefusalKind::Busy);
    broker.reports("s", 1, Report { changed: vec![shared(relay("x"))], ..Report::default() });
    assert_eq!(broker.available().len(), 3);
}

#[test]
fn a_piece_given_back_is_listed_again_when_its_share_speaks_of_it_182() {
    let mut broker = Broker::new(&[]).share("s", &["a"]);
    let asked = question(broker.get(json!([any()])));
    granted(broker.answers(&asked, json!([[relay("a")]])), &[]);
    broker.reports("s", 1, Report { changed: vec![lent(relay("a"), &[])], ..Report::default() });
    assert_eq!(broker.core.allocations(None).len(), 1, "it is ours");
    broker.apply(Event::SessionEnded { session: SESSION });
    assert_eq!(broker.listed(), [""; 0]);
    broker.reports("s", 1, Report { changed: vec![shared(relay("a"))], ..Report::default() });
    assert_eq!(broker.available(), ["a"]);
    assert_eq!(broker.core.deadline().map(|_| ()), Some(()), "there is nothing to do then, which is no harm");
}

#[test]
fn a_piece_given_back_is_busy_as_long_as_it_is_not_listed_again() {
    let mut broker = Broker::new(&[]).share("s", &["a"]);
    let asked = question(broker.get(json!([any()])));
    granted(broker.answers(&asked, json!([[relay("a")]])), &[]);
    yields(&mut broker, Door::Broker, "a");
    assert_eq!(refused(broker.get(json!([any()]))).1.kind, RefusalKind::Busy);
}

#[test]
fn a_piece_given_back_of_which_nobody_speaks_returns_after_a_while() {
    let mut broker = Broker::new(&[]).share("s", &["a"]);
    let asked = question(broker.get(json!([any()])));
    granted(broker.answers(&asked, json!([[relay("a")]])), &[]);
    broker.apply(Event::SessionEnded { session: SESSION });
    let Some(Moment(deadline)) = broker.core.deadline() else { panic!("nothing is waited for") };
    assert_eq!(deadline, Duration::from_secs(3));
    broker.now = deadline - Duration::from_nanos(1);
    broker.apply(Event::DeadlineReached);
    assert_eq!(broker.available(), [""; 0]);
    broker.now = deadline;
    broker.apply(Event::DeadlineReached);
    assert_eq!((broker.available(), broker.core.deadline()), (vec!["a".to_owned()], None));
}

#[test]
fn a_piece_given_back_returns_as_its_share_last_spoke_of_it() {
    let mut broker = Broker::new(&[]).share("s", &["a"]);
    let asked = question(broker.get(json!([any()])));
    granted(broker.answers(&asked, json!([[relay("a")]])), &[]);
    // The share has noticed the end of the session before we have, and has lent the piece to somebody else.
    broker.reports("s", 1, Report { changed: vec![lent(relay("a"), &[])], ..Report::default() });
    broker.apply(Event::SessionEnded { session: SESSION });
    broker.now = broker.core.deadline().expect("something is waited for").0;
    broker.apply(Event::DeadlineReached);
    assert_eq!((broker.listed(), broker.available()), (vec!["a".to_owned()], vec![]));
}

#[test]
fn the_owner_may_lend_another_piece_than_was_thought() {
    let mut broker = Broker::new(&[]).share("s", &["a", "b"]);
    let asked = question(broker.get(json!([any()])));
    assert_eq!(broker.available(), ["b"]);
    granted(broker.answers(&asked, json!([[relay("b")]])), &[]);
    assert_eq!(broker.available(), ["a"]);
}

#[test]
fn the_newest_connection_of_an_address_counts_188() {
    let mut broker = Broker::new(&[]).share("s", &["a"]);
    let report = || Report { changed: vec![shared(relay("b"))], ..Report::default() };
    let effects = broker.reports("s", 2, report());
    assert!(effects.contains(&Effect::CutLink { link: LinkId(1) }), "{effects:?}");
    assert!(broker.apply(Event::ShareLost { link: LinkId(1) }).is_empty());
    assert!(broker.reports("s", 1, Report { gone: vec![], ..report() }).is_empty());
    assert_eq!(broker.available(), ["a", "b"]);
    let effects = broker.apply(Event::ShareDropped { share: Some(at("s")) });
    assert!(effects.contains(&Effect::CutLink { link: LinkId(2) }), "{effects:?}");
    assert_eq!((broker.listed(), broker.core.shares()), (vec![], vec![]));
}

#[test]
fn running_clients_keep_what_a_lost_share_has_lent_them_157() {
    let mut broker = Broker::new(&[]).share("s", &["a"]);
    let asked = question(broker.get(json!([any()])));
    granted(broker.answers(&asked, json!([[relay("a")]])), &[]);
    broker.apply(Event::ShareLost { link: LinkId(1) });
    assert!(broker.core.is_open(SESSION));
    let effects = yields(&mut broker, Door::Broker, "a");
    assert!(matches!(&effects[..], [Effect::YieldAtPeer { .. }, Effect::Yielded { outcome: Ok(_), .. }]));
    let effects = yields(&mut broker, Door::Session, "a");
    assert!(matches!(&effects[..], [Effect::Yielded { outcome: Ok(_), .. }]), "{effects:?}");
    assert!(broker.core.is_open(SESSION));
}

#[test]
fn what_is_somebody_else_s_cannot_be_given_back() {
    let mut broker = Broker::new(&[]).share("s", &["free"]);
    broker.reports("s", 1, Report { changed: vec![lent(relay("lent"), &[])], ..Report::default() });
    for (uid, kind) in [("free", None), ("unknown", None), ("lent", Some(RefusalKind::NotAllocated))] {
        let effects = yields(&mut broker, Door::Broker, uid);
        let [Effect::Yielded { outcome, .. }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!(outcome.as_ref().err().map(|refusal| refusal.kind.clone()), kind, "{uid}");
    }
}

fn yields(broker: &mut Broker, door: Door, uid: &str) -> Vec<Effect> {
    let profiles = vec![Profile::of(named(uid))];
    broker.apply(Event::Yielded { session: SESSION, request: RequestId(99), door, profiles })
}

#[test]
fn workspace_criteria_and_uids_choose_the_share_148_151() {
    let mut broker = Broker::new(&[]);
    for (host, pretty) in [("s1", "one"), ("s2", "two")] {
        let generic = Profile::of(json!({"type": "workspace", "pretty": pretty, "tools": {}}));
        let uid = format!("{pretty}-1");
        let made = shared(json!({"type": "workspace", "pretty": pretty, "uid": uid}));
        let report = Report { changed: vec![made], workspace: Some(Some(generic)), ..Report::default() };
        broker.reports(host, 1, report);
    }
    for wanted in
        [json!({"type": "workspace", "pretty": "two"}), json!({"type": "workspace", "uid": "two-1"})]
    {
        assert_eq!(question(broker.get(json!([wanted]))).peer, at("s2"));
        broker.apply(Event::SessionEnded { session: SESSION });
        broker.apply(Event::SessionOpened { session: SESSION });
    }
    let (_, refusal) = refused(broker.get(json!([{"type": "workspace", "pretty": "three"}])));
    assert_eq!(refusal.kind, RefusalKind::NoSuch);
    assert!(refusal.message.starts_with("no such workspace"), "{refusal}");
}

#[test]
fn unknown_types_are_left_out_189() {
    let mut broker = Broker::new(&[]);
    let changed = vec![shared(json!({"type": "toaster", "uid": "t"})), shared(relay("a"))];
    broker.reports("s", 1, Report { changed, ..Report::default() });
    assert_eq!(broker.listed(), ["a"]);
}

fn everything(broker: &Broker, toward: &Toward) -> News {
    broker.core.news(Revision::default(), toward, usize::MAX)
}

fn told(news: &News) -> Vec<String> {
    news.report.changed.iter().map(uid).collect()
}

fn uid(piece: &SharedPiece) -> String {
    piece.profile.get("uid").and_then(Value::as_str).expect("relays have a uid").to_owned()
}

#[test]
fn only_what_has_changed_is_told_190() {
    let mut broker = Broker::new(&["a", "b"]);
    let toward = Toward::default();
    let first = everything(&broker, &toward);
    assert!(first.afresh && !first.more && first.report.stacks.is_some());
    assert_eq!(told(&first), ["a", "b"]);
    let again = broker.core.news(first.upto, &toward, usize::MAX);
    assert_eq!((again.report, again.afresh), (Report::default(), false));
    granted(broker.get(json!([named("b")])), &[]);
    let next = broker.core.news(first.upto, &toward, usize::MAX);
    assert_eq!(told(&next), ["b"]);
    assert_eq!(next.report.changed[0].taken.len(), 1);
    assert_eq!(next.report.stacks, None);
    let report = |profile| Event::Reported {
        source: ave_core::Source::File,
        profiles: vec![Profile::of(profile)],
        request: None,
    };
    broker.apply(report(relay("a")));
    broker.apply(Event::StacksSet { stacks: Vec::new() });
    assert_eq!(broker.core.news(next.upto, &toward, usize::MAX).report, Report::default());
    assert_eq!(broker.core.revision().clone(), broker.core.revision());
}

#[test]
fn news_come_in_portions_that_add_up() {
    let mut broker = Broker::new(&["a", "b"]);
    broker.apply(Event::StacksSet { stacks: vec![["a", "b"].map(|uid| Profile::of(named(uid))).into()] });
    let report = Event::Reported {
        source: ave_core::Source::File,
        profiles: vec![Profile::of(relay("c"))],
        request: None,
    };
    broker.apply(report);
    let mut portions = Vec::new();
    let mut since = Revision::default();
    loop {
        let news = broker.core.news(since, &Toward::default(), 1);
        since = news.upto;
        portions.push((told(&news), news.report.stacks.map(|stacks| stacks.len())));
        if !news.more {
            break;
        }
    }
    let uids: Vec<_> = portions.iter().flat_map(|(uids, _)| uids.clone()).collect();
    assert_eq!((uids, portions.len()), (vec!["a".to_owned(), "b".into(), "c".into()], 3));
    let stacks: Vec<_> = portions.into_iter().filter_map(|(_, stacks)| stacks).collect();
    assert_eq!(stacks, [1], "told once");
}

#[test]
fn who_has_missed_that_something_is_gone_when_nobody_remembers_starts_anew() {
    let mut broker = Broker::new(&[]);
    let relays = |range: std::ops::Range<u32>| range.map(|n| shared(relay(&n.to_string()))).collect();
    let mut report = |report: Report| {
        let (share, link) = (at("s"), LinkId(1));
        let event = Event::ShareReported { share, link, broker: None, report, request: None };
        broker.core.apply(Moment::default(), event);
        broker.core.revision()
    };
    report(Report { changed: relays(0..5000), ..Report::default() });
    let before = report(Report { changed: relays(5000..5001), ..Report::default() });
    let gone = (0..5000).map(|n: u32| Identity::new("relay", &n.to_string())).collect();
    let after = report(Report { gone, ..Report::default() });
    for n in 0..200 {
        report(Report { changed: relays(5001 + 100 * n..5101 + 100 * n), ..Report::default() });
    }
    let news = |since| broker.core.news(since, &Toward::default(), usize::MAX);
    assert!(news(before).afresh && !news(after).afresh);
    assert_eq!(told(&news(before)).len(), 20_001);
    assert!(news(before).report.gone.is_empty());
}

#[test]
fn what_shares_have_is_passed_on_with_its_way_but_never_back_178_191() {
    let mut broker = Broker::new(&["own"]).share("low", &["a"]);
    let path = vec![BrokerId(50), BrokerId(51)];
    let origin = Arc::new(Origin { holder: Some(at("deep")), path: path.clone() });
    let changed = vec![SharedPiece { origin, ..shared(relay("deep")) }];
    broker.reports("low", 1, Report { changed, ..Report::default() });
    let news = everything(&broker, &Toward::default());
    let mut told_pieces = told(&news);
    told_pieces.sort();
    assert_eq!(told_pieces, ["a", "deep", "own"]);
    let deep =
        news.report.changed.iter().find(|piece| piece.profile["uid"].as_str() == Some("deep")).unwrap();
    assert_eq!(deep.origin.holder, Some(at("deep")));
    assert_eq!(deep.origin.path, [path, vec![ID]].concat());
    let to_share = Toward { address: Some(at("low")), broker: None };
    assert_eq!(told(&everything(&broker, &to_share)), ["own"]);
    let to_deep = Toward { address: None, broker: Some(BrokerId(50)) };
    assert!(!told(&everything(&broker, &to_deep)).contains(&"deep".to_owned()));

    let origin = Arc::new(Origin { holder: None, path: vec![ID] });
    let changed = vec![SharedPiece { origin, ..shared(relay("ghost")) }];
    broker.reports("low", 1, Report { changed, ..Report::default() });
    assert!(!broker.listed().contains(&"ghost".to_owned()), "it has been here before");
}

#[test]
fn stacks_do_not_go_round_a_loop_of_shares_191() {
    let mut broker = Broker::new(&[]);
    let origin = Arc::new(Origin { holder: None, path: vec![BrokerId(50), BrokerId(51)] });
    let changed = vec![SharedPiece { origin, ..shared(relay("x")) }];
    let stack: Arc<[_]> = [named("x"), named("y")].map(|short| Arc::new(Profile::of(short))).into();
    let stacks = Some(vec![stack]);
    broker.reports("s", 1, Report { stacks: stacks.clone(), ..Report::default() });
    assert_eq!(
        everything(&broker, &Toward::default()).report.stacks,
        Some(vec![]),
        "none of its pieces is told"
    );
    broker.reports("s", 1, Report { changed, ..Report::default() });
    let news = everything(&broker, &Toward::default());
    assert_eq!(news.report.stacks, stacks);
    let came_from = Toward { address: None, broker: Some(BrokerId(50)) };
    assert_eq!(everything(&broker, &came_from).report.stacks, Some(vec![]));
    broker.reports("s", 1, Report { stacks, ..Report::default() });
    assert_eq!(broker.core.revision(), news.upto, "the same stacks are no news");
}

#[test]
fn the_loss_of_a_share_is_news_181() {
    let mut broker = Broker::new(&[]).share("low", &["a"]);
    let before = everything(&broker, &Toward::default());
    broker.apply(Event::ShareLost { link: LinkId(1) });
    let after = broker.core.news(before.upto, &Toward::default(), usize::MAX);
    let gone: Vec<_> = after.report.gone.iter().map(|item| item.value.to_string()).collect();
    assert_eq!((gone, after.report.changed.len()), (vec!["a".to_owned()], 0));
}

#[test]
fn a_broker_does_not_share_with_itself() {
    let mut broker = Broker::new(&["a"]);
    let report = Report { changed: vec![shared(relay("b"))], ..Report::default() };
    let (share, link, request) = (at("s"), LinkId(1), Some(RequestId(1)));
    let effects = broker.apply(Event::ShareReported { share, link, broker: Some(ID), report, request });
    assert!(matches!(&effects[..], [Effect::Reported { outcome: Err(_), .. }]), "{effects:?}");
    assert_eq!(broker.listed(), ["a"]);
}
