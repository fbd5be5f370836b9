//! One connection against servers that keep, stretch and break the protocol. (Specification 10.1, 10.2.)

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::script::{OURS, Peer, Server, THEIRS};
use ave_client::{ClientError, Connection, Credential, Options};
use ave_profile::{SessionId, Value};
use ave_protocol::arguments::Arguments;
use ave_protocol::handshake::{self, Answer, KeyId, Salt, Secret, Verifier};
use ave_protocol::message::{Encoding, Reply, Request};
use bytes::BytesMut;
use socket2::{Domain, Socket, Type};

/// Long enough for anything that happens, short enough to be waited for where nothing does.
const SHORT: Duration = Duration::from_millis(200);

fn request(method: &str) -> Request {
    Request::new(method, Arguments::positional([1i64]))
}

fn account(name: Option<&str>) -> Credential {
    Credential::Account { name: name.map(str::to_owned), key: Secret::new("share_key".to_owned()) }
}

fn session(id: Option<SessionId>) -> Credential {
    Credential::Session { id, key: Secret::new("0123456789012345".to_owned()) }
}

/// Opens a connection to a server that sends this salt, makes one call, and hands over what it answered
/// to the challenge and the encoding it used.
fn spoken(salt: Salt, credential: &Credential, options: &Options) -> (Answer, Encoding) {
    let (tell, told) = std::sync::mpsc::channel();
    let server = Server::run(move |door| {
        let mut peer = door.accept();
        peer.challenge(&salt);
        let answer = peer.answer();
        peer.send(handshake::verdict(true));
        peer.expect("ping", serde_json::json!([1]));
        peer.result("pong");
        tell.send((answer, peer.encoding())).unwrap();
    });
    let mut connection = Connection::open(server.address(), credential, options).unwrap();
    assert_eq!(connection.call(&request("ping")).unwrap(), Value::from("pong"));
    server.join();
    told.recv().unwrap()
}

#[test]
fn a_server_of_ours_is_answered_by_name_and_in_message_pack() {
    let names = [
        (Credential::Anonymous, "", KeyId::Anonymous),
        (account(None), "share_key", KeyId::Anonymous),
        (account(Some("share")), "share_key", KeyId::Account("share".to_owned())),
        (session(Some(SessionId(7))), "0123456789012345", KeyId::Session(SessionId(7))),
    ];
    for (credential, key, wanted) in names {
        let (answer, encoding) = spoken(OURS, &credential, &Options::default());
        let Answer::Named { mac, id } = answer else { panic!("{answer:?}") };
        assert!(Verifier::new(&Secret::new(key.to_owned())).verify_named(&OURS, &id, &mac));
        assert_eq!((id, encoding), (wanted, Encoding::MessagePack));
    }
}

#[test]
fn a_session_without_id_is_answered_as_the_original_does() {
    let (answer, encoding) = spoken(OURS, &session(None), &Options::default());
    let Answer::Original(digest) = answer else { panic!("{answer:?}") };
    let key = Secret::new("0123456789012345".to_owned());
    assert!(Verifier::new(&key).verify_original(&OURS, &digest));
    assert_eq!(encoding, Encoding::MessagePack);
}

#[test]
fn an_original_server_is_spoken_to_as_by_an_original_client() {
    let (answer, encoding) = spoken(THEIRS, &account(Some("share")), &Options::default());
    assert_eq!(
        answer,
        Answer::Original(handshake::original_answer(&Secret::new("share_key".into()), &THEIRS))
    );
    assert_eq!(encoding, Encoding::Json);
}

#[test]
fn an_original_client_can_be_imitated() {
    let old = Options { original_answer: true, encoding: Some(Encoding::Json), ..Options::default() };
    let (answer, encoding) = spoken(OURS, &account(Some("share")), &old);
    assert!(matches!(answer, Answer::Original(_)));
    assert_eq!(encoding, Encoding::Json);
}

#[test]
fn the_answer_and_the_first_request_need_one_round_trip() {
    // 17
    let server = Server::run(|door| {
        let mut peer = door.accept();
        peer.challenge(&OURS);
        peer.receive();
        peer.request();
        peer.send(handshake::verdict(false));
        peer.result(1i64);
    });
    let mut connection = Connection::open(server.address(), &account(None), &Options::default()).unwrap();
    assert_eq!(connection.call(&request("ping")).unwrap(), Value::Int(1));
    assert!(!connection.authenticated().unwrap());
    server.join();
}

