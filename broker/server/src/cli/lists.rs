//! `--list` and `--list-all`: what a running broker has, one paragraph a piece, or as JSON.

use ave_profile::{Kind, Map, Value};
use ave_protocol::arguments::Arguments;

use super::ask::{ANSWER_LIMIT, Question};
use super::{Failure, Outcome, answer};
use crate::config::{Paths, Types};

/// The built-in types that are listed, with their title's member and the members shown, in their order
/// (Specification 7.3).
const SHOWN: [(&str, &str, &str, &[&str]); 3] = [
    (
        "handset",
        "Handset",
        "sysfs_path",
        &[
            "pretty",
            "serial",
            "power_state",
            "platform",
            "sw.label",
            "gsm.operator",
            "product.model",
            "product.name",
            "sdk.version",
            "slid",
            "workstation",
        ],
    ),
    ("powermeter", "Powermeter", "sysfs_path", &["product", "vendor", "uid", "power_state", "device_node"]),
    ("relay", "Relay", "uid", &["circuits", "power_state"]),
];

/// How much room the names of members have: as much as the longest of [`SHOWN`] needs.
const LABEL_CHARS: usize = "product.model".len();

/// The member that says which other broker holds a piece. No profile carries it between brokers.
const BROKER: &str = "broker";

/// Prints all that the broker of this home has, or only what is available.
pub(super) fn print(paths: &Paths, available: bool, admin: Option<&str>, json: bool) -> Outcome {
    let question = |call, arguments| Question { doing: "list", call, arguments, limit: ANSWER_LIMIT };
    let arguments = Arguments::positional([Value::Null, available.into()]);
    let listed = match question("list_holders", arguments).ask_if_known(paths, admin)? {
        Some(held) => with_brokers(held),
        None => {
            let call = if available { "list_available" } else { "list_equipment" };
            question(call, Arguments::default()).ask(paths, admin)?
        }
    };
    if json {
        return answer(serde_json::to_string_pretty(&listed).map_err(Failure::of)?);
    }
    let types = Types::load(paths);
    let profiles = listed.as_list().unwrap_or_default().iter().filter_map(Value::as_map);
    let paragraphs: Vec<String> = profiles.filter_map(|profile| shown_piece(profile, &types)).collect();
    if paragraphs.is_empty() { Ok(()) } else { answer(paragraphs.join("\n\n")) }
}

/// The profiles of a list of holders; those of other brokers say whose they are.
fn with_brokers(held: Value) -> Value {
    let Value::List(held) = held else { return held };
    let profiles = held.into_iter().filter_map(|entry| {
        let Value::Map(mut entry) = entry else { return None };
        let Some(Value::Map(mut profile)) = entry.remove("profile") else { return None };
        if let Some([Value::Text(host), port]) = entry.get("holder").and_then(Value::as_list) {
            profile.insert(BROKER.to_owned(), format!("{host}:{port}").into());
        }
        Some(Value::Map(profile))
    });
    Value::List(profiles.collect())
}

fn kind(profile: &Map) -> Option<&str> {
    profile.get("type")?.as_str()
}

/// One piece, if its type is one of [`SHOWN`] or the lab's own, or somebody has to look at it.
fn shown_piece(profile: &Map, types: &Types) -> Option<String> {
    let of_interest = |name: &&str| types.described(name).is_some() || profile.contains_key("broken");
    let whole = || Some(whole(profile, types.kinds().get(kind(profile).filter(of_interest)?)?));
    paragraph(profile).or_else(whole)
}

/// One piece, if its type is one of [`SHOWN`].
fn paragraph(profile: &Map) -> Option<String> {
    let (_, title, named_by, members) = SHOWN.iter().find(|(name, ..)| Some(*name) == kind(profile))?;
    let members = members.iter().chain(&["broken", BROKER]).copied();
    Some(lines(title, profile.get(*named_by), members, profile))
}

/// One piece with all that is known of it.
fn whole(profile: &Map, kind: &Kind) -> String {
    let others = |name: &&str| !["type", &kind.identity].contains(name);
    let members = profile.keys().map(String::as_str).filter(others);
    lines(&kind.name, profile.get(&kind.identity), members, profile)
}

