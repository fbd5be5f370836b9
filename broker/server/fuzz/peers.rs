//! What must hold of a broker whatever other brokers say to it. `cargo fuzz` searches for words that break
//! it; the tests try a few.

use std::collections::BTreeMap;
use std::time::Duration;

use ave_broker::config::file;
use ave_broker::peers::Heard;
use ave_core::{Core, Door, Effect, Event, Moment, Revision, Setback, Toward};
use ave_profile::{Address, AskId, BrokerId, KindTable, LinkId, Profile, Refusal, RequestId, SessionId};
use ave_profile::{Map, RefusalKind, Value, Want};

/// How many shares and sessions there are.
const PEERS: i64 = 3;

/// A broker, and what of its effects is still to be answered.
struct Broker {
    core: Core,
    now: Moment,
    asks: BTreeMap<AskId, SessionId>,
    requests: u64,
}

/// Words of other brokers and of clients, as a list of `[who, method, argument...]`: after each of them nobody
/// has lost anything, and nobody holds what another holds.
pub(crate) fn peers(data: &[u8]) {
    let Ok(Value::List(words)) = file::parse(data) else { return };
    let mut broker = Broker {
        core: Core::new(KindTable::builtin(), BrokerId(1)),
        now: Moment::default(),
        asks: BTreeMap::new(),
        requests: 0,
    };
    broker.tell(Event::ForwardSet { target: Some(address(PEERS)) });
    for word in words {
        let Value::List(mut word) = word else { continue };
        if let [Value::Int(who), Value::Text(method), ..] = &word[..] {
            let (who, method) = (who.rem_euclid(PEERS), method.clone());
            broker.hear(who, &method, word.split_off(2));
            broker.now.0 += Duration::from_secs(1);
            broker.core.check();
        }
    }
    let news = broker.core.news(Revision::default(), &Toward::default(), usize::MAX);
    assert!(!news.more);
}

impl Broker {
    fn hear(&mut self, who: i64, method: &str, rest: Vec<Value>) {
        let kinds = KindTable::builtin();
        let session = SessionId(who as u64);
        let mut rest = rest.into_iter();
        let (first, second) = (rest.next().unwrap_or_default(), rest.next().unwrap_or_default());
        let heard = match method {
            "set_equipment" => Heard::of_lists(&kinds, first, second),
            "share_update" => Heard::of_changes(&kinds, first),
            "set_stacks" => Heard::of_stacks(&kinds, first),
            "set_ws_profile" => Heard::of_workspace(first),
            "get" | "yield" => return self.serve(session, method, &first),
            "answer" => return self.answer(&first),
            "lost" => return self.tell(Event::ShareLost { link: LinkId(who as u64) }),
            "leave" => return self.tell(Event::SessionEnded { session }),
            _ => return self.tell(Event::DeadlineReached),
        };
        match heard {
            Ok(heard) => self.report(who, heard),
            Err(refusal) => assert!(!refusal.message.is_empty()),
        }
    }

    fn report(&mut self, who: i64, Heard { whole, mut report, .. }: Heard) {
        let kinds = KindTable::builtin();
        let (share, link) = (address(who), LinkId(who as u64));
        if whole {
            let known = self.core.shared_by(&share);
            report.gone = known.iter().filter_map(|piece| kinds.identity(&piece.profile)).collect();
        }
        self.tell(Event::ShareReported { share, link, broker: None, report, request: None });
    }

    fn serve(&mut self, session: SessionId, method: &str, wanted: &Value) {
        let wanted = wanted.as_list().unwrap_or_default();
        self.requests += 1;
        let request = RequestId(self.requests);
        self.tell(Event::SessionOpened { session });
        if method == "get" {
            let (want, via) = (Want::of_groups(wanted), Vec::new());
            self.tell(Event::Asked { session, request, want, nonce: self.requests, via });
        } else {
            let profiles = wanted.iter().filter_map(Value::as_map).cloned().map(Profile).collect();
            self.tell(Event::Yielded { session, request, door: Door::Broker, profiles });
        }
    }

    /// The answer to the oldest question: groups of profiles, or anything else for a refusal.
    fn answer(&mut self, answer: &Value) {
        let Some((ask, session)) = self.asks.pop_first() else { return };
        let profile = |value: &Value| value.as_map().cloned().map(Profile);
        let group = |value: &Value| value.as_list()?.iter().map(profile).collect::<Option<Vec<_>>>();
        let groups = answer.as_list().and_then(|groups| groups.iter().map(group).collect::<Option<Vec<_>>>());
        let outcome = groups.ok_or_else(|| match answer {
            Value::Null => Setback::Unreachable("gone".to_owned()),
            group => {
                let details = Map::from([("group".to_owned(), group.clone())]);
                Setback::Refused(Refusal { details, ..Refusal::new(RefusalKind::Busy, "busy") })
            }
        });
        self.tell(Event::PeerAnswered { session, ask, outcome });
    }

    /// Lets something happen; pieces close at once.
    fn tell(&mut self, event: Event) {
        for effect in self.core.apply(self.now, event) {
            match effect {
                Effect::AskPeer { session, ask, .. } => {
                    self.asks.insert(ask, session);
                }
                Effect::Close { session, items } | Effect::End { session, items } => {
                    for item in items {
                        let closed = Event::Closed { session, item, outcome: Ok(()) };
                        assert!(self.core.apply(self.now, closed).is_empty());
                    }
                }
                _ => {}
            }
        }
    }
}

fn address(who: i64) -> Address {
    Address::new("peer", who as u16)
}
