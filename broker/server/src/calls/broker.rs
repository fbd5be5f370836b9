//! Calls at the broker: the checks of 2.3, the rights of 2.5, and the way to whoever does the work.

use std::mem;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ave_profile::{Map, Refusal, SessionId, Value};
use ave_protocol::arguments::Bound;
use ave_protocol::error::Fault;
use ave_protocol::message::{Call, Encoding, Envelope, Place, Reply};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::calls::handover::{self, Handover};
use crate::calls::table::{self, INTERNAL, Method, Rights, SESSION_ONLY};
use crate::calls::{allocation, beside, lists, reports, sharing, sharing_rule, status};
use crate::connection::{Answering, Outcome};
use crate::handover::Phase;
use crate::keys::Caller;
use crate::peers::speaker::Speaker;
use crate::session::{Session, SessionHandle};
use crate::site::{Site, random_u64, session_key};

/// One client of the broker. Its session begins with the first call that needs one and ends with it.
pub(crate) struct Client {
    pub(crate) site: Arc<Site>,
    caller: Caller,
    peer: SocketAddr,
    session: OnceLock<Arc<SessionHandle>>,
    /// What it says of shares, if it is a broker that does.
    speaker: OnceLock<Speaker>,
    /// How long it is silent at most, if it has said so.
    silence_limit: OnceLock<Duration>,
    /// Cuts its connection.
    cut: CancellationToken,
    /// The handover it has begun.
    pub(crate) handover: Mutex<Option<Handover>>,
}

/// Whatever ended the connection, its session ends too.
impl Drop for Client {
    fn drop(&mut self) {
        self.lost();
    }
}

impl Answering for Client {
    async fn answer(&self, envelope: Envelope, encoding: Encoding) -> Outcome {
        let mut call = match envelope.check(Place::Broker) {
            Ok(call) => call,
            Err(text) => return Outcome::Answer(Reply::Plain(text)),
        };
        if self.is_for_a_session(&call) {
            return Outcome::Close;
        }
        let Some(rpc) = table::find(&call.method) else {
            let text = match INTERNAL.contains(&call.method.as_str()) {
                true => format!("not an RPC: {}", call.method),
                false => format!("no such RPC: {}", call.method),
            };
            return Outcome::Answer(Reply::Plain(text));
        };
        if self.site.reign.phase() == Phase::Over {
            match rpc.method {
                // Before any other check, and harmless.
                Method::Get | Method::GetMulti if self.is_anonymous() => {
                    return Fault::from(Refusal::restarting()).into();
                }
                // The process that rules now has to hear this.
                method if method.is_for_the_ruler() => return Outcome::Close,
                _ => {}
            }
        }
        if !self.may(rpc.rights, rpc.method) {
            return Outcome::Answer(Reply::Plain("not authorized to make this call".to_owned()));
        }
        let further = mem::take(&mut call.further);
        let arguments = match call.arguments() {
            Ok(arguments) => arguments,
            Err(text) => return Outcome::Answer(Reply::Plain(text)),
        };
        self.make(rpc.method, rpc.signature.bind(arguments), &further, encoding).await
    }

    fn silence_limit(&self) -> Option<Duration> {
        self.silence_limit.get().copied()
    }

    fn silent(&self) {
        info!(peer = %self.peer, "another broker is silent for too long: its connection is closed");
        if let Some(speaker) = self.speaker.get() {
            speaker.leave("silent for too long");
        }
    }

    fn warning(&self) -> Option<Map> {
        self.session.get()?.warnings.next()
    }

    fn lost(&self) {
        if let Some(session) = self.session.get() {
            session.end();
        }
    }
}

impl Client {
    pub(crate) fn new(site: Arc<Site>, caller: Caller, peer: SocketAddr, cut: CancellationToken) -> Client {
        let (session, speaker, silence_limit) = Default::default();
        Client { site, caller, peer, session, speaker, silence_limit, cut, handover: Mutex::default() }
    }

    /// The connection as one that speaks for shares.
    pub(crate) async fn speaker(&self) -> &Speaker {
        if let Some(speaker) = self.speaker.get() {
            return speaker;
        }
        let hub = &self.site.hub;
        let (speaker, end) = Speaker::new(hub.new_link(), self.peer, self.cut.clone());
        hub.link(end).await;
        self.speaker.get_or_init(|| speaker)
    }

    /// The client's session.
    ///
    /// # Errors
    /// If it cannot have one, because it has shown a key, or its host has too many.
    pub(crate) async fn session(&self) -> Result<&Arc<SessionHandle>, Refusal> {
        if !self.is_anonymous() {
            return Err(Refusal::session_closed());
        }
        if self.session.get().is_none() {
            let lodging = self.site.crowd.lodge(self.peer.ip())?;
            let id = SessionId(random_u64());
            let (session, orders, handle) = Session::new(self.site.clone(), id, session_key(), lodging);
            let _ = self.session.set(handle); // before anything that could be cut short
            self.site.hub.open(session, orders).await;
        }
        self.session.get().ok_or_else(Refusal::session_closed)
    }

    /// Where everybody shares one port, a call meant for a session that has ended must not be taken for
    /// a call of a new client: an original client expects to find nobody there.
    fn is_for_a_session(&self, call: &Call) -> bool {
        if call.method == "get_version" {
            return false;
        }
        let stranger = matches!(self.caller, Caller::Stranger);
        let session_call = call.resource != Value::Null || SESSION_ONLY.contains(&call.method.as_str());
        stranger || (session_call && self.site.ports.is_none())
    }

