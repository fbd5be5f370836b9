//! Calls at the broker: the checks of 2.3, the rights of 2.5, and the way to whoever does the work.

use std::sync::{Arc, OnceLock};

use ave_profile::{Refusal, SessionId, Value};
use ave_protocol::arguments::Bound;
use ave_protocol::error::Fault;
use ave_protocol::message::{Call, Encoding, Envelope, Place, Reply};

use crate::calls::table::{self, INTERNAL, Method, Rights, SESSION_ONLY};
use crate::calls::{allocation, lists, reports};
use crate::connection::{Answering, Outcome};
use crate::keys::Caller;
use crate::session::{Session, SessionHandle};
use crate::site::{Site, random_u64, session_key};

/// One client of the broker. Its session begins with the first call that needs one and ends with it.
pub(crate) struct Client {
    pub(crate) site: Arc<Site>,
    caller: Caller,
    session: OnceLock<Arc<SessionHandle>>,
}

/// Whatever ended the connection, its session ends too.
impl Drop for Client {
    fn drop(&mut self) {
        self.lost();
    }
}

impl Answering for Client {
    async fn answer(&self, envelope: Envelope, encoding: Encoding) -> Outcome {
        let call = match envelope.check(Place::Broker) {
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
        if !self.may(rpc.rights, rpc.method) {
            return Outcome::Answer(Reply::Plain("not authorized to make this call".to_owned()));
        }
        let arguments = match call.arguments() {
            Ok(arguments) => arguments,
            Err(text) => return Outcome::Answer(Reply::Plain(text)),
        };
        self.make(rpc.method, rpc.signature.bind(arguments), encoding).await
    }

    fn lost(&self) {
        if let Some(session) = self.session.get() {
            session.end();
        }
    }
}

impl Client {
    pub(crate) fn new(site: Arc<Site>, caller: Caller) -> Client {
        Client { site, caller, session: OnceLock::new() }
    }

    /// The client's session; `None` on connections that showed a key.
    pub(crate) async fn session(&self) -> Option<&Arc<SessionHandle>> {
        if !matches!(self.caller, Caller::Anonymous | Caller::Unknown) {
            return None;
        }
        if self.session.get().is_none() {
            let id = SessionId(random_u64());
            let (session, orders, handle) = Session::new(self.site.clone(), id, session_key());
            self.site.hub.open(session, orders).await;
            let _ = self.session.set(handle);
        }
        self.session.get()
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

    fn may(&self, rights: Rights, method: Method) -> bool {
        match (rights, &self.caller) {
            (Rights::Everybody | Rights::Clients, _) => true,
            // It may be a session that has ended, and its client, that are to stop; not the broker.
            (_, Caller::Unknown) if method == Method::Stop => false,
            (Rights::Account(name), Caller::Accounts(names)) if names.iter().any(|n| n == name) => true,
            (Rights::Account(name), _) => !self.site.keys.has_account(name),
        }
    }

    async fn make(&self, method: Method, bound: Result<Bound, Fault>, encoding: Encoding) -> Outcome {
        if matches!(method, Method::Get | Method::GetMulti) {
            return allocation::get(self, method, bound, encoding).await;
        }
        let bound = match bound {
            Ok(bound) => bound,
            Err(fault) => return fault.into(),
        };
        if method == Method::Stop {
            return Outcome::Stop(Reply::Result(Value::Bool(true)));
        }
        match self.work(method, bound).await {
            Ok(value) => Outcome::Answer(Reply::Result(value)),
            Err(refusal) => Fault::from(refusal).into(),
        }
    }

    async fn work(&self, method: Method, bound: Bound) -> Result<Value, Refusal> {
        let site = &*self.site;
        match method {
            Method::Get | Method::GetMulti | Method::Stop => Ok(Value::Null), // made by `make`
            Method::GetVersion => Ok(Value::Int(1)),
            Method::GetProfile => Ok(site.config.broker.public_profile().into()),
            Method::YieldResources => allocation::yield_resources(self, bound).await,
            Method::ListAllocations => lists::allocations(self).await,
            Method::ListCollateral => lists::collateral(self).await,
            Method::ListAllocationsAll => lists::allocations_all(site).await,
            Method::ListCollateralAll => lists::collateral_all(site).await,
            Method::ListEquipment => lists::equipment(site, bound).await,
            Method::ListAvailable => lists::available(site, bound).await,
            Method::ListHandsets => lists::of_kind(site, "handset", bound).await,
            Method::ListRelays => lists::of_kind(site, "relay", bound).await,
            Method::ListStacks => lists::stacks(site).await,
            Method::ListAllocators => Ok(Value::List(vec!["local".into()])),
            Method::ListShares => Ok(Value::List(Vec::new())),
            Method::Sharing => Ok(Value::Null), // there is no sharing rule that it could concern
            Method::CloseSession => allocation::close_session(site, bound).await,
            Method::Serialize => Ok(Value::Map(Default::default())),
            Method::BeginHandover | Method::EndHandover => {
                Err(Refusal::exception("this broker cannot hand over: stop it and start it again"))
            }
            Method::AddEquipment => reports::add_equipment(site, bound).await,
            Method::SetEquipment => reports::set_equipment(bound),
            Method::SetStacks => reports::set_stacks(site, bound).await,
            Method::SetWorkspaceProfile => reports::set_workspace_profile(site, bound).await,
            Method::Obsolete => Err(Refusal::exception("this call is obsolete: use set_equipment()")),
        }
    }
}
