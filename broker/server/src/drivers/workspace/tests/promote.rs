use std::fs;
use std::net::TcpListener;

use ave_profile::RefusalKind;

use super::*;

/// A lab whose file server is said to be at this port.
fn with_file_server(port: u16, timeout_s: u64) -> Lab {
    Lab::with(json!({"flocker": {
        "enable": true, "host": "127.0.0.1",
        "ftp": {"port": port, "user": "u", "password": "p", "timeout": timeout_s, "store": "s"},
        "http": {"port": 80, "doc-root": ""}}}))
}

#[tokio::test]
async fn w9_a_promoted_file_has_two_names_and_one_content() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let source = opened.good("write_tempfile", json!(["text"])).await;
    let promoted = opened.good("promote", json!([source.as_str().unwrap(), "new/folder/name.txt"])).await;
    assert_eq!(promoted, Value::Null);
    let target = opened.path.join("new/folder/name.txt");
    assert_eq!(fs::read_link(&target).unwrap().to_str(), source.as_str());
    assert_eq!(fs::read(&target).unwrap(), b"text");
    assert!(fs::symlink_metadata(source.as_str().unwrap()).unwrap().is_file());
    assert_eq!(opened.good("cat", json!(["new/folder/name.txt", "utf-8"])).await, "text".into());
    // A link may be promoted as well; what is promoted is the file it leads to.
    opened.good("promote", json!(["new/folder/name.txt", "again"])).await;
    assert_eq!(fs::read_link(opened.path.join("again")).unwrap().to_str(), source.as_str());
    opened.close().await;
}

#[tokio::test]
async fn w9_a_temporary_file_may_be_promoted_at_once() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let arguments = json!([["a", "å"], "latin-1", "sub/named"]);
    assert_eq!(opened.path("write_tempfile", arguments).await, "sub/named");
    assert_eq!(fs::read(opened.path.join("sub/named")).unwrap(), b"a\xe5");
    let refusal = opened.bad("write_tempfile", json!(["x", "utf-8", "sub/named"])).await;
    assert_eq!(refusal.message, "target file exists: sub/named");
    // The link, the directory's, and nothing of the call that was refused.
    let left = opened.good("ls", json!([".", "tmp*"])).await;
    assert_eq!(left.as_list().unwrap().len(), 1);
}

#[tokio::test]
async fn w9_each_refusal_has_its_words() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    fs::write(opened.path.join("file"), "").unwrap();
    fs::create_dir(opened.path.join("folder")).unwrap();
    std::os::unix::fs::symlink("/etc", opened.path.join("out")).unwrap();
    std::os::unix::fs::symlink("nowhere", opened.path.join("dangling")).unwrap();
    for (source, target, expected) in [
        ("none", "t", "source file does not exist: none"),
        ("/none", "t", "source file does not exist: /none"),
        ("folder", "t", "source file is not a file: folder"),
        ("/etc/passwd", "t", "source file not stored inside workspace: /etc/passwd"),
        ("out/passwd", "t", "source file not stored inside workspace: out/passwd"),
        ("file", "../t", "target must be within workspace: ../t"),
        ("file", "/etc/t", "target must be within workspace: /etc/t"),
        ("file", "out/t", "target must be within workspace: out/t"),
        ("file", "tmp0123456789", "tmpfile can not be target: tmp0123456789"),
        ("file", "folder/x/../tmpx", "tmpfile can not be target: folder/x/../tmpx"),
        ("file", "file", "target file exists: file"),
        ("file", "folder", "target file exists: folder"),
        ("file", "dangling", "target file exists: dangling"),
        ("file", "", "target file exists: "),
    ] {
        let refusal = opened.bad("promote", json!([source, target])).await;
        assert_eq!((refusal.kind, refusal.message.as_str()), (RefusalKind::Exception, expected));
    }
    let message = opened.bad("promote", json!(["file", "t", "ftp"])).await.message;
    assert_eq!(message, "no such server: wanted flocker, found ftp");
    assert_eq!(fs::read_dir(&opened.path).unwrap().count(), 4);
}

