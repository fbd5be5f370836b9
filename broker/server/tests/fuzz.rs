//! The fuzz target, for a moment and without a special build: members of all files with all sorts of
//! values, and a few bytes changed. `AVE_FUZZ_SECONDS` makes the moment longer.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use serde_json::{Value, json};

const MOMENT_MS: u64 = 500;

/// Words that mean something in one of the files.
const WORDS: [&str; 40] = [
    "host",
    "port",
    "listen",
    "session_ports",
    "stacks",
    "remote",
    "policy",
    "share",
    "forward",
    "authkey",
    "logging",
    "limits",
    "values_max",
    "open_limit_s",
    "type",
    "handset",
    "relay",
    "workspace",
    "serial",
    "imei",
    "uid",
    "admin",
    "root",
    "~/w",
    "tools",
    "flocker",
    "proxy",
    "name",
    "identity",
    "defaults",
    "rules",
    "names",
    "kept",
    "listers",
    "file",
    "usb",
    "command",
    "path",
    "driver",
    "reset",
];

#[test]
fn fuzz_configuration() {
    let seconds = std::env::var("AVE_FUZZ_SECONDS").ok().and_then(|text| text.parse::<u64>().ok());
    let budget_ms = seconds.map_or(MOMENT_MS, |seconds| seconds * 1000);
    arbtest(|u| {
        let mut text = value(u, 4)?.to_string().into_bytes();
        if u.ratio(1, 4)? {
            let at = u.choose_index(text.len())?;
            text[at] = u.arbitrary()?;
        }
        bodies::config(&text);
        Ok(())
    })
    .budget_ms(budget_ms);
}

/// A value of at most this many levels.
fn value(u: &mut Unstructured<'_>, levels: usize) -> Result<Value> {
    let leaves = 5;
    Ok(match u.int_in_range(0..=if levels == 0 { leaves - 1 } else { leaves + 3 })? {
        0 => Value::Null,
        1 => json!(u.arbitrary::<bool>()?),
        2 => json!(u.int_in_range(-1..=65_536)?),
        3 => json!(u.choose(&WORDS)?),
        4 => json!(u.arbitrary::<String>()?),
        5 | 6 => {
            let count = u.int_in_range(0..=4)?;
            Value::Array((0..count).map(|_| value(u, levels - 1)).collect::<Result<_>>()?)
        }
        _ => {
            let count = u.int_in_range(0..=6)?;
            let member =
                |u: &mut Unstructured<'_>| Ok((u.choose(&WORDS)?.to_string(), value(u, levels - 1)?));
            Value::Object((0..count).map(|_| member(u)).collect::<Result<_>>()?)
        }
    })
}
