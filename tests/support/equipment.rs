//! Equipment for labs, and the profiles that ask for it. A piece is known by a short name, whose first
//! letter is its type: `h1` is a handset, `r1` a relay, `n1` a wlan dongle.

use serde_json::{Value, json};

/// Everything that is known of a piece.
pub(crate) fn piece(name: &str) -> Value {
    match name.as_bytes()[0] {
        b'h' => json!({
            "type": "handset", "serial": name, "power_state": "boot_completed", "platform": "android",
            "product.model": "d1", "sysfs_path": "/", "workstation": "ws1", "pretty": "mary",
        }),
        b'r' => json!({
            "type": "relay", "uid": name, "power_state": "online",
            "circuits": {"usb.pc.vcc": 1, "handset.battery": 2},
        }),
        b'n' => json!({"type": "wlan", "uid": name}),
        _ => panic!("no such type of equipment: {name}"),
    }
}

/// A piece of which more, or other things, are known.
pub(crate) fn piece_with(name: &str, members: Value) -> Value {
    with(piece(name), members)
}

/// Everything that is known of these pieces.
pub(crate) fn pieces(names: &[&str]) -> Value {
    names.iter().copied().map(piece).collect()
}

/// A piece by its identity, as stacks are written and as a single one can be asked for.
pub(crate) fn only(name: &str) -> Value {
    match piece(name)["type"].as_str() {
        Some("handset") => json!({"type": "handset", "serial": name}),
        kind => json!({"type": kind, "uid": name}),
    }
}

/// Stacks of these pieces.
pub(crate) fn stacks(stacks: &[&[&str]]) -> Value {
    stacks.iter().map(|stack| stack.iter().copied().map(only).collect::<Value>()).collect()
}

/// Any piece of a type.
pub(crate) fn any(kind: &str) -> Value {
    json!({"type": kind})
}

/// A profile and further members.
pub(crate) fn with(mut profile: Value, members: Value) -> Value {
    for (name, value) in members.as_object().expect("members") {
        profile[name] = value.clone();
    }
    profile
}

/// The identities of profiles, in their order.
pub(crate) fn names(profiles: &Value) -> Vec<String> {
    let profiles = profiles.as_array().unwrap_or_else(|| panic!("not a list of profiles: {profiles}"));
    profiles.iter().map(name).collect()
}

/// The identity of a profile.
fn name(profile: &Value) -> String {
    let identity = ["serial", "uid", "name"].iter().find_map(|member| profile.get(*member)?.as_str());
    identity.unwrap_or_else(|| panic!("no identity: {profile}")).to_owned()
}
