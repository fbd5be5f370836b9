//! Answers no honest server gives, and servers that are not there.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use ave_adb::{AdbError, Server, limits};
use tokio::io::AsyncWriteExt;

use crate::script::against;

#[tokio::test]
async fn a_refusal_carries_the_servers_words() {
    let (answer, _) =
        against(&[b"FAIL0014device 'x' not found"], async |s| s.device("x").state().await).await;
    let error = answer.unwrap_err();
    assert!(matches!(&error, AdbError::Refused(words) if words == "device 'x' not found"), "{error:?}");
    assert_eq!(error.to_string(), "device 'x' not found");

    let (answer, _) = against(&[b"FAIL000edevice offline"], async |s| s.device("x").root().await).await;
    assert!(matches!(answer, Err(AdbError::Refused(words)) if words == "device offline"));

    let (answer, _) =
        against(&[b"OKAYFAIL0003no\xff"], async |s| s.device("x").unforward("tcp:1").await).await;
    assert!(matches!(answer, Err(AdbError::Refused(words)) if words == "no\u{fffd}"));

    let (answer, _) =
        against(&[b"OKAY001dfailed to connect to 1.2.3.4:5"], async |s| s.connect("1.2.3.4:5").await).await;
    assert!(matches!(answer, Err(AdbError::Refused(words)) if words == "failed to connect to 1.2.3.4:"));
}

#[tokio::test]
async fn a_device_refuses_a_file_in_its_own_words() {
    let (answer, _) = against(&[b"OKAYOKAYFAIL\x04\0\0\0full"], async |s| {
        s.device("x").push(Path::new("/dev/zero"), "/a", 0o644).await // a file without an end
    })
    .await;
    assert!(matches!(&answer, Err(AdbError::Refused(words)) if words == "full"), "{answer:?}");
    let (answer, _) = against(&[b"OKAYOKAYOKAY\0\0\0\0"], async |s| {
        s.device("x").push(Path::new("/dev/zero"), "/a", 0o644).await
    })
    .await;
    assert!(matches!(&answer, Err(AdbError::Protocol(_))), "taken before its end: {answer:?}");
    for (call, answer) in [(0, b"OKAYOKAYFAIL\x04\0\0\0gone"), (1, b"OKAYOKAYFAIL\x04\0\0\0gone")] {
        let (error, _) = against(&[answer], async |s| match call {
            0 => s.device("x").stat("/a").await.map(drop).unwrap_err(),
            _ => s.device("x").list("/a").await.map(drop).unwrap_err(),
        })
        .await;
        assert!(matches!(&error, AdbError::Refused(words) if words == "gone"), "{error:?}");
    }
}

#[tokio::test]
async fn a_file_is_read_to_its_end_or_its_limit() {
    const FILE: &[u8] = b"OKAYOKAYDATA\x03\0\0\0abcDATA\x02\0\0\0deDONE\0\0\0\0";
    let (content, _) = against(&[FILE], async |s| s.device("x").read("/a", 5).await).await;
    assert_eq!(content.unwrap(), b"abcde");
    let (content, _) = against(&[FILE], async |s| s.device("x").read("/a", 4).await).await;
    assert!(matches!(content, Err(AdbError::TooLong { bytes_max: 4, .. })), "{content:?}");
}

#[tokio::test]
async fn a_name_that_no_path_can_hold_is_not_read() {
    for (length, fits) in [(limits::SYNC_PATH_BYTES_MAX, true), (limits::SYNC_PATH_BYTES_MAX + 1, false)] {
        let entry = [&b"OKAYOKAYDENT"[..], &[0; 12], &(length as u32).to_le_bytes()].concat();
        let answer = [entry, vec![b'x'; length], b"DONE".to_vec()].concat();
        let (listed, _) = against(&[&answer], async |s| s.device("x").list("/a").await).await;
        assert_eq!(listed.is_ok(), fits, "{length}: {listed:?}");
    }
}

