//! Whom a digest belongs to: accounts from `authkeys.json`, and the sessions that hold something.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ave_profile::{Generation, SessionId};
use ave_protocol::handshake::{Answer, KeyId, Salt, Secret, Verifier};
use tokio::sync::Semaphore;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use crate::handover::SessionKey;
use crate::limits::{DIGEST_TRIALS_MAX, DIGESTS_AT_ONCE};
use crate::session::SessionHandle;

/// Who is at the other end of a connection, as its handshake showed.
#[derive(Clone)]
pub(crate) enum Caller {
    /// Somebody without a key.
    Anonymous,
    /// Somebody whose digest matched nothing: as good as anonymous, as in the original.
    Unknown,
    /// Somebody with the key of these accounts.
    Accounts(Vec<String>),
    /// Somebody with the key of a live session.
    Session(Arc<SessionHandle>),
    /// Somebody with the key of a session that an older process of this broker serves.
    Elder(Arc<ElderKey>),
    /// Somebody who wants a session and does not have its key, or whose session has ended.
    Stranger,
}

impl Caller {
    /// What the handshake answers.
    pub(crate) fn is_authenticated(&self) -> bool {
        matches!(self, Caller::Accounts(_) | Caller::Session(_) | Caller::Elder(_))
    }
}

/// For the log: never a key.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Caller::Anonymous => f.write_str("anonymous"),
            Caller::Unknown => f.write_str("unknown key"),
            Caller::Accounts(names) => write!(f, "{}", names.join(",")),
            Caller::Session(handle) => write!(f, "session {}", handle.id),
            Caller::Elder(key) => write!(f, "session {} of generation {}", key.session, key.generation),
            Caller::Stranger => f.write_str("stranger"),
        }
    }
}

/// The key of a session that an older process of this broker serves. (Specification 7.1.)
pub(crate) struct ElderKey {
    pub(crate) session: SessionId,
    pub(crate) generation: Generation,
    key: Secret,
    verifier: Verifier,
    /// Cancelled when the session has nothing left.
    pub(crate) gone: CancellationToken,
}

/// Who serves the session with a key.
#[derive(Clone)]
pub(crate) enum Server {
    /// This process.
    Ours(Arc<SessionHandle>),
    /// An older one.
    Elder(Arc<ElderKey>),
}

struct Account {
    name: String,
    verifier: Verifier,
}

/// All keys this broker accepts.
pub(crate) struct Keys {
    anonymous: Verifier,
    accounts: Vec<Account>,
    sessions: RwLock<HashMap<SessionId, Arc<SessionHandle>>>,
    elders: RwLock<HashMap<SessionId, Arc<ElderKey>>>,
    /// Sessions by the digests of their keys, until nothing is left of them.
    by_key: Mutex<HashMap<[u8; 32], Server>>,
    trials: Arc<Semaphore>,
}

