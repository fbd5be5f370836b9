use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::super::limits::OUTPUT_BYTES_MAX;
use super::*;

/// A file, an empty file, a directory with one entry and one that is closed, a link.
fn furnish(lab: &Lab) {
    let at = |path: &str| lab.phone.file(path);
    fs::create_dir(at("/sdcard/open")).unwrap();
    fs::write(at("/sdcard/open/one"), "1\r\n2\nå").unwrap();
    fs::write(at("/sdcard/open/run"), "").unwrap();
    fs::set_permissions(at("/sdcard/open/run"), PermissionsExt::from_mode(0o755)).unwrap();
    symlink("one", at("/sdcard/open/link")).unwrap();
    fs::create_dir(at("/sdcard/closed")).unwrap();
    fs::set_permissions(at("/sdcard/closed"), PermissionsExt::from_mode(0o000)).unwrap();
}

#[tokio::test]
async fn h12_what_ls_cannot_list_it_says_with_or_without_exit_codes() {
    for lab in Lab::both() {
        furnish(&lab);
        let mut handset = lab.open().await;
        assert_eq!(handset.good("ls", json!(["/sdcard/open"])).await, json!(["link", "one", "run"]));
        for (path, message) in [
            ("/sdcard/nope", "No such file or directory: /sdcard/nope"),
            ("/sdcard/open/one/", "Not a directory: /sdcard/open/one/"),
            ("/sdcard/closed", "Permission denied: /sdcard/closed"),
        ] {
            let refusal = handset.bad("ls", json!([path])).await;
            assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("Exception", message));
        }
    }
}

#[tokio::test]
async fn h13_path_exists_knows_the_types() {
    for lab in Lab::both() {
        furnish(&lab);
        let mut handset = lab.open().await;
        for (path, types) in [
            ("/sdcard/open", &["directory", "executable"][..]),
            ("/sdcard/open/one", &["file"]),
            ("/sdcard/open/run", &["file", "executable"]),
            ("/sdcard/open/link", &["symlink", "file"]),
        ] {
            assert_eq!(handset.good("path_exists", json!([path])).await, true, "{path}");
            for file_type in ["symlink", "directory", "file", "executable"] {
                let found = handset.good("path_exists", json!([path, file_type])).await;
                assert_eq!(found, types.contains(&file_type), "{path} {file_type}");
            }
        }
        assert_eq!(handset.good("path_exists", json!(["/sdcard/nope", "file"])).await, false);
        let message = "invalid type pipe. valid types: symlink, directory, file, executable";
        handset.fails("path_exists", json!(["/sdcard/open", "pipe"]), message).await;
        handset.fails("path_exists", json!(["/sdcard/closed"]), "Permission denied: /sdcard/closed").await;
    }
}

#[tokio::test]
async fn h15_cat_gives_content_and_says_what_has_none() {
    let lab = Lab::new();
    furnish(&lab);
    let mut handset = lab.open().await;
    assert_eq!(handset.good("cat", json!(["/sdcard/open/one"])).await, "1\r\n2\nå");
    assert_eq!(handset.good("cat", json!(["/sdcard/open/run"])).await, "");
    fs::write(lab.phone.file("/sdcard/open/bytes"), b"\xff!").unwrap();
    assert_eq!(handset.good("cat", json!(["/sdcard/open/bytes"])).await, "\u{fffd}!"); // DEF 1
    handset.fails("cat", json!(["/sdcard/open"]), "target '/sdcard/open' is a directory").await;
    handset.fails("cat", json!(["/sdcard/nope"]), "does not exist").await;
}

