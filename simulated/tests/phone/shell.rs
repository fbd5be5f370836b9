//! Shells: with and without exit codes, and what becomes of them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use ave_simulated::{AdbServer, Authorization, Phone};

use super::desk::{Desk, wait_until};

#[test]
fn a_shell_of_the_first_kind_has_no_exit_code() {
    let desk = Desk::new(Phone::builder());
    assert_eq!(desk.adb(&["shell", "echo hi"]), (0, "hi\n".into()));
    assert_eq!(desk.adb(&["shell", "exit 7"]), (0, "".into()));
    assert_eq!(desk.shell("echo out; echo err >&2"), "out\nerr\n");
    assert_eq!(desk.shell("getprop ro.product.model"), "FAKE1\n");
}

#[test]
fn a_shell_of_the_second_kind_has_one() {
    let desk = Desk::new(Phone::builder().shell_v2());
    assert_eq!(desk.adb(&["shell", "echo hi"]), (0, "hi\n".into()));
    assert_eq!(desk.adb(&["shell", "exit 7"]), (7, "".into()));
    assert_eq!(desk.adb(&["shell", "-x", "exit 7"]), (0, "".into()));
    let output = desk.server.adb(&["shell", "echo out; echo err >&2"]).unwrap();
    assert_eq!((&output.stdout[..], &output.stderr[..]), (&b"out\n"[..], &b"err\n"[..]));
}

#[test]
fn a_missing_program_is_told_as_a_phone_does() {
    let desk = Desk::new(Phone::builder());
    let told = desk.shell("frobnicate now");
    assert!(told.starts_with("/system/bin/sh: ") && told.ends_with("frobnicate: not found\n"), "{told}");
}

#[test]
fn the_file_system_is_the_phones_own() {
    let desk = Desk::new(Phone::builder());
    assert_eq!(desk.shell("ls /"), "data\nmnt\nproc\nsdcard\nstorage\nsystem\n");
    assert_eq!(desk.shell("ls -d /"), "/\n");
    assert_eq!(desk.shell("pwd"), "/\n");
    assert_eq!(desk.shell("ls /system/bin/dalvikvm"), "/system/bin/dalvikvm\n");
    assert_eq!(desk.shell("ls /nowhere"), "ls: /nowhere: No such file or directory\n");
    assert_eq!(desk.shell("ls /system/bin/dalvikvm/"), "ls: /system/bin/dalvikvm/: Not a directory\n");
    assert_eq!(
        desk.shell("mkdir '/data/a b' && mkdir '/data/a b'"),
        "mkdir failed for /data/a b, File exists\n"
    );
    assert_eq!(desk.shell("test -d '/data/a b' && echo OK"), "OK\n");
    assert_eq!(desk.shell("chmod 000 '/data/a b'; ls '/data/a b'"), "ls: /data/a b: Permission denied\n");
    assert_eq!(desk.shell("rm /data/none"), "rm failed for /data/none, No such file or directory\n");
    assert_eq!(desk.shell("echo c >/data/x; mv '/data/x' '/data/y'; cat /data/y; rm /data/y"), "c\n");
    assert_eq!(desk.shell("realpath $EXTERNAL_STORAGE"), "/sdcard\n");
    assert!(!desk.phone.file("/data/y").exists());
}

#[test]
fn what_a_client_leaves_behind_is_killed() {
    let desk = Desk::new(Phone::builder());
    let port = desk.server.address().port().to_string();
    let mut client = Command::new("adb");
    client.args(["-P", &port, "-s", &desk.phone.serial(), "shell", "sleep 1000; echo never"]);
    let mut client = client.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_until(|| desk.phone.running(), |running| running == &["sleep 1000; echo never"]);
    client.kill().unwrap();
    client.wait().unwrap();
    wait_until(|| desk.phone.running(), Vec::is_empty);
}

#[test]
fn a_forwarded_port_passes_bytes() {
    let desk = Desk::new(Phone::builder());
    let there = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = format!("tcp:{}", there.local_addr().unwrap().port());
    let echo = thread::spawn(move || {
        let mut socket = there.accept().unwrap().0;
        let mut bytes = [0; 4];
        socket.read_exact(&mut bytes).unwrap();
        socket.write_all(&bytes).unwrap();
    });
    let (code, port) = desk.adb(&["forward", "tcp:0", &remote]);
    assert_eq!(code, 0);
    let mut socket = std::net::TcpStream::connect(("127.0.0.1", port.trim().parse().unwrap())).unwrap();
    socket.write_all(b"ping").unwrap();
    let mut bytes = [0; 4];
    socket.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"ping");
    echo.join().unwrap();
    assert!(desk.adb(&["forward", "--list"]).1.contains(&remote));
}

#[test]
fn a_host_may_have_to_prove_itself() {
    let asked = Desk::new(Phone::builder().authorization(Authorization::Asked));
    assert_eq!(asked.shell("echo hi"), "hi\n");
    let (server, phone) = (
        AdbServer::start().unwrap(),
        Phone::builder().authorization(Authorization::Refused).start().unwrap(),
    );
    let _ = server.connect(&phone.serial());
    let desk = Desk { server, phone };
    desk.wait_for("unauthorized");
}

#[test]
fn phones_do_not_mix() {
    let desk = Desk::new(Phone::builder().property("ro.product.model", "one"));
    let other = Phone::builder().property("ro.product.model", "two").start().unwrap();
    desk.server.connect(&other.serial()).unwrap();
    assert_eq!(desk.shell("getprop ro.product.model"), "one\n");
    let output = desk.server.adb(&["-s", &other.serial(), "shell", "getprop ro.product.model"]).unwrap();
    assert_eq!(output.stdout, b"two\n");
    let output = desk.server.adb(&["-s", "nobody", "shell", "true"]).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "error: device 'nobody' not found\n");
}
