use super::*;

#[tokio::test]
async fn h5_power_states_follow_from_what_works() {
    for lab in Lab::both() {
        lab.phone.set("packages/com.example/version_code", Some("1")).unwrap();
        let mut handset = lab.open().await;
        let mut base = lab.open_as(json!({})).await;
        for (what, android, other) in [
            (None, "boot_completed", "boot_completed"),
            (Some("sys.boot_completed"), "package_manager", "adb"),
            (Some("no_pm"), "adb", "adb"),
            (Some("no_shell"), "enumeration", "enumeration"),
        ] {
            match what {
                None => {}
                Some("sys.boot_completed") => lab.phone.set_property("sys.boot_completed", "").unwrap(),
                Some(fault) => lab.phone.set(fault, Some("")).unwrap(),
            }
            assert_eq!(handset.good("get_power_state", json!([])).await, android, "{what:?}");
            assert_eq!(base.good("get_power_state", json!([])).await, other, "{what:?}");
            let booted = android == "boot_completed";
            assert_eq!(handset.good("boot_completed", json!([])).await, booted);
            assert_eq!(handset.good("has_adb", json!([])).await, android != "enumeration");
        }
    }
}

#[tokio::test]
async fn h17_wait_power_state_says_which_state_it_is() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    assert_eq!(handset.good("wait_power_state", json!(["boot_completed"])).await, "boot_completed");
    let either = json!([["offline", "boot_completed"], 5]);
    assert_eq!(handset.good("wait_power_state", either).await, "boot_completed");
    let wrong = "state must be a string or a list of strings";
    for states in [json!(null), json!(7), json!([7]), json!({})] {
        handset.fails("wait_power_state", json!([states]), wrong).await;
    }
    handset.fails("wait_power_state", json!(["on"]), "no such state: on").await;
    handset.fails("wait_power_state", json!([["adb", "draining"]]), "no such state: draining").await;
    let refusal = handset.bad("wait_power_state", json!(["offline", 1])).await;
    assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("Timeout", "wait power state timed out"));
}

#[tokio::test]
async fn h18_reboot_returns_once_it_is_gone_and_forwards_are_too() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    handset.good("open_forwarded_port", json!(["tcp:8"])).await;
    lab.phone.reboot_takes(None);
    handset.good("reboot", json!([])).await;
    assert_eq!(handset.good("get_power_state", json!([])).await, "offline");
    assert_eq!(lab.forwards(), [] as [&str; 0]);
    handset.fails("reboot", json!([]), "cannot reboot").await;
    lab.phone.plug();
    assert_eq!(handset.good("wait_power_state", json!(["boot_completed", 60])).await, "boot_completed");
}

#[tokio::test]
async fn h20_root_is_gained_kept_or_refused_in_the_handsets_words() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    for _ in 0..2 {
        handset.good("root", json!([])).await;
        assert_eq!(handset.good("has_adb", json!([])).await, true);
    }
    assert_eq!(handset.good("remount", json!([])).await, "remount succeeded\r\n");
    lab.phone.set("no_remount", Some("")).unwrap();
    handset.fails("remount", json!([]), "remount failed").await;
    let lab = Lab::with(Phone::builder().property("ro.debuggable", "0"));
    let mut handset = lab.open().await;
    let refusal = handset.bad("root", json!([])).await;
    assert_eq!(refusal.message, "adbd cannot run as root in production builds");
}

#[tokio::test]
async fn verity_is_switched_where_there_is_any() {
    for (sdk, call) in [("18", "disable_dm_verity"), ("22", "enable_dm_verity")] {
        let lab = Lab::with(Phone::builder().property("ro.build.version.sdk", sdk));
        lab.open().await.good(call, json!([])).await;
        assert_eq!(lab.phone.property("service.adb.root"), "", "{call}");
    }
    let lab = Lab::new();
    lab.phone.reboot_takes(Some(Duration::from_secs(1)));
    lab.open().await.good("disable_dm_verity", json!([60, true])).await;
    assert_eq!(lab.phone.property("service.adb.root"), "", "it has rebooted since it became root");
}
