//! What there is, what is free, who holds what. The core is looked at between two events; the lists are
//! written outside of it. (Specification 4.1, 4.2.)

use std::sync::Arc;

use ave_core::{Allocator, Core};
use ave_profile::{Address, Map, Profile, Refusal, Value, WEIGHT_MAX, weighed};
use ave_protocol::arguments::Bound;

use super::allocation::profile;
use super::broker::Client;
use crate::peers::heard::{address, address_value, wrong};
use crate::site::Site;

type Profiles = Vec<Arc<Profile>>;

pub(crate) async fn equipment(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let allocator = match bound.get("allocator") {
        Value::Null => None,
        Value::Text(name) if name == "local" => Some(Allocator::Local),
        other => match address(other) {
            Ok(share) => Some(Allocator::Share(share)),
            Err(_) => return Ok(Value::List(Vec::new())), // no allocator is called like that
        },
    };
    let filter = filter(&bound)?;
    list(site, move |core| core.equipment(filter.as_ref(), allocator.as_ref())).await
}

/// Where each piece really is.
pub(crate) async fn holders(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let filter = filter(&bound)?;
    let available = match bound.get("available") {
        Value::Bool(flag) => *flag,
        other => return Err(wrong("available", "true or false", other)),
    };
    let held = site.hub.look(move |core| core.holders(filter.as_ref(), available)).await?;
    let entry = |(holder, profile): (Option<Address>, Arc<Profile>)| {
        let holder = holder.as_ref().map_or_else(|| "local".into(), address_value);
        let profile = Profile::clone(&profile).into();
        Value::Map(Map::from([("holder".to_owned(), holder), ("profile".to_owned(), profile)]))
    };
    Ok(Value::List(held.into_iter().map(entry).collect()))
}

/// The connected shares.
pub(crate) async fn shares(site: &Site) -> Result<Value, Refusal> {
    let shares = site.hub.look(Core::shares).await?;
    Ok(Value::List(shares.iter().map(address_value).collect()))
}

/// This broker's own equipment, and the shares.
pub(crate) async fn allocators(site: &Site) -> Result<Value, Refusal> {
    let shares = site.hub.look(Core::shares).await?;
    let allocators = std::iter::once(Value::from("local")).chain(shares.iter().map(address_value));
    Ok(Value::List(allocators.collect()))
}

pub(crate) async fn available(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let filter = filter(&bound)?;
    list(site, move |core| core.available(filter.as_ref())).await
}

/// This broker's own equipment of one type; asked for another type there is none.
pub(crate) async fn of_kind(site: &Site, kind: &'static str, bound: Bound) -> Result<Value, Refusal> {
    let mut filter = filter(&bound)?.unwrap_or_default();
    if filter.0.entry("type".to_owned()).or_insert_with(|| kind.into()).as_str() != Some(kind) {
        return Ok(Value::List(Vec::new()));
    }
    list(site, move |core| core.equipment(Some(&filter), Some(&Allocator::Local))).await
}

pub(crate) async fn allocations(client: &Client) -> Result<Value, Refusal> {
    of_session(client, |core, session| core.allocations(Some(session))).await
}

pub(crate) async fn collateral(client: &Client) -> Result<Value, Refusal> {
    of_session(client, |core, session| core.collateral(Some(session))).await
}

pub(crate) async fn allocations_all(site: &Site) -> Result<Value, Refusal> {
    list(site, |core| core.allocations(None)).await
}

pub(crate) async fn collateral_all(site: &Site) -> Result<Value, Refusal> {
    list(site, |core| core.collateral(None)).await
}

pub(crate) async fn stacks(site: &Site) -> Result<Value, Refusal> {
    let stacks = site.hub.look(|core| core.stacks()).await?;
    Ok(Value::List(stacks.iter().map(|stack| written(stack)).collect()))
}

async fn of_session(
    client: &Client,
    look: impl FnOnce(&Core, ave_profile::SessionId) -> Profiles + Send + 'static,
) -> Result<Value, Refusal> {
    let session = client.session().await?.id;
    let profiles =
        client.site.hub.look(move |core| core.is_open(session).then(|| look(core, session))).await?;
    Ok(written(&profiles.ok_or_else(Refusal::session_closed)?))
}

async fn list(site: &Site, look: impl FnOnce(&Core) -> Profiles + Send + 'static) -> Result<Value, Refusal> {
    Ok(written(&site.hub.look(look).await?))
}

fn written(profiles: &[Arc<Profile>]) -> Value {
    Value::List(profiles.iter().map(|profile| Profile::clone(profile).into()).collect())
}

fn filter(bound: &Bound) -> Result<Option<Profile>, Refusal> {
    match bound.get("profile") {
        Value::Null => Ok(None),
        value => {
            weighed(std::slice::from_ref(value), WEIGHT_MAX)?;
            profile(value).map(Some)
        }
    }
}
