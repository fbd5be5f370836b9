use super::*;

const METHOD: &str = r#"{"reset": {"method": "reset"}, "limits": {"reset_s": 5, "close_s": 5}}"#;

fn resettable() -> Lab {
    Lab::with(serde_json::from_str(METHOD).unwrap())
}

/// A type whose reset is a command: `script` is run by `sh`.
fn commanded(script: &str) -> Lab {
    Lab::with(json!({"reset": {"command": ["sh", "-c", script]}, "limits": {"reset_s": 3}}))
}

#[tokio::test]
async fn p_10_the_reset_method_runs_after_every_session_and_then_the_driver_ends() {
    let lab = resettable();
    for _ in 0..2 {
        let mut opened = lab.open("").await;
        let pid = opened.pid().await;
        opened.unit.close().await.unwrap();
        assert!(!runs(pid));
    }
    assert_eq!(lab.story(), ["open", "reset", "end", "open", "reset", "end"]);
}

#[tokio::test]
async fn p_10_a_lost_driver_is_replaced_for_the_reset() {
    let lab = resettable();
    let mut opened = lab.open("").await;
    opened.bad("die", json!([1])).await;
    opened.unit.close().await.unwrap();
    assert_eq!(lab.story(), ["open", "open", "reset", "end"]);
}

#[tokio::test]
async fn p_10_a_reset_that_fails_keeps_the_piece_out_with_its_reason() {
    let cases = [
        ("reset fails", "the reset failed: reset(): Jammed: the screw is still loose"),
        ("reset hangs", "the reset failed: its driver was killed: reset() took longer than 5 s"),
    ];
    for (fault, reason) in cases {
        let lab = resettable();
        let opened = lab.open(fault).await;
        assert_eq!(opened.unit.close().await, Err(reason.to_owned()));
        let granted = Lab::granted(fault);
        assert_eq!(lab.driver.reset(&granted.item, &granted.known).await, Err(reason.to_owned()));
        let mended = Lab::granted("");
        assert_eq!(lab.driver.reset(&mended.item, &mended.known).await, Ok(()));
    }
}

#[tokio::test]
async fn p_10_the_reset_command_gets_the_profile_after_the_driver_has_ended() {
    let lab = commanded("echo command >>\"$HOME/story\"; cat >\"$HOME/profile\"");
    let opened = lab.open("").await;
    opened.unit.close().await.unwrap();
    assert_eq!(lab.story(), ["open", "end", "command"]);
    let profile = fs::read_to_string(lab.home.path().join("profile")).unwrap();
    assert_eq!(profile, Lab::granted("").known.to_string());
}

#[tokio::test]
async fn p_10_a_reset_command_may_fail_in_every_way() {
    let cases = [
        ("echo out of paper >&2; exit 4", "exit status: 4: out of paper"),
        ("exec sleep 1000", "it took longer than 3 s"),
        ("kill -9 $$", "signal: 9 (SIGKILL)"),
    ];
    for (script, reason) in cases {
        let opened = commanded(script).open("").await;
        let why = opened.unit.close().await.unwrap_err();
        assert!(why.starts_with("the reset failed: sh -c ") && why.ends_with(reason), "{why}");
    }
    let lab = Lab::with(json!({"reset": {"command": ["./nothing"]}}));
    let why = lab.open("").await.unit.close().await.unwrap_err();
    assert!(why.contains("cannot run ./nothing"), "{why}");
}

#[tokio::test]
async fn without_a_reset_a_driver_that_ends_well_is_enough_and_any_other_is_not() {
    let lab = Lab::with(json!({"limits": {"close_s": 5}}));
    lab.open("").await.unit.close().await.unwrap();
    let cases = [
        ("ends badly", "its driver ended with exit status: 1: the lid is open"),
        ("ignores the end", "its driver was killed: ending took longer than 5 s"),
    ];
    for (fault, reason) in cases {
        assert_eq!(lab.open(fault).await.unit.close().await, Err(reason.to_owned()));
    }
    let granted = Lab::granted("");
    assert_eq!(lab.driver.reset(&granted.item, &granted.known).await, Ok(()));
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_call_costs_no_piece() {
    for (lab, story) in [
        (Lab::new(), &["open", "hang", "open", "end"][..]),
        (resettable(), &["open", "hang", "open", "reset", "end"]),
    ] {
        let mut opened = lab.open("").await;
        {
            let call = opened.call("hang", json!([]));
            tokio::select! {
                _ = call => panic!("it hangs"),
                () = until("it hangs", || lab.story().contains(&"hang".to_owned())) => {}
            }
        }
        opened.unit.close().await.unwrap();
        assert_eq!(lab.story(), story);
    }
}

#[tokio::test]
async fn a_reset_is_worth_more_than_a_good_end() {
    for fault in ["ends badly", "ignores the end"] {
        let lab = resettable();
        lab.open(fault).await.unit.close().await.unwrap();
        assert_eq!(lab.story(), ["open", "reset", "end"]);
    }
}

#[tokio::test]
async fn p_10_a_type_without_a_driver_has_its_reset_command_run_all_the_same() {
    let command = json!(["sh", "-c", "echo command >>\"$HOME/story\""]);
    let lab = Lab::with(json!({"driver": null, "reset": {"command": command}}));
    let mut opened = lab.open("").await;
    let profile = opened.good("get_profile", json!([])).await;
    assert_eq!(profile, Value::from(json!({"type": "toaster", "uid": "t1"})));
    let refusal = opened.unit.no_driver_for("bake").unwrap();
    assert_eq!(refusal.message, "no driver for type \"toaster\": bake");
    opened.unit.close().await.unwrap();
    assert_eq!(lab.story(), ["command"]);
    let granted = Lab::granted("");
    lab.driver.reset(&granted.item, &granted.known).await.unwrap();
    assert_eq!(lab.story(), ["command", "command"]);
}
