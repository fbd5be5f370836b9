//! Files pushed and pulled, and packages.

use std::fs;

use ave_simulated::Phone;

use super::desk::Desk;

const APK: &str = "package=com.example.app\nversion_code=7\nrunner=.Runner\n";

#[test]
fn files_travel_unchanged() {
    let desk = Desk::new(Phone::builder());
    let here = tempfile::tempdir().unwrap();
    let (sent, fetched) = (here.path().join("sent"), here.path().join("fetched"));
    let bytes: Vec<u8> = (0..5_000_000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    fs::write(&sent, &bytes).unwrap();
    let (code, text) = desk.adb(&["push", sent.to_str().unwrap(), "/data/local/tmp/"]);
    assert_eq!(code, 0, "{text}");
    assert!(fs::read(desk.phone.file("/data/local/tmp/sent")).unwrap() == bytes);
    let (code, text) = desk.adb(&["pull", "/data/local/tmp/sent", fetched.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    assert!(fs::read(&fetched).unwrap() == bytes);
    assert!(desk.adb(&["ls", "/data/local/tmp"]).1.contains(" sent\n"));
    let (code, text) = desk.adb(&["pull", "/data/none", fetched.to_str().unwrap()]);
    assert!(code != 0 && text.contains("does not exist"), "{text}");
    let (code, text) = desk.adb(&["push", sent.to_str().unwrap(), "/../outside"]);
    assert!(code != 0, "{text}");
}

#[test]
fn packages_are_installed_streamed_or_pushed() {
    let phones = [Phone::builder(), Phone::builder().shell_v2().cmd()];
    let here = tempfile::tempdir().unwrap();
    let apk = here.path().join("example.apk");
    fs::write(&apk, APK).unwrap();
    for phone in phones {
        let desk = Desk::new(phone);
        let install = || desk.adb(&["install", apk.to_str().unwrap()]);
        let (code, text) = install();
        assert!(code == 0 && text.contains("Success"), "{text}");
        let stored = desk.phone.file("/data/app/com.example.app-1/base.apk");
        assert_eq!(fs::read_to_string(stored).unwrap(), APK);
        assert!(install().1.contains("Failure [INSTALL_FAILED_ALREADY_EXISTS]"));
        assert_eq!(desk.shell("pm list packages"), "package:com.example.app\n");
        assert!(desk.shell("dumpsys package com.example.app").contains("versionCode=7 "));
        let runners = "instrumentation:com.example.app/.Runner (target=com.example.app)\n";
        assert_eq!(desk.shell("pm list instrumentation com.example.app"), runners);
        desk.phone.set("install_result", Some("0 Failure [INSTALL_FAILED_DEXOPT]")).unwrap();
        assert!(install().1.contains("Failure [INSTALL_FAILED_DEXOPT]"));
        assert!(desk.adb(&["uninstall", "com.example.app"]).1.contains("Success"));
        assert_eq!(desk.shell("pm list packages"), "");
    }
}
