//! How to connect, and as whom.

use std::sync::Arc;
use std::time::Duration;

use ave_profile::SessionId;
use ave_protocol::handshake::{self, KeyId, Salt, Secret};
use ave_protocol::message::Encoding;

/// Asked while waiting, at least every 100 ms and whenever a signal arrives: true means give up.
pub type Interrupt = Arc<dyn Fn() -> bool + Send + Sync>;

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
}

impl Options {
    /// The same for sessions, which are neither limited nor waited for. (Specification 9.)
    pub(crate) fn for_sessions(&self) -> Options {
        Options { connect_limit: None, reply_limit: None, optimistic: false, ..self.clone() }
    }
}

/// Who connects.
#[derive(Clone, Debug)]
pub enum Credential {
    /// Nobody in particular; gets a session.
    Anonymous,
    /// Whoever knows an account's key.
    Account {
        /// The account's name. Without it the server tries every account.
        name: Option<String>,
        /// The account's key.
        key: Secret,
    },
    /// Whoever was granted something by a session.
    Session {
        /// The session's id. Without it the server tries the sessions.
        id: Option<SessionId>,
        /// The session's key.
        key: Secret,
    },
}

impl Credential {
    /// Proves the key, in the form the salt's marker offers and `options` and the known ids allow.
    pub(crate) fn answer(&self, salt: &Salt, options: &Options) -> Vec<u8> {
        let (key, id) = match self {
            Credential::Anonymous => (&Secret::anonymous(), Some(KeyId::Anonymous)),
            Credential::Account { name, key } => {
                (key, Some(name.clone().map_or(KeyId::Anonymous, KeyId::Account)))
            }
            Credential::Session { id, key } => (key, id.map(KeyId::Session)),
        };
        match id {
            Some(id) if salt.has_marker() && !options.original_answer => {
                handshake::named_answer(key, salt, &id)
            }
            _ => handshake::original_answer(key, salt).to_vec(),
        }
    }
}
