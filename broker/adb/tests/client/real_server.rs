//! Against the real adb server of Debian, with simulated phones behind it.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;

use ave_adb::{AdbError, Device, Server, Tracker};
use ave_simulated::{AdbServer, Phone, PhoneBuilder};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);
const FIVE_MB: usize = 5_000_000;

/// An adb server with one phone.
struct Bench {
    adb: AdbServer,
    phone: Phone,
    device: Device,
}

impl Bench {
    fn with(phone: PhoneBuilder) -> Bench {
        let (adb, phone) = (AdbServer::start().unwrap(), phone.start().unwrap());
        adb.connect(&phone.serial()).unwrap();
        let device = Server::new(adb.address()).device(&phone.serial());
        Bench { adb, phone, device }
    }

    fn new() -> Bench {
        Bench::with(Phone::builder())
    }

    fn server(&self) -> Server {
        Server::new(self.adb.address())
    }
}

/// Waits for the state, or absence, of a device.
async fn await_state(tracker: &mut Tracker, serial: &str, wanted: Option<&str>) {
    let listed = async {
        loop {
            let listing = tracker.next().await.unwrap();
            let state =
                listing.iter().find(|sighted| sighted.serial == serial).map(|sighted| sighted.state.as_str());
            if state == wanted {
                return;
            }
        }
    };
    timeout(PATIENCE, listed).await.unwrap_or_else(|_| panic!("{serial} never was {wanted:?}"));
}

async fn output(device: &Device, line: &str) -> String {
    let output = device.shell(line).await.unwrap().text(1 << 20).await.unwrap();
    String::from_utf8(output).unwrap()
}