fn lines<'m>(
    title: &str,
    name: Option<&Value>,
    members: impl Iterator<Item = &'m str>,
    profile: &Map,
) -> String {
    let name = name.map(shown).unwrap_or_default();
    let mut lines = vec![format!("{title} {name}").trim_end().to_owned()];
    for member in members {
        if let Some(value) = profile.get(member) {
            let label = plain(member);
            lines.push(format!("    {label:LABEL_CHARS$}  {}", shown(value)));
        }
    }
    lines.join("\n")
}

/// A value on one line.
fn shown(value: &Value) -> String {
    let text = match (value, value.names()) {
        (Value::Text(text), _) => text.clone(),
        (_, Some(names)) => names.join(","),
        (other, None) => other.to_string(),
    };
    plain(&text)
}

/// Whoever reported or described something has no say over the terminal.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn paragraph_of(profile: serde_json::Value) -> Option<String> {
        paragraph(Value::from(profile).as_map().unwrap())
    }

    #[test]
    fn pieces_are_paragraphs_with_labels_in_one_column() {
        // 214
        let handset = json!({"type": "handset", "serial": "CB5A1JYXRQ", "pretty": "yuga", "unknown": 1,
            "sysfs_path": "/sys/1-1", "sdk.version": 19});
        let lines = [
            "Handset /sys/1-1",
            "    pretty         yuga",
            "    serial         CB5A1JYXRQ",
            "    sdk.version    19",
        ];
        assert_eq!(paragraph_of(handset).unwrap(), lines.join("\n"));
        let relay = json!({"type": "relay", "uid": "a", "circuits": {"usb.pc.vcc": 1, "handset.battery": 2}});
        let lines = ["Relay a", "    circuits       handset.battery,usb.pc.vcc"];
        assert_eq!(paragraph_of(relay).unwrap(), lines.join("\n"));
        let broken = json!({"type": "powermeter", "broken": "it did not close"});
        assert_eq!(paragraph_of(broken).unwrap(), "Powermeter\n    broken         it did not close");
        assert_eq!(paragraph_of(json!({"type": "powermeter"})).unwrap(), "Powermeter");
        assert_eq!(paragraph_of(json!({"type": "wlan", "uid": "w"})), None);
    }

    #[test]
    fn a_piece_of_a_lab_s_own_type_is_shown_whole() {
        let kind = serde_json::from_value(json!({"type": "oven", "identity": "name"})).unwrap();
        let oven = Value::from(json!({"type": "oven", "name": "a", "room": 7, "trays": ["deep"]}));
        let lines = ["oven a", "    room           7", "    trays          deep"];
        assert_eq!(whole(oven.as_map().unwrap(), &kind), lines.join("\n"));
    }

    #[test]
    fn a_broken_piece_is_shown_whatever_it_is() {
        let home = tempfile::tempdir().unwrap();
        let types = Types::load(&Paths::new(home.path()));
        let shown = |profile| shown_piece(Value::from(profile).as_map().unwrap(), &types);
        assert_eq!(shown(json!({"type": "wlan", "uid": "w"})), None);
        let broken = shown(json!({"type": "wlan", "uid": "w", "broken": "it did not close"}));
        assert_eq!(broken.unwrap(), "wlan w\n    broken         it did not close");
    }

    #[test]
    fn a_piece_of_another_broker_says_whose_it_is() {
        let held = json!([
            {"holder": "local", "profile": {"type": "relay", "uid": "a"}},
            {"holder": ["site-b", 4000], "profile": {"type": "relay", "uid": "b"}},
            {"holder": ["", 4001], "profile": {"type": "wlan", "uid": "c"}},
        ]);
        let listed = with_brokers(held.into());
        let [a, b, c] = listed.as_list().unwrap() else { panic!("{listed}") };
        assert_eq!(a, &json!({"type": "relay", "uid": "a"}).into());
        assert_eq!(paragraph(b.as_map().unwrap()).unwrap(), "Relay b\n    broker         site-b:4000");
        assert_eq!(c.as_map().unwrap()[BROKER], Value::from(":4001"));
    }

    #[test]
    fn a_profile_cannot_write_to_the_terminal_as_it_likes() {
        let odd = json!({"type": "relay", "uid": "\u{1b}[2J\nRelay b"});
        assert_eq!(paragraph_of(odd).unwrap(), "Relay \u{fffd}[2J\u{fffd}Relay b");
    }
}
