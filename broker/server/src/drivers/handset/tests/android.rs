//! The calls that only Android has.

mod logcat;
mod testing;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

const APK: &str = "package=com.example\nversion_code=42\nrunner=.Runner\ntarget=com.target\n";

/// An apk of this host.
fn apk(lab: &Lab) -> String {
    let path = lab.home.path().join("app.apk");
    fs::write(&path, APK).unwrap();
    path.to_str().unwrap().to_owned()
}

fn executable(lab: &Lab, path: &str, script: &str) {
    let file = lab.phone.file(path);
    fs::write(&file, script).unwrap();
    fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
}

/// Processes besides those that are always there.
fn processes(lab: &Lab, more: &str) {
    let always = "root 1 0 /init\nroot 50 1 zygote\nshell 60 1 /sbin/adbd\n";
    lab.phone.set("processes", Some(&format!("{always}{more}"))).unwrap();
}

#[tokio::test]
async fn h22_packages_are_installed_found_and_uninstalled() {
    for lab in [Lab::new(), Lab::with(Phone::builder().cmd())] {
        let mut handset = lab.open().await;
        let apk = apk(&lab);
        handset.fails("install", json!(["/nowhere/x.apk"]), "no such apk file: /nowhere/x.apk").await;
        handset.fails("install", json!([apk, 30, "-r -x"]), "args of install: -r -x is not correct").await;
        handset.good("install", json!([apk])).await;
        assert_eq!(handset.good("is_installed", json!(["com.example"])).await, true);
        assert_eq!(handset.good("is_installed", json!(["com.exam"])).await, false);
        assert_eq!(handset.good("list_packages", json!([])).await, json!(["com.example"]));
        assert_eq!(handset.good("get_package_version", json!(["com.example"])).await, 42);
        handset.fails("get_package_version", json!(["com.none"]), "can not find versionCode from").await;
        handset.fails("install", json!([apk]), "INSTALL_FAILED_ALREADY_EXISTS").await;
        handset.good("install", json!([apk, 30, "-r -t"])).await;
        handset.good("reinstall", json!([apk])).await;
        for exit in [0, 1] {
            lab.phone.set("install_result", Some(&format!("{exit} Failure [NO_ROOM]"))).unwrap();
            assert_eq!(handset.bad("reinstall", json!([apk])).await.message, "NO_ROOM");
        }
        lab.phone.set("install_result", Some("1 Killed")).unwrap();
        handset.fails("install", json!([apk]), "Failed to execute adb -s").await;
        lab.phone.set("uninstall_result", Some("Failure")).unwrap();
        handset.fails("uninstall", json!(["com.example"]), "Failure").await;
        lab.phone.set("uninstall_result", None).unwrap();
        handset.good("uninstall", json!(["com.example"])).await;
        assert_eq!(handset.good("list_packages", json!([])).await, json!([]));
        lab.phone.set("no_pm", Some("")).unwrap();
        handset.fails("list_packages", json!([]), "cannot list packages").await;
    }
}

#[tokio::test]
async fn permissions_are_granted_and_revoked() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    handset.good("install", json!([apk(&lab)])).await;
    let arguments = json!(["com.example", "android.permission.CAMERA"]);
    assert_eq!(handset.good("grant_permissions", arguments.clone()).await, true);
    let granted = lab.phone.file("/.simulated/packages/com.example/granted");
    assert_eq!(fs::read_to_string(&granted).unwrap(), "android.permission.CAMERA\n");
    assert_eq!(handset.good("revoke_permissions", arguments.clone()).await, true);
    assert_eq!(fs::read_to_string(&granted).unwrap(), "");
    handset.fails("grant_permissions", json!(["com.none", "X"]), "unknown package com.none").await;
    assert_eq!(handset.good("list_permissions", json!([])).await, "All Permissions:\r\n\r\n");
    lab.phone.set_property("ro.build.version.sdk", "22").unwrap();
    handset.fails("grant_permissions", arguments, "grant_permissions needs SDK 23, found 22").await;
}

