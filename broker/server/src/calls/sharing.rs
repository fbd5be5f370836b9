//! What other brokers say of their equipment, and what administrators do about that. (Specification 4.2,
//! 4.3, 6.2 and 6.6.)

use ave_core::Event;
use ave_profile::{KindTable, Map, Refusal, Value};
use ave_protocol::arguments::Bound;
use tracing::info;

use super::beside::silence_limit;
use super::broker::Client;
use crate::config::SILENCE_LIMIT_S_MAX;
use crate::peers::heard::{Heard, address, addressed, member, object, wrong};
use crate::site::Site;

/// The version of what brokers of this kind say to each other.
const VERSION: i64 = 1;

/// Another broker of this kind introduces itself, before it says anything of its equipment.
pub(crate) async fn share_hello(client: &Client, mut bound: Bound) -> Result<Value, Refusal> {
    let mut hello = object("hello", bound.take("hello"))?;
    let broker = addressed(&member(&mut hello, "id")?)?;
    match member(&mut hello, "version")? {
        Value::Int(1..) => {}
        other => return Err(wrong("version", "a number from 1", &other)),
    }
    let announced = member(&mut hello, "silence_limit_s")?;
    if silence_limit(Some(&announced)).is_none() {
        let wanted = format!("a number from 1 to {SILENCE_LIMIT_S_MAX}");
        return Err(wrong("silence_limit_s", &wanted, &announced));
    }
    if broker == client.site.id {
        return Err(Refusal::exception("a broker cannot share with itself"));
    }
    client.announce(Some(&announced));
    client.speaker().await.introduce(broker);
    let id = client.site.id.to_string().into();
    Ok(Value::Map(Map::from([("id".to_owned(), id), ("version".to_owned(), Value::Int(VERSION))])))
}

/// What has changed at a broker of this kind.
pub(crate) async fn share_update(client: &Client, bound: Bound) -> Result<Value, Refusal> {
    tell(client, bound, |kinds, bound| Heard::of_changes(kinds, bound.take("update"))).await
}

/// All that a broker has.
pub(crate) async fn set_equipment(client: &Client, bound: Bound) -> Result<Value, Refusal> {
    tell(client, bound, |kinds, bound| {
        Heard::of_lists(kinds, bound.take("equipment"), bound.take("allocations"))
    })
    .await
}

/// A broker's stacks.
pub(crate) async fn set_stacks(client: &Client, bound: Bound) -> Result<Value, Refusal> {
    tell(client, bound, |kinds, bound| Heard::of_stacks(kinds, bound.take("stacks"))).await
}

/// What a broker makes workspaces from.
pub(crate) async fn set_workspace_profile(client: &Client, bound: Bound) -> Result<Value, Refusal> {
    tell(client, bound, |_, bound| Heard::of_workspace(bound.take("profile"))).await
}

/// Disconnects a share, which may connect again. One that is not there is no fault.
pub(crate) async fn drop_share(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let share = address(bound.get("address"))?;
    info!(%share, "an administrator drops a share");
    site.hub.tell(Event::ShareDropped { share: Some(share) }).await;
    Ok(Value::Null)
}

/// Disconnects all of them.
pub(crate) async fn drop_all_shares(site: &Site) -> Result<Value, Refusal> {
    info!("an administrator drops all shares");
    site.hub.tell(Event::ShareDropped { share: None }).await;
    Ok(Value::Null)
}

/// Reads all of a call before anything of it is told.
async fn tell(
    client: &Client,
    mut bound: Bound,
    read: impl FnOnce(&KindTable, &mut Bound) -> Result<Heard, Refusal> + Send + 'static,
) -> Result<Value, Refusal> {
    let share = address(bound.get("allocator"))?;
    let kinds = client.site.kinds.clone();
    let update = client.site.ponder(pieces_in(&bound), move || read(&kinds, &mut bound)).await??;
    client.speaker().await.tell(&client.site, share, update).await?;
    Ok(Value::Null)
}

/// How many pieces the lists of a call name, about.
fn pieces_in(bound: &Bound) -> usize {
    let length = |value: &Value| value.as_list().map_or(1, <[Value]>::len);
    let lists = ["equipment", "allocations", "stacks", "update"].map(|name| match bound.get(name) {
        Value::Map(members) => members.values().map(length).sum(),
        other => length(other),
    });
    lists.iter().sum()
}