impl Keys {
    /// The keys of these accounts; sessions are admitted as they come.
    pub(crate) fn new<'a>(accounts: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Keys {
        let account =
            |(name, key): (&str, &Secret)| Account { name: name.to_owned(), verifier: Verifier::new(key) };
        Keys {
            anonymous: Verifier::new(&Secret::anonymous()),
            accounts: accounts.into_iter().map(account).collect(),
            sessions: RwLock::default(),
            elders: RwLock::default(),
            by_key: Mutex::default(),
            trials: Arc::new(Semaphore::new(DIGEST_TRIALS_MAX)),
        }
    }

    /// Whether an account has a key at all.
    pub(crate) fn has_account(&self, name: &str) -> bool {
        self.accounts.iter().any(|account| account.name == name)
    }

    /// From now on proxies of this session get in.
    pub(crate) fn admit(&self, handle: Arc<SessionHandle>) {
        self.by_key().insert(handle.key.digest(), Server::Ours(handle.clone()));
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).insert(handle.id, handle);
    }

    /// From now on its key is worth nothing, but whoever wants the session closed still finds it.
    pub(crate) fn revoke(&self, session: SessionId) {
        self.sessions.write().unwrap_or_else(PoisonError::into_inner).remove(&session);
    }

    /// Nothing is left of the session with this key.
    pub(crate) fn forget(&self, key: &Secret) {
        self.by_key().remove(&key.digest());
    }

    /// Who serves the session that has this key, and perhaps is closing.
    pub(crate) fn server_of(&self, key: &Secret) -> Option<Server> {
        self.by_key().get(&key.digest()).cloned()
    }

    fn by_key(&self) -> MutexGuard<'_, HashMap<[u8; 32], Server>> {
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Knows the keys of sessions that older processes serve.
    pub(crate) fn inherit(&self, keys: Vec<SessionKey>) {
        let mut elders = self.elders.write().unwrap_or_else(PoisonError::into_inner);
        for SessionKey { session, key, generation } in keys {
            let (verifier, gone) = (Verifier::new(&key), CancellationToken::new());
            let elder = Arc::new(ElderKey { session, generation, key, verifier, gone });
            self.by_key().insert(elder.key.digest(), Server::Elder(elder.clone()));
            elders.insert(session, elder);
        }
    }

    /// All of them, to be passed on.
    pub(crate) fn elders(&self) -> Vec<SessionKey> {
        let elders = self.elders.read().unwrap_or_else(PoisonError::into_inner);
        let key = |elder: &Arc<ElderKey>| SessionKey {
            session: elder.session,
            key: elder.key.clone(),
            generation: elder.generation,
        };
        elders.values().map(key).collect()
    }

    /// A session of an older process has nothing left.
    pub(crate) fn forget_elder(&self, session: SessionId) {
        let gone = self.elders.write().unwrap_or_else(PoisonError::into_inner).remove(&session);
        gone.into_iter().for_each(|elder| self.part_from(&elder));
    }

    /// A process has gone, and all its sessions with it.
    pub(crate) fn forget_generation(&self, generation: Generation) {
        let mut elders = self.elders.write().unwrap_or_else(PoisonError::into_inner);
        elders
            .extract_if(|_, elder| elder.generation == generation)
            .for_each(|(_, elder)| self.part_from(&elder));
    }

    fn part_from(&self, elder: &ElderKey) {
        self.forget(&elder.key);
        elder.gone.cancel();
    }

    /// The live session of this name.
    pub(crate) fn handle(&self, session: SessionId) -> Option<Arc<SessionHandle>> {
        self.session(session)
    }

    /// Whom an answer to a challenge belongs to. With `sessions`, keys of sessions are accepted too.
    pub(crate) async fn caller(&self, salt: &Salt, answer: &Answer, sessions: bool) -> Caller {
        match answer {
            Answer::Malformed => Caller::Unknown,
            Answer::Named { mac, id } => match id {
                KeyId::Session(session) if sessions => match (self.session(*session), self.elder(*session)) {
                    (Some(handle), _) if handle.is_shown_by(salt, answer) => Caller::Session(handle),
                    (_, Some(elder)) if elder.verifier.verify_named(salt, id, mac) => Caller::Elder(elder),
                    _ => Caller::Stranger,
                },
                KeyId::Session(_) => Caller::Stranger,
                KeyId::Account(name) => {
                    self.accounts_that(|a| a.name == *name && a.verifier.verify_named(salt, id, mac))
                }
                KeyId::Anonymous if self.anonymous.verify_named(salt, id, mac) => Caller::Anonymous,
                KeyId::Anonymous => self.accounts_that(|a| a.verifier.verify_named(salt, id, mac)),
            },
            Answer::Original(digest) => {
                if self.anonymous.verify_original(salt, digest) {
                    return Caller::Anonymous;
                }
                match self.accounts_that(|account| account.verifier.verify_original(salt, digest)) {
                    Caller::Unknown if sessions => self.try_sessions(salt, digest).await,
                    caller => caller,
                }
            }
        }
    }

    fn session(&self, session: SessionId) -> Option<Arc<SessionHandle>> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(&session).cloned()
    }

    /// A session of an older process.
    pub(crate) fn elder(&self, session: SessionId) -> Option<Arc<ElderKey>> {
        self.elders.read().unwrap_or_else(PoisonError::into_inner).get(&session).cloned()
    }

    /// All accounts are tried, so that the time taken does not tell which one matched.
    fn accounts_that(&self, matches: impl Fn(&Account) -> bool) -> Caller {
        let names: Vec<_> = self.accounts.iter().filter(|a| matches(a)).map(|a| a.name.clone()).collect();
        if names.is_empty() { Caller::Unknown } else { Caller::Accounts(names) }
    }

    /// The original's digest names no key: each session's is tried, some at a time, so that others have
    /// their turn in between. Not on the threads for files, which workspaces may keep busy for long.
    async fn try_sessions(&self, salt: &Salt, digest: &[u8; 16]) -> Caller {
        let Ok(_turn) = self.trials.acquire().await else { return Caller::Unknown };
        let sessions: Vec<_> =
            self.sessions.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for some in sessions.chunks(DIGESTS_AT_ONCE) {
            if let Some(handle) = some.iter().find(|handle| handle.verifier.verify_original(salt, digest)) {
                return Caller::Session(handle.clone());
            }
            yield_now().await;
        }
        let elders: Vec<_> =
            self.elders.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for some in elders.chunks(DIGESTS_AT_ONCE) {
            if let Some(elder) = some.iter().find(|elder| elder.verifier.verify_original(salt, digest)) {
                return Caller::Elder(elder.clone());
            }
            yield_now().await;
        }
        Caller::Unknown
    }
}
