//! A client of the lab: what a script sees, and what may be said about it.

use ave_core::{Door, Event, Granted};
use ave_profile::{Profile, Refusal, RefusalKind, RequestId, SessionId, Value, Want};
use serde_json::Value as Json;

use crate::lab::{Answer, Lab};

/// A client of the lab: what a script sees.
pub(crate) struct Client {
    lab: Lab,
    session: SessionId,
}

impl Client {
    /// The client of an open session.
    pub(crate) fn new(lab: Lab, session: SessionId) -> Client {
        Client { lab, session }
    }

    /// Asks for profiles, or groups of them as lists, as `Broker.get` does.
    pub(crate) fn get(&self, args: impl IntoIterator<Item = Json>) -> Result<Vec<Granted>, Refusal> {
        let args: Vec<Value> = args.into_iter().map(Value::from).collect();
        self.ask(Want::of_get(&args))
    }

    /// Asks with arguments that a border has already read.
    pub(crate) fn ask(&self, want: Result<Want, Refusal>) -> Result<Vec<Granted>, Refusal> {
        let sizes: Vec<usize> = want.iter().flat_map(|want| &want.groups).map(Vec::len).collect();
        let session = self.session;
        let nonce = |request: RequestId| request.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match self.lab.answer(|request| Event::Asked {
            session,
            request,
            want,
            nonce: nonce(request),
            via: Vec::new(),
        }) {
            Answer::Got(groups) => {
                assert_eq!(groups.iter().map(Vec::len).collect::<Vec<_>>(), sizes, "one piece per profile");
                Ok(groups.into_iter().flatten().collect())
            }
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("not an answer to get: {other:?}"),
        }
    }

    /// Asks and expects to get; the names of what was got.
    pub(crate) fn gets(&self, args: impl IntoIterator<Item = Json>) -> Vec<String> {
        names(&self.get(args).expect("the request can be satisfied"))
    }

    /// Gives back at the broker, as the first half of `yield_resources`.
    pub(crate) fn yields_at_broker(
        &self,
        profiles: impl IntoIterator<Item = Json>,
    ) -> Result<Vec<Profile>, Refusal> {
        self.yields_at(Door::Broker, profiles.into_iter().map(Profile::of).collect())
    }

    /// Gives back at the session, as the second half of `yield_resources`.
    pub(crate) fn yields_at_session(
        &self,
        profiles: impl IntoIterator<Item = Json>,
    ) -> Result<Vec<Profile>, Refusal> {
        self.yields_at(Door::Session, profiles.into_iter().map(Profile::of).collect())
    }

    /// `yield_resources`: says it at the broker, then at the session what the broker named.
    pub(crate) fn yields(&self, profiles: impl IntoIterator<Item = Json>) -> Result<(), Refusal> {
        let named = self.yields_at_broker(profiles)?;
        self.yields_at(Door::Session, named).map(drop)
    }

    fn yields_at(&self, door: Door, profiles: Vec<Profile>) -> Result<Vec<Profile>, Refusal> {
        let session = self.session;
        match self.lab.answer(|request| Event::Yielded { session, request, door, profiles }) {
            Answer::Yielded(profiles) => Ok(profiles),
            Answer::Refused(refusal) => Err(refusal),
            other => panic!("not an answer to a yield: {other:?}"),
        }
    }

    /// The client is gone: end of its connection, `stop`, `crash` or `close_session`.
    pub(crate) fn leaves(&self) {
        self.lab.apply(Event::SessionEnded { session: self.session });
    }

    /// The names of what this client holds.
    pub(crate) fn allocations(&self) -> Vec<String> {
        self.lab.allocations(Some(self.session))
    }

    /// The names of this client's collateral.
    pub(crate) fn collateral(&self) -> Vec<String> {
        self.lab.collateral(Some(self.session))
    }

    /// Whether the broker says that the session is open.
    pub(crate) fn is_open(&self) -> bool {
        self.lab.ask_core(|core| core.is_open(self.session))
    }

    /// The session's id.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }
}

/// The names of granted pieces.
pub(crate) fn names(granted: &[Granted]) -> Vec<String> {
    granted.iter().map(|piece| piece.item.value.to_string()).collect()
}

/// A request was refused, with this type and a message that starts like this.
#[track_caller]
pub(crate) fn assert_refused<T: std::fmt::Debug>(
    outcome: Result<T, Refusal>,
    kind: RefusalKind,
    start: &str,
) {
    let refusal = outcome.expect_err("refused");
    assert_eq!(refusal.kind, kind, "{refusal}");
    assert!(refusal.message.starts_with(start), "{refusal} does not start with {start:?}");
}
