//! Links that drop, reboots, and phones that misbehave.

use ave_simulated::Phone;

use super::desk::Desk;

#[test]
fn a_reboot_is_seen_and_survived() {
    let desk = Desk::new(Phone::builder());
    desk.phone.reboot_takes(None);
    desk.phone.set_property("service.adb.root", "1").unwrap();
    assert_eq!(desk.adb(&["reboot"]).0, 0);
    desk.wait_for("offline");
    desk.phone.plug();
    desk.wait_for("device");
    assert_eq!(desk.phone.property("service.adb.root"), "");
    assert_eq!(desk.shell("getprop sys.boot_completed"), "1\n");
}

#[test]
fn an_unplugged_phone_comes_back_when_it_is_plugged() {
    let desk = Desk::new(Phone::builder());
    desk.phone.unplug();
    desk.wait_for("offline");
    desk.phone.plug();
    desk.wait_for("device");
    assert_eq!(desk.shell("echo hi"), "hi\n");
}

#[test]
fn root_restarts_adbd_unless_it_is_refused() {
    let desk = Desk::new(Phone::builder());
    assert_eq!(desk.adb(&["root"]).1, "restarting adbd as root\n");
    desk.wait_for("device");
    assert_eq!(desk.adb(&["root"]).1, "adbd is already running as root\n");
    assert_eq!(desk.adb(&["remount"]).1, "remount succeeded\n");
    desk.phone.set_property("ro.debuggable", "0").unwrap();
    assert_eq!(desk.adb(&["root"]).1, "adbd cannot run as root in production builds\n");
}

#[test]
fn a_crashed_kernel_stays_away_until_it_is_plugged() {
    let desk = Desk::new(Phone::builder());
    desk.shell("echo c > /proc/sysrq-trigger");
    desk.wait_for("offline");
    desk.phone.reboot();
    desk.wait_for("device");
}

#[test]
fn canned_faults() {
    let desk = Desk::new(Phone::builder());
    desk.phone.set("no_pm", Some("")).unwrap();
    assert!(desk.shell("pm list packages").contains("Could not access the Package Manager"));
    desk.phone.set("no_shell", Some("")).unwrap();
    assert_ne!(desk.adb(&["shell", "ls -d /"]), (0, "/\n".into()));
    desk.phone.set("no_shell", None).unwrap();
    desk.phone.set("garbage", Some("")).unwrap();
    let output = desk.server.adb(&["shell", "echo hi"]).unwrap();
    assert!(String::from_utf8(output.stdout).is_err());
    desk.phone.set("garbage", None).unwrap();
    assert_eq!(desk.shell("echo hi"), "hi\n");
}
