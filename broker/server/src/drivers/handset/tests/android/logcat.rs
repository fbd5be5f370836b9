use super::*;

/// Waits until a reader has gathered this, and returns everything it has.
async fn gathered(handset: &mut Opened, uid: &serde_json::Value, wanted: &str) -> String {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut all = String::new();
    while !all.contains(wanted) {
        assert!(Instant::now() < deadline, "{wanted} in {all}");
        all += handset.good("get_logcat_log", json!([uid])).await.as_str().unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    all
}

#[tokio::test]
async fn h23_a_reader_gathers_the_log_until_it_is_stopped() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    lab.phone.log("I/old: before").unwrap();
    let copy = lab.home.path().join("log.txt");
    fs::write(&copy, "kept\n").unwrap();
    let uid = handset.good("start_logcat", json!(["", copy])).await;
    let other = handset.good("start_logcat", json!(["*:E"])).await;
    assert_ne!(uid, other);
    lab.phone.log("I/new: first å").unwrap();
    let first = gathered(&mut handset, &uid, "first å\r\n").await;
    assert!(!first.contains("before"), "{first}");
    lab.phone.log("I/new: second").unwrap();
    let second = gathered(&mut handset, &uid, "second\r\n").await;
    assert!(!second.contains("first"), "what was given is cleared: {second}");
    until("the copy is written", || {
        let text = fs::read_to_string(&copy).unwrap();
        text.starts_with("kept\n") && text.contains("first å\n") && text.contains("second\n")
    });
    handset.good("stop_logcat", json!([uid])).await;
    let message = format!("no monitor with that id: {uid}");
    handset.fails("stop_logcat", json!([uid]), &message).await;
    handset.fails("get_logcat_log", json!([uid]), &message).await;
    for call in ["stop_logcat", "get_logcat_log"] {
        handset.fails(call, json!(["1"]), "monitor uid must be an integer").await;
    }
    until("one reader is left", || lab.phone.running().len() == 1);
    assert!(gathered(&mut handset, &other, "second").await.contains("first"));
}

#[tokio::test]
async fn h23_a_reader_survives_a_reboot() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    let uid = handset.good("start_logcat", json!([])).await;
    lab.phone.log("I/x: before").unwrap();
    gathered(&mut handset, &uid, "before").await;
    lab.phone.reboot();
    until("the log broke off", || lab.phone.running().is_empty());
    lab.phone.log("I/x: after").unwrap();
    until("it is back", || lab.adb.connect(&lab.phone.serial()).is_ok());
    gathered(&mut handset, &uid, "after").await;
}

#[tokio::test]
async fn h28_readers_end_with_the_session() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    for _ in 0..16 {
        handset.good("start_logcat", json!([])).await;
    }
    handset.fails("start_logcat", json!([]), "too many readers of the log").await;
    until("all run", || lab.phone.running().len() == 16);
    handset.0.close().await.unwrap();
    until("none runs", || lab.phone.running().is_empty());
}

#[tokio::test]
async fn a_log_that_cannot_be_cleared_is_said() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    lab.phone.log("I/x: one").unwrap();
    handset.good("clear_logcat", json!(["-b main"])).await;
    assert_eq!(fs::read_to_string(lab.phone.file("/.simulated/log")).unwrap(), "");
    lab.phone.set("no_logcat", Some("")).unwrap();
    handset.fails("clear_logcat", json!([]), "failed to clear the log").await;
    handset.fails("start_logcat", json!([]), "failed to clear the log").await;
    lab.phone.set("no_logcat", None).unwrap();
    handset.fails("start_logcat", json!(["", "/nowhere/log"]), "cannot write /nowhere/log").await;
    let own = lab.home.path().join(".ave/config");
    fs::create_dir_all(&own).unwrap();
    let own = own.join("broker.json");
    handset.fails("start_logcat", json!(["", own]), "the broker's own files").await;
}