#[tokio::test]
async fn a_length_is_four_hexadecimal_digits() {
    for digits in ["+004", " 004", "0x04", "00g4", "-001", "\u{ff10}4", "\n\n\n\n"] {
        let answer = ["OKAY", digits, "0029"].concat();
        let (error, _) = against(&[answer.as_bytes()], async |s| s.version().await.unwrap_err()).await;
        assert!(matches!(error, AdbError::Protocol(_)), "{digits}: {error:?}");
    }
    let (version, _) = against(&[b"OKAY00040029"], async |s| s.version().await).await;
    assert_eq!(version.unwrap(), 41);
}

#[tokio::test]
async fn what_is_no_answer_names_wanted_and_found() {
    let (error, _) = against(&[b"HTTP/1.1 400"], async |s| s.version().await.unwrap_err()).await;
    assert_eq!(error.to_string(), "answer of the adb server: wanted OKAY or FAIL, found \"HTTP\"");
    let (error, _) = against(&[b"OKAY0004nine"], async |s| s.version().await.unwrap_err()).await;
    assert_eq!(
        error.to_string(),
        "answer of the adb server: wanted a version in hexadecimal digits, found \"nine\""
    );
    let (error, _) = against(&[b"OKAY0004CB5A"], async |s| s.devices().await.unwrap_err()).await;
    assert_eq!(
        error.to_string(),
        "answer of the adb server: wanted a serial, a tab and a state, found \"CB5A\""
    );
    let (error, _) =
        against(&[b"OKAYOKAY000665536\0"], async |s| s.device("x").forward("tcp:1").await.unwrap_err()).await;
    assert_eq!(error.to_string(), "answer of the adb server: wanted a port, found \"65536\\x00\"");
}

