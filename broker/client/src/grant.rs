//! What a broker's reply grants, and where to use it. (Specification 3.2, C.2.)

use ave_profile::{Map, Profile, SessionId, Value};
use ave_protocol::handshake::Secret;

use crate::link::Link;
use crate::{Credential, Options};

/// Where a session listens, and what it asks for.
#[derive(Clone, Debug)]
pub struct Door {
    /// Host and port.
    pub address: (String, u16),
    /// The session's key.
    pub key: Secret,
    /// The session's id, if its broker says it.
    pub session: Option<SessionId>,
}

impl Door {
    /// Reads `address`, `authkey` and, if it is there, `session`; `None` if they are not what they should be.
    pub fn parse(members: &Map) -> Option<Door> {
        let [Value::Text(host), Value::Int(port)] = members.get("address")?.as_list()? else { return None };
        let key = Secret::new(members.get("authkey")?.as_str()?.to_owned());
        let session = members.get("session").and_then(Value::as_str).and_then(|id| id.parse().ok());
        Some(Door { address: (host.clone(), u16::try_from(*port).ok()?), key, session })
    }

    pub(crate) fn link(&self, options: Options) -> Link {
        let credential = Credential::Session { id: self.session, key: self.key.clone() };
        Link::new(self.address.clone(), credential, options)
    }
}

/// One granted piece.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The session that holds it.
    pub door: Door,
    /// What was granted.
    pub profile: Profile,
}

impl Grant {
    /// One element of what a session answers to `get_resources`.
    pub(crate) fn parse(value: Value) -> Option<Grant> {
        let Value::Map(mut members) = value else { return None };
        let Value::Map(profile) = members.remove("profile")? else { return None };
        Some(Grant { door: Door::parse(&members)?, profile: Profile(profile) })
    }
}

/// One group's part of what a broker answers to `get`.
#[derive(Clone, Debug)]
pub struct Allotment {
    /// The session that holds the pieces, or knows who does.
    pub door: Door,
    /// The profiles to name there.
    pub resources: Vec<Value>,
}

impl Allotment {
    /// Reads the part; `None` if it is none.
    pub fn parse(value: Value) -> Option<Allotment> {
        let Value::Map(mut members) = value else { return None };
        let Value::List(resources) = members.remove("resources")? else { return None };
        Some(Allotment { door: Door::parse(&members)?, resources })
    }
}
