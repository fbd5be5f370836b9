//! A client as the original's library is: `get` at the broker, then the session says where each piece is,
//! then every piece is used over a connection of its own.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Lab, Peer, names};

/// What a script holds of a broker.
pub(crate) struct Client {
    pub(crate) broker: Peer,
    session: Option<Peer>,
}

/// A piece that was granted.
#[derive(Clone, Debug)]
pub(crate) struct Lent {
    pub(crate) name: String,
    /// Where its session is.
    pub(crate) at: SocketAddr,
    pub(crate) profile: Value,
    entry: Value,
}

/// The class and the message of the exception that a script sees.
pub(crate) type Raised = (String, String);

impl Client {
    pub(crate) fn of(lab: &Lab) -> Client {
        Client::at(lab.address())
    }

    pub(crate) fn at(broker: SocketAddr) -> Client {
        Client { broker: Peer::connect(broker, ""), session: None }
    }

    /// Gets what is wanted; a list among it is a group of its own.
    pub(crate) fn get(&mut self, want: Value) -> Result<Vec<Lent>, Raised> {
        let is_grouped = want.as_array().expect("a list").iter().any(Value::is_array);
        let (at_broker, at_session) = match is_grouped {
            true => ("get_multi_resources", "get_multi_resource"),
            false => ("get", "get_resources"),
        };
        let granted = answer(&self.broker.call(at_broker, want), true)?;
        let (first, resources) = match is_grouped {
            true => (&granted[0], granted.as_array().expect("groups").iter().map(resources).collect()),
            false => (&granted, resources(&granted)),
        };
        let session = self.session.get_or_insert_with(|| Peer::session_of(first));
        let entries = answer(&session.call(at_session, resources), false)?;
        Ok(entries.as_array().expect("a list").iter().map(Lent::of).collect())
    }

    /// Gets what is wanted, which must succeed.
    pub(crate) fn lent(&mut self, want: Value) -> Vec<Lent> {
        let outcome = self.get(want.clone());
        outcome.unwrap_or_else(|raised| panic!("{want}: {raised:?}"))
    }

    /// Gets one piece, which must succeed.
    pub(crate) fn lent_one(&mut self, want: Value) -> Lent {
        self.lent(json!([want])).pop().expect("one piece")
    }

    /// The exception with which getting this fails.
    pub(crate) fn refused(&mut self, want: Value) -> Raised {
        self.get(want.clone()).expect_err(&format!("{want} was lent"))
    }

    /// Gives pieces back at both doors.
    pub(crate) fn give_back(&mut self, lent: &[Lent]) -> Result<(), Raised> {
        let profiles: Value = lent.iter().map(|piece| piece.profile.clone()).collect();
        let yielded = answer(&self.broker.call("yield_resources", profiles), false)?;
        let session = self.session.as_mut().expect("something was lent");
        answer(&session.call("yield_resources", json!([yielded])), false).map(drop)
    }

    /// The names of what its broker says it has.
    pub(crate) fn allocations(&mut self) -> Vec<String> {
        names(&self.broker.result("list_allocations", json!([])))
    }

    /// Whether its session has ended.
    pub(crate) fn is_over(&mut self) -> bool {
        let reply = self.broker.call("list_allocations", json!([]));
        reply["exception"]["message"].as_str().is_some_and(|text| text.starts_with("session closed"))
    }

    pub(crate) fn close(self) {
        self.broker.close();
    }
}

impl Lent {
    fn of(entry: &Value) -> Lent {
        let profile = entry["profile"].clone();
        let name = names(&json!([profile])).remove(0);
        Lent { name, at: Peer::address_of(entry).0, profile, entry: entry.clone() }
    }

    /// A connection of its own to its session.
    pub(crate) fn proxy(&self) -> Peer {
        Peer::session_of(&self.entry)
    }

    /// Whether a new proxy of it works.
    pub(crate) fn is_usable(&self) -> bool {
        std::net::TcpStream::connect(self.at).is_ok() && {
            let mut proxy = self.proxy();
            proxy.ask(&self.profile, "get_profile", json!([]));
            proxy.reply().is_some_and(|reply| reply.get("result").is_some())
        }
    }

    /// What its session is known by; two pieces of one session have the same.
    pub(crate) fn door(&self) -> (SocketAddr, String) {
        Peer::address_of(&self.entry)
    }
}

/// The names of pieces, in their order.
pub(crate) fn names_of(lent: &[Lent]) -> Vec<&str> {
    lent.iter().map(|piece| piece.name.as_str()).collect()
}

fn resources(granted: &Value) -> Value {
    granted["resources"].clone()
}

/// A result, or the exception that the original's library makes of the reply: the broker's own classes
/// are made only of what the broker itself answers to a `get`.
fn answer(reply: &Value, to_get: bool) -> Result<Value, Raised> {
    if let Some(result) = reply.get("result") {
        return Ok(result.clone());
    }
    let exception = &reply["exception"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let class = match exception["type"].as_str() {
        Some(class @ ("Timeout" | "Exit" | "AuthError" | "Restarting" | "Terminated" | "Offline")) => class,
        Some(class @ ("Busy" | "NoSuch" | "NotOwner" | "NotAllocated")) if to_get => class,
        _ => "AveException",
    };
    let message = if exception.is_string() { text(exception) } else { text(&exception["message"]) };
    Err((class.to_owned(), message))
}
