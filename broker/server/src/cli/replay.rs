//! `--replay`: what a journal comes to, worked out by the core alone, for people or as JSON. It needs neither a
//! running broker nor a home.

use std::path::Path;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::lists::plain;
use super::{ExitCode, Failure, Outcome, answer};
use crate::journal::{self, End, Replay};

/// Prints the state at the end of the journal `file`; fails if that is not the end of what was recorded.
pub(super) fn print(file: &Path, as_json: bool) -> Outcome {
    let failed = |why: &dyn std::fmt::Display| {
        Failure::of(format_args!("could not replay: {}: {why}", file.display()))
    };
    let bytes = journal::read(file).map_err(|error| failed(&error))?;
    let bytes = bytes.ok_or_else(|| failed(&"no such file"))?.map_err(|damage| failed(&damage))?;
    let replay = Replay::of(&bytes).map_err(|damage| failed(&damage))?;
    let shown = shown(&replay).map_err(Failure::of)?;
    if as_json {
        answer(serde_json::to_string_pretty(&shown).map_err(Failure::of)?)?;
    } else {
        answer(lines(&shown).iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n"))?;
    }
    match replay.end {
        End::Damaged(_) => Err(Failure::all(ExitCode::Failure, Vec::new())),
        End::Whole | End::Torn(_) => Ok(()),
    }
}

fn shown(replay: &Replay) -> serde_json::Result<Value> {
    let Replay { start, core, events, until, end } = replay;
    let end = match end {
        End::Whole => "whole".to_owned(),
        End::Torn(offset) => format!("torn at byte {offset}, in the middle of a record"),
        End::Damaged(damage) => format!("damaged {damage}"),
    };
    Ok(json!({
        "program": start.program,
        "begun": start.written,
        "generation": start.generation.0,
        "events": events,
        "until_s": until.0.as_secs_f64(),
        "end": end,
        "fingerprint": journal::fingerprint(core),
        "available": core.available(None).len(),
        "state": core.snapshot(),
    }))
}

fn lines(shown: &Value) -> Vec<String> {
    let state = &shown["state"];
    let begun = shown["begun"].as_u64().and_then(|seconds| i64::try_from(seconds).ok());
    let begun: Option<DateTime<Utc>> = begun.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let pieces: Vec<&Value> = list(&state["pieces"]).iter().chain(list(&state["workspaces"])).collect();
    let mut lines = vec![
        row(
            "written by",
            format!("ave-broker {}, process {} of it", text(&shown["program"]), shown["generation"]),
        ),
        row(
            "begun",
            begun.map_or_else(String::new, |begun| begun.format("%Y-%m-%d %H:%M:%S UTC").to_string()),
        ),
        row("events", &shown["events"]),
        row("until", format!("{} s", shown["until_s"])),
        row("end", text(&shown["end"])),
        row("pieces", format!("{}, {} available", pieces.len(), shown["available"])),
        row("fingerprint", text(&shown["fingerprint"])),
    ];
    for session in list(&state["sessions"]) {
        let elder = list(&state["elders"]).iter().find(|elder| elder[0] == session["session"]);
        let of = elder.map_or_else(String::new, |elder| format!(" of process {}", elder[1]));
        lines.push(format!("session {:016x}{of}", session["session"].as_u64().unwrap_or_default()));
        lines.extend(list(&session["items"]).iter().map(|item| format!("    {}", name(item))));
        let far = list(&session["far"]).iter();
        lines.extend(far.map(|far| format!("    {} of another broker", name(&far["item"]))));
    }
    for (title, broken) in [("broken", "fault"), ("closing", "closing")] {
        let is = |value: &Value| !value.is_null() && *value != json!(false);
        let lent = |piece: &Value| list(&piece["holds"]).iter().any(|hold| is(&hold[broken]));
        let found: Vec<_> = pieces.iter().filter(|piece| is(&piece[broken]) || lent(piece)).collect();
        if !found.is_empty() {
            lines.push(title.to_owned());
        }
        for piece in found {
            let reason = piece[broken]["reason"].as_str().map(|reason| format!("  {reason}"));
            lines.push(format!("    {}{}", name(&piece["item"]), reason.unwrap_or_default()));
        }
    }
    lines
}

fn row(label: &str, value: impl std::fmt::Display) -> String {
    format!("{label:11}  {value}")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn name(item: &Value) -> String {
    format!("{}:{}", text(&item["kind"]), text(&item["value"]))
}
