//! What each call asks, byte for byte, what it makes of a good answer, and that a shorter answer is an error.

use std::fmt::Debug;
use std::net::Ipv4Addr;
use std::path::Path;

use ave_adb::{AdbError, Server};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::script::against;

const SERIAL: &str = "CB5A";
const TRANSPORT: &str = "0013host:transport:CB5A";

/// Runs a call against good answers, and then against each beginning of the last of them.
async fn holds<T: Debug>(
    call: impl AsyncFn(Server) -> Result<T, AdbError>,
    answers: &[&[u8]],
    asked: &[&str],
    said: &str,
) {
    let (answer, questions) = against(answers, &call).await;
    assert_eq!(format!("{:?}", answer.unwrap()), said);
    assert_eq!(questions, asked);
    let (last, before) = answers.split_last().unwrap();
    assert!(!last.is_empty());
    for end in 0..last.len() {
        let cut = [before, &[&last[..end]]].concat();
        let (answer, _) = against(&cut, &call).await;
        assert!(matches!(answer, Err(AdbError::Io(_))), "{end} of {} bytes: {answer:?}", last.len());
    }
}

fn at_device(service: &str) -> String {
    format!("{TRANSPORT}{:04x}{service}", service.len())
}

#[tokio::test]
async fn the_server_answers_for_itself() {
    holds(async |s| s.version().await, &[b"OKAY00040029"], &["000chost:version"], "41").await;
    holds(
        async |s| s.devices().await,
        &[b"OKAY0023CB5A\tdevice\n127.0.0.1:5555\toffline\n"],
        &["000chost:devices"],
        "[Sighted { serial: \"CB5A\", state: \"device\" }, Sighted { serial: \"127.0.0.1:5555\", state: \"offline\" }]",
    )
    .await;
    holds(
        async |s| s.forwards().await,
        &[b"OKAY001fCB5A tcp:49152 localabstract:x\n"],
        &["0011host:list-forward"],
        "[Forward { serial: \"CB5A\", local: \"tcp:49152\", remote: \"localabstract:x\" }]",
    )
    .await;
    holds(
        async |s| s.connect("127.0.0.1:5").await,
        &[b"OKAY0018connected to 127.0.0.1:5"],
        &["0018host:connect:127.0.0.1:5"],
        "\"connected to 127.0.0.1:5\"",
    )
    .await;
}

#[tokio::test]
async fn the_server_answers_for_a_device_by_its_serial() {
    holds(
        async |s| s.device(SERIAL).state().await,
        &[b"OKAY0006device"],
        &["001ahost-serial:CB5A:get-state"],
        "\"device\"",
    )
    .await;
    holds(
        async |s| s.device(SERIAL).features().await,
        &[b"OKAY000cshell_v2,cmd"],
        &["0019host-serial:CB5A:features"],
        "{\"cmd\", \"shell_v2\"}",
    )
    .await;
    holds(
        async |s| s.device(SERIAL).forward("tcp:8080").await,
        &[b"OKAYOKAY000549152"],
        &["0027host-serial:CB5A:forward:tcp:0;tcp:8080"],
        "49152",
    )
    .await;
    holds(
        async |s| s.device(SERIAL).unforward("tcp:49152").await,
        &[b"OKAYOKAY"],
        &["0026host-serial:CB5A:killforward:tcp:49152"],
        "()",
    )
    .await;
}

#[tokio::test]
async fn a_device_answers_for_itself() {
    let asked = [at_device("shell:echo hi")];
    let (text, questions) =
        against(&[b"OKAYOKAYhi\r\n"], async |s| s.device(SERIAL).shell("echo hi").await?.text(4).await).await;
    assert_eq!((text.unwrap(), questions), (b"hi\r\n".to_vec(), asked.to_vec()));

    for (service, call) in [
        ("root:", 0),
        ("remount:", 1),
        ("reboot:bootloader", 2),
        ("enable-verity:", 3),
        ("disable-verity:", 4),
    ] {
        let (words, questions) = against(&[b"OKAYOKAYas you like\n"], async |s| {
            let device = s.device(SERIAL);
            match call {
                0 => device.root().await,
                1 => device.remount().await,
                2 => device.reboot("bootloader").await,
                3 => device.verity(true).await,
                _ => device.verity(false).await,
            }
        })
        .await;
        assert_eq!((words.unwrap().as_str(), questions), ("as you like\n", vec![at_device(service)]));
    }
}

