//! Lines, whoever is at the other end.

use ave_protocol::handshake::{Answer, KeyId, Secret, original_answer};
use serde_json::json;
use tokio::io::{DuplexStream, duplex};
use tokio::net::TcpListener;

use super::*;
use crate::testing::far::{FarEnd, original_salt, our_salt};

const SILENCE: Duration = Duration::from_secs(12);
const LIMIT: Duration = Duration::from_secs(3);

fn share_key() -> Credential {
    Credential::Account { name: Some("share".to_owned()), key: Secret::new("share_key".to_owned()) }
}

async fn line(stream: DuplexStream, credential: Credential) -> Result<Line<DuplexStream>, LineError> {
    Line::open(stream, &credential, &Limits::default(), SILENCE).await
}

/// A line and its other end, which has let it in.
async fn joined(salt: Salt, credential: Credential) -> (Line<DuplexStream>, FarEnd<DuplexStream>, Answer) {
    let (ours, theirs) = duplex(1024);
    let welcomed = tokio::spawn(FarEnd::welcome(theirs, salt));
    let mut line = line(ours, credential).await.unwrap();
    line.wire.flush().await.unwrap();
    let (far, answer) = welcomed.await.unwrap();
    (line, far, answer)
}

async fn ping(line: &mut Line<DuplexStream>) -> Result<Value, LineError> {
    line.call("get_version", Vec::new(), Map::new(), LIMIT).await
}

#[tokio::test]
async fn an_original_peer_is_spoken_to_as_its_own_kind_would() {
    let (mut line, mut far, answer) = joined(original_salt(), share_key()).await;
    let key = Secret::new("share_key".to_owned());
    assert_eq!(answer, Answer::Original(original_answer(&key, &original_salt())));
    let further = Map::from([("silence_limit_s".to_owned(), Value::Int(12))]);
    let call = line.call("get", vec!["a".into()], further, LIMIT);
    let (result, ()) = tokio::join!(call, async {
        let request = far.request().await.unwrap();
        let params = json!({"vargs": ["a"], "kwargs": {}});
        let expected = json!({"method": "get", "resource": null, "params": params, "async": false, "silence_limit_s": 12});
        assert_eq!((request, far.encoding()), (expected, Encoding::Json));
        far.result(json!([1])).await;
    });
    assert_eq!(result.unwrap(), Value::List(vec![Value::Int(1)]));
    assert!(line.is_authenticated() && !line.is_ours());
}

#[tokio::test]
async fn our_own_kind_is_named_the_key_and_spoken_to_in_messagepack() {
    let (mut line, mut far, answer) = joined(our_salt(), share_key()).await;
    let Answer::Named { id, .. } = answer else { panic!("{answer:?}") };
    assert_eq!(id, KeyId::Account("share".to_owned()));
    let (result, ()) = tokio::join!(ping(&mut line), async {
        far.expect("get_version").await;
        assert_eq!(far.encoding(), Encoding::MessagePack);
        far.reply(&json!({"exception": "no such RPC: get_version"})).await;
    });
    assert!(matches!(result, Err(LineError::Plain(text)) if text.starts_with("no such RPC")));
    assert!(line.is_authenticated() && line.is_ours());
}

#[tokio::test]
async fn an_answer_is_an_answer_and_the_line_goes_on() {
    let (mut line, mut far, _) = joined(original_salt(), Credential::Anonymous).await;
    let (results, ()) = tokio::join!(async { [ping(&mut line).await, ping(&mut line).await] }, async {
        far.expect("get_version").await;
        far.reply(&json!({"exception": {"type": "Busy", "message": "taken"}})).await;
        far.expect("get_version").await;
        far.result(json!(1)).await;
    });
    let [Err(LineError::Fault(fault)), Ok(Value::Int(1))] = &results else { panic!("{results:?}") };
    assert_eq!((&*fault.kind, &*fault.message), ("Busy", "taken"));
}

