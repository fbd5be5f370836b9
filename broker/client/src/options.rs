//! How to connect, and how long to wait.

use std::sync::Arc;
use std::time::Duration;

use ave_profile::Map;
use ave_protocol::message::Encoding;

/// Asked while waiting, at least every 100 ms and whenever a signal arrives: true means give up.
pub type Interrupt = Arc<dyn Fn() -> bool + Send + Sync>;

/// Hears what the broker says beside an answer: that a session will be ended, and when. Members `message`,
/// `remaining_s`, and `type` and `identity` if it is about one piece. (Specification 3.6.)
pub type Warned = Arc<dyn Fn(&Map) + Send + Sync>;

/// How to connect and how long to wait. The default waits for ever and does not insist.
#[derive(Clone, Default)]
pub struct Options {
    /// The limit of connecting, handshake included.
    pub connect_limit: Option<Duration>,
    /// The limit of each reply.
    pub reply_limit: Option<Duration>,
    /// Tries again while connections are refused, until `connect_limit`.
    pub optimistic: bool,
    /// Writes requests so, whatever the server offers.
    pub encoding: Option<Encoding>,
    /// Proves keys as original clients do, whatever the server offers.
    pub original_answer: bool,
    /// Can end every wait.
    pub interrupt: Option<Interrupt>,
    /// Hears warnings.
    pub warned: Option<Warned>,
}

impl Options {
    /// The same for sessions, which are neither limited nor waited for. (Specification 9.)
    pub(crate) fn for_sessions(&self) -> Options {
        Options { connect_limit: None, reply_limit: None, optimistic: false, ..self.clone() }
    }
}