#[tokio::test]
async fn components_are_switched() {
    let lab = Lab::with(Phone::builder().property("ro.build.version.sdk", "22"));
    let mut handset = lab.open().await;
    for package in ["com.example", "com.android.settings"] {
        lab.phone.set(&format!("packages/{package}/version_code"), Some("1")).unwrap();
    }
    let state = |package: &str| {
        fs::read_to_string(lab.phone.file(&format!("/.simulated/packages/{package}/state"))).unwrap()
    };
    handset.good("pm_disable", json!(["com.example/.Part"])).await;
    assert_eq!(state("com.example"), "disable\n");
    handset.good("pm_enable", json!(["com.example"])).await;
    assert_eq!(state("com.example"), "enable\n");
    handset.fails("pm_enable", json!(["com.none/.X"]), "no such package on handset: com.none").await;
    handset.good("disable_usb_mode_chooser", json!([])).await;
    assert_eq!(state("com.android.settings"), "disable\n");
    handset.good("enable_usb_mode_chooser", json!([])).await;
    assert_eq!(state("com.android.settings"), "enable\n");
    assert_eq!(lab.phone.property("service.adb.root"), "1");
    // So old an Android writes at once: nothing is waited for.
    handset.good("reboot", json!([])).await;
}

#[tokio::test]
async fn the_package_verifier_is_switched_as_the_version_has_it() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let setting = lab.phone.file("/.simulated/settings/global/package_verifier_enable");
    for (sdk, expected) in [("16", None), ("22", Some("0\n")), ("28", Some("0\n"))] {
        lab.phone.set_property("ro.build.version.sdk", sdk).unwrap();
        handset.good("disable_package_verifier", json!([])).await;
        assert_eq!(fs::read_to_string(&setting).ok().as_deref(), expected, "{sdk}");
        if expected.is_some() {
            handset.good("enable_package_verifier", json!([])).await;
            assert_eq!(fs::read_to_string(&setting).unwrap(), "1\n", "{sdk}");
        }
    }
    executable(&lab, "/.simulated/bin/settings", "#!/bin/sh\necho Error: no\n");
    let refusal = handset.bad("enable_package_verifier", json!([])).await;
    assert_eq!(refusal.kind.as_str(), "RunError");
    assert_eq!(refusal.details["out"], Value::from("Error: no\n"));
}

#[tokio::test]
async fn android_restarts_without_its_handset() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    handset.good("restart_system", json!([])).await;
    let pid = handset.good("ps", json!(["zygote", true])).await[0]["pid"].clone();
    assert_eq!(pid, "5000051");
    for wrong in [json!(0), json!(-1), json!("1"), json!(1.5)] {
        handset.fails("restart_system", json!([wrong]), "timeout must be a positive").await;
    }
    lab.phone.set("no_start", Some("")).unwrap();
    let refusal = handset.bad("restart_system", json!([1])).await;
    assert_eq!(refusal.kind.as_str(), "Timeout");
    lab.phone.set_property("ro.build.version.sdk", "15").unwrap();
    handset.fails("restart_system", json!([]), "restart_system needs SDK 16, found 15").await;
}

#[tokio::test]
async fn small_services_answer() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    assert_eq!(handset.good("pm_ready", json!([])).await, true);
    assert_eq!(handset.good("get_phone_number", json!([])).await, "+46700000001");
    lab.phone.set("phone_number", Some("")).unwrap();
    handset.fails("get_phone_number", json!([]), "knows no phone number").await;
    handset.good("press_key", json!([26])).await;
    handset.good("press_key", json!(["KEYCODE_HOME"])).await;
    let inputs = fs::read_to_string(lab.phone.file("/.simulated/inputs")).unwrap();
    assert_eq!(inputs, "keyevent 26\nkeyevent KEYCODE_HOME\n");
    executable(&lab, "/.simulated/bin/input", "#!/bin/sh\necho Error: no such key\n");
    handset.fails("press_key", json!(["X"]), "keypress failed: Error: no such key").await;
    handset.good("install", json!([apk(&lab)])).await;
    assert_eq!(handset.good("get_inactive", json!(["com.example"])).await, "Idle=false");
    handset.good("set_inactive", json!(["com.example", true])).await;
    assert_eq!(handset.good("get_inactive", json!(["com.example"])).await, "Idle=true");
    handset.good("dumpsys_battery", json!([])).await;
    let answer = handset.good("dumpsys_deviceidle", json!(["step", "deep"])).await;
    assert_eq!(answer, "deviceidle step deep\r\n");
    let asked = fs::read_to_string(lab.phone.file("/.simulated/dumpsyses")).unwrap();
    assert!(asked.contains("battery unplug\n"), "{asked}");
    lab.phone.set_property("ro.build.version.sdk", "22").unwrap();
    for (call, arguments) in [
        ("set_inactive", json!(["com.example", true])),
        ("get_inactive", json!(["com.example"])),
        ("dumpsys_battery", json!([])),
        ("dumpsys_deviceidle", json!(["step"])),
    ] {
        handset.fails(call, arguments, &format!("{call} needs SDK 23, found 22")).await;
    }
}

