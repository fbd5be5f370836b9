//! What one side writes, the other reads: requests and replies in both encodings. (Specification 2.1, 2.2.)

#![allow(clippy::unwrap_used, reason = "in a test an unwrap that fails is a test that fails")]

use ave_profile::{Map, Refusal, RefusalKind, Value};
use ave_protocol::arguments::Arguments;
use ave_protocol::error::Fault;
use ave_protocol::frame;
use ave_protocol::limits::Limits;
use ave_protocol::message::{Encoding, Envelope, Place, Reply, Request};
use bytes::{Bytes, BytesMut};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::json;

fn payload(write: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut out = BytesMut::new();
    write(&mut out);
    let payload = frame::decode(&mut out, usize::MAX).unwrap().expect("a whole frame");
    assert!(out.is_empty());
    payload
}

fn of_reply(reply: &Reply, encoding: Encoding) -> Bytes {
    payload(|out| reply.encode(encoding, out))
}

fn json_of(reply: &Reply) -> String {
    String::from_utf8(of_reply(reply, Encoding::Json).to_vec()).unwrap()
}

fn read(payload: &[u8]) -> Reply {
    Reply::parse(payload, &Limits::default()).unwrap()
}

#[test]
fn replies_look_like_the_originals() {
    // 25, 34
    assert_eq!(json_of(&Reply::Result(Value::Null)), r#"{"result": null}"#);
    assert_eq!(
        json_of(&Reply::Plain("no such RPC: å".to_owned())),
        r#"{"exception": "no such RPC: \u00e5"}"#
    );
    let busy = Refusal::new(RefusalKind::Busy, "all such equipment busy: {}");
    assert_eq!(
        json_of(&Reply::Fault(busy.into())),
        r#"{"exception": {"message": "all such equipment busy: {}", "type": "Busy", "trace": []}}"#
    );
    assert_eq!(
        json_of(&Reply::Fault(Fault::new("Exit", "broker restarted. please reconnect"))),
        r#"{"exception": {"message": "broker restarted. please reconnect", "type": "Exit"}}"#
    );
}

#[test]
fn further_members_of_an_exception_travel_and_never_replace_its_own() {
    // 44
    let details =
        [("cmd", json!(["ls"])), ("out", json!("none")), ("type", json!("Lie")), ("trace", json!([1]))];
    let details = details.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
    let sent = Reply::Fault(Fault { kind: "RunError".to_owned(), message: "failed".to_owned(), details });
    for encoding in [Encoding::Json, Encoding::MessagePack] {
        let Reply::Fault(fault) = read(&of_reply(&sent, encoding)) else { panic!("a fault") };
        assert_eq!((fault.kind.as_str(), fault.to_string()), ("RunError", "failed".to_owned())); // 45
        assert_eq!(Value::Map(fault.details), json!({"cmd": ["ls"], "out": "none"}).into());
    }
}

#[test]
fn replies_of_careless_peers_are_understood() {
    let kind = |text: &str| match read(text.as_bytes()) {
        Reply::Fault(fault) => (fault.kind, fault.message),
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(r#"{"exception": {}}"#), ("Exception".to_owned(), String::new()));
    let traced = r#"{"exception": {"type": "KeyError", "message": "x", "trace": [["f", 1, "g", "h"]]}}"#;
    assert_eq!(kind(traced), ("KeyError".to_owned(), "x".to_owned()));
    for text in ["", "{}", "[]", r#"{"exception": 1, "result": 2}"#, r#"{"result": 1} 2"#] {
        assert!(Reply::parse(text.as_bytes(), &Limits::default()).is_err(), "{text}");
    }
}

#[test]
fn bytes_travel_in_message_pack_and_become_text_in_json() {
    // 43
    let result = Reply::Result(Value::Bytes(b"\x00\xffok".to_vec()));
    assert_eq!(read(&of_reply(&result, Encoding::MessagePack)), result);
    assert_eq!(read(&of_reply(&result, Encoding::Json)), Reply::Result("\0\u{fffd}ok".into()));
}

#[test]
fn what_json_cannot_say_is_null() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(json_of(&Reply::Result(float.into())), r#"{"result": null}"#);
    }
}

#[test]
fn a_message_of_each_encoding_is_recognised() {
    let large: Map = (0..70_000).map(|n| (n.to_string(), Value::Null)).collect();
    for result in [Value::Null, Value::Map(large)] {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let reply = Reply::Result(result.clone());
            let payload = of_reply(&reply, encoding);
            assert_eq!(Encoding::of(&payload), encoding);
            assert_eq!(read(&payload), reply);
        }
    }
    for (first, encoding) in [
        (0x7f, Encoding::Json),
        (0x80, Encoding::MessagePack),
        (0x8f, Encoding::MessagePack),
        (0x90, Encoding::Json),
        (0xdd, Encoding::Json),
        (0xde, Encoding::MessagePack),
        (0xdf, Encoding::MessagePack),
        (0xe0, Encoding::Json),
    ] {
        assert_eq!(Encoding::of(&[first]), encoding, "{first:x}");
    }
}

/// Any value both encodings can say; with bytes, any that MessagePack can.
fn value(bytes: bool) -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::from),
        (proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL | proptest::num::f64::ZERO)
            .prop_map(Value::Float),
        any::<String>().prop_map(Value::Text),
        vec(any::<u8>(), 0..8).prop_map(move |raw| if bytes { Value::Bytes(raw) } else { Value::Null }),
    ];
    scalar.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::List),
            btree_map(any::<String>(), inner, 0..6).prop_map(Value::Map),
        ]
    })
}

