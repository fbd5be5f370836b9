//! A request, from the side that makes it and from the side that has to believe it.

use std::fmt;

use ave_profile::{Map, Value};
use bytes::BytesMut;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::{Encoding, Reply};
use crate::arguments::{Arguments, Bound, Signature};
use crate::frame::{self, FrameError};
use crate::limits::{ECHO_BYTES_MAX, Limits};

/// A request as a client makes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The method's name.
    pub method: String,
    /// The profile of the piece it concerns; null for the broker or the session itself.
    pub resource: Value,
    /// What the method is called with.
    pub arguments: Arguments,
    /// Nobody waits for an answer, and none comes.
    pub asynchronous: bool,
    /// Further members, which peers that do not know them ignore. (Specification 2.1.)
    pub further: Map,
}

impl Request {
    /// A request to the broker or the session itself.
    pub fn new(method: impl Into<String>, arguments: Arguments) -> Request {
        Request { method: method.into(), arguments, ..Request::default() }
    }

    /// Appends the request as one frame.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] if no peer would take it; `out` is then as before.
    pub fn encode(&self, encoding: Encoding, out: &mut BytesMut) -> Result<(), FrameError> {
        frame::encode_with(out, |out| encoding.write(self, out))
    }
}

impl Serialize for Request {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4 + self.further.len()))?;
        map.serialize_entry("method", &self.method)?;
        map.serialize_entry("resource", &self.resource)?;
        map.serialize_entry("params", &self.arguments)?;
        map.serialize_entry("async", &self.asynchronous)?;
        for (name, value) in &self.further {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A payload that is no message. Prints the answer to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    /// The answer to this payload.
    pub fn of(payload: &[u8]) -> Malformed {
        Malformed(echo(payload))
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "malformed JSON: {}", self.0)
    }
}

impl std::error::Error for Malformed {}

/// Whom a request reached; a session demands more of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The broker itself.
    Broker,
    /// A session.
    Session,
}

/// A message that is an object. What it lacks is found by [`Envelope::check`].
#[derive(Clone, Debug)]
pub struct Envelope(Map);

impl Envelope {
    /// Reads a payload of either encoding. (Specification 2.3, check 1.)
    ///
    /// # Errors
    /// [`Malformed`] if it is no whole object, or exceeds a limit.
    pub fn parse(payload: &[u8], limits: &Limits) -> Result<Envelope, Malformed> {
        match Encoding::read(payload, limits) {
            Some(Value::Map(members)) => Ok(Envelope(members)),
            _ => Err(Malformed::of(payload)),
        }
    }

    /// Whether the sender waits for no answer, not even for one that refuses. (Specification 2.4.)
    pub fn asynchronous(&self) -> bool {
        matches!(self.0.get("async"), Some(Value::Bool(true)))
    }

    /// Checks 2 to 5 of specification 2.3, in their order.
    ///
    /// # Errors
    /// The answer, a plain string.
    pub fn check(mut self, place: Place) -> Result<Call, String> {
        let demanded: &[&str] = match place {
            Place::Broker => &["method", "params"],
            Place::Session => &["resource", "method", "params"],
        };
        if let Some(missing) = demanded.iter().find(|name| !self.0.contains_key(**name)) {
            return Err(format!("the \"{missing}\" attribute is missing"));
        }
        let asynchronous = match self.0.get("async") {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                let request = Value::Map(self.0);
                return Err(format!(
                    "RPC async flag is not a boolean: {}",
                    echo(request.to_string().as_bytes())
                ));
            }
        };
        let mut take = |name| self.0.remove(name).unwrap_or_default();
        let method = match take("method") {
            Value::Text(name) => name,
            other => other.to_string(),
        };
        let (resource, params, _) = (take("resource"), take("params"), take("async"));
        Ok(Call { method, resource, params, asynchronous, further: self.0 })
    }
}

/// A request whose envelope is in order. Its arguments may still not be.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The method's name; what is no string is printed, and no method is called like that.
    pub method: String,
    /// The profile of the piece it concerns, or null.
    pub resource: Value,
    /// Still unread: rights are checked first.
    pub params: Value,
    /// Nothing may be answered.
    pub asynchronous: bool,
    /// Further members, which most calls ignore. (Specification 2.1.)
    pub further: Map,
}

impl Call {
    /// Reads the arguments. (Specification 2.3, check 11.)
    ///
    /// # Errors
    /// The answer, a plain string.
    pub fn arguments(self) -> Result<Arguments, String> {
        let malformed =
            |params: &Value| format!("malformed arguments: {}", echo(params.to_string().as_bytes()));
        let Value::Map(mut members) = self.params else { return Err(malformed(&self.params)) };
        match (members.remove("vargs"), members.remove("kwargs")) {
            (Some(Value::List(positional)), Some(Value::Map(named))) => Ok(Arguments { positional, named }),
            (vargs, kwargs) => {
                members.extend(vargs.map(|list| ("vargs".to_owned(), list)));
                members.extend(kwargs.map(|map| ("kwargs".to_owned(), map)));
                Err(malformed(&Value::Map(members)))
            }
        }
    }

    /// Reads the arguments and gives them to a method's parameters.
    ///
    /// # Errors
    /// The answer: a plain string as of [`Call::arguments`], or the `TypeError` of [`Signature::bind`].
    pub fn bind(self, signature: &Signature) -> Result<Bound, Reply> {
        signature.bind(self.arguments().map_err(Reply::Plain)?).map_err(Reply::Fault)
    }
}

/// The beginning of what was received, as text.
fn echo(received: &[u8]) -> String {
    String::from_utf8_lossy(&received[..received.len().min(ECHO_BYTES_MAX)]).into_owned()
}
