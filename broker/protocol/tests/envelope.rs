//! The checks a request passes before its method runs, in their order, and what hostile payloads get.
//! (Specification 2.3, 10.2.)

#![allow(clippy::unwrap_used, reason = "in a test an unwrap that fails is a test that fails")]

use ave_profile::{Map, Value};
use ave_protocol::arguments::Arguments;
use ave_protocol::limits::{ECHO_BYTES_MAX, Limits, NESTING_MAX};
use ave_protocol::message::{Encoding, Envelope, Malformed, Place, Request};
use bytes::BytesMut;
use serde_json::json;

fn parse(payload: &[u8]) -> Result<Envelope, Malformed> {
    Envelope::parse(payload, &Limits::default())
}

/// The answer to a request that fails a check, from the broker and from a session.
fn refused(request: serde_json::Value) -> (String, String) {
    let answer = |place| {
        let call = parse(request.to_string().as_bytes()).unwrap().check(place);
        call.and_then(|call| call.arguments()).expect_err("the request is refused")
    };
    (answer(Place::Broker), answer(Place::Session))
}

fn both(text: &str) -> (String, String) {
    (text.to_owned(), text.to_owned())
}

#[test]
fn the_checks_come_in_the_order_of_2_3() {
    // 27, 28, 32: every request but the last would fail all the checks after its own as well.
    let no_resource = "the \"resource\" attribute is missing";
    let no_method = "the \"method\" attribute is missing";
    assert_eq!(refused(json!({"async": 1})), (no_method.to_owned(), no_resource.to_owned()));
    assert_eq!(refused(json!({"resource": null, "async": 1})), both(no_method));
    assert_eq!(
        refused(json!({"resource": null, "method": "get", "async": 1})),
        both("the \"params\" attribute is missing")
    );
    let (answer, _) = refused(json!({"resource": null, "method": "get", "params": {}, "async": 1}));
    let request = "{\"async\":1,\"method\":\"get\",\"params\":{},\"resource\":null}";
    assert_eq!(answer, format!("RPC async flag is not a boolean: {request}"));
    for params in [json!({}), json!({"vargs": []}), json!({"kwargs": {}}), json!({"vargs": {}, "kwargs": {}})]
    {
        let request = json!({"resource": null, "method": "get", "params": params});
        assert_eq!(refused(request), both(&format!("malformed arguments: {params}")));
    }
    let none = json!({"resource": null, "method": "get", "params": null});
    assert_eq!(refused(none), both("malformed arguments: null"));
}

#[test]
fn a_request_in_order_becomes_a_call() {
    let request = json!({"method": "ls", "resource": {"type": "handset"}, "async": true, "via": ["x"],
        "params": {"vargs": ["/"], "kwargs": {"all": true}}}); // 42
    let envelope = parse(request.to_string().as_bytes()).unwrap();
    assert!(envelope.asynchronous());
    let call = envelope.check(Place::Session).unwrap();
    assert_eq!((call.method.as_str(), call.asynchronous), ("ls", true));
    assert_eq!(call.resource, json!({"type": "handset"}).into());
    let named = Map::from([("all".to_owned(), true.into())]);
    assert_eq!(call.arguments().unwrap(), Arguments { positional: vec!["/".into()], named });
}

#[test]
fn only_true_is_asynchronous() {
    // 37: what is not exactly true is answered, if only to say that it is no boolean.
    for (flag, asynchronous) in
        [(json!(true), true), (json!(false), false), (json!(1), false), (json!("true"), false)]
    {
        assert_eq!(
            parse(json!({"async": flag}).to_string().as_bytes()).unwrap().asynchronous(),
            asynchronous
        );
    }
    assert!(!parse(b"{}").unwrap().asynchronous());
}

#[test]
fn a_method_that_is_no_string_is_called_what_it_is() {
    // 29, 30
    for (method, name) in [(json!("grüezi"), "grüezi"), (json!(7), "7"), (json!(null), "null")] {
        let request = json!({"method": method, "params": {}});
        assert_eq!(parse(request.to_string().as_bytes()).unwrap().check(Place::Broker).unwrap().method, name);
    }
}