/// Bytes without a pattern, for which every byte of a transfer has to be in its place.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[tokio::test]
async fn the_server_knows_its_version_and_its_devices() {
    let bench = Bench::with(Phone::builder().cmd().shell_v2());
    assert_eq!(bench.server().version().await.unwrap(), 41);
    let devices = bench.server().devices().await.unwrap();
    assert_eq!(devices.len(), 1);
    assert_eq!((devices[0].serial.as_str(), devices[0].state.as_str()), (bench.device.serial(), "device"));
    assert_eq!(bench.device.state().await.unwrap(), "device");
    let wanted = BTreeSet::from(["cmd".to_owned(), "shell_v2".to_owned()]);
    assert!(bench.device.features().await.unwrap().is_superset(&wanted));
    assert!(bench.server().connect(bench.device.serial()).await.unwrap().starts_with("already connected to"));
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string();
    let error = bench.server().connect(&nobody).await.unwrap_err();
    assert!(matches!(error, AdbError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_shell_gives_errors_among_output_and_no_status_with_shell_v2_too() {
    for phone in [Phone::builder(), Phone::builder().shell_v2()] {
        let bench = Bench::with(phone);
        let text = output(&bench.device, "echo out; echo err >&2; exit 7").await;
        assert_eq!(text.lines().collect::<Vec<_>>(), ["out", "err"]);
    }
}

#[tokio::test]
async fn exec_is_raw_both_ways() {
    let bench = Bench::new();
    let mut stream = bench.device.exec("head -c 6 | tr a-z A-Z").await.unwrap();
    stream.write_all(b"a\r\n\0\xffz").await.unwrap();
    assert_eq!(timeout(PATIENCE, stream.text(64)).await.unwrap().unwrap(), b"A\r\n\0\xffZ");
}

#[tokio::test]
async fn a_dropped_stream_ends_the_command_on_the_device() {
    let bench = Bench::new();
    let mut stream = bench.device.shell("echo started; sleep 1000").await.unwrap();
    stream.read_u8().await.unwrap();
    assert_eq!(bench.phone.running().len(), 1);
    drop(stream);
    let ended = async {
        while !bench.phone.running().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, ended).await.expect("the command goes on");
}

#[tokio::test]
async fn five_megabytes_arrive_as_they_were_both_ways() {
    let (bench, folder) = (Bench::new(), TempDir::new().unwrap());
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    let content = noise(FIVE_MB);
    std::fs::write(&source, &content).unwrap();
    let pushed = bench.device.push(&source, "/sdcard/file", 0o640).await.unwrap();
    assert_eq!(pushed, FIVE_MB as u64);
    assert!(std::fs::read(bench.phone.file("/sdcard/file")).unwrap() == content, "changed on the way there");
    let stat = bench.device.stat("/sdcard/file").await.unwrap().unwrap();
    assert_eq!((stat.mode, stat.size as usize), (0o100_640, FIVE_MB));

    let pulled = bench.device.pull("/sdcard/file", &target).await.unwrap();
    assert_eq!(pulled, FIVE_MB as u64);
    assert!(std::fs::read(&target).unwrap() == content, "changed on the way back");
}

#[tokio::test]
async fn an_empty_file_travels_and_a_missing_one_is_refused() {
    let (bench, folder) = (Bench::new(), TempDir::new().unwrap());
    let (source, target) = (folder.path().join("source"), folder.path().join("target"));
    std::fs::write(&source, b"").unwrap();
    assert_eq!(bench.device.push(&source, "/sdcard/empty", 0o644).await.unwrap(), 0);
    assert_eq!(bench.device.pull("/sdcard/empty", &target).await.unwrap(), 0);
    assert_eq!(std::fs::read(&target).unwrap(), b"");
    let error = bench.device.pull("/sdcard/missing", &folder.path().join("missing")).await.unwrap_err();
    assert!(matches!(error, AdbError::Refused(_)), "{error:?}");
    assert!(!folder.path().join("missing").exists());
    assert_eq!(bench.device.stat("/sdcard/missing").await.unwrap(), None);
    let names: BTreeSet<String> =
        bench.device.list("/sdcard").await.unwrap().into_iter().map(|entry| entry.name).collect();
    assert!(names.contains("empty") && !names.contains("missing"), "{names:?}");
    assert!(bench.device.stat("/sdcard").await.unwrap().unwrap().is_dir());
}

#[tokio::test]
async fn a_forward_leads_to_the_device_until_it_is_ended() {
    let bench = Bench::new();
    let service = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let remote = format!("tcp:{}", service.local_addr().unwrap().port());
    let port = bench.device.forward(&remote).await.unwrap();
    let local = format!("tcp:{port}");
    let forwards = bench.server().forwards().await.unwrap();
    assert_eq!(forwards.len(), 1);
    assert_eq!(
        (&*forwards[0].serial, &forwards[0].local, &forwards[0].remote),
        (bench.device.serial(), &local, &remote)
    );

    let mut here = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut there = service.accept().unwrap().0;
    here.write_all(b"ping").unwrap();
    let mut word = [0; 4];
    there.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"ping");

    bench.device.unforward(&local).await.unwrap();
    assert_eq!(bench.server().forwards().await.unwrap(), []);
    let error = bench.device.unforward(&local).await.unwrap_err();
    assert!(matches!(error, AdbError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn a_package_is_installed_streamed_and_by_way_of_a_file() {
    let folder = TempDir::new().unwrap();
    let apk = folder.path().join("it's an.apk");
    std::fs::write(&apk, noise(300_000)).unwrap();
    for phone in [Phone::builder().cmd(), Phone::builder()] {
        let bench = Bench::with(phone);
        let words = bench.device.install(&apk, &["-r"]).await.unwrap();
        assert!(words.lines().any(|line| line == "Success"), "{words}");
        assert_eq!(bench.device.stat("/data/local/tmp/it's an.apk").await.unwrap(), None);
        bench.phone.set("install_result", Some("0 Failure [INSTALL_FAILED_OLDER_SDK]")).unwrap();
        let words = bench.device.install(&apk, &[]).await.unwrap();
        assert!(words.contains("Failure [INSTALL_FAILED_OLDER_SDK]"), "{words}");
    }
}

#[tokio::test]
async fn root_remount_and_verity_answer_in_words() {
    let bench = Bench::new();
    let words = bench.device.root().await.unwrap();
    assert!(words.starts_with("restarting adbd as root"), "{words}");
    // adbd goes and comes back, and may take a request before it has gone.
    until_said("remount succeeded", || bench.device.remount()).await;
    until_said("disabled", || bench.device.verity(false)).await;
    until_said("enabled", || bench.device.verity(true)).await;
}

/// Asks again and again until the answer is said to its end.
async fn until_said<A: Future<Output = Result<String, AdbError>>>(wanted: &str, ask: impl Fn() -> A) {
    let said = async {
        loop {
            match ask().await {
                Ok(words) if words.contains(wanted) => return,
                // The link may break before the request is accepted, or after.
                Ok(_) | Err(AdbError::Io(_)) => {}
                Err(error) => assert!(matches!(error, AdbError::Refused(_)), "{error:?}"),
            }
        }
    };
    timeout(PATIENCE, said).await.unwrap_or_else(|_| panic!("never was said: {wanted}"));
}

#[tokio::test]
async fn the_tracker_sees_a_reboot() {
    let bench = Bench::new();
    let mut tracker = bench.server().track().await.unwrap();
    await_state(&mut tracker, bench.device.serial(), Some("device")).await;
    bench.device.reboot("").await.unwrap();
    await_state(&mut tracker, bench.device.serial(), Some("offline")).await;
    await_state(&mut tracker, bench.device.serial(), Some("device")).await;
}

#[tokio::test]
async fn a_link_that_broke_is_listed_though_not_pushed() {
    let bench = Bench::new();
    let mut tracker = bench.server().track().await.unwrap();
    await_state(&mut tracker, bench.device.serial(), Some("device")).await;
    bench.phone.unplug();
    let offline = async {
        while bench.server().devices().await.unwrap()[0].state != "offline" {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, offline).await.expect("the link never broke");
    let error = bench.device.shell("true").await.unwrap_err();
    assert!(matches!(&error, AdbError::Refused(words) if words == "device offline"), "{error:?}");
    bench.phone.plug();
    await_state(&mut tracker, bench.device.serial(), Some("device")).await;
}

#[tokio::test]
async fn a_server_that_dies_ends_its_tracker() {
    let bench = Bench::new();
    let mut tracker = bench.server().track().await.unwrap();
    tracker.next().await.unwrap();
    let server = bench.server();
    drop(bench);
    let ended = async { while tracker.next().await.is_ok() {} };
    timeout(PATIENCE, ended).await.expect("the tracker waits for a dead server");
    assert!(matches!(server.version().await, Err(AdbError::NoServer { .. })));
}

// H29
#[tokio::test]
async fn h29_two_devices_of_one_server_do_not_mix() {
    let first = Bench::with(Phone::builder().property("ro.product.model", "first"));
    let second = Phone::builder().property("ro.product.model", "second").start().unwrap();
    first.adb.connect(&second.serial()).unwrap();
    let device = first.server().device(&second.serial());
    let (one, other) = tokio::join!(
        output(&first.device, "getprop ro.product.model"),
        output(&device, "getprop ro.product.model")
    );
    assert_eq!((one.trim(), other.trim()), ("first", "second"));

    let folder = TempDir::new().unwrap();
    let source = folder.path().join("source");
    std::fs::write(&source, b"x").unwrap();
    device.push(&source, "/sdcard/only", 0o644).await.unwrap();
    assert!(second.file("/sdcard/only").exists() && !first.phone.file("/sdcard/only").exists());
    device.forward("tcp:1").await.unwrap();
    assert_eq!(first.server().forwards().await.unwrap()[0].serial, second.serial());

    let error = first.server().device("x").shell("true").await.unwrap_err();
    assert!(matches!(&error, AdbError::Refused(words) if words == "device 'x' not found"), "{error:?}");
}
