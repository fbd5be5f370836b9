//! Frames over pipes of a few bytes, with time paused: cut anywhere, too large, too slow, too many.

use tokio::io::duplex;

use super::*;
use crate::room::Room;

fn framed(payload: &[u8]) -> BytesMut {
    let mut out = BytesMut::new();
    frame::encode(payload, &mut out);
    out
}

#[tokio::test]
async fn frames_split_at_every_byte_arrive_whole_12() {
    let (mut peer, ours) = duplex(1);
    let sent = tokio::spawn(async move {
        for payload in [&b"one"[..], b"", b"three"] {
            peer.write_all(&framed(payload)).await.unwrap();
        }
    });
    let mut wire = Wire::new(ours, 16);
    for payload in [&b"one"[..], b"", b"three"] {
        assert_eq!(wire.frame().await.unwrap(), payload);
    }
    sent.await.unwrap();
    assert!(matches!(wire.frame().await, Err(WireError::Closed)));
}

#[tokio::test]
async fn a_frame_above_the_limit_is_an_error_before_its_payload_comes_15() {
    let (mut peer, ours) = duplex(64);
    peer.write_all(&[0x80, 0, 0, 0]).await.unwrap();
    assert!(matches!(Wire::new(ours, 16).frame().await, Err(WireError::Frame(_))));
}