#[test]
fn of_two_members_of_one_name_the_last_counts() {
    let call = parse(br#"{"method": "a", "params": {}, "method": "b"}"#).unwrap().check(Place::Broker);
    assert_eq!(call.unwrap().method, "b");
}

#[test]
fn what_is_no_object_is_malformed() {
    // 16, 26
    let texts =
        ["", "{", "[]", "1", "null", "\"get\"", "{} {}", "{}x", "{'a': 1}", "{\"a\": NaN}", "{\"a\": 1e999}"];
    for text in texts {
        assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), format!("malformed JSON: {text}"));
    }
    assert_eq!(parse(b"{\"\xff\": 1}").unwrap_err().to_string(), "malformed JSON: {\"\u{fffd}\": 1}");
}

#[test]
fn malformed_message_pack_is_malformed() {
    let payloads: [&[u8]; 11] = [
        b"\x81",                          // a member is missing
        b"\x80\xc0",                      // something follows
        b"\x81\xa1a\xdd\xff\xff\xff\xff", // lists, objects, texts and bytes that are announced and do not come
        b"\x81\xa1a\xdf\xff\xff\xff\xff",
        b"\x81\xa1a\xdb\xff\xff\xff\xff",
        b"\x81\xa1a\xc6\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff\xa1a\xc0",
        b"\x81\x01\xc0",          // a name that is a number
        b"\x81\xa1\xff\xc0",      // a name that is not UTF-8
        b"\x81\xa1a\xc1",         // the code that is never used
        b"\x81\xa1a\xd4\x01\x01", // an extension
    ];
    for payload in payloads {
        let answer = parse(payload).unwrap_err().to_string();
        assert!(answer.starts_with("malformed JSON: "), "{payload:x?}: {answer}");
    }
}

#[test]
fn nesting_has_the_same_limit_in_both_encodings() {
    let json = |levels: usize| format!("{}1{}", "{\"a\":".repeat(levels), "}".repeat(levels)).into_bytes();
    let lists = |levels: usize| {
        format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1)).into_bytes()
    };
    let message_pack = |levels: usize| [b"\x81\xa1a".repeat(levels), vec![1]].concat();
    let shapes: [&dyn Fn(usize) -> Vec<u8>; 3] = [&json, &lists, &message_pack];
    for shape in shapes {
        assert!(parse(&shape(NESTING_MAX - 1)).is_ok());
        assert!(parse(&shape(NESTING_MAX)).is_err());
        assert!(parse(&shape(NESTING_MAX + 1)).is_err());
        assert!(parse(&shape(1_000_000)).is_err());
    }
}

#[test]
fn a_message_holds_so_many_values_and_no_more() {
    let limits = Limits { values_max: 19, ..Limits::default() };
    // Ten for the object, one for the list and each element.
    for (elements, fits) in [(8, true), (9, false)] {
        let list = Value::List(vec![Value::Null; elements]);
        let json = format!("{{\"a\":{list}}}").into_bytes();
        let message_pack = [&[0x81, 0xa1, b'a', 0x90 + elements as u8][..], &[0xc0; 9][..elements]].concat();
        assert_eq!(Envelope::parse(&json, &limits).is_ok(), fits);
        assert_eq!(Envelope::parse(&message_pack, &limits).is_ok(), fits);
    }
}

#[test]
fn echoes_are_short() {
    let long = "å".repeat(10_000);
    let malformed = parse(long.as_bytes()).unwrap_err().to_string();
    assert_eq!(malformed, format!("malformed JSON: {}", "å".repeat(ECHO_BYTES_MAX / 2)));
    let request = json!({"method": "get", "resource": null, "params": long, "async": 1});
    assert!(refused(request).0.len() < 2 * ECHO_BYTES_MAX);
    let request = json!({"method": "get", "resource": null, "params": long});
    assert!(refused(request).0.len() < 2 * ECHO_BYTES_MAX);
}

#[test]
fn a_request_cut_anywhere_is_malformed() {
    let named = Map::from([("x".to_owned(), 1.5.into())]);
    let arguments = Arguments { positional: vec!["å".into(), Value::Null, true.into()], named };
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let mut frame = BytesMut::new();
        Request::new("get", arguments.clone()).encode(encoding, &mut frame).unwrap();
        let payload = &frame[4..];
        assert!(parse(payload).is_ok());
        for cut in 0..payload.len() {
            assert!(parse(&payload[..cut]).is_err(), "{encoding:?} cut at {cut}");
        }
    }
}