#[tokio::test]
async fn h16_directories_are_made_once_and_removed_with_everything() {
    for lab in Lab::both() {
        let mut handset = lab.open().await;
        handset.good("mkdir", json!(["/sdcard/a b"])).await;
        handset.fails("mkdir", json!(["/sdcard/a b"]), "File exists").await;
        handset.good("mkdir", json!(["/sdcard/a b", true])).await;
        handset.good("mkdir", json!(["/sdcard/x/y/z", true])).await;
        assert!(lab.phone.file("/sdcard/x/y/z").is_dir());
        handset.good("rm", json!(["/sdcard/nope"])).await;
        handset.fails("rm", json!(["/sdcard/x"]), "s a directory").await;
        handset.good("rm", json!(["/sdcard/x", true])).await;
        assert!(!lab.phone.file("/sdcard/x").exists());
        handset.good("mv", json!(["/sdcard/a b", "/sdcard/c'd"])).await;
        assert!(lab.phone.file("/sdcard/c'd").is_dir());
        handset.good("chmod", json!(["700", "/sdcard/c'd"])).await;
        let mode = lab.phone.file("/sdcard/c'd").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}

#[tokio::test]
async fn what_is_waited_for_is_found_or_missed_in_time() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    handset.good("wait_for_path", json!(["/sdcard", "directory", 5])).await;
    assert_eq!(handset.bad("wait_for_path", json!(["/sdcard/x", null, 1])).await.kind.as_str(), "Timeout");
    assert_eq!(handset.good("is_mounted", json!(["/data"])).await, true);
    handset.fails("is_mounted", json!([1]), "path must be a string").await;
    let mut base = lab.open_as(json!({})).await;
    assert_eq!(base.good("is_mounted", json!(["/data"])).await, true);
    base.fails("is_mounted", json!([1]), "mount_point must be a string").await;
}

#[tokio::test]
async fn a_screenshot_needs_a_place() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    for (dst, message) in
        [("", "must not be empty"), ("/sdcard/", "must not be a folder"), ("/x.png", "must not be root")]
    {
        handset.fails("take_screenshot", json!([dst]), message).await;
    }
    assert_eq!(handset.good("take_screenshot", json!(["/sdcard/x.png"])).await, 0);
    assert!(lab.phone.file("/sdcard/x.png").exists());
}

#[tokio::test]
async fn a_bug_report_is_written_below_a_directory() {
    let lab = Lab::new();
    furnish(&lab);
    let mut handset = lab.open().await;
    handset.fails("run_bugreport", json!(["/sdcard/nope"]), "no such directory on handset").await;
    handset.fails("run_bugreport", json!(["/sdcard/open/one"]), "not a directory").await;
    let path = handset.good("run_bugreport", json!(["/sdcard/"])).await;
    let path = path.as_str().unwrap();
    let stamp = path.strip_prefix("/sdcard/BugReport-AVE-Generated-").unwrap();
    assert!(stamp.len() == 15 && stamp.as_bytes()[8] == b'-', "{path}");
    assert!(lab.phone.file(path).metadata().unwrap().len() > 0);
}

/// An adb server whose device says that each file has one byte, and then sends more of it than anybody takes.
async fn boundless() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut peer, _)) = listener.accept().await {
            tokio::spawn(async move {
                for service in ["0010host:transport:s", "0005sync:"] {
                    peer.read_exact(&mut vec![0; service.len()]).await?;
                    peer.write_all(b"OKAY").await?;
                }
                let mut request = [0; 8];
                peer.read_exact(&mut request).await?;
                peer.read_exact(&mut vec![0; request[4].into()]).await?;
                if request.starts_with(b"STAT") {
                    return peer.write_all(b"STAT\xa4\x81\0\0\x01\0\0\0\0\0\0\0").await;
                }
                let chunk = [b"DATA\0\0\x01\0", &[b'x'; 1 << 16][..]].concat();
                for _ in 0..=OUTPUT_BYTES_MAX >> 16 {
                    peer.write_all(&chunk).await?;
                }
                peer.write_all(b"DONE\0\0\0\0").await
            });
        }
    });
    address
}

#[tokio::test]
async fn h15_cat_reads_no_more_than_a_reply_holds_whatever_the_handset_says() {
    let home = tempfile::tempdir().unwrap();
    let profile = Arc::new(Profile::of(json!({"serial": "s"})));
    let item = Identity::new("handset", "s");
    let granted =
        Granted { item, profile: Arc::clone(&profile), known: profile, again: false, at: None, number: 1 };
    let mut handset = Opened(driver(boundless().await, home.path()).open(&granted).await.unwrap());
    handset.fails("cat", json!(["/a"]), "file on the device: more than 33554432 bytes").await;
}
