use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

use super::*;

#[tokio::test]
async fn h24_a_remote_end_is_forwarded_once_and_data_passes() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = format!("tcp:{}", listener.local_addr().unwrap().port());
    let token = handset.good("open_forwarded_port", json!([remote])).await;
    assert_eq!(handset.good("open_forwarded_port", json!([remote])).await, token);
    assert_eq!(lab.forwards().len(), 1);
    let serial = lab.phone.serial();
    let own = handset.good("list_forwarded_ports", json!([])).await;
    assert_eq!(own, json!([[serial, token, remote]]));

    let echo = thread::spawn(move || {
        let (mut peer, _) = listener.accept().unwrap();
        let mut bytes = [0; 5];
        peer.read_exact(&mut bytes).unwrap();
        peer.write_all(&bytes).unwrap();
    });
    let port: u16 = token.as_str().unwrap().strip_prefix("tcp:").unwrap().parse().unwrap();
    let mut through = TcpStream::connect(("127.0.0.1", port)).unwrap();
    through.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    through.write_all(b"hello").unwrap();
    let mut bytes = [0; 5];
    through.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"hello");
    echo.join().unwrap();

    handset.good("close_forwarded_port", json!([token])).await;
    let message = format!("no such port forwarding entry: {}", token.as_str().unwrap());
    handset.fails("close_forwarded_port", json!([token]), &message).await;
    handset.fails("close_forwarded_port", json!([5]), "invalid port forwarding entry").await;
    assert_eq!(lab.forwards(), [] as [&str; 0]);
}

#[tokio::test]
async fn a_crowded_list_takes_no_further_forward() {
    let rules: String = (0..900).map(|port| format!("other tcp:{port} tcp:1\n")).collect();
    let answer: &str = format!("OKAY{:04x}{rules}", rules.len()).leak();
    let (address, _) = super::patience::adb_server("", answer).await;
    let home = tempfile::tempdir().unwrap();
    let profile = Arc::new(Profile::of(json!({"serial": "s"})));
    let item = Identity::new("handset", "s");
    let granted =
        Granted { item, profile: Arc::clone(&profile), known: profile, again: false, at: None, number: 1 };
    let mut handset = Opened(driver(address, home.path()).open(&granted).await.unwrap());
    let message = "ADB is close to forwarding entry limits: 900 rules";
    handset.fails("open_forwarded_port", json!(["tcp:1"]), message).await;
}

#[tokio::test]
async fn h24_all_leaves_the_rules_of_others() {
    let lab = Lab::new();
    let serial = lab.phone.serial();
    assert!(lab.adb.adb(&["-s", &serial, "forward", "tcp:0", "tcp:7"]).unwrap().status.success());
    let mut handset = lab.open().await;
    for remote in ["tcp:8", "tcp:9"] {
        handset.good("open_forwarded_port", json!([remote])).await;
    }
    assert_eq!(handset.good("list_forwarded_ports", json!([])).await.as_array().map(Vec::len), Some(2));
    assert_eq!(handset.good("list_forwarded_ports", json!([true])).await.as_array().map(Vec::len), Some(3));
    handset.good("close_forwarded_port", json!(["all"])).await;
    let left = lab.forwards();
    assert!(left.len() == 1 && left[0].ends_with("tcp:7"), "{left:?}");
    // DEF 6: a rule that was there is taken over, and can be closed.
    let token = handset.good("open_forwarded_port", json!(["tcp:7"])).await;
    handset.good("close_forwarded_port", json!([token])).await;
    assert_eq!(lab.forwards(), [] as [&str; 0]);
}

#[tokio::test]
async fn h24_no_remote_end_can_pass_for_another_rule() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    for remote in ["tcp:1\nother tcp:2 tcp:3", "localabstract:a b", "tcp:1\r", ""] {
        handset.fails("open_forwarded_port", json!([remote]), "no such remote end").await;
    }
    assert_eq!(lab.forwards(), [] as [&str; 0]);
}

/// An adb server that has one rule as soon as it is asked for it, but never says so.
async fn silent_forwarder() -> (std::net::SocketAddr, watch::Receiver<String>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (rules, seen) = watch::channel(String::new());
    tokio::spawn(async move {
        let mut stalled = Vec::new();
        while let Ok((mut peer, _)) = listener.accept().await {
            let mut digits = [0; 4];
            peer.read_exact(&mut digits).await.unwrap();
            let length = usize::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap();
            let mut service = vec![0; length];
            peer.read_exact(&mut service).await.unwrap();
            let answer = match std::str::from_utf8(&service).unwrap() {
                "host:list-forward" => format!("OKAY{:04x}{}", rules.borrow().len(), *rules.borrow()),
                "host-serial:s:killforward:tcp:7" => {
                    rules.send_replace(String::new());
                    "OKAYOKAY".to_owned()
                }
                _ => {
                    rules.send_replace("s tcp:7 tcp:5\n".to_owned());
                    stalled.push(peer);
                    continue;
                }
            };
            peer.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, seen)
}

#[tokio::test]
async fn h24_a_forward_that_was_given_up_halfway_is_removed_all_the_same() {
    let (address, mut rules) = silent_forwarder().await;
    let home = tempfile::tempdir().unwrap();
    let profile = Arc::new(Profile::of(json!({"serial": "s"})));
    let item = Identity::new("handset", "s");
    let granted =
        Granted { item, profile: Arc::clone(&profile), known: profile, again: false, at: None, number: 1 };
    let mut handset = Opened(driver(address, home.path()).open(&granted).await.unwrap());
    tokio::select! {
        answer = handset.call("open_forwarded_port", json!(["tcp:5"])) => panic!("{answer:?}"),
        made = rules.wait_for(|rules| !rules.is_empty()) => drop(made.unwrap()),
    }
    handset.0.close().await.unwrap();
    assert_eq!(*rules.borrow(), "");
}
