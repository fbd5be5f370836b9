//! What a script sees of a broker: getting, using, losing and giving back. (Specification 3, 5.10, C.2 to C.4.)

use crate::script::{Door, OURS, Peer, Server};
use ave_client::{Broker, ClientError, Credential, Grant, Options};
use ave_profile::{Profile, Value, Want};
use ave_protocol::arguments::Arguments;
use ave_protocol::handshake::{self, Answer, KeyId};
use serde_json::{Value as Json, json};

const KEY: &str = "0165263469609321";

fn broker(server: &Server) -> Broker {
    let (host, port) = server.address();
    Broker::new((host.to_owned(), port), Credential::Anonymous, Options::default())
}

fn want(groups: &[&[Json]]) -> Want {
    let group = |group: &&[Json]| group.iter().cloned().map(Profile::of).collect();
    Want { groups: groups.iter().map(group).collect() }
}

fn handset() -> Json {
    json!({"type": "handset", "serial": "h2"})
}

fn workspace() -> Json {
    json!({"type": "workspace", "uid": "lab1-8354291953"})
}

/// Where the session is, with these members more.
fn at(port: u16, more: &[(&str, Json)]) -> Json {
    let mut door = json!({"address": ["127.0.0.1", port], "authkey": KEY, "session": "00000000000000ab"});
    more.iter().for_each(|(name, value)| door[name] = value.clone());
    door
}

/// Grants one handset and answers `get_resources` for it.
fn lend(door: &mut Door) -> (Peer, Peer) {
    let mut client = door.welcome();
    client.expect("get", json!([{"type": "handset"}]));
    client.result(Value::from(at(door.port, &[("resources", json!([handset()]))])));
    let mut session = door.welcome();
    session.expect("get_resources", json!([handset()]));
    session.result(Value::from(json!([at(door.port, &[("profile", handset())])])));
    (client, session)
}

fn borrow(broker: &mut Broker) -> Grant {
    broker.get(&want(&[&[json!({"type": "handset"})]])).unwrap().remove(0)
}

fn no_arguments() -> Arguments {
    Arguments::default()
}

#[test]
fn getting_needs_the_broker_and_then_the_session() {
    // C.2, 65, 100
    let server = Server::run(|door| {
        let mut client = door.welcome();
        client.expect("get", json!([{"type": "handset"}, {"type": "workspace"}]));
        client.result(Value::from(at(door.port, &[("resources", json!([handset(), workspace()]))])));
        let mut session = door.accept();
        session.challenge(&OURS);
        let Answer::Named { id, .. } = session.answer() else { panic!("a named answer") };
        assert!(matches!(id, KeyId::Session(id) if id.0 == 0xab));
        session.send(handshake::verdict(true));
        session.expect("get_resources", json!([handset(), workspace()]));
        let entries = [handset(), workspace()].map(|profile| at(door.port, &[("profile", profile)]));
        session.result(Value::from(json!(entries)));
        let mut proxy = door.welcome();
        assert_eq!(proxy.expect("get_profile", json!([])).resource, Value::from(workspace()));
        proxy.result(Value::from(workspace()));
    });
    let mut broker = broker(&server);
    let grants = broker.get(&want(&[&[json!({"type": "handset"}), json!({"type": "workspace"})]])).unwrap();
    let profiles: Vec<_> = grants.iter().map(|grant| grant.profile.clone()).collect();
    assert_eq!(profiles, [handset(), workspace()].map(Profile::of));
    assert_eq!(grants[0].door.key.expose(), KEY);
    let mut proxy = broker.proxy(grants[1].clone());
    assert_eq!(proxy.call("get_profile", no_arguments()).unwrap(), Value::from(workspace()));
    assert!(!format!("{grants:?}").contains(KEY)); // 58
    server.join();
}

#[test]
fn groups_keep_their_parentheses_in_both_steps() {
    // C.3
    let server = Server::run(|door| {
        let mut client = door.welcome();
        client.expect("get_multi_resources", json!([[{"type": "handset"}], [{"type": "workspace"}]]));
        let groups = [handset(), workspace()].map(|it| at(door.port, &[("resources", json!([it]))]));
        client.result(Value::from(json!(groups)));
        let mut session = door.welcome();
        session.expect("get_multi_resource", json!([[handset()], [workspace()]]));
        let mut elsewhere = at(1, &[("profile", handset())]);
        elsewhere.as_object_mut().unwrap().remove("session");
        session.result(Value::from(json!([elsewhere, at(door.port, &[("profile", workspace())])])));
    });
    let mut broker = broker(&server);
    let groups = want(&[&[json!({"type": "handset"})], &[json!({"type": "workspace"})]]);
    let grants = broker.get(&groups).unwrap();
    assert_eq!((grants[0].door.address.1, grants[0].door.session), (1, None));
    assert_eq!(grants[1].profile, Profile::of(workspace()));
    server.join();
}

#[test]
fn the_first_session_stays_the_session() {
    let server = Server::run(|door| {
        let (mut client, mut session) = lend(door);
        client.expect("get", json!([]));
        client.result(Value::from(at(1, &[("resources", json!([]))])));
        session.expect("get_resources", json!([]));
        session.result(Value::List(Vec::new()));
    });
    let mut broker = broker(&server);
    borrow(&mut broker);
    assert!(broker.get(&want(&[&[]])).unwrap().is_empty());
    server.join();
}