#[tokio::test]
async fn w9_promotion_works_while_the_file_server_is_down_or_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for port in [closed, silent.local_addr().unwrap().port()] {
        let lab = with_file_server(port, 1);
        let mut opened = lab.open().await;
        fs::write(opened.path.join("file"), "").unwrap();
        assert_eq!(opened.good("promote", json!(["file", "target"])).await, Value::Null);
        assert_eq!(opened.path("write_tempfile", json!(["x", "utf-8", "second"])).await, "second");
        assert!(opened.path.join("target").is_symlink() && opened.path.join("second").is_symlink());
        opened.close().await;
    }
}

#[tokio::test]
async fn w13_without_a_file_server_its_calls_say_so() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    for (call, arguments) in [
        ("flocker_initial", json!([])),
        ("flocker_push_file", json!(["none"])),
        ("flocker_push_string", json!(["x", "y"])),
        ("flocker_set_metadata", json!([])),
        ("flocker_get_file", json!(["a", "b"])),
    ] {
        let message = opened.bad(call, arguments).await.message;
        assert!(message.contains("flocker is disable"), "{call}: {message}");
    }
}

#[tokio::test]
async fn w13_wrong_arguments_are_refused_before_the_server_is_asked() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let lab = with_file_server(closed, 1);
    let mut opened = lab.open().await;
    fs::write(opened.path.join("file"), "").unwrap();
    for (call, arguments, expected) in [
        ("flocker_initial", json!(["a", "b"]), "existing_key and custom_key can not both be set"),
        ("flocker_initial", json!([null, "a/b"]), "custom_key must be a name without a slash, found a/b"),
        ("flocker_push_file", json!(["none"]), "pushed file does not exist: none"),
        ("flocker_push_file", json!(["."]), "pushed file is not a file: ."),
        ("flocker_push_file", json!(["/etc/passwd"]), "pushed file not stored inside workspace: /etc/passwd"),
        ("flocker_push_file", json!(["file", "/x"]), "pushed file destination is absolute path: /x"),
        ("flocker_push_file", json!(["file", "../x"]), "a remote path must have names"),
        ("flocker_push_file", json!(["file", "a\nDELE b"]), "a remote path must have names"),
        ("flocker_push_string", json!([1, "x"]), "string must be a string, found number"),
        ("flocker_set_metadata", json!([null, 1]), "contact must be a string or null, found number"),
        ("flocker_get_file", json!(["/x", "y"]), "Remote file should be relative path: /x"),
        ("flocker_get_file", json!(["x", "../y"]), "path cannot be outside workspace: ../y"),
    ] {
        let message = opened.bad(call, arguments).await.message;
        assert!(message.starts_with(expected), "{call}: {message}");
    }
    let refusal = opened.bad("flocker_push_file", json!(["file"])).await;
    assert!(refusal.message.starts_with("flocker: "), "{refusal}");
    let refusal = opened.bad("flocker_push_string", json!(["text", "x", null, 0.2])).await;
    assert_eq!(refusal.kind, RefusalKind::Driver("Timeout".into()));
    assert_eq!(refusal.message, "push string timed out");
    opened.close().await;
}

#[tokio::test]
async fn w13_a_call_that_is_given_up_closes_its_connection() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let lab = with_file_server(silent.local_addr().unwrap().port(), 600);
    let mut opened = lab.open().await;
    let mut server = tokio::select! {
        accepted = silent.accept() => accepted.unwrap().0,
        answer = opened.call("flocker_push_string", json!(["text", "file", null, 0])) => panic!("{answer:?}"),
    };
    let mut nothing = [0];
    assert_eq!(tokio::io::AsyncReadExt::read(&mut server, &mut nothing).await.unwrap(), 0);
    opened.close().await;
}
