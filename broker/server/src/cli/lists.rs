//! `--list` and `--list-all`: what a running broker has, one paragraph a piece, or as JSON.

use ave_profile::{Map, Value};
use ave_protocol::arguments::Arguments;

use super::ask::{ANSWER_LIMIT, Question};
use super::{Failure, Outcome, answer};
use crate::config::Paths;

/// The types that are listed, with their title's member and the members shown, in their order
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

/// Prints what the broker of this home answers to `call`.
pub(super) fn print(paths: &Paths, call: &str, admin: Option<&str>, json: bool) -> Outcome {
    let question = Question { doing: "list", call, arguments: Arguments::default(), limit: ANSWER_LIMIT };
    let listed = question.ask(paths, admin)?;
    if json {
        return answer(serde_json::to_string_pretty(&listed).map_err(Failure::of)?);
    }
    let profiles = listed.as_list().unwrap_or_default().iter().filter_map(Value::as_map);
    let paragraphs: Vec<String> = profiles.filter_map(paragraph).collect();
    if paragraphs.is_empty() { Ok(()) } else { answer(paragraphs.join("\n\n")) }
}

/// One piece, if its type is listed.
fn paragraph(profile: &Map) -> Option<String> {
    let kind = profile.get("type")?.as_str()?;
    let (_, title, named_by, members) = SHOWN.iter().find(|(name, ..)| *name == kind)?;
    let width = SHOWN.iter().flat_map(|(.., members)| members.iter()).map(|name| name.len()).max()?;
    let name = profile.get(*named_by).map(shown).unwrap_or_default();
    let mut lines = vec![format!("{title} {name}").trim_end().to_owned()];
    for member in members.iter().chain(&["broken"]) {
        if let Some(value) = profile.get(*member) {
            lines.push(format!("    {member:width$}  {}", shown(value)));
        }
    }
    Some(lines.join("\n"))
}

/// A value on one line. Whoever reported it has no say over the terminal.
fn shown(value: &Value) -> String {
    let text = match (value, value.names()) {
        (Value::Text(text), _) => text.clone(),
        (_, Some(names)) => names.join(","),
        (other, None) => other.to_string(),
    };
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
    fn a_profile_cannot_write_to_the_terminal_as_it_likes() {
        let odd = json!({"type": "relay", "uid": "\u{1b}[2J\nRelay b"});
        assert_eq!(paragraph_of(odd).unwrap(), "Relay \u{fffd}[2J\u{fffd}Relay b");
    }
}