#[tokio::test]
async fn a_dropped_read_loses_nothing() {
    let (mut peer, ours) = duplex(64);
    let mut wire = Wire::new(ours, 16);
    let frame = framed(b"payload");
    peer.write_all(&frame[..6]).await.unwrap();
    tokio::select! {
        biased;
        _ = wire.frame() => panic!("half a frame is no frame"),
        () = std::future::ready(()) => {}
    }
    peer.write_all(&frame[6..]).await.unwrap();
    assert_eq!(wire.frame().await.unwrap(), &b"payload"[..]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_may_be_slow_but_not_for_ever() {
    let (mut peer, ours) = duplex(8);
    let mut wire = Wire::new(ours, 16);
    let slow = tokio::spawn(async move {
        for _ in 0..5 {
            tokio::time::sleep(SEND_STALL_LIMIT / 8).await;
            peer.read_exact(&mut [0; 8]).await.unwrap();
        }
        peer
    });
    frame::encode(&[7; 36], wire.output());
    wire.flush().await.unwrap();
    let _peer = slow.await.unwrap();
    let begun = tokio::time::Instant::now();
    frame::encode(&[7; 36], wire.output());
    let stalled = timeout(SEND_STALL_LIMIT * 2, wire.flush()).await;
    assert!(matches!(stalled, Ok(Err(WireError::Stalled))), "{stalled:?}");
    assert_eq!(begun.elapsed(), SEND_STALL_LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_is_not_to_be_silent_may_be_slow_but_not_silent() {
    let (mut peer, ours) = duplex(64);
    let mut wire = Wire::new(ours, 16);
    let limit = Duration::from_secs(12);
    wire.set_silence_limit(Some(limit));
    let slow = tokio::spawn(async move {
        for byte in framed(b"slow") {
            tokio::time::sleep(limit * 2 / 3).await;
            peer.write_all(&[byte]).await.unwrap();
        }
        peer
    });
    assert_eq!(wire.frame().await.unwrap(), &b"slow"[..]);
    let _peer = slow.await.unwrap();
    let begun = tokio::time::Instant::now();
    assert!(matches!(wire.frame().await, Err(WireError::Silent(_))));
    assert_eq!(begun.elapsed(), limit);
}

#[tokio::test]
async fn the_loss_of_a_peer_is_noticed_and_what_it_sent_ahead_is_kept() {
    let (mut peer, ours) = duplex(64);
    let mut wire = Wire::new(ours, 16);
    peer.write_all(&framed(b"ahead")).await.unwrap();
    drop(peer);
    assert!(matches!(wire.lost().await, WireError::Closed));
    assert_eq!(wire.frame().await.unwrap(), &b"ahead"[..]);
}

#[tokio::test]
async fn output_leaves_before_a_peer_is_waited_for_and_while_its_call_takes_long() {
    let (ours, theirs) = duplex(64);
    let (mut wire, mut peer) = (Wire::new(ours, 16), Wire::new(theirs, 16));
    frame::encode(b"first", wire.output());
    tokio::select! {
        seen = peer.frame() => assert_eq!(seen.unwrap(), &b"first"[..]),
        _ = wire.frame() => panic!("nothing was sent"),
    }
    frame::encode(b"second", wire.output());
    tokio::select! {
        seen = peer.frame() => assert_eq!(seen.unwrap(), &b"second"[..]),
        _ = wire.lost() => panic!("nobody has gone"),
    }
}

#[tokio::test]
async fn an_answer_that_comes_at_once_leaves_in_one_write_with_the_output() {
    let (ours, mut peer) = duplex(64);
    let mut wire = Wire::new(ours, 16);
    frame::encode(b"verdict", wire.output());
    tokio::select! {
        biased;
        () = yield_now() => frame::encode(b"answer", wire.output()),
        _ = wire.lost() => panic!("nobody has gone"),
    }
    wire.flush().await.unwrap();
    let mut both = [0; 64];
    assert_eq!(peer.read(&mut both).await.unwrap(), 4 + 7 + 4 + 6);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_taken_byte_by_byte_is_not_kept_for_ever() {
    let (mut peer, ours) = duplex(1);
    let mut wire = Wire::new(ours, 16);
    frame::encode(&[7; 2 * PACE_BYTES_PER_S], wire.output());
    let slow = tokio::spawn(async move {
        while peer.read_u8().await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    let begun = Instant::now();
    assert!(matches!(wire.flush().await, Err(WireError::Stalled)));
    assert_eq!(begun.elapsed(), SEND_STALL_LIMIT + Duration::from_secs(2));
    drop(wire);
    slow.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_frame_that_was_begun_has_to_end() {
    let (mut peer, ours) = duplex(64);
    let mut wire = Wire::new(ours, 1 << 20);
    let slow = tokio::spawn(async move {
        tokio::time::sleep(FRAME_LIMIT * 10).await; // between frames there is all the time
        for byte in framed(b"slow") {
            tokio::time::sleep(FRAME_LIMIT / 10).await;
            peer.write_all(&[byte]).await.unwrap();
        }
        while peer.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert_eq!(wire.frame().await.unwrap(), &b"slow"[..]);
    for _ in 0..FRAME_LIMIT.as_secs() / 4 {
        assert_eq!(wire.frame().await.unwrap(), b""[..]);
    }
    drop(wire);
    slow.await.unwrap();
    let (mut peer, ours) = duplex(64);
    let mut wire = Wire::new(ours, 1 << 20);
    let begun = Instant::now();
    let slow = tokio::spawn(async move {
        peer.write_all(&framed(&[0; 1 << 20])[..4]).await.unwrap();
        while peer.write_all(&[0]).await.is_ok() {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
    assert!(matches!(wire.frame().await, Err(WireError::Slow)));
    assert_eq!(begun.elapsed(), FRAME_LIMIT + at_pace(1 << 20));
    drop(wire);
    slow.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_one_peer_sends_takes_the_room_of_others_until_it_is_answered() {
    const LONG: usize = 1 << 20;
    let room = Room::of(LONG + LONG / 2);
    let pair = || {
        let (theirs, ours) = duplex(2 * LONG);
        let mut wire = Wire::new(ours, LONG);
        wire.share_room(room.claim(), Claim::default());
        (theirs, wire)
    };
    let ((mut peer, mut wire), (mut second, mut other)) = (pair(), pair());
    peer.write_all(&framed(&[0; LONG])).await.unwrap();
    let payload = wire.frame().await.unwrap();
    assert_eq!(payload.len(), LONG);
    second.write_all(&framed(&[0; LONG])).await.unwrap();
    assert!(matches!(other.frame().await, Err(WireError::NoRoom)), "the first is not answered yet");
    peer.write_all(&framed(b"next")).await.unwrap();
    assert_eq!(wire.frame().await.unwrap(), b"next"[..]);
    assert_eq!(other.frame().await.unwrap().len(), LONG);
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_sent_takes_room_until_it_is_sent() {
    const LONG: usize = 1 << 20;
    let room = Room::of(LONG + LONG / 2);
    let (mut peer, ours) = duplex(2 * LONG);
    let mut wire = Wire::new(ours, LONG);
    wire.share_room(Claim::default(), room.claim());
    frame::encode(&[0; LONG], wire.output());
    assert!(wire.has_room_for_output());
    assert!(!room.claim().try_grow(LONG));
    wire.flush().await.unwrap();
    assert!(room.claim().try_grow(LONG));
    frame::encode(&[0; 2 * LONG], wire.output());
    assert!(!wire.has_room_for_output());
    peer.read_u8().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_last_word_waits_for_the_peer_to_close_but_not_for_ever() {
    let (mut peer, ours) = duplex(64);
    let mut wire = Wire::new(ours, 16);
    frame::encode(b"no", wire.output());
    peer.write_all(b"something nobody reads").await.unwrap();
    let begun = Instant::now();
    wire.part().await;
    assert_eq!(begun.elapsed(), PART_LIMIT);
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, framed(b"no"));
    let (peer, ours) = duplex(64);
    drop(peer);
    Wire::new(ours, 16).part().await;
    assert_eq!(begun.elapsed(), PART_LIMIT);
}
