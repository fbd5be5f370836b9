//! `--list-types`: every type of equipment, what is known of it and who says so, one paragraph a type, or as
//! JSON. It needs no running broker.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::path::Path;

use ave_profile::{Allocations, Kind, Lister, Opening, Reset, Rule};
use serde::Serialize;

use super::lists::plain;
use super::{Failure, Outcome, answer};
use crate::config::descriptors::List;
use crate::config::{Fault, Paths, Types};
use crate::drivers;

/// A type, as it is shown.
#[derive(Serialize)]
struct Shown<'t> {
    #[serde(rename = "type")]
    name: &'t str,
    /// The descriptor, if it is not just built in.
    file: Option<&'t Path>,
    /// Whether its pieces can be lent.
    enabled: bool,
    driven_by: Driver,
    /// Its calls, if they are known before a piece is opened.
    methods: Option<Vec<String>>,
    /// All that the type is, if it is enabled.
    description: Option<&'t Kind>,
    /// What is wrong with its descriptor and its static lists.
    faults: Vec<Fault>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Driver {
    Broker,
    Program,
    Nobody,
}

/// Prints the types of this home.
pub(super) fn print(paths: &Paths, json: bool) -> Outcome {
    let types = Types::load(paths);
    let names: BTreeSet<&str> = types
        .kinds()
        .iter()
        .map(|kind| kind.name.as_ref())
        .chain(types.disabled().keys().map(String::as_str))
        .collect();
    let shown: Vec<Shown> = names.into_iter().map(|name| Shown::of(name, &types, paths)).collect();
    if json {
        return answer(serde_json::to_string_pretty(&shown).map_err(Failure::of)?);
    }
    let paragraphs: Vec<String> = shown.iter().map(Shown::paragraph).collect();
    answer(paragraphs.join("\n\n"))
}

impl<'t> Shown<'t> {
    fn of(name: &'t str, types: &'t Types, paths: &Paths) -> Shown<'t> {
        let description = types.kinds().get(name).map(|kind| &**kind);
        let mut faults = types.disabled().get(name).cloned().unwrap_or_default();
        let lists = description.map(|kind| List::of(kind, paths)).unwrap_or_default();
        faults.extend(lists.iter().flat_map(|list| list.faults()));
        let calls = drivers::calls(name);
        let program = description.is_some_and(|kind| kind.driver.is_some());
        Shown {
            name,
            file: types.described(name).map(|described| described.file.as_path()),
            enabled: description.is_some(),
            driven_by: match (program, calls) {
                (true, _) => Driver::Program,
                (false, Some(_)) => Driver::Broker,
                (false, None) => Driver::Nobody,
            },
            methods: calls.map(|calls| calls.iter().map(ToString::to_string).collect()),
            description,
            faults,
        }
    }

    fn paragraph(&self) -> String {
        let origin = match (self.enabled, self.file) {
            (false, _) => "disabled".to_owned(),
            (true, None) => "built in".to_owned(),
            (true, Some(file)) => file.display().to_string(),
        };
        let mut lines = vec![format!("{}: {origin}", self.name)];
        lines.extend(self.faults.iter().map(|fault| format!("    fault: {}", fault.place())));
        if let Some(kind) = self.description {
            let rows = rows(kind).into_iter().chain([("driven by", driven_by(kind, self.driven_by))]);
            lines
                .extend(rows.filter(|(_, value)| !value.is_empty()).map(|(label, value)| row(label, &value)));
            lines.extend(block("calls", self.methods.iter().flatten().cloned()));
            let width = kind.fields.keys().map(String::len).max().unwrap_or_default();
            let fields = kind.fields.iter().map(|(name, sentence)| format!("{name:width$}  {sentence}"));
            lines.extend(block("members", fields));
        }
        lines.iter().map(|line| plain(line)).collect::<Vec<_>>().join("\n")
    }
}

fn row(label: &str, value: &str) -> String {
    format!("    {label:9}  {value}")
}

fn block(label: &str, entries: impl Iterator<Item = String>) -> Vec<String> {
    let lines: Vec<String> = entries.map(|entry| format!("        {entry}")).collect();
    if lines.is_empty() { lines } else { [vec![format!("    {label}")], lines].concat() }
}

/// What a person wants to know, by its label; what is empty goes without saying.
fn rows(kind: &Kind) -> Vec<(&'static str, String)> {
    let join = |parts: Vec<String>| parts.join(", ");
    let rule = |rule: &Rule| match rule {
        Rule::Equal => "equal",
        Rule::Names => "all of the names",
        Rule::OneOf => "one of the values",
        Rule::Ignore => "not compared",
    };
    let lent = match (kind.made_on_demand, kind.allocations) {
        (true, _) => "one session, made when asked for".to_owned(),
        (false, Allocations::AtMost(NonZeroU32::MIN)) => "one session at a time".to_owned(),
        (false, Allocations::AtMost(sessions)) => format!("{sessions} sessions at once"),
        (false, Allocations::Unlimited(_)) => "any number of sessions at once".to_owned(),
    };
    let reset = match &kind.reset {
        Some(Reset::Method(method)) => format!("{method}()"),
        Some(Reset::Command(words)) => words.join(" "),
        None => String::new(),
    };
    let opened = if kind.open == Opening::Lazy { "at the first call" } else { "" };
    vec![
        ("identity", kind.identity.clone()),
        ("defaults", join(kind.defaults.iter().map(|(name, value)| format!("{name}: {value}")).collect())),
        ("rules", join(kind.rules.iter().map(|(name, of)| format!("{name}: {}", rule(of))).collect())),
        ("shown", kind.kept.join(", ")),
        ("lent to", lent),
        ("found by", join(kind.listers.iter().map(found_by).collect())),
        ("opened", opened.to_owned()),
        ("reset by", reset),
    ]
}

fn driven_by(kind: &Kind, driver: Driver) -> String {
    match (driver, &kind.driver) {
        (Driver::Program, Some(program)) => program.command.join(" "),
        (Driver::Broker, _) => "the broker".to_owned(),
        _ => "nobody".to_owned(),
    }
}

fn found_by(lister: &Lister) -> String {
    match lister {
        Lister::File(file) => format!("the list {}", file.path),
        Lister::Usb(usb) => format!("USB {}:{}", usb.vendor, usb.product.as_deref().unwrap_or("any")),
        Lister::Command(lister) => format!("{} every {} s", lister.command.join(" "), lister.every_s),
    }
}
