use std::fs;

use ave_profile::RefusalKind;
use rustix::process::{Pid, test_kill_process};

use super::*;

/// What `run` answers for a script.
async fn sh(opened: &mut Opened, script: &str) -> (i64, String) {
    let result = opened.good("run", json!([["sh", "-c", script]])).await;
    let [Value::Int(code), Value::Text(output), Value::Text(empty)] = result.as_list().unwrap() else {
        panic!("{result}")
    };
    assert_eq!(empty, "");
    (*code, output.clone())
}

fn pid_in(path: &Path) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(path).ok()?.strip_suffix('\n')?.parse().ok()?)
}

/// Killed, though perhaps nobody has waited for it.
fn dead(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_err() || stat.is_ok_and(|stat| stat.contains(") Z "))
}

#[tokio::test]
async fn w5_a_listed_tool_runs_in_the_workspace_with_merged_output() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let (code, output) = sh(&mut opened, "echo a; echo b >&2; printf c; pwd >where").await;
    assert_eq!((code, output.as_str()), (0, "a\r\nb\r\nc"));
    assert_eq!(
        fs::read_to_string(opened.path.join("where")).unwrap().trim_end(),
        opened.path.to_str().unwrap()
    );
    fs::write(opened.path.join("script"), "echo \"$1\"").unwrap();
    let split = opened.good("run", json!(["sh  script\t'a b'"])).await;
    assert_eq!(split, json!([0, "'a\r\n", ""]).into());
    opened.close().await;
}

#[tokio::test]
async fn w5_an_unlisted_tool_is_refused_and_a_broken_one_is_a_run_error() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    for cmd in [json!("ls"), json!(["/bin/sh"]), json!("../sh")] {
        let word = cmd.as_str().or(cmd[0].as_str()).unwrap();
        let message = opened.bad("run", json!([cmd])).await.message;
        assert_eq!(message, format!("no such tool available in this workspace: {word}"));
    }
    let refusal = opened.bad("run", json!([["none", "x"]])).await;
    assert_eq!(refusal.kind, RefusalKind::Driver("RunError".into()));
    let details = json!({"cmd": ["/nowhere/none", "x"], "out": "", "ptyout": ""});
    assert_eq!(Value::Map(refusal.details), details.into());
    opened.close().await;
}

#[tokio::test]
async fn w5_exit_codes_and_signals_are_told_apart() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    for (script, expected) in [
        ("exit 0", 0),
        ("exit 127", 127),
        ("exit 128", -128),
        ("exit 255", -1),
        ("kill -9 $$", -119),
        ("kill -15 $$", -113),
    ] {
        assert_eq!(sh(&mut opened, script).await.0, expected, "{script}");
    }
    opened.close().await;
}

#[tokio::test]
async fn w5_a_tool_sees_little_environment_and_no_input() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let _held = fs::File::create(lab.home().join("secret")).unwrap();
    let (_, output) = sh(&mut opened, "tr '\\0' '\\n' </proc/$$/environ; cat; ls -l /proc/$$/fd").await;
    let mut lines: Vec<&str> = output.lines().collect();
    lines.sort_unstable();
    let names: Vec<&str> = lines.iter().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    assert_eq!(names, ["AVE_WORKSPACE", "HOME", "LANG", "PATH"]);
    assert!(lines.contains(&format!("HOME={}", lab.home().display()).as_str()));
    assert!(output.contains("/dev/null") && !output.contains("secret"), "{output}");
    opened.close().await;
}

#[tokio::test]
async fn w5_a_limit_kills_the_whole_group() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let script = "echo begun; sleep 1000 & echo $! >child; wait";
    let refusal = opened.bad("run", json!([["sh", "-c", script], 3])).await;
    assert_eq!(refusal.kind, RefusalKind::Driver("Timeout".into()));
    assert_eq!(refusal.message, "command timed out");
    assert_eq!(refusal.details["cmd"], json!(["/bin/sh", "-c", script]).into());
    assert_eq!(refusal.details["out"], "begun\r\n".into());
    let child = pid_in(&opened.path.join("child")).unwrap();
    until("the child is killed", || dead(child)).await;
    assert_eq!(sh(&mut opened, "echo usable").await.1, "usable\r\n");
    opened.close().await;
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_process() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let path = opened.path.join("child");
    let child = {
        let mut call =
            std::pin::pin!(opened.call("run", json!([["sh", "-c", "sleep 1000 & echo $! >child; wait"]])));
        loop {
            assert!(futures::poll!(call.as_mut()).is_pending());
            match pid_in(&path) {
                Some(child) => break child,
                None => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    };
    until("the child is killed", || dead(child)).await;
    opened.close().await;
}

#[tokio::test]
async fn what_a_tool_leaves_behind_ends_with_the_workspace() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    // One stays in the group without the environment, the other becomes a daemon.
    let script = "env -i sleep 1000 & echo $! >group; setsid sh -c 'echo $$ >daemon; cd /; exec sleep 1000' &
                  while ! [ -s daemon ]; do :; done; echo done";
    assert_eq!(sh(&mut opened, script).await, (0, "done\r\n".into()));
    let left = ["group", "daemon"].map(|name| pid_in(&opened.path.join(name)).unwrap());
    sh(&mut opened, "true").await;
    assert!(left.iter().all(|pid| !dead(*pid)));
    opened.close().await;
    assert!(left.iter().all(|pid| dead(*pid)));
}

#[tokio::test]
async fn endless_output_is_cut_and_says_so() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let (code, output) = sh(&mut opened, "head -c 40000000 /dev/zero").await;
    assert_eq!(code, 0);
    assert!(
        output.ends_with(&format!("[{} more bytes of output were not kept]\r\n", 40_000_000 - (32 << 20)))
    );
    opened.close().await;
}
