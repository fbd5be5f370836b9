//! Who connects: a key, and what its server may look it up by.

use ave_profile::SessionId;

use super::{KeyId, Salt, Secret, named_answer, original_answer};

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
    /// Proves the key, in the form that the salt's marker offers and the known ids allow.
    pub fn answer(&self, salt: &Salt) -> Vec<u8> {
        let id = match self {
            Credential::Anonymous => Some(KeyId::Anonymous),
            Credential::Account { name, .. } => Some(name.clone().map_or(KeyId::Anonymous, KeyId::Account)),
            Credential::Session { id, .. } => id.map(KeyId::Session),
        };
        match id {
            Some(id) if salt.has_marker() => named_answer(&self.key(), salt, &id),
            _ => self.original_answer(salt),
        }
    }

    /// Proves the key as original clients do.
    pub fn original_answer(&self, salt: &Salt) -> Vec<u8> {
        original_answer(&self.key(), salt).to_vec()
    }

    fn key(&self) -> Secret {
        match self {
            Credential::Anonymous => Secret::anonymous(),
            Credential::Account { key, .. } | Credential::Session { key, .. } => key.clone(),
        }
    }
}
