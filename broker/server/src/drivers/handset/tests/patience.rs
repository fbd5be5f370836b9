//! What takes minutes: the time is the test's own, and the adb server says what the test wants.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use super::super::Site;
use super::super::follower::Follower;
use super::super::presence::{Facts, Picture, UsbFacts};
use super::*;

/// An adb server that answers these bytes to `root:` and to everything else that is asked of a device, and counts the
/// latter.
pub(super) async fn adb_server(root: &'static str, other: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((peer, _)) = listener.accept().await {
            tokio::spawn(answer(peer, root, other, Arc::clone(&counter)));
        }
    });
    (address, asked)
}

async fn answer(mut peer: TcpStream, root: &str, other: &str, asked: Arc<AtomicUsize>) -> Option<()> {
    loop {
        let mut digits = [0; 4];
        peer.read_exact(&mut digits).await.ok()?;
        let length = usize::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap();
        let mut service = vec![0; length];
        peer.read_exact(&mut service).await.ok()?;
        let last = match String::from_utf8(service).unwrap().as_str() {
            "host:track-devices" => "OKAY0000",
            "host:transport:s" => "OKAY",
            "root:" => return peer.write_all(root.as_bytes()).await.ok(),
            _ => {
                asked.fetch_add(1, Ordering::Relaxed);
                return peer.write_all(other.as_bytes()).await.ok();
            }
        };
        peer.write_all(last.as_bytes()).await.ok()?;
    }
}

/// Follows the handset `s`: what it looks like from outside, and what is reported of it.
fn followed(adb: SocketAddr, facts: Facts) -> (watch::Sender<Picture>, mpsc::Receiver<Profile>) {
    let (config, _) = HandsetConfig::load(Path::new("/nowhere/handset.json"));
    let (shown, picture) = watch::channel(Picture::from(BTreeMap::from([("s".into(), facts)])));
    let server = Server::new(adb);
    let site = Arc::new(Site { server, config, own: "/nowhere".into(), picture: picture.clone() });
    let (reports, found) = mpsc::channel(8);
    tokio::spawn(Follower::new(&"s".into(), &site, &"here".into(), picture, reports).follow());
    (shown, found)
}

#[tokio::test(start_paused = true)]
async fn h2_nothing_is_reported_while_nothing_changes() {
    let dump =
        "OKAY/\r\n/system/bin/dalvikvm\r\n[ro.product.model]: [C6603]\r\n[sys.boot_completed]: [1]\r\n";
    let (address, asked) = adb_server("", dump).await;
    let facts = Facts { adb: Some("device".to_owned()), usb: None };
    let (_shown, mut found) = followed(address, facts);
    let profile = found.recv().await.unwrap();
    let expected = ["boot_completed", "c6603", "yuga", "android"];
    let members = ["power_state", "product.model", "pretty", "platform"];
    assert_eq!(members.map(|member| profile[member].as_str().unwrap()), expected);
    while asked.load(Ordering::Relaxed) < 20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(found.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn h20_root_does_not_wait_for_ever() {
    let (address, _) = adb_server("OKAYrestarting adbd as root\n", "FAIL000edevice offline").await;
    let home = tempfile::tempdir().unwrap();
    let profile = Arc::new(Profile::of(json!({"serial": "s"})));
    let item = Identity::new("handset", "s");
    let granted =
        Granted { item, profile: Arc::clone(&profile), known: profile, again: false, at: None, number: 1 };
    let mut handset = Opened(driver(address, home.path()).open(&granted).await.unwrap());
    let begun = tokio::time::Instant::now();
    let refusal = handset.bad("root", json!([])).await;
    assert_eq!(refusal.message, "root timed out: adb did not come back");
    assert!(begun.elapsed() < Duration::from_secs(70), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn h6_two_minutes_of_enumeration_are_a_drained_battery_again_and_again() {
    let usb = UsbFacts { place: "/sys/1-1".into(), vendor: "0fce".into(), product: "01f5".into() };
    let (shown, mut found) = followed(([127, 0, 0, 1], 1).into(), Facts { adb: None, usb: Some(usb) });
    let begun = tokio::time::Instant::now();
    let mut seen = Vec::new();
    while seen.len() < 5 {
        let profile: Profile = found.recv().await.unwrap();
        assert_eq!(profile["sysfs_path"].as_str(), Some("/sys/1-1"));
        seen.push((begun.elapsed().as_secs(), profile["power_state"].as_str().unwrap().to_owned()));
    }
    let expected = [
        (0, "enumeration"),
        (120, "draining"),
        (130, "enumeration"),
        (240, "draining"),
        (250, "enumeration"),
    ];
    assert_eq!(seen, expected.map(|(at, state)| (at, state.to_owned())));
    // Once it is gone it is offline at once, and the two minutes are forgotten.
    shown.send_replace(Picture::from(BTreeMap::from([("s".into(), Facts::default())])));
    assert_eq!(found.recv().await.unwrap()["power_state"].as_str(), Some("offline"));
    drop(shown);
    assert_eq!(found.recv().await, None);
}
