//! What a script holds of a broker: calls, and the two steps of getting and giving back.

use std::sync::Arc;

use ave_profile::{Profile, Value, Want};
use ave_protocol::arguments::Arguments;
use ave_protocol::message::Request;

use crate::grant::{Allotment, Door};
use crate::link::Link;
use crate::{ClientError, Credential, Grant, Liveness, Options, Proxy};

/// A broker, connected to at the first call. Everything it granted is lost with this object, with its
/// connection, and with the first `get` that fails.
pub struct Broker {
    link: Link,
    /// The session, known from the first successful `get` on.
    session: Option<Link>,
    liveness: Arc<Liveness>,
    options: Options,
}

impl Broker {
    /// A broker at this address. Connects to nothing yet.
    pub fn new(address: (String, u16), credential: Credential, options: Options) -> Broker {
        let link = Link::new(address, credential, options.clone());
        Broker { link, session: None, liveness: Arc::default(), options: options.for_sessions() }
    }

    /// Calls a method of the broker.
    ///
    /// # Errors
    /// Those of [`Connection::open`](crate::Connection::open) and
    /// [`Connection::call`](crate::Connection::call). Once the connection was lost, always
    /// [`ClientError::Closed`].
    pub fn call(&mut self, method: &str, arguments: Arguments) -> Result<Value, ClientError> {
        ask(&mut self.link, &self.liveness, &Request::new(method, arguments))
    }

    /// Calls a method without waiting for anything.
    ///
    /// # Errors
    /// As for [`call`](Broker::call), except for answers.
    pub fn send(&mut self, method: &str, arguments: Arguments) -> Result<(), ClientError> {
        let request = Request { asynchronous: true, ..Request::new(method, arguments) };
        ask(&mut self.link, &self.liveness, &request).map(drop)
    }

    /// Gets what is wanted, in the order of the request. (Specification 3.2.)
    ///
    /// # Errors
    /// The broker's answer, such as a fault of type `Busy` or `NoSuch`, or a lost connection. All that
    /// was held is lost then, except when the fault's type is `Restarting`.
    pub fn get(&mut self, want: &Want) -> Result<Vec<Grant>, ClientError> {
        let outcome = self.allocate(want);
        let harmless = match &outcome {
            Ok(_) => true,
            Err(ClientError::Fault(fault)) => fault.kind == "Restarting",
            Err(_) => self.link.is_unopened(),
        };
        if !harmless {
            self.liveness.end();
        }
        outcome
    }

    /// Gives pieces back. (Specification 5.10.)
    ///
    /// # Errors
    /// [`ClientError::NothingToYield`] if nothing was ever got, faults of type `NotOwner`,
    /// `NotAllocated` and `NoSuch`, or a lost connection.
    pub fn yield_resources(&mut self, profiles: Vec<Profile>) -> Result<(), ClientError> {
        let Some(session) = &mut self.session else { return Err(ClientError::NothingToYield) };
        let request = Request::new("yield_resources", Arguments::positional(profiles));
        let yielded = ask(&mut self.link, &self.liveness, &request)?;
        let request = Request::new("yield_resources", Arguments::positional([yielded]));
        session.call(&request).map(drop)
    }

    /// Something to use a granted piece with.
    pub fn proxy(&self, grant: Grant) -> Proxy {
        Proxy::new(grant, self.liveness.clone(), self.options.clone())
    }

    /// Whether what was granted is still held.
    pub fn liveness(&self) -> &Arc<Liveness> {
        &self.liveness
    }

    /// Disconnects; everything granted is lost.
    pub fn close(&mut self) {
        self.liveness.end();
        self.link.close();
        if let Some(session) = &mut self.session {
            session.close();
        }
    }

    fn allocate(&mut self, want: &Want) -> Result<Vec<Grant>, ClientError> {
        if let [group] = want.groups.as_slice() {
            let answer = self.call("get", Arguments::positional(group.clone()))?;
            let Allotment { door, resources } = parsed(Allotment::parse(answer))?;
            return self.collect("get_resources", resources, &door);
        }
        let groups = want.groups.iter().map(|group| Value::from(group.clone()));
        let answer = list(self.call("get_multi_resources", Arguments::positional(groups))?)?;
        let allotments: Vec<_> = parsed(answer.into_iter().map(Allotment::parse).collect())?;
        let Some(door) = allotments.first().map(|first| first.door.clone()) else { return Ok(Vec::new()) };
        let groups = allotments.into_iter().map(|allotment| allotment.resources.into()).collect();
        self.collect("get_multi_resource", groups, &door)
    }

    /// The second step: the session says where each piece is. The first session stays the session.
    fn collect(
        &mut self,
        method: &str,
        resources: Vec<Value>,
        door: &Door,
    ) -> Result<Vec<Grant>, ClientError> {
        let options = &self.options;
        let session = self.session.get_or_insert_with(|| door.link(options.clone()));
        let answer = list(session.call(&Request::new(method, Arguments::positional(resources)))?)?;
        parsed(answer.into_iter().map(Grant::parse).collect())
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.liveness.end();
    }
}

/// Makes a call over the broker's own link, whose loss loses everything.
fn ask(link: &mut Link, liveness: &Liveness, request: &Request) -> Result<Value, ClientError> {
    let outcome = link.call(request);
    if link.is_closed() {
        liveness.end();
    }
    outcome
}

fn list(answer: Value) -> Result<Vec<Value>, ClientError> {
    match answer {
        Value::List(list) => Ok(list),
        other => Err(ClientError::Protocol(format!("wanted a list, found {}", other.type_name()))),
    }
}

fn parsed<T>(answer: Option<T>) -> Result<T, ClientError> {
    answer.ok_or_else(|| ClientError::Protocol("an answer to get lacks a member or has a bad one".to_owned()))
}
