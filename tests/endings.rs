//! How sessions end, and what is left of them: nothing. (10.4)

use std::io::ErrorKind;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use ave_client::{Broker, ClientError, Proxy};
use ave_profile::{Profile, Want};
use ave_protocol::arguments::Arguments;
use serde_json::{Value, json};

use crate::sessions::{both, busy, with_session_ports};
use crate::support::{Lab, Peer, any, only, raised, wait_until};

#[test]
fn stop_and_crash_at_a_session_free_its_pieces_71() {
    for lab in both(&["h1"]) {
        for call in ["stop", "crash"] {
            let mut client = lab.client();
            let got = client.get(json!([only("h1")]));
            Peer::session_of(&got).call_in_vain(call, json!([]));
            lab.wait_available(&["h1"]);
            assert_eq!(client.get_refused(json!([only("h1")])).1, "session closed", "{call}");
            assert_eq!(client.result("get_profile", json!([]))["type"], "broker", "{call}");
        }
    }
}

/// A grant, a connection that was used, and the end of the session by a failed `get`.
fn ended(lab: &Lab) -> (Value, Peer, Peer) {
    let mut client = lab.client();
    let got = client.get(json!([only("h1")]));
    let mut used = Peer::session_of(&got);
    used.result_on(&only("h1"), "get_profile", json!([]));
    client.get_refused(json!([only("h9")]));
    (got, used, client)
}

#[test]
fn after_its_end_a_session_refuses_connections_and_has_closed_the_old_ones_72() {
    let lab = with_session_ports(&["h1"]);
    let (got, mut used, _client) = ended(&lab);
    let refused = TcpStream::connect(Peer::address_of(&got).0).expect_err("the port is closed");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    assert!(used.ends());
}

#[test]
fn on_one_port_an_ended_sessions_key_is_worth_nothing_72() {
    let lab = Lab::of(&["h1"], &[]);
    let (got, mut used, _client) = ended(&lab);
    assert!(used.ends());
    let mut late = Peer::session_of(&got);
    assert!(!late.authenticated);
    late.ask(&only("h1"), "get_profile", json!([]));
    assert!(late.ends());
}

pub(crate) fn proxies(broker: &mut Broker, want: Value) -> Vec<Proxy> {
    let want = Want::of_get(ave_profile::Value::from(want).as_list().expect("a list")).expect("a want");
    let grants = broker.get(&want).expect("a grant");
    grants.into_iter().map(|grant| broker.proxy(grant)).collect()
}

pub(crate) fn use_proxy(proxy: &mut Proxy) -> Result<(), ClientError> {
    proxy.call("get_profile", Arguments::default()).map(drop)
}

#[test]
fn our_own_client_sees_an_ended_session_as_it_is_written_72_75() {
    for lab in both(&["h1", "h2"]) {
        // By a failed `get`, and with the object.
        let ends: [fn(&mut Option<Broker>); 2] = [
            |broker| {
                let want = Want { groups: vec![vec![Profile::of(only("h9"))]] };
                assert!(broker.as_mut().is_some_and(|broker| broker.get(&want).is_err()));
            },
            |broker| *broker = None,
        ];
        for end in ends {
            let mut broker = Some(lab.broker());
            let mut both = proxies(broker.as_mut().expect("a broker"), json!([[only("h1")], [only("h2")]]));
            use_proxy(&mut both[0]).expect("it is held");
            end(&mut broker);
            lab.wait_available(&["h1", "h2"]);
            let outcome = use_proxy(&mut both[0]);
            assert!(matches!(outcome, Err(ClientError::Closed)), "{outcome:?}");
            let outcome = use_proxy(&mut both[1]);
            assert!(matches!(outcome, Err(ClientError::Refused)), "{outcome:?}");
        }
    }
}

/// A process whose only possession is the client's connection.
fn live_in_a_process(client: Peer) -> Child {
    let connection = Stdio::from(std::os::fd::OwnedFd::from(client.into_stream()));
    Command::new("sleep").arg("600").stdin(connection).spawn().expect("a process")
}

#[test]
fn whatever_ends_a_client_frees_everything_and_deletes_its_workspace_73_74() {
    let ends: [fn(Peer); 3] = [
        Peer::close,
        |client| {
            let mut process = live_in_a_process(client);
            process.kill().expect("it lives");
            process.wait().expect("it was killed");
        },
        // In the middle of a frame.
        |mut client| client.send_raw(&[0, 0, 1, 0, b'{']),
    ];
    for lab in both(&["h1", "r1"]) {
        for end in ends {
            let mut client = lab.client();
            let got = client.get_groups(json!([only("h1"), only("r1"), any("workspace")]));
            let directory = lab.home().join("workspaces").join(&got[2]);
            assert!(directory.is_dir());
            assert_eq!(lab.available(), [""; 0]);
            end(client);
            lab.wait_available(&["h1", "r1"]);
            wait_until("the workspace is gone", || !directory.exists());
            wait_until("nothing is lent", || lab.list("list_allocations_all").is_empty());
        }
    }
}

#[test]
fn twenty_rounds_of_connect_get_disconnect_77() {
    for lab in both(&["h1"]) {
        for _ in 0..20 {
            let mut client = lab.client();
            client.get(json!([only("h1")]));
            client.close();
            lab.wait_available(&["h1"]);
        }
    }
}

#[test]
fn the_brokers_end_ends_all_sessions_and_closes_all_ports_80() {
    for mut lab in both(&["h1"]) {
        let mut client = lab.client();
        let got = client.get(json!([any("workspace"), only("h1")]));
        let mut busy = busy(&lab, &got);
        lab.admin().ask(&Value::Null, "stop", json!([]));
        assert!(client.ends() && busy.ends());
        wait_until("the broker has ended", || lab.has_ended());
        for address in [lab.address(), Peer::address_of(&got).0] {
            let refused = TcpStream::connect(address).expect_err("the port is closed");
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        }
        let left = std::fs::read_dir(lab.home().join("workspaces")).expect("the root").count();
        assert_eq!(left, 0, "no workspace is left");
    }
}

#[test]
fn an_administrator_ends_a_session_46() {
    for lab in both(&["h1"]) {
        let mut client = lab.client();
        let got = client.get(json!([only("h1")]));
        let mut used = Peer::session_of(&got);
        used.result_on(&only("h1"), "get_profile", json!([]));
        let (_, key) = Peer::address_of(&got);
        let mut admin = lab.admin();
        assert_eq!(admin.result("close_session", json!([key])), Value::Null);
        assert!(used.ends());
        assert_eq!(lab.available(), ["h1"]);
        assert_eq!(raised(&admin.call("close_session", json!([key]))).0, "KeyError");
        assert_eq!(client.get_refused(json!([only("h1")])).1, "session closed");
    }
}
