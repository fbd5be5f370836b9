//! A broker among others: the test plays the other brokers, so that every answer comes when the story
//! wants it.

use ave_core::{Core, Effect, Event, Granted, Moment, Report, Setback, SharedPiece, Source, Taken};
use ave_profile::{
    Address, AskId, BrokerId, KindTable, LinkId, Profile, Refusal, RefusalKind, RequestId, SessionId, Value,
    Want,
};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;

use crate::asks::with;

/// The broker of the story.
pub(crate) struct Broker {
    pub(crate) core: Core,
    pub(crate) now: Duration,
    last_id: u64,
}

/// A question it has asked another broker.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) ask: AskId,
    pub(crate) peer: Address,
    pub(crate) groups: Vec<Vec<Profile>>,
    pub(crate) via: Vec<BrokerId>,
}

pub(crate) const SESSION: SessionId = SessionId(1);
pub(crate) const ID: BrokerId = BrokerId(7);

impl Broker {
    /// A broker with these relays of its own, and one open session.
    pub(crate) fn new(own: &[&str]) -> Broker {
        let core = Core::new(KindTable::builtin(), ID);
        let mut broker = Broker { core, now: Duration::ZERO, last_id: 0 };
        let profiles = own.iter().map(|uid| Profile::of(relay(uid))).collect();
        broker.apply(Event::Reported { source: Source::File, profiles, request: None });
        broker.apply(Event::SessionOpened { session: SESSION });
        broker
    }

    /// It forwards to `far`.
    pub(crate) fn forwarding(mut self) -> Broker {
        self.apply(Event::ForwardSet { target: Some(at("far")) });
        self
    }

    /// A share named `host` reports these free relays over link 1.
    pub(crate) fn share(mut self, host: &str, relays: &[&str]) -> Broker {
        let changed = relays.iter().map(|uid| shared(relay(uid))).collect();
        self.reports(host, 1, Report { changed, ..Report::default() });
        self
    }

    pub(crate) fn reports(&mut self, host: &str, link: u64, report: Report) -> Vec<Effect> {
        let (share, link) = (at(host), LinkId(link));
        self.apply(Event::ShareReported { share, link, broker: None, report, request: None })
    }

    pub(crate) fn apply(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.core.apply(Moment(self.now), event);
        self.core.check();
        effects
    }

    /// The session asks for groups.
    pub(crate) fn get(&mut self, groups: Json) -> Vec<Effect> {
        self.get_via(groups, Vec::new())
    }

    pub(crate) fn get_via(&mut self, groups: Json, via: Vec<BrokerId>) -> Vec<Effect> {
        self.last_id += 1;
        let want = Want::of_groups(Value::from(groups).as_list().expect("groups are a list"));
        let request = RequestId(self.last_id);
        self.apply(Event::Asked { session: SESSION, request, want, nonce: self.last_id, via })
    }

    pub(crate) fn answers(&mut self, question: &Question, pieces: Json) -> Vec<Effect> {
        let groups = Value::from(pieces);
        let profile = |value: &Value| Profile(value.as_map().expect("a profile").clone());
        let group = |group: &Value| group.as_list().expect("a group").iter().map(profile).collect();
        let groups = groups.as_list().expect("groups").iter().map(group).collect();
        self.apply(Event::PeerAnswered { session: SESSION, ask: question.ask, outcome: Ok(groups) })
    }

    pub(crate) fn refuses(&mut self, question: &Question, kind: RefusalKind) -> Vec<Effect> {
        self.is_set_back(question, Setback::Refused(Refusal::new(kind, "the owner says no")))
    }

    pub(crate) fn is_set_back(&mut self, question: &Question, setback: Setback) -> Vec<Effect> {
        self.apply(Event::PeerAnswered { session: SESSION, ask: question.ask, outcome: Err(setback) })
    }

    pub(crate) fn fails(&mut self, question: &Question) -> Vec<Effect> {
        self.is_set_back(question, Setback::Unreachable("nobody there".to_owned()))
    }

    pub(crate) fn is_slow(&mut self, question: &Question) -> Vec<Effect> {
        self.apply(Event::PeerSlow { session: SESSION, ask: question.ask })
    }

    pub(crate) fn listed(&self) -> Vec<String> {
        uids(&self.core.equipment(None, None))
    }

    pub(crate) fn available(&self) -> Vec<String> {
        uids(&self.core.available(None))
    }
}

pub(crate) fn at(host: &str) -> Address {
    Address::new(host, 4000)
}

pub(crate) fn relay(uid: &str) -> Json {
    json!({"type": "relay", "uid": uid, "power_state": "online", "circuits": {}})
}

/// A free piece, as a share reports it.
pub(crate) fn shared(profile: Json) -> SharedPiece {
    SharedPiece { profile: Arc::new(Profile::of(profile)), taken: Vec::new(), origin: Arc::default() }
}

/// A piece that somebody has at the share.
pub(crate) fn lent(profile: Json, collateral: &[Json]) -> SharedPiece {
    let piece = shared(profile);
    let collateral = collateral.iter().map(|short| Arc::new(Profile::of(short.clone()))).collect();
    let taken = vec![Taken { profile: piece.profile.clone(), collateral }];
    SharedPiece { taken, ..piece }
}

pub(crate) fn any() -> Json {
    json!({"type": "relay"})
}

pub(crate) fn named(uid: &str) -> Json {
    with(any(), json!({"uid": uid}))
}

fn uids(profiles: &[Arc<Profile>]) -> Vec<String> {
    let uid = |profile: &Arc<Profile>| profile.get("uid").and_then(Value::as_str).map(str::to_owned);
    profiles.iter().filter_map(uid).collect()
}

/// The questions among effects that are nothing else.
#[track_caller]
pub(crate) fn questions(effects: Vec<Effect>) -> Vec<Question> {
    let question = |effect| match effect {
        Effect::AskPeer { session: SESSION, ask, peer, groups, via } => Question { ask, peer, groups, via },
        other => panic!("not a question: {other:?}"),
    };
    effects.into_iter().map(question).collect()
}

/// The only question.
#[track_caller]
pub(crate) fn question(effects: Vec<Effect>) -> Question {
    let mut questions = questions(effects);
    assert_eq!(questions.len(), 1, "{questions:?}");
    questions.remove(0)
}

/// What was granted at last, after hanging up on these.
#[track_caller]
pub(crate) fn granted(mut effects: Vec<Effect>, hung_up: &[&str]) -> Vec<(String, Option<Address>)> {
    let Some(Effect::Grant { groups, .. }) = effects.pop() else { panic!("not granted: {effects:?}") };
    assert_eq!(hang_ups(&effects), hung_up.iter().map(|host| at(host)).collect::<Vec<_>>());
    let piece = |granted: Granted| (granted.item.value.to_string(), granted.at);
    groups.into_iter().flatten().map(piece).collect()
}

fn hang_ups(effects: &[Effect]) -> Vec<Address> {
    let hang_up = |effect: &Effect| match effect {
        Effect::HangUp { peer, .. } => peer.clone(),
        other => panic!("not a hang-up: {other:?}"),
    };
    effects.iter().map(hang_up).collect()
}

/// The end of the session, with the pieces it held here, and the refusal after it.
#[track_caller]
pub(crate) fn refused(effects: Vec<Effect>) -> (Vec<String>, Refusal) {
    let [Effect::End { items, .. }, Effect::Refuse { refusal, .. }] = &effects[..] else {
        panic!("not refused: {effects:?}")
    };
    (items.iter().map(|item| item.value.to_string()).collect(), refusal.clone())
}
