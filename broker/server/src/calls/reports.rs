//! What listers and administrators say of this host's equipment, stacks and workspaces. (Specification 4.2
//! and 4.3.)

use ave_core::{Event, Source};
use ave_profile::{Profile, Refusal, Value};
use ave_protocol::arguments::Bound;

use super::allocation::{profile, profiles};
use crate::peers::heard;
use crate::site::Site;

pub(crate) async fn add_equipment(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    if !is_local(&bound) {
        let text = format!(
            "add_equipment() is for equipment of this host: wanted \"local\", found {}; \
             a broker that shares its equipment uses set_equipment()",
            bound.get("allocator")
        );
        return Err(Refusal::exception(text));
    }
    let reported = profiles(listed(&bound, "profiles")?)?;
    site.hub.report(Source::Lister, reported).await?;
    Ok(Value::Null)
}

pub(crate) async fn set_stacks(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let wanted = || Refusal::exception("stacks must be a list of list of profiles");
    let stack = |stack: &Value| profiles(stack.as_list().ok_or_else(wanted)?).map_err(|_| wanted());
    let stacks = bound.get("stacks").as_list().ok_or_else(wanted)?;
    let stacks = stacks.iter().map(stack).collect::<Result<Vec<Vec<Profile>>, _>>()?;
    site.hub.tell(Event::StacksSet { stacks }).await;
    Ok(Value::Null)
}

pub(crate) async fn set_workspace_profile(site: &Site, mut bound: Bound) -> Result<Value, Refusal> {
    let profile = heard::workspace(bound.take("profile"))?;
    site.hub.tell(Event::WorkspaceProfileSet { profile: Some(profile) }).await;
    Ok(Value::Null)
}

/// Has a piece that could not be closed made fit again. (Specification 5.11.)
pub(crate) async fn reset_equipment(site: &Site, bound: Bound) -> Result<Value, Refusal> {
    let profile = profile(bound.get("profile"))?;
    let unnamed = || Refusal::exception(format!("profile does not name a piece: {profile}"));
    site.hub.reset(site.kinds.identity(&profile).ok_or_else(unnamed)?).await?;
    Ok(Value::Null)
}

fn listed<'b>(bound: &'b Bound, name: &str) -> Result<&'b [Value], Refusal> {
    let value = bound.get(name);
    let wrong =
        || Refusal::exception(format!("{name} must be a list of profiles, found {}", value.type_name()));
    value.as_list().ok_or_else(wrong)
}

/// Whether a call concerns this host, and not a share.
pub(super) fn is_local(bound: &Bound) -> bool {
    bound.get("allocator").as_str() == Some("local")
}