#[tokio::test]
async fn local_properties_are_those_of_old_androids() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let wrong = "local.prop not supported on sdk versions > 15";
    handset.fails("set_property", json!(["a.b", "1", true]), wrong).await;
    handset.good("set_property", json!(["a.b", "1"])).await;
    assert_eq!(lab.phone.property("a.b"), "1");
    lab.phone.set_property("ro.build.version.sdk", "15").unwrap();
    handset.good("set_property", json!(["c.d", "1", true])).await;
    handset.good("set_property", json!(["c.d", "2", true])).await;
    let file = lab.phone.file("/data/local.prop");
    assert_eq!(fs::read_to_string(&file).unwrap(), "c.d=2\n");
    handset.good("clear_local_properties", json!([])).await;
    assert!(!file.exists());
}

#[tokio::test]
async fn a_locale_is_where_the_version_keeps_it() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    assert_eq!(handset.good("get_locale", json!([])).await, "");
    for (sdk, property, value, expected) in [
        ("28", "ro.product.locale", "en-US", "en_US"),
        ("28", "persist.sys.locale", "sv-SE", "sv_SE"),
        ("22", "ro.product.locale.language", "en", ""),
        ("22", "ro.product.locale.region", "GB", "en_GB"),
        ("22", "persist.sys.language", "de", "en_GB"),
        ("22", "persist.sys.country", "AT", "de_AT"),
    ] {
        lab.phone.set_property("ro.build.version.sdk", sdk).unwrap();
        lab.phone.set_property(property, value).unwrap();
        assert_eq!(handset.good("get_locale", json!([])).await, expected, "{property}");
    }
}

#[tokio::test]
async fn cards_are_mounted_or_waited_for() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    for (path, expected) in [("/sdcard", true), ("/data/local", true), ("/data/none", false), ("/mnt", false)]
    {
        assert_eq!(handset.good("is_mounted", json!([path])).await, expected, "{path}");
    }
    for none in [json!(null), json!("")] {
        handset.fails("is_mounted", json!([none]), "no path given").await;
    }
    assert_eq!(handset.good("sdcard_mounted", json!([])).await, true);
    assert_eq!(handset.good("extcard_mounted", json!([])).await, false);
    handset.good("wait_mounted", json!([true, false])).await;
    handset.fails("wait_mounted", json!([true, true, 0]), "timeout must be a positive value").await;
    let refusal = handset.bad("wait_mounted", json!([true, true, 1])).await;
    assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("Timeout", "wait mounted timed out"));
    let volume = "  VolumeInfo{public:179,65}:\n    type=PUBLIC diskId=x\n    state=MOUNTED \n";
    lab.phone.set("dumpsys/mount", Some(volume)).unwrap();
    handset.good("wait_mounted", json!([true, true])).await;
}

#[tokio::test]
async fn h19_a_call_of_android_on_a_handset_that_is_gone_is_offline() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let apk = apk(&lab);
    lab.phone.unplug();
    lab.wait_gone();
    for (call, arguments) in [
        ("install", json!([apk])),
        ("list_packages", json!([])),
        ("grant_permissions", json!(["a", "b"])),
        ("start_logcat", json!([])),
        ("run_junit", json!([null, "com.example"])),
        ("restart_system", json!([])),
    ] {
        assert_eq!(handset.bad(call, arguments).await.kind.as_str(), "Offline", "{call}");
    }
    assert_eq!(handset.good("pm_ready", json!([])).await, false);
    assert_eq!(handset.good("get_locale", json!([])).await, "");
}
