//! What a script holds of a granted piece.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ave_profile::Value;
use ave_protocol::arguments::Arguments;
use ave_protocol::message::Request;

use crate::link::Link;
use crate::{ClientError, Grant, Options};

/// Whether what a broker granted is still held. Shared by the broker and its proxies, so that these
/// know at once, without asking anybody, and keep nothing alive.
#[derive(Debug, Default)]
pub struct Liveness {
    ended: AtomicBool,
}

impl Liveness {
    /// Everything granted is lost.
    pub(crate) fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }

    /// Whether everything granted is lost.
    pub fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }
}

/// A granted piece. Has its own connection to its session, opened at the first call.
pub struct Proxy {
    grant: Grant,
    liveness: Arc<Liveness>,
    link: Link,
}

impl Proxy {
    pub(crate) fn new(grant: Grant, liveness: Arc<Liveness>, options: Options) -> Proxy {
        let link = grant.door.link(options);
        Proxy { grant, liveness, link }
    }

    /// What was granted, and where.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Calls a method of the piece.
    ///
    /// # Errors
    /// Once the piece is lost: [`ClientError::Refused`] if it was never used, [`ClientError::Closed`] if
    /// it was. (Specification 3.5.) Otherwise as for [`Connection::call`](crate::Connection::call).
    pub fn call(&mut self, method: &str, arguments: Arguments) -> Result<Value, ClientError> {
        self.request(method, arguments, false)
    }

    /// Calls a method without waiting for anything.
    ///
    /// # Errors
    /// As for [`call`](Proxy::call), except for answers.
    pub fn send(&mut self, method: &str, arguments: Arguments) -> Result<(), ClientError> {
        self.request(method, arguments, true).map(drop)
    }

    fn request(
        &mut self,
        method: &str,
        arguments: Arguments,
        asynchronous: bool,
    ) -> Result<Value, ClientError> {
        if self.liveness.ended() {
            let unused = self.link.is_unopened();
            return Err(if unused { ClientError::Refused } else { ClientError::Closed });
        }
        let resource = self.grant.profile.clone().into();
        self.link.call(&Request { resource, asynchronous, ..Request::new(method, arguments) })
    }
}