#[test]
fn frames_may_come_in_pieces_and_be_large() {
    // 12, 13
    let large: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let reply = Value::Bytes(large.clone());
    let server = Server::run(move |door| {
        let mut peer = door.accept();
        peer.trickle(&[&[0, 0, 0, 31], &OURS.challenge_payload()[..]].concat());
        peer.receive();
        peer.trickle(&[&[0, 0, 0, 23], handshake::verdict(true)].concat());
        let call = peer.request();
        let mut small = BytesMut::new();
        Reply::Plain("no".to_owned()).encode(Encoding::Json, &mut small);
        peer.trickle(&small);
        peer.request();
        peer.result(call.arguments().unwrap().positional[0].clone());
    });
    let mut connection = Connection::open(server.address(), &account(None), &Options::default()).unwrap();
    assert!(connection.authenticated().unwrap());
    let sent = Request::new("echo", Arguments::positional([reply.clone()]));
    assert!(matches!(connection.call(&sent), Err(ClientError::Plain(text)) if text == "no"));
    assert_eq!(connection.call(&request("again")).unwrap(), reply);
    server.join();
}

/// What a server does before it closes the connection.
type Phase = fn(&mut Peer);

#[test]
fn a_connection_closed_in_any_phase_is_closed() {
    // 9
    let closed_on_open: [Phase; 2] = [|_| {}, |peer| peer.raw(&[0, 0])];
    for phase in closed_on_open {
        let server = Server::run(move |door| phase(&mut door.accept()));
        let outcome = Connection::open(server.address(), &account(None), &Options::default());
        assert!(matches!(outcome, Err(ClientError::Closed)));
        server.join();
    }
    let closed_on_call: [Phase; 4] = [
        |_| {},
        |peer| drop(peer.receive()),
        |peer| {
            peer.receive();
            peer.send(handshake::verdict(true));
            peer.receive();
        },
        |peer| {
            peer.receive();
            peer.send(handshake::verdict(true));
            peer.receive();
            peer.raw(&[0, 0, 0, 9, b'{']);
        },
    ];
    for phase in closed_on_call {
        let server = Server::run(move |door| {
            let mut peer = door.accept();
            peer.challenge(&OURS);
            phase(&mut peer);
        });
        let mut connection = Connection::open(server.address(), &account(None), &Options::default()).unwrap();
        for _ in 0..2 {
            assert!(matches!(connection.call(&request("ping")), Err(ClientError::Closed)));
        }
        assert!(connection.is_closed());
        server.join();
    }
}

#[test]
fn what_is_no_challenge_is_a_wrong_challenge() {
    let others: [&[u8]; 4] =
        [b"SSH-2.0-OpenSSH_9.6\r\n", b"\0\0\0\x02hi", b"\0\0\0\0", b"\0\0\0\x0b#CHALLENGE#"];
    for bytes in others {
        let server = Server::run(move |door| {
            let mut peer = door.accept();
            peer.raw(bytes);
            peer.gone();
        });
        let outcome = Connection::open(server.address(), &account(None), &Options::default());
        assert!(matches!(outcome, Err(ClientError::WrongChallenge)));
        server.join();
    }
}

#[test]
fn what_is_no_verdict_or_no_reply_closes_the_connection() {
    let server = Server::run(|door| {
        let mut peer = door.accept();
        peer.challenge(&OURS);
        peer.receive();
        peer.send(b"{}");
        peer.gone();
        let mut peer = door.welcome();
        peer.request();
        peer.send(b"[1]");
        peer.gone();
    });
    for message in ["not an authentication result", "not a reply"] {
        let mut connection = Connection::open(server.address(), &account(None), &Options::default()).unwrap();
        let error = if message == "not a reply" {
            connection.call(&request("ping")).unwrap_err()
        } else {
            connection.authenticated().unwrap_err()
        };
        assert_eq!(error.to_string(), message);
        assert!(matches!(connection.call(&request("ping")), Err(ClientError::Closed)));
    }
    server.join();
}

#[test]
fn a_silent_server_exhausts_the_limit_of_connecting() {
    let server = Server::run(|door| {
        door.accept().gone();
        let mut peer = door.accept();
        peer.challenge(&OURS);
        peer.receive();
        peer.gone();
    });
    let open = |limit| {
        let options = Options { connect_limit: Some(limit), ..Options::default() };
        Connection::open(server.address(), &account(None), &options)
    };
    assert!(matches!(open(SHORT), Err(ClientError::TimedOut)));
    // What the challenge leaves of the limit is the verdict's.
    let mut connection = open(10 * SHORT).unwrap();
    assert!(matches!(connection.authenticated(), Err(ClientError::TimedOut)));
    server.join();
}

