//! The fuzz targets, for a moment and without a special build: members of all files with all sorts of
//! values, words of other brokers, and a few bytes changed. `AVE_FUZZ_SECONDS` makes the moment longer.

#[path = "../fuzz/bodies.rs"]
mod bodies;
#[path = "../fuzz/journal.rs"]
mod journal;
#[path = "../fuzz/peers.rs"]
mod peers;

use std::time::Duration;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;
use ave_core::{Door, Event, Moment, Source};
use ave_profile::{Generation, Identity, Profile, RequestId, SessionId, Want};
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

#[test]
fn fuzz_journal() {
    arbtest(|u| {
        let mut payloads = (0..u.int_in_range(1..=24)?)
            .map(|_| {
                let since = Moment(Duration::from_millis(u.int_in_range(0..=1 << 40)?));
                let event = (since, happening(u)?);
                Ok(rmp_serde::to_vec_named(&event).expect("it has names for members"))
            })
            .collect::<Result<Vec<_>>>()?;
        if u.ratio(1, 4)? {
            let payload = &mut payloads[0];
            let at = u.choose_index(payload.len())?;
            payload[at] = u.arbitrary()?;
        }
        let mut file = journal::continued(payloads.iter().map(Vec::as_slice));
        if u.ratio(1, 4)? {
            let at = u.choose_index(file.len())?;
            file[at] = u.arbitrary()?;
        }
        file.truncate(if u.ratio(1, 4)? { u.choose_index(file.len())? } else { file.len() });
        journal::journal(&file);
        Ok(())
    })
    .budget_ms(budget_ms());
}

/// Something that can happen to a broker, about few sessions and pieces, so that they meet.
fn happening(u: &mut Unstructured<'_>) -> Result<Event> {
    let session = SessionId(u.int_in_range(0..=3)?);
    let request = RequestId(u.int_in_range(0..=9)?);
    let generation = Generation(u.int_in_range(0..=3)?);
    let uid = format!("l{}", u.int_in_range(0..=7)?);
    let item = Identity::new("lamp", &uid);
    let lamp = Profile::of(json!({"type": "lamp", "uid": uid}));
    let source = *u.choose(&[Source::File, Source::Lister, Source::Watch(1)])?;
    let outcome = if u.arbitrary()? { Ok(()) } else { Err("it is stuck".to_owned()) };
    let want = Ok(Want { groups: vec![vec![lamp.clone(), Profile::of(json!({"type": "workspace"}))]] });
    let nonce = u.arbitrary()?;
    Ok(match u.int_in_range(0..=14)? {
        0 => Event::SessionOpened { session },
        1 => Event::SessionEnded { session },
        2 | 3 => Event::Asked { session, request, want, nonce, via: Vec::new() },
        4 => Event::Yielded { session, request, door: Door::Broker, profiles: vec![lamp] },
        5 => Event::Closed { session, item, outcome },
        6 => Event::ResetAsked { item, request: None },
        7 => Event::ResetDone { item, request: None, outcome },
        8 => Event::Reported { source, profiles: vec![lamp], request: None },
        9 => Event::Vanished { source, items: vec![item] },
        10 => Event::Inherited { generation },
        11 => Event::ElderClosed { session, item, outcome },
        12 => Event::ElderEnded { session },
        13 => Event::GenerationLost { generation, reason: "it died".to_owned() },
        _ => {
            if u.arbitrary()? {
                Event::Frozen
            } else {
                Event::Thawed
            }
        }
    })
}