#[tokio::test]
async fn a_device_tells_about_its_files() {
    holds(
        async |s| s.device(SERIAL).stat("/sdcard/a").await,
        &[b"OKAYOKAYSTAT\xa4\x81\0\0\x05\0\0\0\x07\0\0\0"],
        &[&(at_device("sync:") + r"STAT\t\x00\x00\x00/sdcard/a")],
        "Some(Stat { mode: 33188, size: 5, mtime: 7 })",
    )
    .await;
    holds(
        async |s| s.device(SERIAL).stat("/").await,
        &[b"OKAYOKAYSTAT\0\0\0\0\0\0\0\0\0\0\0\0"],
        &[&(at_device("sync:") + r"STAT\x01\x00\x00\x00/")],
        "None",
    )
    .await;
    holds(
        async |s| s.device(SERIAL).list("/").await,
        &[b"OKAYOKAYDENT\xedA\0\0\x05\0\0\0\x07\0\0\0\x02\0\0\0..DONE"],
        &[&(at_device("sync:") + r"LIST\x01\x00\x00\x00/")],
        "[Entry { name: \"..\", stat: Stat { mode: 16877, size: 5, mtime: 7 } }]",
    )
    .await;
}

#[tokio::test]
async fn a_file_is_pushed_with_its_mode_and_time() {
    let file = file_of(b"12345");
    let source = file.path().join("file");
    let pushed = std::fs::File::open(&source).unwrap();
    pushed.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
    let sent = b"SEND\x08\0\0\0/a,33188DATA\x05\0\0\x0012345DONE\x01\0\0\0";
    let device = async |listener: TcpListener| {
        let mut stream = listener.accept().await.unwrap().0;
        stream.write_all(b"OKAYOKAY").await.unwrap();
        let mut asked = vec![0; at_device("sync:").len() + sent.len()];
        stream.read_exact(&mut asked).await.unwrap();
        stream.write_all(b"OKAY\0\0\0\0").await.unwrap();
        asked
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = Server::new(listener.local_addr().unwrap());
    let handset = server.device(SERIAL);
    let (bytes, asked) = tokio::join!(handset.push(&source, "/a", 0o644), device(listener));
    assert_eq!(bytes.unwrap(), 5);
    assert_eq!(asked, [at_device("sync:").as_bytes(), sent].concat());
}

#[tokio::test]
async fn a_pulled_file_appears_whole_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    let target = folder.path().join("file");
    let pull = async |s: Server| s.device(SERIAL).pull("/a", &target).await;
    let good = b"OKAYOKAYDATA\x03\0\0\0abcDATA\x02\0\0\0deDONE";
    for end in 0..good.len() {
        against(&[&good[..end]], pull).await.0.unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "{end} bytes");
    }
    let asked = at_device("sync:") + r"RECV\x02\x00\x00\x00/a";
    let (bytes, questions) = against(&[good], pull).await;
    assert_eq!((bytes.unwrap(), questions), (5, vec![asked]));
    assert_eq!(std::fs::read(&target).unwrap(), b"abcde");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn a_package_is_streamed_where_the_device_can_take_it() {
    let folder = file_of(b"zip");
    let apk = folder.path().join("file");
    let install = async |s: Server| s.device(SERIAL).install(&apk, &["-r", "it's"]).await;
    let answers: [&[u8]; 2] = [b"OKAY0003cmd", b"OKAYOKAYSuccess\n"];
    let (words, questions) = against(&answers, install).await;
    assert_eq!(words.unwrap(), "Success\n");
    let line = at_device(r"exec:cmd package 'install' '-r' 'it'\''s' -S 3");
    assert!(escaped(&(line + "zip")).starts_with(&questions[1]), "{questions:?}");
}

fn escaped(text: &str) -> String {
    text.as_bytes().escape_ascii().to_string()
}

/// A folder with one file in it.
fn file_of(content: &[u8]) -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::write(Path::new(folder.path()).join("file"), content).unwrap();
    folder
}
