//! Calls at a session: what it holds, giving back, its end, and the methods of its equipment.
//! (Specification 3.3.)

use std::sync::{Arc, LazyLock};

use ave_core::Door;
use ave_profile::{Identity, Map, Profile, Refusal, Value};
use ave_protocol::arguments::{Bound, Signature};
use ave_protocol::error::Fault;
use ave_protocol::message::{Call, Encoding, Envelope, Place, Reply};

use super::allocation::{entry, given_back, profile, profiles};
use crate::connection::{Answering, Outcome};
use crate::session::{Held, SessionHandle};
use crate::site::Site;

/// A connection to a session. Without one it is somebody who does not have the key.
pub(crate) struct Proxy {
    site: Arc<Site>,
    session: Option<Arc<SessionHandle>>,
}

static SIGNATURES: LazyLock<Vec<Signature>> = LazyLock::new(|| {
    let notations = [
        "get_version()",
        "get_resources(*profiles)",
        "get_multi_resource(*groups)",
        "yield_resources(profiles)",
        "stop()",
        "crash()",
    ];
    notations.map(Signature::parse).into()
});

impl Answering for Proxy {
    fn warning(&self) -> Option<Map> {
        self.session.as_ref()?.warnings.next()
    }

    async fn answer(&self, envelope: Envelope, encoding: Encoding) -> Outcome {
        let call = match envelope.check(Place::Session) {
            Ok(call) => call,
            Err(text) => return Outcome::Answer(Reply::Plain(text)),
        };
        match (&self.session, &call.resource) {
            (Some(session), Value::Null) => self.own_call(session, call, encoding).await,
            (None, Value::Null) if call.method == "get_version" => version(),
            (Some(session), _) => self.piece_call(session, call).await,
            (None, _) => Outcome::Answer(Reply::Plain(format!("no such RPC: {}", call.method))),
        }
    }
}

impl Proxy {
    pub(crate) fn new(site: Arc<Site>, session: Option<Arc<SessionHandle>>) -> Proxy {
        Proxy { site, session }
    }

    async fn own_call(&self, session: &SessionHandle, call: Call, encoding: Encoding) -> Outcome {
        let Some(signature) = SIGNATURES.iter().find(|signature| signature.name() == call.method) else {
            return Outcome::Answer(Reply::Plain(format!("no such RPC: {}", call.method)));
        };
        let bound = match call.bind(signature) {
            Ok(bound) => bound,
            Err(reply) => return Outcome::Answer(reply),
        };
        let result = match signature.name() {
            "get_version" => return version(),
            "get_resources" => self.entries(session, &bound.rest(), encoding).await,
            "get_multi_resource" => match flattened(&bound.rest()) {
                Ok(wanted) => self.entries(session, &wanted, encoding).await,
                Err(refusal) => Err(refusal),
            },
            "yield_resources" => self.yield_resources(session, bound).await,
            _ => {
                session.end(); // `stop` and `crash`: nobody hears an answer
                return Outcome::Close;
            }
        };
        match result {
            Ok(value) => Outcome::Answer(Reply::Result(value)),
            Err(refusal) => Fault::from(refusal).into(),
        }
    }

    /// How to reach each of these pieces, which the session must hold.
    async fn entries(
        &self,
        session: &SessionHandle,
        wanted: &[Value],
        encoding: Encoding,
    ) -> Result<Value, Refusal> {
        let profiles = profiles(wanted)?;
        let items = profiles.iter().map(|profile| self.site.kinds.identity(profile)).collect();
        let mut held = session.holds(items).await.into_iter();
        let entry = |profile: Profile| match held.next().unwrap_or(Held::Nowhere) {
            Held::Nowhere => Err(Refusal::exception(format!("INTERNAL ERROR: no local resource {profile}"))),
            Held::Here => {
                let mut map = entry(session, encoding);
                map.insert("profile".to_owned(), profile.into());
                Ok(Value::Map(map))
            }
            Held::There(mut map) => {
                if encoding != Encoding::MessagePack {
                    map.remove("session");
                }
                Ok(Value::Map(map))
            }
        };
        profiles.into_iter().map(entry).collect::<Result<Vec<_>, _>>().map(Value::List)
    }

    async fn yield_resources(&self, session: &SessionHandle, bound: Bound) -> Result<Value, Refusal> {
        let value = bound.get("profiles");
        let wrong = || Refusal::exception(format!("wanted a list of profiles, found {}", value.type_name()));
        let profiles = given_back(value.as_list().ok_or_else(wrong)?)?;
        self.site.hub.give_back(session.id, Door::Session, profiles).await?;
        Ok(Value::Null)
    }

    async fn piece_call(&self, session: &SessionHandle, call: Call) -> Outcome {
        let missing = format!("no such resource: {}", call.resource);
        let item = self.identity(&call.resource);
        let answer = match item {
            Some(item) => session.call(item, call).await,
            None => None,
        };
        match answer {
            None => Outcome::Answer(Reply::Plain(missing)),
            Some(Reply::Fault(fault)) if fault.kind == "Exit" => {
                session.end();
                Outcome::LastAnswer(Reply::Fault(fault))
            }
            Some(reply) => Outcome::Answer(reply),
        }
    }

    /// Only type and identity count; the other members are what the client remembers.
    fn identity(&self, resource: &Value) -> Option<Identity> {
        self.site.kinds.identity(&profile(resource).ok()?)
    }
}

fn version() -> Outcome {
    Outcome::Answer(Reply::Result(Value::Int(1)))
}

/// The profiles of all groups, in order.
fn flattened(groups: &[Value]) -> Result<Vec<Value>, Refusal> {
    let group = |group: &Value| match group {
        Value::List(list) => Ok(list.clone()),
        other => Err(Refusal::exception(format!("wanted a list of profiles, found {}", other.type_name()))),
    };
    Ok(groups.iter().map(group).collect::<Result<Vec<_>, _>>()?.concat())
}
