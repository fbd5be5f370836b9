//! A reply: a result, or why there is none. (Specification 2.2.)

use ave_profile::Value;
use bytes::BytesMut;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Encoding;
use crate::error::Fault;
use crate::frame;
use crate::limits::Limits;

/// What answers a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// What the method returned; null if nothing.
    Result(Value),
    /// The request was rejected before the method ran.
    Plain(String),
    /// The method raised.
    Fault(Fault),
}

/// A payload that is no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a reply")]
pub struct NotAReply;

impl Reply {
    /// Appends the reply as one frame. One that no peer would take becomes a fault that says so.
    pub fn encode(&self, encoding: Encoding, out: &mut BytesMut) {
        if let Err(too_long) = frame::encode_with(out, |out| encoding.write(self, out)) {
            Reply::Fault(Fault::exception(too_long.to_string())).encode(encoding, out);
        }
    }

    /// Reads a reply of either encoding.
    ///
    /// # Errors
    /// [`NotAReply`] if it is anything else or exceeds a limit.
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Reply, NotAReply> {
        let Some(Value::Map(mut members)) = Encoding::read(payload, limits) else { return Err(NotAReply) };
        match (members.remove("exception"), members.remove("result")) {
            (Some(Value::Text(text)), _) => Ok(Reply::Plain(text)),
            (Some(Value::Map(members)), _) => Ok(Reply::Fault(Fault::of_members(members))),
            (None, Some(result)) => Ok(Reply::Result(result)),
            _ => Err(NotAReply),
        }
    }
}

impl From<Result<Value, Fault>> for Reply {
    fn from(outcome: Result<Value, Fault>) -> Reply {
        outcome.map_or_else(Reply::Fault, Reply::Result)
    }
}

impl Serialize for Reply {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Reply::Result(value) => map.serialize_entry("result", value)?,
            Reply::Plain(text) => map.serialize_entry("exception", text)?,
            Reply::Fault(fault) => map.serialize_entry("exception", fault)?,
        }
        map.end()
    }
}
