//! The fuzz targets, for a moment and without a special build: valid messages with a few bytes changed,
//! and bytes from nowhere. `AVE_FUZZ_SECONDS` makes the moment longer.

#[path = "../fuzz/bodies.rs"]
mod bodies;

use std::ops::ControlFlow;

use arbtest::arbitrary::{Result, Unstructured};
use arbtest::arbtest;

const MOMENT_MS: u64 = 300;

fn fuzz(body: fn(&[u8]), seeds: &[&[u8]]) {
    let seconds = std::env::var("AVE_FUZZ_SECONDS").ok().and_then(|text| text.parse::<u64>().ok());
    let budget_ms = seconds.map_or(MOMENT_MS, |seconds| seconds * 1000);
    seeds.iter().for_each(|seed| body(seed));
    arbtest(|u| input(u, seeds).map(|data| body(&data))).budget_ms(budget_ms);
}

fn input(u: &mut Unstructured<'_>, seeds: &[&[u8]]) -> Result<Vec<u8>> {
    let mut data = if u.ratio(1, 8)? { u.arbitrary()? } else { u.choose(seeds)?.to_vec() };
    u.arbitrary_loop(Some(1), Some(6), |u| {
        let at = u.int_in_range(0..=data.len())?;
        match u.int_in_range(0..=3)? {
            0 => data.truncate(at),
            1 => data.insert(at, u.arbitrary()?),
            2 if at < data.len() => drop(data.remove(at)),
            3 if at < data.len() => data[at] = u.arbitrary()?,
            _ => {}
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(data)
}

#[test]
fn fuzz_frame() {
    fuzz(bodies::frames, &[b"\x03\0\0\0\x02{}\0\0\0\0\0\0\0\x05", b"\xff\0\0\x04\x00", b"\x01\0\0\x04\x01"]);
}

#[test]
fn fuzz_handshake() {
    let answer = [&[7; 32][..], b"s:00000000000000ab"].concat();
    let challenge = b"#CHALLENGE#01234567890123456789";
    fuzz(
        bodies::handshakes,
        &[challenge, &answer, &answer[..16], &answer[..32], b"{\"authenticated\": true}"],
    );
}

#[test]
fn fuzz_message_json() {
    let seeds: [&[u8]; 4] = [
        br#"{"method": "get", "resource": null, "params": {"vargs": [{"type": "handset"}, 1.5], "kwargs": {}}}"#,
        br#"{"result": [null, true, -1, 18446744073709551615, 1e300, "\u00e5\ud834\udd1e", {"a": []}]}"#,
        br#"{"exception": {"message": "no such resource: {}", "type": "NoSuch", "trace": []}}"#,
        br#"{"exception": "no such RPC: x"}"#,
    ];
    fuzz(bodies::json_messages, &seeds);
}

#[test]
fn fuzz_message_msgpack() {
    let seeds: [&[u8]; 3] = [
        b"\x82\xa6method\xa3get\xa6params\x82\xa5vargs\x91\x81\xa4type\xa7handset\xa6kwargs\x80",
        b"\x81\xa6result\x98\xc0\xc2\xff\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xcb?\xf0\0\0\0\0\0\0\xa2\xc3\xa5\xc4\x01\xff\x80",
        b"\x81\xa9exception\x83\xa7message\xa1x\xa4type\xa4Busy\xa5trace\x90",
    ];
    fuzz(bodies::message_pack_messages, &seeds);
}
