//! A connection that opens at its first call and is never opened again.

use std::process;

use ave_profile::Value;
use ave_protocol::message::Request;

use crate::{ClientError, Connection, Credential, Options};

pub(crate) struct Link {
    address: (String, u16),
    credential: Credential,
    options: Options,
    state: State,
    /// In a forked child the descriptor is shared with the parent: using it would mix two streams.
    pid: u32,
}

enum State {
    Unopened,
    Open(Box<Connection>),
    Closed,
}

impl Link {
    pub(crate) fn new(address: (String, u16), credential: Credential, options: Options) -> Link {
        Link { address, credential, options, state: State::Unopened, pid: process::id() }
    }

    /// Makes a call. A refused one leaves the link unopened, any other loss closes it for good.
    pub(crate) fn call(&mut self, request: &Request) -> Result<Value, ClientError> {
        if self.pid != process::id() {
            return Err(ClientError::Closed);
        }
        if matches!(self.state, State::Unopened) {
            let address = (self.address.0.as_str(), self.address.1);
            let connection = Connection::open(address, &self.credential, &self.options)?;
            self.state = State::Open(Box::new(connection));
        }
        let State::Open(connection) = &mut self.state else { return Err(ClientError::Closed) };
        let outcome = connection.call(request);
        if connection.is_closed() {
            let refused = matches!(outcome, Err(ClientError::Refused));
            self.state = if refused { State::Unopened } else { State::Closed };
        }
        outcome
    }

    pub(crate) fn close(&mut self) {
        self.state = State::Closed;
    }

    pub(crate) fn is_unopened(&self) -> bool {
        matches!(self.state, State::Unopened)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_inherited_by_a_forked_child_is_closed() {
        // An address that has no meaning: whoever tried it would not say "closed".
        let mut link = Link::new(("\0".to_owned(), 1), Credential::Anonymous, Options::default());
        let request = Request::default();
        assert!(matches!(link.call(&request), Err(ClientError::Io(_))));
        link.pid += 1;
        assert!(matches!(link.call(&request), Err(ClientError::Closed)));
    }
}
