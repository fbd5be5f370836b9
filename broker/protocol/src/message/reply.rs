//! A reply: a result, or why there is none. (Specification 2.2.)

use ave_profile::{Map, Value};
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
        self.encode_with(None, encoding, out);
    }

    /// Appends the reply, and beside it a warning that does not concern the call.
    pub fn encode_with(&self, warning: Option<&Map>, encoding: Encoding, out: &mut BytesMut) {
        let reply = Warned { reply: self, warning };
        if let Err(too_long) = frame::encode_with(out, |out| encoding.write(&reply, out)) {
            Reply::Fault(Fault::exception(too_long.to_string())).encode_with(warning, encoding, out);
        }
    }

    /// Reads a reply of either encoding.
    ///
    /// # Errors
    /// [`NotAReply`] if it is anything else or exceeds a limit.
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Reply, NotAReply> {
        Reply::parse_with(payload, limits).map(|(reply, _)| reply)
    }

    /// Reads a reply of either encoding, and the warning beside it, if there is one.
    ///
    /// # Errors
    /// [`NotAReply`] if it is anything else or exceeds a limit.
    pub fn parse_with(payload: &[u8], limits: &Limits) -> Result<(Reply, Option<Map>), NotAReply> {
        let Some(Value::Map(mut members)) = Encoding::read(payload, limits) else { return Err(NotAReply) };
        let reply = match (members.remove("exception"), members.remove("result")) {
            (Some(Value::Text(text)), _) => Reply::Plain(text),
            (Some(Value::Map(members)), _) => Reply::Fault(Fault::of_members(members)),
            (None, Some(result)) => Reply::Result(result),
            _ => return Err(NotAReply),
        };
        let warning = members.remove("warning").and_then(|warning| match warning {
            Value::Map(warning) => Some(warning),
            _ => None,
        });
        Ok((reply, warning))
    }
}

impl From<Result<Value, Fault>> for Reply {
    fn from(outcome: Result<Value, Fault>) -> Reply {
        outcome.map_or_else(Reply::Fault, Reply::Result)
    }
}

struct Warned<'r> {
    reply: &'r Reply,
    warning: Option<&'r Map>,
}

impl Serialize for Warned<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1 + usize::from(self.warning.is_some())))?;
        match self.reply {
            Reply::Result(value) => map.serialize_entry("result", value)?,
            Reply::Plain(text) => map.serialize_entry("exception", text)?,
            Reply::Fault(fault) => map.serialize_entry("exception", fault)?,
        }
        if let Some(warning) = self.warning {
            map.serialize_entry("warning", warning)?;
        }
        map.end()
    }
}
