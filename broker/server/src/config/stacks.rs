//! The stacks of `broker.json`: which pieces are wired together. A stack may name what is not connected,
//! and a piece may be in several stacks.

use std::path::Path;

use ave_profile::{KindTable, Profile, Value};

use super::fault::{Fault, shown};

/// The members that may identify a piece, besides that of its own type.
const IDENTITIES: [&str; 3] = ["serial", "imei", "uid"];

/// The profiles of these lists. What names no piece is a fault; what names one that can never be found
/// only a warning: such a member counts for the stack's length and is never matched.
pub(super) fn check(
    path: &Path,
    lists: Vec<Vec<Value>>,
    kinds: &KindTable,
    faults: &mut Vec<Fault>,
) -> Vec<Vec<Profile>> {
    let mut stacks = Vec::new();
    for (i, list) in lists.into_iter().enumerate() {
        let mut stack = Vec::new();
        for (j, member) in list.into_iter().enumerate() {
            let field = format!("stacks[{i}][{j}]");
            match named(kinds, member) {
                Ok(profile) => {
                    faults.extend(doubt(kinds, &profile).map(|wanted| {
                        Fault::warning(
                            path,
                            field,
                            wanted,
                            format!("{} (it is never matched)", shown(&profile.clone().into())),
                        )
                    }));
                    stack.push(profile);
                }
                Err((member, missing)) => {
                    let message = format!("the stacked profile \"{member}\" {missing}");
                    let wanted =
                        "an object with \"type\" and one of \"serial\", \"imei\", \"uid\", all strings";
                    faults.push(Fault::error(path, field, wanted, shown(&member), message));
                }
            }
        }
        stacks.push(stack);
    }
    stacks
}

/// A profile that names a piece, or what it lacks.
fn named(kinds: &KindTable, member: Value) -> Result<Profile, (Value, &'static str)> {
    let Value::Map(map) = member else { return Err((member, "is not an object")) };
    let is_text = |name: &&str| map.get(*name).is_some_and(|value| value.as_str().is_some());
    if !is_text(&"type") {
        return Err((map.into(), "does not have a \"type\" that is a string"));
    }
    let own = map.get("type").and_then(Value::as_str).and_then(|name| kinds.get(name));
    let own = own.map(|kind| kind.identity.as_str());
    if !IDENTITIES.into_iter().chain(own).any(|name| is_text(&name)) {
        return Err((map.into(), "does not have a \"serial\", \"imei\" or \"uid\" that is a string"));
    }
    Ok(Profile(map))
}

/// What a profile that names a piece would need to be found.
fn doubt(kinds: &KindTable, profile: &Profile) -> Option<String> {
    let Some(kind) = profile.kind().and_then(|name| kinds.get(name)) else {
        return Some("a known \"type\"".to_owned());
    };
    if kind.made_on_demand {
        return Some(format!("a type other than \"{}\"", kind.name));
    }
    let identified = kind.identity_of(profile).is_some();
    (!identified).then(|| format!("\"{}\", which identifies a {}", kind.identity, kind.name))
}