#[test]
fn a_failed_get_loses_everything_at_once() {
    // 72, 88
    let server = Server::run(|door| {
        let (mut client, _session) = lend(door);
        let mut proxy = door.welcome();
        proxy.request();
        proxy.result(1i64);
        client.request();
        client.fault("Busy", "all such equipment busy: {}");
        client.expect("get_profile", json!([]));
        client.result(2i64);
    });
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    let (mut used, mut unused) = (broker.proxy(grant.clone()), broker.proxy(grant));
    assert_eq!(used.call("f", no_arguments()).unwrap(), Value::Int(1));
    let busy = broker.get(&want(&[&[json!({"type": "handset"})]])).unwrap_err();
    assert!(matches!(busy, ClientError::Fault(fault) if fault.kind == "Busy"));
    // Nobody is listening any more but the broker's own connection: neither call leaves this process.
    assert_eq!(broker.call("get_profile", no_arguments()).unwrap(), Value::Int(2)); // 90
    server.join();
    assert!(matches!(used.call("f", no_arguments()), Err(ClientError::Closed)));
    assert!(matches!(unused.call("f", no_arguments()), Err(ClientError::Refused)));
}

#[test]
fn a_restarting_broker_takes_nothing_away() {
    let server = Server::run(|door| {
        let (mut client, _session) = lend(door);
        client.request();
        client.fault("Restarting", "broker is restarting");
        let mut proxy = door.welcome();
        proxy.request();
        proxy.result(1i64);
    });
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    assert!(broker.get(&want(&[&[json!({"type": "relay"})]])).is_err());
    assert!(!broker.liveness().ended());
    assert_eq!(broker.proxy(grant).call("f", no_arguments()).unwrap(), Value::Int(1));
    server.join();
}

#[test]
fn a_lost_broker_loses_everything_for_ever() {
    let server = Server::run(|door| drop(lend(door)));
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    let mut proxy = broker.proxy(grant);
    for _ in 0..2 {
        assert!(matches!(broker.call("get_profile", no_arguments()), Err(ClientError::Closed)));
        assert!(matches!(proxy.call("f", no_arguments()), Err(ClientError::Refused)));
    }
    server.join();
}

#[test]
fn proxies_outlive_their_broker_but_nothing_else_does() {
    // 75
    let server = Server::run(|door| {
        let (mut client, mut session) = lend(door);
        client.gone();
        session.gone();
    });
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    let mut proxy = broker.proxy(grant);
    drop(broker);
    server.join();
    assert!(matches!(proxy.call("ls", no_arguments()), Err(ClientError::Refused)));
}

#[test]
fn a_closed_broker_is_closed() {
    let server = Server::run(|door| lend(door).0.gone());
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    broker.close();
    server.join();
    assert!(matches!(broker.call("get_profile", no_arguments()), Err(ClientError::Closed)));
    assert!(matches!(broker.yield_resources(vec![grant.profile]), Err(ClientError::Closed)));
    assert!(broker.liveness().ended());
}

#[test]
fn losing_a_proxy_loses_only_its_connection() {
    // 69
    let server = Server::run(|door| {
        let (_client, _session) = lend(door);
        for result in [1i64, 2] {
            let mut proxy = door.welcome();
            proxy.request();
            proxy.result(result);
            proxy.gone();
        }
    });
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    for result in [1i64, 2] {
        let mut proxy = broker.proxy(grant.clone());
        assert_eq!(proxy.call("f", no_arguments()).unwrap(), Value::Int(result));
    }
    server.join();
}

#[test]
fn a_session_that_ended_refuses_its_unused_proxies_each_time() {
    // 72
    let server = Server::run(|door| {
        let (_client, _session) = lend(door);
        for _ in 0..2 {
            let mut proxy = door.accept();
            proxy.challenge(&OURS);
            proxy.receive();
            proxy.send(handshake::verdict(false));
            proxy.gone();
        }
    });
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    let mut proxy = broker.proxy(grant);
    for _ in 0..2 {
        assert!(matches!(proxy.call("f", no_arguments()), Err(ClientError::Refused)));
    }
    server.join();
}

#[test]
fn yielding_needs_the_broker_and_then_the_session() {
    let server = Server::run(|door| {
        let (mut client, mut session) = lend(door);
        client.expect("yield_resources", json!([handset()]));
        client.result(Value::from(json!([handset()])));
        session.expect("yield_resources", json!([[handset()]]));
        session.result(Value::Null);
        client.request();
        client.fault("NotOwner", "not owner of this resource: {}");
    });
    let mut broker = broker(&server);
    let grant = borrow(&mut broker);
    broker.yield_resources(vec![grant.profile.clone()]).unwrap();
    let error = broker.yield_resources(vec![grant.profile]).unwrap_err();
    assert!(matches!(error, ClientError::Fault(fault) if fault.kind == "NotOwner")); // 153
    assert!(!broker.liveness().ended());
    server.join();
}

#[test]
fn nothing_can_be_yielded_before_anything_was_got() {
    // 154: without asking anybody.
    let mut broker = Broker::new((String::new(), 1), Credential::Anonymous, Options::default());
    let error = broker.yield_resources(Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "no resources to yield");
}

#[test]
fn an_answer_that_grants_nothing_intelligible_is_an_error() {
    let answers = [json!(null), json!([]), json!({"resources": []}), at(1, &[("resources", json!({}))])];
    for answer in answers {
        let server = Server::run(move |door| {
            let mut client = door.welcome();
            client.request();
            client.result(Value::from(answer));
        });
        let outcome = broker(&server).get(&want(&[&[json!({"type": "handset"})]]));
        assert!(matches!(outcome, Err(ClientError::Protocol(_))));
        server.join();
    }
}
