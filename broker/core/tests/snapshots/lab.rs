//! A lab in which there is one of everything that a snapshot can say.

use std::sync::Arc;

use ave_core::{Core, Door, Effect, Event, Granted, Moment, Report, SharedPiece, Source, Taken};
use ave_profile::{
    Address, BrokerId, Generation, Identity, KindTable, LinkId, Profile, RequestId, SessionId, Want,
};
use serde_json::{Value as Json, json};

/// A session that holds pieces of this broker's and of a share's.
pub(crate) const NEAR: SessionId = SessionId(1);
/// A session that an older process serves.
pub(crate) const OLD: SessionId = SessionId(2);
/// A session that holds nothing.
pub(crate) const WAITING: SessionId = SessionId(3);

/// How many grants there have been.
pub(crate) const GRANTS: u64 = 6;

pub(crate) struct Lab {
    pub(crate) core: Core,
}

impl Lab {
    /// The lab at the moment at which it is written down.
    pub(crate) fn new() -> Lab {
        let mut lab = Lab { core: Core::new(KindTable::builtin(), BrokerId(1)) };
        let handsets = ["A", "B", "C"].map(|serial| {
            Profile::of(json!({"type": "handset", "serial": serial, "power_state": "boot_completed"}))
        });
        let relays = ["r", "s", "t"].map(relay);
        let profiles = handsets.into_iter().chain(relays).collect();
        lab.apply(Event::Reported { source: Source::File, profiles, request: None });
        let stacks = vec![vec![short("handset", "A"), short("relay", "r")]];
        lab.apply(Event::StacksSet { stacks });
        let profile = Some(Profile::of(json!({"type": "workspace", "root": "/ws", "pretty": "jane"})));
        lab.apply(Event::WorkspaceProfileSet { profile });
        lab.apply(Event::SessionOpened { session: OLD });
        gets(&mut lab.core, OLD, "relay", "s");
        lab.apply(Event::Inherited { generation: Generation(3) });
        lab.apply(Event::ForwardSet { target: Some(address("target")) });
        lab.shares();
        for session in [NEAR, WAITING] {
            lab.apply(Event::SessionOpened { session });
        }
        lab.lends();
        lab
    }

    /// Another broker has three pieces, one of which somebody else has.
    fn shares(&mut self) {
        let piece =
            |uid| SharedPiece { profile: Arc::new(relay(uid)), taken: Vec::new(), origin: Arc::default() };
        let taken = Taken { profile: Arc::new(relay("g")), collateral: vec![Arc::new(short("relay", "x"))] };
        let g = SharedPiece { taken: vec![taken], ..piece("g") };
        let stacks = Some(vec![[short("relay", "g"), short("relay", "x")].map(Arc::new).into()]);
        let report = Report { changed: vec![piece("f"), g, piece("h")], stacks, ..Report::default() };
        let (share, link, broker) = (address("share"), LinkId(1), Some(BrokerId(2)));
        self.apply(Event::ShareReported { share, link, broker, report, request: None });
    }

    fn lends(&mut self) {
        gets(&mut self.core, NEAR, "handset", "A");
        let (session, request) = (NEAR, RequestId(0));
        let want = Ok(Want { groups: vec![vec![Profile::of(json!({"type": "workspace"}))]] });
        self.apply(Event::Asked { session, request, want, nonce: 1, via: Vec::new() });
        self.breaks("handset", "B", "stuck");
        self.breaks("handset", "C", "stuck again");
        let item = Identity::new("handset", "C");
        self.apply(Event::ResetAsked { item, request: None });
        self.asks_share();
        // Given back and closed; the session has not heard of it yet.
        gets(&mut self.core, NEAR, "relay", "t");
        let profiles = vec![short("relay", "t")];
        self.apply(Event::Yielded { session, request, door: Door::Broker, profiles });
        self.apply(Event::Closed { session, item: Identity::new("relay", "t"), outcome: Ok(()) });
    }

    /// A piece could not be closed.
    fn breaks(&mut self, kind: &str, value: &str, reason: &str) {
        let session = SessionId(9);
        self.apply(Event::SessionOpened { session });
        gets(&mut self.core, session, kind, value);
        self.apply(Event::SessionEnded { session });
        let item = Identity::new(kind, value);
        self.apply(Event::Closed { session, item, outcome: Err(reason.to_owned()) });
    }

    /// A piece of the share is lent here.
    fn asks_share(&mut self) {
        let answer = self.asks(NEAR, &["f"]);
        self.apply(answer);
    }

    /// The same lab, which waits for the share's word on what a session wants of it beside something that is
    /// here; and that word.
    pub(crate) fn asking() -> (Lab, Event) {
        let mut lab = Lab::new();
        let answer = lab.asks(WAITING, &["h", "t"]);
        (lab, answer)
    }

    /// A session wants relays, the first of them the share's; what the share answers.
    fn asks(&mut self, session: SessionId, uids: &[&str]) -> Event {
        let groups = uids.iter().map(|uid| vec![short("relay", uid)]).collect();
        let (request, want) = (RequestId(0), Ok(Want { groups }));
        let effects = self.apply(Event::Asked { session, request, want, nonce: 0, via: Vec::new() });
        let [Effect::AskPeer { ask, .. }] = effects[..] else { panic!("not asked: {effects:?}") };
        Event::PeerAnswered { session, ask, outcome: Ok(vec![vec![relay(uids[0])]]) }
    }

    fn apply(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.core.apply(Moment::default(), event);
        self.core.check();
        effects
    }
}

/// A session gets one piece.
pub(crate) fn gets(core: &mut Core, session: SessionId, kind: &str, value: &str) -> Granted {
    let want = Ok(Want { groups: vec![vec![short(kind, value)]] });
    let request = RequestId(0);
    let asked = Event::Asked { session, request, want, nonce: 0, via: Vec::new() };
    match &core.apply(Moment::default(), asked)[..] {
        [Effect::Grant { groups, .. }] => groups[0][0].clone(),
        other => panic!("not granted: {other:?}"),
    }
}

pub(crate) fn address(host: &str) -> Address {
    Address::new(host, 4000)
}

fn short(kind: &str, value: &str) -> Profile {
    let member = if kind == "handset" { "serial" } else { "uid" };
    let profile: Json = json!({"type": kind, member: value});
    Profile::of(profile)
}

fn relay(uid: &str) -> Profile {
    let mut profile = short("relay", uid);
    profile.0.insert("power_state".into(), "online".into());
    profile
}
