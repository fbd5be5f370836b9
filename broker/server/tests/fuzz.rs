//! The fuzz targets, for a moment and without a special build: members of all files with all sorts of
//! values, words of other brokers, and a few bytes changed. `AVE_FUZZ_SECONDS` makes the moment longer.

#[path = "../fuzz/bodies.rs"]
mod bodies;
#[path = "../fuzz/peers.rs"]
mod peers;

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

fn budget_ms() -> u64 {
    let seconds = std::env::var("AVE_FUZZ_SECONDS").ok().and_then(|text| text.parse::<u64>().ok());
    seconds.map_or(MOMENT_MS, |seconds| seconds * 1000)
}

#[test]
fn fuzz_configuration() {
    arbtest(|u| {
        let mut text = value(u, 4)?.to_string().into_bytes();
        if u.ratio(1, 4)? {
            let at = u.choose_index(text.len())?;
            text[at] = u.arbitrary()?;
        }
        bodies::config(&text);
        Ok(())
    })
    .budget_ms(budget_ms());
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

#[test]
fn fuzz_peers() {
    arbtest(|u| {
        let words = (0..u.int_in_range(1..=24)?).map(|_| word(u)).collect::<Result<Value>>()?;
        let mut text = words.to_string().into_bytes();
        if u.ratio(1, 8)? {
            let at = u.choose_index(text.len())?;
            text[at] = u.arbitrary()?;
        }
        peers::peers(&text);
        Ok(())
    })
    .budget_ms(budget_ms());
}

/// What another broker, or a client, says.
fn word(u: &mut Unstructured<'_>) -> Result<Value> {
    let methods = ["share_update", "set_equipment", "set_stacks", "get", "answer", "yield", "rest"];
    let method = match *u.choose(&methods)? {
        "rest" => *u.choose(&["set_ws_profile", "lost", "leave", "later"])?,
        method => method,
    };
    let (first, second) = match method {
        "share_update" => (update(u)?, Value::Null),
        "set_equipment" => (list(u, 4, profile)?, json!({"0": list(u, 3, taken)?, "1": list(u, 2, taken)?})),
        "answer" if u.ratio(1, 3)? => (value(u, 1)?, Value::Null),
        "get" | "set_stacks" | "answer" => (list(u, 3, |u| list(u, 3, profile))?, Value::Null),
        "yield" => (list(u, 3, profile)?, Value::Null),
        _ => (json!({"type": "workspace", "pretty": "w"}), Value::Null),
    };
    Ok(json!([u.int_in_range(0..=2)?, method, first, second]))
}

fn update(u: &mut Unstructured<'_>) -> Result<Value> {
    let mut update =
        json!({"whole": u.ratio(1, 4)?, "changed": list(u, 4, shared)?, "gone": list(u, 3, profile)?});
    if u.ratio(1, 3)? {
        update["stacks"] = list(u, 4, |u| list(u, 4, profile))?;
    }
    if u.ratio(1, 4)? {
        update["workspace"] = u.choose(&[Value::Null, json!({"type": "workspace"})])?.clone();
    }
    Ok(update)
}

fn shared(u: &mut Unstructured<'_>) -> Result<Value> {
    let path = u.choose(&[json!([]), json!(["0000000000000001"]), json!(["00000000000000ff"])])?.clone();
    let holder = u.choose(&[Value::Null, json!(["peer", 1]), json!(["elsewhere", 9])])?.clone();
    Ok(json!({"profile": profile(u)?, "taken": list(u, 3, taken)?, "holder": holder, "path": path}))
}

fn taken(u: &mut Unstructured<'_>) -> Result<Value> {
    Ok(json!({"profile": profile(u)?, "collateral": list(u, 3, profile)?}))
}

/// A piece of few, so that words are often about the same.
fn profile(u: &mut Unstructured<'_>) -> Result<Value> {
    let (kind, identity) = *u.choose(&[
        ("handset", "serial"),
        ("relay", "uid"),
        ("wlan", "uid"),
        ("workspace", "uid"),
        ("toaster", "uid"),
    ])?;
    let mut profile = json!({"type": kind, identity: u.choose(&["a", "b", "c"])?});
    if u.ratio(1, 4)? {
        profile["pretty"] = value(u, 1)?;
    }
    Ok(profile)
}

/// At most so many.
fn list(
    u: &mut Unstructured<'_>,
    most: usize,
    one: impl Fn(&mut Unstructured<'_>) -> Result<Value>,
) -> Result<Value> {
    (0..u.int_in_range(0..=most)?).map(|_| one(u)).collect()
}