#[tokio::test(start_paused = true)]
async fn an_idle_peer_is_asked_thrice_within_the_limit_and_given_up_when_it_is_silent() {
    let (mut line, mut far, _) = joined(original_salt(), Credential::Anonymous).await;
    let begun = Instant::now();
    let pings = async {
        for heard in 1..=5 {
            far.expect("get_version").await;
            assert_eq!(begun.elapsed(), SILENCE / 3 * heard);
            far.reply(&json!({"exception": "no such RPC: get_version"})).await;
        }
        far.request().await.unwrap();
        std::future::pending::<()>().await;
    };
    let lost = tokio::select! {
        lost = line.idle() => lost,
        () = pings => unreachable!(),
    };
    assert!(matches!(lost, LineError::Silent(SILENCE)), "{lost}");
    assert_eq!(begun.elapsed(), SILENCE / 3 * 5 + SILENCE);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_nobody_has_asked_for_long_is_given_its_time() {
    let (mut line, mut far, _) = joined(our_salt(), Credential::Anonymous).await;
    tokio::time::sleep(SILENCE * 2).await;
    let pings = async {
        for _ in 0..2 {
            far.expect("get_version").await;
            tokio::time::sleep(SILENCE / 2).await;
            far.result(json!(1)).await;
        }
    };
    tokio::select! {
        lost = line.idle() => panic!("{lost}"),
        () = pings => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_made_while_a_ping_is_out_gets_its_own_reply() {
    let (mut line, mut far, _) = joined(our_salt(), Credential::Anonymous).await;
    tokio::select! {
        lost = line.idle() => panic!("{lost}"),
        _ = far.expect("get_version") => {}
    }
    let (result, ()) = tokio::join!(line.call("list", Vec::new(), Map::new(), LIMIT), async {
        far.expect("list").await;
        far.result(json!("the ping's")).await;
        far.result(json!("the call's")).await;
    });
    assert_eq!(result.unwrap(), Value::from("the call's"));
}

#[tokio::test(start_paused = true)]
async fn a_late_or_dropped_call_is_the_last_one() {
    let (mut line, _far, _) = joined(our_salt(), Credential::Anonymous).await;
    let begun = Instant::now();
    assert!(matches!(ping(&mut line).await, Err(LineError::Late(LIMIT))));
    assert_eq!(begun.elapsed(), LIMIT);
    assert!(matches!(ping(&mut line).await, Err(LineError::Lost(_))));
    assert!(matches!(line.idle().await, LineError::Lost(_)));

    let (mut line, mut far, _) = joined(our_salt(), Credential::Anonymous).await;
    tokio::select! {
        result = ping(&mut line) => panic!("{result:?}"),
        _ = far.request() => {}
    }
    far.result(json!("nobody waits for this any more")).await;
    assert!(matches!(ping(&mut line).await, Err(LineError::Lost(_))));
}

#[tokio::test]
async fn what_makes_no_sense_ends_the_line_and_says_why() {
    let (ours, theirs) = duplex(1024);
    FarEnd::new(theirs).send(b"HTTP/1.1 400 Bad Request").await;
    assert_eq!(reason(line(ours, Credential::Anonymous).await.map(drop)), "wrong challenge");

    let replies =
        [(&b"[1]"[..], "not a reply"), (b"\xff", "not a reply"), (b"{\"result\": 1} {}", "not a reply")];
    for (reply, wanted) in replies {
        let (mut line, mut far, _) = joined(original_salt(), Credential::Anonymous).await;
        let (result, _) = tokio::join!(ping(&mut line), far.send(reply));
        assert_eq!(reason(result), wanted);
    }

    let (mut line, mut far, _) = joined(our_salt(), Credential::Anonymous).await;
    let (result, ()) = tokio::join!(ping(&mut line), far.result(json!(1)));
    result.unwrap();
    far.reply(&json!({"exception": {"type": "Exit", "message": "going down"}})).await;
    tokio::select! {
        biased;
        lost = line.idle() => panic!("{lost}"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(reason(ping(&mut line).await), "the peer spoke without being asked");
}

#[tokio::test]
async fn a_session_that_does_not_know_the_key_is_lost() {
    let (ours, theirs) = duplex(1024);
    let key = Credential::Session { id: None, key: Secret::new("0123456789012345".to_owned()) };
    let mut far = FarEnd::new(theirs);
    far.send(&our_salt().challenge_payload()).await;
    let mut line = line(ours, key).await.unwrap();
    let (result, ()) = tokio::join!(ping(&mut line), async {
        far.send(br#"{"authenticated": false}"#).await;
        far.result(json!(1)).await;
    });
    assert_eq!(reason(result), "the session does not know the key");
}

#[tokio::test]
async fn the_end_of_a_peer_is_noticed_in_every_phase() {
    let (ours, theirs) = duplex(1024);
    drop(theirs);
    assert!(matches!(line(ours, Credential::Anonymous).await, Err(LineError::Lost(_))));
    let (mut line, far, _) = joined(our_salt(), Credential::Anonymous).await;
    drop(far);
    assert!(matches!(line.idle().await, LineError::Lost(_)));
    assert!(matches!(line.closed().await, LineError::Lost(_)));
    assert!(matches!(ping(&mut line).await, Err(LineError::Lost(_))));
}

fn reason<T: std::fmt::Debug>(outcome: Result<T, LineError>) -> String {
    match outcome {
        Err(LineError::Lost(why)) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_silent_peer_is_asked_by_the_system_too_and_small_frames_do_not_wait() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::new("", listener.local_addr().unwrap().port()); // D8
    let limits = Limits::default();
    let dial = Line::dial(&address, &Credential::Anonymous, &limits, SILENCE);
    let (line, _far) = tokio::join!(dial, async {
        let (stream, _) = listener.accept().await.unwrap();
        let mut far = FarEnd::new(stream);
        far.send(&our_salt().challenge_payload()).await;
        far
    });
    let line = line.unwrap();
    let socket = SockRef::from(line.wire.stream());
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_PROBES);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(SILENCE));
}

/// Why nobody can be reached there.
async fn dial(address: &Address) -> LineError {
    let outcome = Line::dial(address, &Credential::Anonymous, &Limits::default(), SILENCE).await;
    outcome.err().expect("nobody is there")
}

#[tokio::test]
async fn somebody_who_cannot_be_reached_is_named_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let gone = Address::new("127.0.0.1", port);
    let error = dial(&gone).await;
    assert!(error.to_string().starts_with(&format!("cannot connect to {gone}: ")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn somebody_who_accepts_and_says_nothing_is_waited_for_5_s() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::new("127.0.0.1", listener.local_addr().unwrap().port());
    let begun = Instant::now();
    let error = dial(&address).await;
    assert!(matches!(error, LineError::Unreachable { .. }), "{error}");
    assert_eq!(begun.elapsed(), DIAL_LIMIT);
}
