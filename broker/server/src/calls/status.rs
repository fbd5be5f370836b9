//! How the broker is, in numbers, and what it logs. (`docs/protocol.md`, 4.2.)

use ave_core::{Census, Tally};
use ave_profile::{Generation, Map, Refusal, Value};
use ave_protocol::arguments::Bound;
use rustix::process::Pid;

use crate::config::Policy;
use crate::peers::heard::{address_value, wrong};
use crate::site::{self, Site};

pub(crate) async fn get(site: &Site) -> Result<Value, Refusal> {
    let census = site.hub.look(|core| core.census()).await?;
    let members = [
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("pid", i64::from(std::process::id()).into()),
        ("generation", number(site.generation.0)),
        ("elders", elders(site, &census)),
        ("address", site::address_value(&site.address)),
        ("uptime_s", number(site.started.elapsed().as_secs())),
        ("log_level", site.log.shown().into()),
        ("sessions", number(census.sessions)),
        ("connections", number(site.connections.len())),
        ("equipment", equipment(&census)),
        ("remote", remote(site).await),
        ("shares", shares(&census)),
    ];
    Ok(map(members))
}

/// Has this process, and the older ones that still serve their sessions, log something else from now on.
pub(crate) fn set_log_level(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let filter = match bound.get("filter") {
        Value::Text(filter) => filter,
        other => return Err(wrong("filter", "text", other)),
    };
    site.log.change(filter).map_err(|error| Refusal::exception(error.to_string()))?;
    site.elders.log(filter);
    Ok(Value::Null)
}

/// The older processes, and how many sessions each still serves.
fn elders(site: &Site, census: &Census) -> Value {
    let elder = |(generation, pid): (Generation, Pid)| {
        let sessions = census.elders.get(&generation).copied().unwrap_or_default();
        let pid = i64::from(pid.as_raw_nonzero().get());
        map([("generation", number(generation.0)), ("pid", pid.into()), ("sessions", number(sessions))])
    };
    Value::List(site.elders.list().into_iter().map(elder).collect())
}

/// This broker's own pieces, all of them and by type.
fn equipment(census: &Census) -> Value {
    let mut all = Tally::default();
    for tally in census.kinds.values() {
        all.known += tally.known;
        all.lent += tally.lent;
        all.broken += tally.broken;
    }
    let kinds = census.kinds.iter().map(|(kind, tally)| (&**kind, map(counted(tally))));
    map(counted(&all).into_iter().chain([("types", map(kinds))]))
}

fn counted(tally: &Tally) -> [(&'static str, Value); 3] {
    [("known", number(tally.known)), ("lent", number(tally.lent)), ("broken", number(tally.broken))]
}

/// The broker that this one shares with or asks, if there is one.
async fn remote(site: &Site) -> Value {
    let Some(remote) = &site.config.broker.remote else { return Value::Null };
    let (policy, active) = match remote.policy {
        Policy::Share(_) => ("share", site.sharing.is_active().await),
        Policy::Forward => ("forward", true),
    };
    let address = site::address_value(&(remote.host.clone(), remote.port));
    map([("address", address), ("policy", policy.into()), ("active", active.into())])
}

fn shares(census: &Census) -> Value {
    let share = |(address, pieces): (&_, &usize)| {
        map([("address", address_value(address)), ("known", number(*pieces))])
    };
    Value::List(census.shares.iter().map(share).collect())
}

fn map<'n>(members: impl IntoIterator<Item = (&'n str, Value)>) -> Value {
    Value::Map(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map>())
}

/// No number here comes near the limit.
fn number(count: impl TryInto<i64>) -> Value {
    Value::Int(count.try_into().unwrap_or(i64::MAX))
}
