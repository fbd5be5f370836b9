//! `get`, `yield_resources` and `close_session`. (Specification 4.1, 5.1, 5.10.)

use ave_core::{Door, Event, Granted};
use ave_profile::{BrokerId, Map, Profile, Refusal, RefusalKind, Value, Want, weighed};
use ave_protocol::arguments::Bound;
use ave_protocol::error::Fault;
use ave_protocol::handshake::Secret;
use ave_protocol::message::{Encoding, Reply};
use tokio::time::timeout;
use tracing::info;

use super::broker::Client;
use super::table::Method;
use crate::connection::Outcome;
use crate::keys::Server;
use crate::limits::{CLOSE_WAIT, YIELD_WEIGHT_MAX};
use crate::log::brief;
use crate::session::SessionHandle;
use crate::site::{Site, address_value, random_u64};

/// Asks for equipment. Whatever is wrong with the question ends the session, as a refusal does.
pub(crate) async fn get(
    client: &Client,
    method: Method,
    bound: Result<Bound, Fault>,
    via: Result<Vec<BrokerId>, Refusal>,
    encoding: Encoding,
) -> Outcome {
    if !client.is_anonymous() {
        return Outcome::Close;
    }
    let session = match client.session().await {
        Ok(session) => session,
        Err(refusal) => return Fault::from(refusal).into(),
    };
    let want = match (bound, method) {
        (Ok(bound), Method::GetMulti) => Want::of_groups(&bound.rest()),
        (Ok(bound), _) => Want::of_get(&bound.rest()),
        (Err(fault), _) => Err(Refusal::new(RefusalKind::Driver(fault.kind), fault.message)),
    };
    let (want, via) = match via {
        Ok(via) => (want, via),
        Err(refusal) => (want.and(Err(refusal)), Vec::new()),
    };
    match client.site.hub.get(session.id, want, random_u64(), via).await {
        Ok(groups) => Outcome::Answer(Reply::Result(shape(session, method, groups, encoding))),
        Err(refusal) => {
            let refusal = client.explained(refusal);
            let (kind, why) = (brief(refusal.kind.as_str()), brief(&refusal.message));
            info!(session = %session.id, kind, why, "refused");
            Fault::from(refusal).into()
        }
    }
}

/// Groups answer as groups when they were asked for as such, else all profiles stand in one list.
fn shape(session: &SessionHandle, method: Method, groups: Vec<Vec<Granted>>, encoding: Encoding) -> Value {
    let resources = |group: Vec<Granted>| -> Vec<Value> {
        group.into_iter().map(|granted| Profile::clone(&granted.profile).into()).collect()
    };
    let answer = |resources: Vec<Value>| {
        let mut map = entry(session, encoding);
        map.insert("resources".to_owned(), Value::List(resources));
        Value::Map(map)
    };
    match method {
        Method::GetMulti => {
            groups.into_iter().map(|group| answer(resources(group))).collect::<Vec<_>>().into()
        }
        _ => answer(groups.into_iter().flat_map(resources).collect()),
    }
}

/// How to reach a session. Clients that read MessagePack can also name it at the handshake.
pub(crate) fn entry(session: &SessionHandle, encoding: Encoding) -> Map {
    let mut map = Map::new();
    map.insert("address".to_owned(), session.address().map(address_value).unwrap_or_default());
    map.insert("authkey".to_owned(), session.key.expose().into());
    if encoding == Encoding::MessagePack {
        map.insert("session".to_owned(), session.id.to_string().into());
    }
    map
}

/// Gives equipment back at the broker's door.
pub(crate) async fn yield_resources(client: &Client, bound: Bound) -> Result<Value, Refusal> {
    let session = client.session().await?;
    let profiles = given_back(&bound.rest())?;
    let given_back = client.site.hub.give_back(session.id, Door::Broker, profiles).await?;
    Ok(given_back.into())
}

/// Ends the session with this key, and waits until its holder is cut off.
pub(crate) async fn close_session(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let key = bound.get("authkey").as_str().map(|key| Secret::new(key.to_owned()));
    match key.and_then(|key| site.keys.server_of(&key)) {
        None => return Err(Refusal::new(RefusalKind::KeyError, "no session has this key")),
        Some(Server::Ours(session)) => {
            info!(session = %session.id, "closed by an administrator");
            session.end();
            session.wait_closed().await;
        }
        Some(Server::Elder(elder)) => {
            // The process that serves it ends it.
            site.hub.tell(Event::SessionEnded { session: elder.session }).await;
            let _ = timeout(CLOSE_WAIT, elder.gone.cancelled()).await;
        }
    }
    Ok(Value::Null)
}

/// The profiles of pieces that are given back.
pub(crate) fn given_back(values: &[Value]) -> Result<Vec<Profile>, Refusal> {
    weighed(values, YIELD_WEIGHT_MAX)?;
    profiles(values)
}

/// A list of profiles, as arguments carry it.
pub(crate) fn profiles(values: &[Value]) -> Result<Vec<Profile>, Refusal> {
    values.iter().map(profile).collect()
}

/// A profile, as arguments carry it.
pub(crate) fn profile(value: &Value) -> Result<Profile, Refusal> {
    let map =
        value.as_map().ok_or_else(|| Refusal::exception(format!("profile is not an object: {value}")))?;
    Ok(Profile(map.clone()))
}
