//! `--try-driver`: what is shipped passes, and whatever is wrong fails in its own check.

use std::process::Output;

use super::examples::{Imitation, meters, satellites};
use super::*;
use crate::support::command;

fn try_driver(home: &Path, kind: &str) -> Output {
    command(home).args(["--try-driver", kind]).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// The checks that failed, of a toaster that has this fault, or whose driver has these words replaced.
fn failed(members: Value, fault: &str, replaced: &[(&str, &str)]) -> Vec<String> {
    let driver = replaced.iter().fold(DRIVER.to_owned(), |driver, (old, new)| {
        assert!(driver.contains(old), "{old}");
        driver.replace(old, new)
    });
    // Whatever it can be called without must answer, or each trial would end there.
    let driver = driver.replace("\"hang(timeout=0)\"", "\"hang(timeout)\"").replace(" \"twice()\",", "");
    let driver = driver.replace(" \"child()\",", "").replace("\"help\": \"\"", "\"help\": \"Does it.\"");
    let limits = json!({"limits": {"open_s": 10, "close_s": 10, "reset_s": 10, "call_s": 30}});
    let plan = plan(with(limits, members), &[("a", fault)]).file("equipment.d/driver.py", driver);
    let output = try_driver(plan.home().path(), "toaster");
    let said = said(&output);
    let failed: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("✗ ")).map(str::to_owned).collect();
    assert_eq!(output.status.success(), failed.is_empty(), "{said}");
    assert!(said.contains('✓'), "{said}");
    failed
}

#[test]
fn p_17_both_shipped_types_pass() {
    let host = Imitation::run("gps", "simulated_control_host.py", None);
    let output = try_driver(satellites(&host.says).home().path(), "testdrive");
    assert!(output.status.success(), "{}", said(&output));
    let checks = said(&output);
    for line in
        ["✓ a request finds a piece: spirent1", "✓ get_status() answers: ", "✓ nothing is left running"]
    {
        assert!(checks.contains(line), "{checks}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let device = folder.path().join("meter");
    let _line = Imitation::run("powermeter", "simulated_meter.py", Some(&device));
    let output = try_driver(meters(&device).home().path(), "powermeter");
    assert!(output.status.success(), "{}", said(&output));
    assert!(
        said(&output).contains("✓ the USB lister 0483:5740 sees a device come and go"),
        "{}",
        said(&output)
    );
}

/// What the descriptor says besides, the fault, what is replaced in the driver, and the check that fails.
type Case<'c> = (Value, &'c str, &'c [(&'c str, &'c str)], &'c str);

#[test]
fn p_17_a_good_driver_passes_and_each_bad_one_fails_the_check_that_is_meant() {
    assert_eq!(failed(json!({}), "", &[]), [""; 0]);
    let reset = || json!({"reset": {"method": "reset"}});
    let refuse = "raise SystemExit(f\"no such method: {method}\")";
    let cases: [Case; 9] = [
        (json!({}), "dies while opening", &[], "the driver opens a piece and lists its methods: "),
        (json!({}), "hangs while opening", &[], "the driver opens a piece and lists its methods: "),
        (json!({}), "prints while opening", &[], "the driver opens a piece and lists its methods: "),
        (
            json!({}),
            "",
            &[("\"echo(value=None)\"", "\"echo(value=1, value=2)\"")],
            "the driver opens a piece",
        ),
        (
            json!({}),
            "",
            &[("\"help\": \"\"", "\"help\": str()")],
            "every method has a line of help: say in one line",
        ),
        (
            json!({}),
            "",
            &[("raise AttributeError(method)", refuse)],
            "a method it does not know is refused: ",
        ),
        (
            json!({}),
            "",
            &[("raise AttributeError(method)", "send({\"result\": 0})")],
            "a method it does not know",
        ),
        (json!({}), "ends badly", &[], "the driver ends when its input does: it ended with exit status: 1"),
        (reset(), "reset fails", &[], "a piece is clean after a session: the reset failed: reset(): Jammed"),
    ];
    for (members, fault, replaced, check) in cases {
        let failed = failed(members, fault, replaced);
        assert!(failed.iter().any(|line| line.starts_with(check)), "{check}: {failed:?}");
    }
}

#[test]
fn p_17_what_is_left_running_is_named_and_killed() {
    let leave = "import subprocess\nsubprocess.Popen([\"sleep\", \"1000\"], start_new_session=True, stdin=-3, stdout=-3, stderr=-3)\n\n\ndef receive";
    let failed = failed(json!({}), "", &[("\ndef receive", leave)]);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0].starts_with("nothing is left running: 4 processes"), "{failed:?}");
}

#[test]
fn p_17_listers_are_tried_too() {
    let lister =
        |script: &str| json!({"listers": [{"command": {"command": ["sh", "-c", script], "grace_s": 5}}]});
    let good = r#"echo '[{"type": "toaster", "uid": "l", "fault": ""}]'"#;
    assert_eq!(failed(lister(good), "", &[]), [""; 0]);
    let cases = [
        ("echo Hello", "can be asked: it prints no JSON"),
        ("exit 3", "can be asked: it ended with exit status: 3"),
        ("exec sleep 1000", "can be asked: it did not end within 5 s"),
        (r#"echo '[{"type": "toaster"}]'"#, "can be asked: sh: [0]: wanted"),
        (
            r#"mkdir claimed && sleep 1 && rmdir claimed && echo '[{"type": "toaster", "uid": "l"}]'"#,
            "says the same when 3 ask at once: it ended with exit status: 1: mkdir",
        ),
    ];
    for (script, check) in cases {
        let failed = failed(lister(script), "", &[]);
        assert!(failed.iter().any(|line| line.contains(check)), "{check}: {failed:?}");
    }
}

#[test]
fn p_17_a_trial_says_what_is_missing_and_leaves_a_running_broker_alone() {
    let lab = plan(json!({}), &[("a", "")]).start();
    let busy = lab.command().args(["--try-driver", "toaster"]).output().expect("the binary runs");
    assert!(!busy.status.success() && said(&busy).contains("its broker is running"), "{}", said(&busy));
    let home = plan(json!({"driver": {"command": ["./gone"]}}), &[]).home();
    let output = said(&try_driver(home.path(), "toaster"));
    assert!(output.contains("✗ the descriptor is valid: toaster.json: driver.command"), "{output}");
    let output = said(&try_driver(home.path(), "grill"));
    assert!(output.contains("✗ the descriptor is valid: there is none: write "), "{output}");
    let output = said(&try_driver(home.path(), "wlan"));
    assert!(output.contains("✗ the descriptor is valid: wlan has no driver program"), "{output}");
    let home = plan(json!({}), &[]).home();
    let output = said(&try_driver(home.path(), "toaster"));
    assert!(output.contains("✗ a request finds a piece: none is there"), "{output}");
    let output = command(home.path()).args(["--try-driver", "toaster", "--json"]).output();
    let checks: Value = serde_json::from_slice(&output.expect("the binary runs").stdout).expect("JSON");
    assert_eq!(checks[1]["verdict"], "failed");
}
