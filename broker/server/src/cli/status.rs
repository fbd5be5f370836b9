//! `--status`: how the running broker is, for people or as JSON.

use ave_profile::{Map, Value};
use ave_protocol::arguments::Arguments;

use super::ask::{ANSWER_LIMIT, Question};
use super::{Failure, Outcome, answer, daemon};
use crate::config::Paths;
use crate::daemon::Daemon;

/// How much room the names of what is shown have.
const LABEL_CHARS: usize = "connections".len();

/// Prints how the broker of this home is. One that does not run, or does not answer, is a failure with a status of
/// its own.
pub(super) fn print(paths: &Paths, admin: Option<&str>, json: bool) -> Outcome {
    let doing = "show the status";
    daemon::running(&Daemon::broker(paths), doing)?;
    let question =
        Question { doing, call: "get_status", arguments: Arguments::default(), limit: ANSWER_LIMIT };
    let status = question.ask(paths, admin)?;
    if json {
        return answer(serde_json::to_string_pretty(&status).map_err(Failure::of)?);
    }
    answer(shown(status.as_map().ok_or_else(|| Failure::of(format_args!("could not {doing}: {status}")))?))
}

/// What the broker of this version or another has said; what it has not said is left out.
fn shown(status: &Map) -> String {
    let (version, pid, uptime) = (word(status, "version"), count(status, "pid"), count(status, "uptime_s"));
    let mut text = format!("ave-broker {version}, process {pid}, for {}", lasting(uptime));
    let mut line = |label: &str, shown: String| text += &format!("\n    {label:LABEL_CHARS$}    {shown}");
    line("address", address(status.get("address")));
    for name in ["log_level", "connections", "generation", "sessions"] {
        line(&name.replace('_', " "), status.get(name).map_or_else(String::new, plain));
    }
    for elder in members(status, "elders") {
        let [generation, pid, sessions] = ["generation", "pid", "sessions"].map(|name| count(elder, name));
        line("", format!("{sessions} of generation {generation}, process {pid}"));
    }
    if let Some(equipment) = member(status, "equipment") {
        line("equipment", tally(equipment));
        for (kind, counted) in member(equipment, "types").into_iter().flatten() {
            line("", format!("{kind}: {}", counted.as_map().map_or_else(String::new, tally)));
        }
    }
    if let Some(remote) = member(status, "remote") {
        let active = if remote.get("active") == Some(&Value::Bool(true)) { "" } else { ", stopped" };
        line("remote", format!("{}, {}{active}", address(remote.get("address")), word(remote, "policy")));
    }
    for share in members(status, "shares") {
        line("share", format!("{}, {} known", address(share.get("address")), count(share, "known")));
    }
    text
}

fn lasting(seconds: i64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    format!("{days} d {hours:02}:{minutes:02}:{:02}", seconds % 60)
}

fn tally(counted: &Map) -> String {
    let parts = ["known", "lent", "broken"].map(|name| format!("{} {name}", count(counted, name)));
    parts.join(", ")
}

fn address(value: Option<&Value>) -> String {
    let parts = value.and_then(Value::as_list).unwrap_or_default();
    parts.iter().map(plain).collect::<Vec<_>>().join(":")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn member<'m>(map: &'m Map, name: &str) -> Option<&'m Map> {
    map.get(name)?.as_map()
}

fn members<'m>(map: &'m Map, name: &str) -> impl Iterator<Item = &'m Map> {
    map.get(name).and_then(Value::as_list).into_iter().flatten().filter_map(Value::as_map)
}

fn word<'m>(map: &'m Map, name: &str) -> &'m str {
    map.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn count(map: &Map, name: &str) -> i64 {
    match map.get(name) {
        Some(Value::Int(count)) => *count,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_status_is_a_few_lines() {
        let some = json!({"known": 3, "lent": 1, "broken": 0});
        let status = json!({
            "version": "1.2.3", "pid": 7, "address": ["lab1", 4000], "uptime_s": 180_061, "log_level": "info",
            "generation": 3, "sessions": 2, "connections": 5,
            "elders": [{"generation": 2, "pid": 6, "sessions": 1}],
            "equipment": {"known": 3, "lent": 1, "broken": 0, "types": {"relay": some}},
            "remote": {"address": ["lab0", 4000], "policy": "share", "active": false},
            "shares": [{"address": ["lab2", 4001], "known": 9}],
        });
        let Value::Map(status) = Value::from(status) else { panic!("a map") };
        let wanted = "ave-broker 1.2.3, process 7, for 2 d 02:01:01\n    \
                      address        lab1:4000\n    \
                      log level      info\n    \
                      connections    5\n    \
                      generation     3\n    \
                      sessions       2\n                   \
                      1 of generation 2, process 6\n    \
                      equipment      3 known, 1 lent, 0 broken\n                   \
                      relay: 3 known, 1 lent, 0 broken\n    \
                      remote         lab0:4000, share, stopped\n    \
                      share          lab2:4001, 9 known";
        assert_eq!(shown(&status), wanted);
    }
}
