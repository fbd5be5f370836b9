//! What must hold of every input. `cargo fuzz` searches for one that breaks it; the tests try a few.

use ave_protocol::frame;
use ave_protocol::handshake::{self, Answer, KeyId, Salt, Secret, Verifier};
use ave_protocol::limits::Limits;
use ave_protocol::message::{Encoding, Envelope, Place, Reply, Request};
use bytes::{Bytes, BytesMut};

/// Far below the limits of a broker, so that breaking one does not need a large input.
fn limits() -> Limits {
    Limits { frame_bytes_max: 1 << 10, values_max: 100, ..Limits::default() }
}

/// Frames are the same however their bytes arrive, and never cost more memory than has arrived.
pub(crate) fn frames(data: &[u8]) {
    let Some((piece, wire)) = data.split_first() else { return };
    let (whole, whole_rest) = taken(&[wire]);
    let pieces: Vec<_> = wire.chunks(usize::from(*piece).max(1)).collect();
    let (pieced, pieced_rest) = taken(&pieces);
    assert_eq!((&pieced, &pieced_rest), (&whole, &whole_rest));
    let mut again = BytesMut::new();
    whole.iter().for_each(|payload| frame::encode(payload, &mut again));
    again.extend_from_slice(&whole_rest);
    assert_eq!(again, wire);
}

/// The frames in these pieces and what is left when one is too long or incomplete.
fn taken(pieces: &[&[u8]]) -> (Vec<Bytes>, BytesMut) {
    let (mut buffer, mut frames, mut broken) = (BytesMut::new(), Vec::new(), false);
    for piece in pieces {
        buffer.extend_from_slice(piece);
        while !broken {
            match frame::decode(&mut buffer, limits().frame_bytes_max) {
                Ok(Some(payload)) => frames.push(payload),
                Ok(None) => break,
                Err(_) => broken = true,
            }
        }
    }
    (frames, buffer)
}

/// Whatever a peer sends for a challenge, an answer or a verdict is read as what it is or refused.
pub(crate) fn handshakes(data: &[u8]) {
    if let Ok(salt) = Salt::of_challenge(data) {
        assert_eq!(salt.challenge_payload(), data);
    }
    let _ = handshake::read_verdict(data);
    let salt = Salt::ours([7; 16]);
    let verifier = Verifier::new(&Secret::anonymous());
    match Answer::parse(data) {
        Answer::Original(digest) => {
            let right = handshake::original_answer(&Secret::anonymous(), &salt);
            assert_eq!(verifier.verify_original(&salt, &digest), digest == right);
        }
        Answer::Named { mac, id } => {
            assert_eq!(id.to_string().parse::<KeyId>().as_ref(), Ok(&id));
            let right = handshake::named_answer(&Secret::anonymous(), &salt, &id);
            assert_eq!(verifier.verify_named(&salt, &id, &mac), data == right);
        }
        Answer::Malformed => assert!(data.len() != 16),
    }
}

/// Anything that is read as a JSON message is written and read again unchanged.
pub(crate) fn json_messages(data: &[u8]) {
    if Encoding::of(data) == Encoding::Json {
        messages(data, Encoding::Json);
    }
}

/// Anything that is read as a MessagePack message is written and read again unchanged.
pub(crate) fn message_pack_messages(data: &[u8]) {
    if Encoding::of(data) == Encoding::MessagePack {
        messages(data, Encoding::MessagePack);
    }
}

/// Compares what is written, not what is read: a number that is none never equals itself. Members that
/// were missing are written, so that the second reading needs more room.
fn messages(data: &[u8], encoding: Encoding) {
    if let Some(request) = request(data, &limits()) {
        let once = written(|out| request.encode(encoding, out).expect("it came in a frame"));
        let again = self::request(&once, &Limits::default()).expect("what is written can be read");
        assert_eq!(written(|out| again.encode(encoding, out).expect("it came in a frame")), once);
    }
    if let Ok(reply) = Reply::parse(data, &limits()) {
        let once = written(|out| reply.encode(encoding, out));
        let again = Reply::parse(&once, &Limits::default()).expect("what is written can be read");
        assert_eq!(written(|out| again.encode(encoding, out)), once);
    }
}

fn request(data: &[u8], limits: &Limits) -> Option<Request> {
    let envelope = Envelope::parse(data, limits).map_err(|malformed| malformed.to_string()).ok()?;
    let _ = envelope.clone().check(Place::Session);
    let call = envelope.check(Place::Broker).ok()?;
    let (method, resource, asynchronous) = (call.method.clone(), call.resource.clone(), call.asynchronous);
    let further = call.further.clone();
    Some(Request { method, resource, arguments: call.arguments().ok()?, asynchronous, further })
}

fn written(write: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut frame = BytesMut::new();
    write(&mut frame);
    frame.split_off(4)
}
