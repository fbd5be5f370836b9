//! The phone's programs.

use std::fs;

use ave_simulated::Phone;

use super::desk::{Desk, wait_until};

#[test]
fn properties_are_files() {
    let desk = Desk::new(Phone::builder().property("gsm.operator.numeric", "24001"));
    assert_eq!(desk.shell("getprop gsm.operator.numeric"), "24001\n");
    desk.phone.set_property("persist.x", "before").unwrap();
    assert_eq!(desk.shell("setprop persist.x 'a b'; getprop persist.x"), "a b\n");
    assert_eq!(desk.phone.property("persist.x"), "a b");
    assert!(desk.shell("getprop").contains("[persist.x]: [a b]\n"));
    assert!(desk.shell("setprop ro.build.id x").contains("failed to set property"));
    assert_eq!(desk.shell("setprop persist.x ''; getprop persist.x"), "\n");
}

#[test]
fn processes_in_both_forms() {
    let desk = Desk::new(Phone::builder());
    for (sdk, line) in [("25", "ps"), ("28", "ps -A")] {
        desk.phone.set_property("ro.build.version.sdk", sdk).unwrap();
        let text = desk.shell(line);
        let init = text.lines().find(|line| line.ends_with(" /init")).unwrap();
        let columns: Vec<_> = init.split_whitespace().collect();
        assert_eq!((columns.len(), columns[1]), (9, "1"), "{text}");
    }
    assert_eq!(desk.shell("kill 5000100; ps -A | grep system_server"), "");
    assert!(desk.shell("kill 1234567").contains("No such process"));
}

#[test]
fn the_log_is_read_as_it_grows() {
    let desk = Desk::new(Phone::builder());
    desk.phone.log("first").unwrap();
    assert_eq!(desk.shell("logcat -d"), "first\n");
    assert_eq!(desk.adb(&["logcat", "-c"]), (0, "".into()));
    let mut reading = std::process::Command::new("adb");
    let port = desk.server.address().port().to_string();
    let file = desk.phone.root().join("read");
    reading.args(["-P", &port, "logcat"]).stdout(fs::File::create(&file).unwrap());
    let mut reading = reading.spawn().unwrap();
    wait_until(|| desk.phone.running().len(), |running| *running == 1);
    desk.phone.log("second").unwrap();
    wait_until(|| fs::read_to_string(&file).unwrap(), |text| text.contains("second\n"));
    reading.kill().unwrap();
    reading.wait().unwrap();
}

#[test]
fn instrumentation_answers_what_was_prepared() {
    let desk = Desk::new(Phone::builder());
    assert!(desk.shell("am instrument -w com.a/.B").contains("Unable to find instrumentation info for"));
    desk.phone.set("instrumentation/com.a,.B", Some("shortMsg=Process crashed\n")).unwrap();
    assert_eq!(desk.shell("am instrument -r -w com.a/.B"), "shortMsg=Process crashed\n");
    desk.phone.set("instrumentation/com.a,.B", Some("#!/bin/sh\necho $#\n")).unwrap();
    assert_eq!(desk.shell("am instrument -r -w com.a/.B"), "3\n");
}

#[test]
fn the_rest() {
    let desk = Desk::new(Phone::builder());
    assert!(desk.shell("service call iphonesubinfo 13").contains(".4.6.7.0."));
    assert_eq!(desk.shell("settings put global a 1; settings get global a"), "1\n");
    desk.shell("content update --uri content://settings/global --bind value:i:0 --where name=\"a\"");
    assert_eq!(desk.shell("settings get global a"), "0\n");
    assert!(desk.shell("df /sdcard").contains(" /sdcard\n"));
    assert!(desk.shell("mount").contains(" /data "));
    desk.shell("screencap -p /sdcard/x.png");
    assert!(fs::read(desk.phone.file("/sdcard/x.png")).unwrap().starts_with(b"\x89PNG"));
    assert_eq!(desk.shell("input keyevent 3"), "");
    assert_eq!(desk.shell("stop; getprop sys.boot_completed; start; getprop sys.boot_completed"), "\n1\n");
}
