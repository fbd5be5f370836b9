use super::*;

#[tokio::test]
async fn h10_a_text_and_a_list_are_run_alike_and_one_element_is_a_line() {
    for lab in Lab::both() {
        let mut handset = lab.open().await;
        assert_eq!(handset.good("shell", json!(["echo hi"])).await, "hi\r\n");
        assert_eq!(handset.good("shell", json!([["echo", "hi"]])).await, "hi\r\n");
        let line = "echo 'a   b' && echo \"c & d\"";
        assert_eq!(handset.good("shell", json!([[line]])).await, "a   b\r\nc & d\r\n");
        assert_eq!(handset.good("shell", json!([["printf", "%s-%s", "", "x"]])).await, "-x");
        assert_eq!(handset.good("shell", json!([["echo å >&2; false"]])).await, "å\r\n");
    }
}

#[tokio::test]
async fn lines_end_as_the_lab_wants() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("handset.json"), r#"{"handsets": [], "line_ends": "lf"}"#).unwrap();
    let lab = Lab::new();
    let lab = Lab { driver: driver(lab.adb.address(), home.path()), ..lab };
    let mut handset = lab.open().await;
    assert_eq!(handset.good("shell", json!([["printf 'a\\r\\nb\\n'"]])).await, "a\nb\n");
}

#[tokio::test]
async fn an_unknown_program_is_no_such_executable() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let line = "echo /system/bin/sh: nope: not found";
    handset.fails("shell", json!([[line]]), &format!("no such executable: {line}")).await;
    handset.fails("shell", json!([line]), &format!("no such executable: {line}")).await;
    // Only the first line counts, and only with both its ends.
    for line in ["echo; echo /system/x: not found", "echo x/system/x: not found", "echo /system/found"] {
        handset.good("shell", json!([[line]])).await;
    }
}

#[tokio::test]
async fn h11_a_command_that_takes_too_long_is_stopped_on_the_handset() {
    for lab in Lab::both() {
        let mut handset = lab.open().await;
        let refusal = handset.bad("shell", json!([["echo begun; sleep 55"], 3])).await;
        assert_eq!((refusal.kind.as_str(), refusal.message.as_str()), ("Timeout", "command timed out"));
        assert_eq!(refusal.details["out"], Value::from("begun\r\n"));
        let cmd = ["adb", "-s", &lab.phone.serial(), "shell", "echo begun; sleep 55"];
        assert_eq!(refusal.details["cmd"], Value::from(cmd.to_vec()));
        until("the command is gone", || lab.phone.running().is_empty());
    }
}

#[tokio::test]
async fn of_endless_output_the_beginning_is_kept() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let most = super::super::limits::OUTPUT_BYTES_MAX;
    let line = format!("yes x | tr -d '\\n' | head -c {}", most + 10);
    let said = handset.good("shell", json!([[line]])).await;
    let (kept, note) = said.as_str().unwrap().split_once("\r\n").unwrap();
    assert_eq!((kept.len(), note), (most, "[10 more bytes of output were not kept]\r\n"));
}

#[tokio::test]
async fn a_dropped_call_stops_its_command() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    {
        let call = handset.call("shell", json!([["sleep 55"]]));
        let mut call = std::pin::pin!(call);
        let deadline = Instant::now() + Duration::from_secs(60);
        while lab.phone.running().is_empty() {
            assert!(Instant::now() < deadline, "the command never ran");
            assert!(futures::poll!(call.as_mut()).is_pending());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    until("the command is gone", || lab.phone.running().is_empty());
}

#[tokio::test]
async fn a_background_command_runs_until_it_is_killed_by_its_own_pair() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let pair = handset.good("shell", json!([["sleep 55"], 0, true])).await;
    until("it runs", || !lab.phone.running().is_empty());
    // DEF 18: no pair but those that were given out.
    for stranger in [json!([1, 2]), json!([pair[0], 1]), json!([pair[0].as_i64().unwrap() + 1, 1])] {
        handset.fails("kill_background_cmd", stranger, "no such background command").await;
    }
    assert_eq!(lab.phone.running().len(), 1);
    handset.good("kill_background_cmd", pair.clone()).await;
    until("it is gone", || lab.phone.running().is_empty());
    handset.good("kill_background_cmd", pair).await; // already gone is fine
}

#[tokio::test]
async fn h19_any_call_on_a_handset_that_is_gone_is_offline() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    lab.phone.unplug();
    lab.wait_gone();
    for (method, arguments) in [
        ("shell", json!(["true"])),
        ("shell", json!(["true", 0, true])),
        ("ls", json!(["/"])),
        ("push", json!(["/etc/passwd", "/sdcard/x"])),
        ("cat", json!(["/sdcard/x"])),
        ("root", json!([])),
        ("open_forwarded_port", json!(["tcp:1"])),
    ] {
        let refusal = handset.bad(method, arguments).await;
        assert_eq!(refusal.kind.as_str(), "Offline", "{method}: {refusal}");
        let pattern = ["Handset is offline. ", "Failed to execute adb -s "].concat();
        assert!(refusal.message.starts_with(&pattern), "{method}: {refusal}");
    }
    assert_eq!(handset.good("get_power_state", json!([])).await, "offline");
    assert_eq!(handset.good("has_adb", json!([])).await, false);
    assert_eq!(handset.good("get_sdk_version", json!([])).await, json!(null));
}

#[tokio::test]
async fn h25_ps_finds_processes_in_the_old_and_in_the_new_form() {
    for sdk in ["22", "28"] {
        let lab = Lab::with(Phone::builder().property("ro.build.version.sdk", sdk));
        let mut handset = lab.open().await;
        let all = handset.good("ps", json!([])).await;
        assert_eq!(all[0], json!({"pid": "1", "name": "/init"}));
        assert_eq!(handset.good("ps", json!(["zyg"])).await, json!([{"pid": "5000050", "name": "zygote"}]));
        assert_eq!(handset.good("get_processes", json!(["zyg", true])).await, json!([]));
        assert_eq!(handset.good("ps", json!(["zygote", true])).await.as_array().map(Vec::len), Some(1));
    }
}

#[tokio::test]
async fn h29_two_handsets_do_not_mix() {
    let lab = Lab::new();
    let other = Phone::builder().property("ro.product.model", "OTHER").start().unwrap();
    lab.adb.connect(&other.serial()).unwrap();
    let other = Lab { adb: AdbServer::start().unwrap(), phone: other, ..Lab::new() };
    let other = Lab { driver: driver(lab.adb.address(), other.home.path()), ..other };
    let question = format!("host-serial:{}:get-state", other.phone.serial());
    until("both are there", || lab.adb.ask(&question).is_ok_and(|state| state == "device"));
    let (mut first, mut second) = (lab.open().await, other.open().await);
    for _ in 0..3 {
        assert_eq!(first.good("get_product_model", json!([])).await, "fake1");
        assert_eq!(second.good("get_product_model", json!([])).await, "other");
    }
    first.good("mkdir", json!(["/sdcard/mine"])).await;
    assert_eq!(second.good("path_exists", json!(["/sdcard/mine"])).await, false);
}