#[tokio::test]
async fn a_huge_length_takes_no_memory() {
    let huge = u32::MAX.to_le_bytes();
    let of = |start: &[u8]| [b"OKAYOKAY", start, &huge].concat();
    let folder = tempfile::TempDir::new().unwrap();
    let target = folder.path().join("file");
    let answers = [of(b"DATA"), of(b"FAIL"), of(b"DENT............"), of(b"FAIL"), of(b"FAIL")];
    for (call, answer) in answers.iter().enumerate() {
        let (error, _) = against(&[answer], async |s| match call {
            0 | 1 => s.device("x").pull("/a", &target).await.map(drop).unwrap_err(),
            2 | 3 => s.device("x").list("/a").await.map(drop).unwrap_err(),
            _ => s.device("x").stat("/a").await.map(drop).unwrap_err(),
        })
        .await;
        assert!(matches!(error, AdbError::TooLong { .. }), "{call}: {error:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_directory_without_an_end_is_given_up() {
    let entry = b"DENT\xedA\0\0\x05\0\0\0\x07\0\0\0\x01\0\0\0a";
    let entries = [b"OKAYOKAY".as_slice(), &entry.repeat(limits::ENTRIES_MAX)].concat();
    let good = [&entries, b"DONE".as_slice()].concat();
    let (listed, _) = against(&[&good], async |s| s.device("x").list("/").await).await;
    assert_eq!(listed.unwrap().len(), limits::ENTRIES_MAX);
    let bad = [&entries, entry.as_slice()].concat();
    let (listed, _) = against(&[&bad], async |s| s.device("x").list("/").await).await;
    assert!(matches!(listed, Err(AdbError::Protocol(_))));
}

#[tokio::test]
async fn output_beyond_the_callers_limit_is_an_error() {
    let read = async |s: Server| s.device("x").shell("yes").await?.text(4).await;
    assert_eq!(against(&[b"OKAYOKAY1234"], read).await.0.unwrap(), b"1234");
    let (error, _) = against(&[b"OKAYOKAY12345"], read).await;
    assert_eq!(error.unwrap_err().to_string(), "output of the device: more than 4 bytes");
}

#[tokio::test]
async fn what_is_too_long_is_not_sent() {
    let long = "x".repeat(limits::REQUEST_BYTES_MAX);
    let (error, _) = against(&[b""], async |s| s.connect(&long).await.unwrap_err()).await;
    assert!(matches!(error, AdbError::TooLong { bytes_max: limits::REQUEST_BYTES_MAX, .. }), "{error:?}");
    let path = "x".repeat(limits::SYNC_PATH_BYTES_MAX + 1);
    let (error, asked) =
        against(&[b"OKAYOKAY"], async |s| s.device("x").stat(&path).await.unwrap_err()).await;
    assert!(matches!(error, AdbError::TooLong { bytes_max: limits::SYNC_PATH_BYTES_MAX, .. }), "{error:?}");
    assert_eq!(asked, ["0010host:transport:x0005sync:"]);
}

#[tokio::test]
async fn a_line_that_would_kill_the_server_is_not_sent_to_an_old_device() {
    let shell = async |s: Server, bytes: usize| {
        let line = "x".repeat(bytes - "shell:".len());
        s.device("x").shell(&line).await?.text(2).await
    };
    let longest = limits::OLD_DEVICE_REQUEST_BYTES_MAX;
    let (output, _) = against(&[b"OKAYOKAYhi"], async |s| shell(s, longest).await).await;
    assert_eq!(output.unwrap(), b"hi");
    let (error, asked) = against(&[b"OKAY0003cmd"], async |s| shell(s, longest + 1).await).await;
    assert!(matches!(&error, Err(AdbError::TooLong { .. })), "{error:?}");
    assert_eq!(asked, ["0016host-serial:x:features"]);
    let answers: [&[u8]; 2] = [b"OKAY0008shell_v2", b"OKAYOKAYhi"];
    let (output, _) = against(&answers, async |s| shell(s, longest + 1).await).await;
    assert_eq!(output.unwrap(), b"hi");
}

#[tokio::test]
async fn no_server_is_an_error_that_says_where() {
    let nobody = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let error = Server::new(nobody).version().await.unwrap_err();
    assert!(matches!(error, AdbError::NoServer { address, .. } if address == nobody), "{error:?}");
    assert!(error.to_string().starts_with(&format!("no adb server at {nobody}: ")), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_given_up() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let start = tokio::time::Instant::now();
    let error = Server::new(silent.local_addr().unwrap()).version().await.unwrap_err();
    assert_eq!(error.to_string(), "host:version: no answer within 30 s");
    assert!(start.elapsed() >= limits::ANSWER_LIMIT && start.elapsed() < limits::ANSWER_LIMIT * 2);
}

#[tokio::test]
async fn a_missing_file_of_this_host_is_named() {
    let missing = Path::new("/nowhere/file");
    let (error, asked) =
        against(&[b""], async |s| s.device("x").push(missing, "/a", 0o644).await.unwrap_err()).await;
    assert_eq!(error.to_string(), "/nowhere/file: No such file or directory (os error 2)");
    assert!(asked.is_empty());
    let (error, _) = against(&[b""], async |s| s.device("x").pull("/a", missing).await.unwrap_err()).await;
    assert!(matches!(error, AdbError::File { .. }), "{error:?}");
}

#[tokio::test]
async fn listings_arrive_in_pieces_and_waiting_for_them_may_be_given_up() {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = Server::new(listener.local_addr().unwrap());
    let (tracker, accepted) = tokio::join!(server.track(), async {
        let mut stream = listener.accept().await.unwrap().0;
        stream.write_all(b"OKAY").await.unwrap();
        stream
    });
    let (mut tracker, mut stream) = (tracker.unwrap(), accepted);
    stream.set_nodelay(true).unwrap();
    let listings = b"000cCB5A\tdevice\n0000000dCB5A\toffline\n";
    let mut states = Vec::new();
    for byte in listings {
        stream.write_all(&[*byte]).await.unwrap();
        // Given up whenever nothing is complete yet: what has arrived must not be lost.
        while let Ok(listing) = tokio::time::timeout(Duration::from_millis(1), tracker.next()).await {
            states.push(listing.unwrap().first().map(|sighted| sighted.state.clone()));
        }
    }
    while states.len() < 3 {
        states.push(tracker.next().await.unwrap().first().map(|sighted| sighted.state.clone()));
    }
    assert_eq!(states, [Some("device".to_owned()), None, Some("offline".to_owned())]);
    drop(stream);
    assert!(matches!(tracker.next().await, Err(AdbError::Io(_))));
}