#[test]
fn a_late_reply_never_answers_the_next_call() {
    // 41
    let server = Server::run(|door| {
        let mut peer = door.welcome();
        peer.request();
        peer.gone();
    });
    let options = Options { reply_limit: Some(SHORT), ..Options::default() };
    let mut connection = Connection::open(server.address(), &account(None), &options).unwrap();
    assert!(matches!(connection.call(&request("slow")), Err(ClientError::TimedOut)));
    assert!(matches!(connection.call(&request("next")), Err(ClientError::Closed)));
    server.join();
}

/// A port nobody listens on, and nobody else can get.
fn deaf() -> (Socket, u16) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    (socket, port)
}

#[test]
fn refused_is_refused_at_once_or_retried_until_the_limit() {
    // 18
    let (_deaf, port) = deaf();
    let open = |options| Connection::open(("127.0.0.1", port), &Credential::Anonymous, &options);
    assert!(matches!(open(Options::default()), Err(ClientError::Refused)));
    let optimistic = Options { optimistic: true, connect_limit: Some(SHORT), ..Options::default() };
    assert!(matches!(open(optimistic), Err(ClientError::TimedOut)));
}

#[test]
fn an_optimistic_client_meets_a_server_that_comes_late() {
    // 19
    let (late, port) = deaf();
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let listen_at_the_third_question = move || {
        if count.fetch_add(1, Ordering::Relaxed) == 2 {
            late.listen(8).unwrap();
        }
        count.load(Ordering::Relaxed) > 6
    };
    let options = Options {
        optimistic: true,
        interrupt: Some(Arc::new(listen_at_the_third_question)),
        ..Options::default()
    };
    // The late server accepts and says nothing, so that the interrupt ends what the retry began.
    let outcome = Connection::open(("127.0.0.1", port), &Credential::Anonymous, &options);
    assert!(matches!(outcome, Err(ClientError::Interrupted)));
    assert!(asked.load(Ordering::Relaxed) > 6);
}

#[test]
fn an_interrupt_ends_the_wait_and_the_connection() {
    let asked_for_something = Arc::new(AtomicBool::new(false));
    let (asked, interrupt) = (asked_for_something.clone(), asked_for_something);
    let server = Server::run(move |door| {
        let mut peer = door.welcome();
        peer.request();
        asked.store(true, Ordering::Relaxed);
        peer.gone();
    });
    let interrupt = Arc::new(move || interrupt.load(Ordering::Relaxed));
    let options = Options { interrupt: Some(interrupt), ..Options::default() };
    let mut connection = Connection::open(server.address(), &account(None), &options).unwrap();
    assert!(matches!(connection.call(&request("slow")), Err(ClientError::Interrupted)));
    assert!(matches!(connection.call(&request("next")), Err(ClientError::Closed)));
    server.join();
}

#[test]
fn a_session_that_does_not_know_the_key_refuses() {
    // 62, 72
    let server = Server::run(|door| {
        let mut peer = door.accept();
        peer.challenge(&OURS);
        peer.receive();
        peer.send(handshake::verdict(false));
        peer.request();
        peer.gone();
    });
    let mut connection = Connection::open(server.address(), &session(None), &Options::default()).unwrap();
    assert!(matches!(connection.call(&request("ls")), Err(ClientError::Refused)));
    assert!(connection.is_closed());
    server.join();
}

#[test]
fn an_asynchronous_request_waits_for_nothing() {
    // 37
    let server = Server::run(|door| {
        let mut peer = door.accept();
        peer.challenge(&OURS);
        peer.receive();
        assert!(peer.request().asynchronous);
        assert!(!peer.request().asynchronous);
        peer.send(handshake::verdict(true));
        peer.result("mine");
    });
    let mut connection = Connection::open(server.address(), &account(None), &Options::default()).unwrap();
    let fire = Request { asynchronous: true, ..request("fire") };
    assert_eq!(connection.call(&fire).unwrap(), Value::Null);
    assert_eq!(connection.call(&request("ask")).unwrap(), Value::from("mine"));
    server.join();
}

#[test]
fn answers_that_refuse_leave_the_connection_usable() {
    let server = Server::run(|door| {
        let mut peer = door.welcome();
        peer.request();
        peer.fault("Busy", "all such equipment busy: å");
        peer.request();
        peer.reply(&Reply::Plain("no such RPC: f".to_owned()));
        peer.request();
        peer.result(Value::Null);
    });
    let mut connection = Connection::open(server.address(), &account(None), &Options::default()).unwrap();
    let busy = connection.call(&request("get")).unwrap_err();
    assert_eq!(busy.to_string(), "all such equipment busy: å"); // 35
    assert!(matches!(busy, ClientError::Fault(fault) if fault.kind == "Busy"));
    assert_eq!(connection.call(&request("f")).unwrap_err().to_string(), "no such RPC: f");
    assert_eq!(connection.call(&request("g")).unwrap(), Value::Null);
    server.join();
}