fn encoding_and_value() -> impl Strategy<Value = (Encoding, Value)> {
    prop_oneof![
        value(false).prop_map(|value| (Encoding::Json, value)),
        value(true).prop_map(|value| (Encoding::MessagePack, value)),
    ]
}

proptest! {
    #[test]
    fn a_result_arrives_as_it_was_sent((encoding, value) in encoding_and_value()) {
        let reply = Reply::Result(value);
        let payload = of_reply(&reply, encoding);
        prop_assert_eq!(read(&payload), reply);
        prop_assert!(encoding == Encoding::MessagePack || payload.is_ascii());
    }

    #[test]
    fn a_request_arrives_as_it_was_sent(
        (encoding, resource) in encoding_and_value(),
        method in any::<String>(),
        asynchronous in any::<bool>(),
    ) {
        let named = Map::from([(method.clone(), resource.clone())]);
        let further = Map::from([("via".to_owned(), resource.clone())]);
        let arguments = Arguments { positional: vec![resource.clone()], named };
        let sent = Request { method, resource, arguments, asynchronous, further };
        let payload = payload(|out| sent.encode(encoding, out).unwrap());
        let call = Envelope::parse(&payload, &Limits::default()).unwrap().check(Place::Session).unwrap();
        prop_assert_eq!((&call.method, &call.resource, call.asynchronous), (&sent.method, &sent.resource, asynchronous));
        prop_assert_eq!(&call.further, &sent.further);
        prop_assert_eq!(call.arguments().unwrap(), sent.arguments);
    }
}

#[test]
fn a_warning_travels_beside_every_kind_of_reply_and_is_nothing_to_who_does_not_look_224() {
    let warning =
        Map::from([("message".to_owned(), Value::from("hurry")), ("remaining_s".to_owned(), Value::Int(1))]);
    let fault = Reply::Fault(Fault::exception("no"));
    for reply in [Reply::Result(Value::Null), Reply::Plain("no such RPC: x".to_owned()), fault] {
        for encoding in [Encoding::Json, Encoding::MessagePack] {
            let mut out = BytesMut::new();
            reply.encode_with(Some(&warning), encoding, &mut out);
            let payload = &out[4..];
            let read = Reply::parse_with(payload, &Limits::default());
            assert_eq!(read, Ok((reply.clone(), Some(warning.clone()))));
            assert_eq!(Reply::parse(payload, &Limits::default()), Ok(reply.clone()));
        }
    }
    let odd = br#"{"result": 1, "warning": "not an object"}"#;
    assert_eq!(Reply::parse_with(odd, &Limits::default()), Ok((Reply::Result(Value::Int(1)), None)));
}