    /// Another broker, which says how long it is never silent; its first word counts.
    pub(crate) fn announce(&self, silence_limit_s: Option<&Value>) {
        if let Some(limit) = beside::silence_limit(silence_limit_s) {
            let _ = self.silence_limit.set(limit);
        }
    }

    /// Whether it may have a session: not if it has shown a key.
    pub(crate) fn is_anonymous(&self) -> bool {
        matches!(self.caller, Caller::Anonymous | Caller::Unknown)
    }

    /// The same, with the reason if the broker itself has ended the session.
    pub(crate) fn explained(&self, refusal: Refusal) -> Refusal {
        match self.session.get() {
            Some(session) if refusal == Refusal::session_closed() => session.closed_refusal(),
            _ => refusal,
        }
    }

    fn may(&self, rights: Rights, method: Method) -> bool {
        match (rights, &self.caller) {
            (Rights::Everybody | Rights::Clients, _) => true,
            // It may be a session that has ended, and its client, that are to stop; not the broker.
            (_, Caller::Unknown) if method == Method::Stop => false,
            (Rights::Account(name), Caller::Accounts(names)) if names.iter().any(|n| n == name) => true,
            (Rights::Account(name), _) => !self.site.keys.has_account(name),
        }
    }

    async fn make(
        &self,
        method: Method,
        bound: Result<Bound, Fault>,
        further: &Map,
        encoding: Encoding,
    ) -> Outcome {
        use Method::*;
        let site = &*self.site;
        let result = match (method, bound) {
            (Get | GetMulti, bound) => {
                self.announce(further.get("silence_limit_s"));
                return allocation::get(self, method, bound, beside::via(further), encoding).await;
            }
            (_, Err(fault)) => return fault.into(),
            (Stop, Ok(_)) => return Outcome::Stop(Reply::Result(Value::Bool(true))),
            (GetVersion, Ok(_)) => Ok(Value::Int(1)),
            (GetProfile, Ok(_)) => Ok(site.config.broker.public_profile().into()),
            (GetStatus, Ok(_)) => status::get(site).await,
            (SetLogLevel, Ok(bound)) => status::set_log_level(site, bound),
            (YieldResources, Ok(bound)) => allocation::yield_resources(self, bound).await,
            (ListAllocations, Ok(_)) => lists::allocations(self).await,
            (ListCollateral, Ok(_)) => lists::collateral(self).await,
            (ListAllocationsAll, Ok(_)) => lists::allocations_all(site).await,
            (ListCollateralAll, Ok(_)) => lists::collateral_all(site).await,
            (ListEquipment, Ok(bound)) => lists::equipment(site, bound).await,
            (ListAvailable, Ok(bound)) => lists::available(site, bound).await,
            (ListHandsets, Ok(bound)) => lists::of_kind(site, "handset", bound).await,
            (ListRelays, Ok(bound)) => lists::of_kind(site, "relay", bound).await,
            (ListStacks, Ok(_)) => lists::stacks(site).await,
            (ListAllocators, Ok(_)) => lists::allocators(site).await,
            (ListHolders, Ok(bound)) => lists::holders(site, bound).await,
            (ListShares, Ok(_)) => lists::shares(site).await,
            (StartSharing, Ok(_)) => Ok(sharing_rule::start(&self.site).await),
            (RestartSharing, Ok(_)) => Ok(sharing_rule::restart(&self.site).await),
            (StopSharing, Ok(_)) => Ok(sharing_rule::stop(site).await),
            (DropShare, Ok(bound)) => sharing::drop_share(site, bound).await,
            (DropAllShares, Ok(_)) => sharing::drop_all_shares(site).await,
            (CloseSession, Ok(bound)) => allocation::close_session(site, bound).await,
            (ResetEquipment, Ok(bound)) => reports::reset_equipment(site, bound).await,
            (Serialize, Ok(_)) => handover::serialize(site).await,
            (BeginHandover, Ok(bound)) => handover::begin(self, bound).await,
            (EndHandover, Ok(bound)) => match handover::end(self, bound).await {
                Ok(true) => Ok(Value::Null),
                Ok(false) => return Outcome::Close,
                Err(refusal) => Err(refusal),
            },
            (AddEquipment, Ok(bound)) => reports::add_equipment(site, bound).await,
            (SetEquipment, Ok(bound)) => sharing::set_equipment(self, bound).await,
            (SetStacks, Ok(bound)) if reports::is_local(&bound) => reports::set_stacks(site, bound).await,
            (SetStacks, Ok(bound)) => sharing::set_stacks(self, bound).await,
            (SetWorkspaceProfile, Ok(bound)) if reports::is_local(&bound) => {
                reports::set_workspace_profile(site, bound).await
            }
            (SetWorkspaceProfile, Ok(bound)) => sharing::set_workspace_profile(self, bound).await,
            (ShareHello, Ok(bound)) => sharing::share_hello(self, bound).await,
            (ShareUpdate, Ok(bound)) => sharing::share_update(self, bound).await,
            (Obsolete, Ok(_)) => Err(Refusal::exception("this call is obsolete: use set_equipment()")),
        };
        match result {
            Ok(value) => Outcome::Answer(Reply::Result(value)),
            Err(refusal) => Fault::from(self.explained(refusal)).into(),
        }
    }
}
