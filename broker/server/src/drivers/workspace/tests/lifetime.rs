use std::fs;
use std::os::unix::fs::PermissionsExt;

use ave_profile::Profile;

use super::*;

#[tokio::test]
async fn w2_a_workspace_exists_while_it_is_held_and_leaves_nothing() {
    let lab = Lab::new();
    let opened = lab.open().await;
    assert_eq!(fs::metadata(&opened.path).unwrap().permissions().mode() & 0o777, 0o700);
    fs::write(opened.path.join(".hidden"), "").unwrap();
    opened.close().await;
    assert!(fs::read_dir(lab.home().join("w")).unwrap().next().is_none());
    assert!(fs::read_dir(lab.home().join(".ave/state/workspaces")).unwrap().next().is_none());
}

#[tokio::test]
async fn w2_a_unit_that_is_only_dropped_leaves_nothing_either() {
    let lab = Lab::new();
    let opened = lab.open().await;
    drop(opened.unit);
    assert!(!opened.path.exists());
}

#[tokio::test]
async fn a_deleted_workspace_is_gone_at_once_and_deleting_again_is_fine() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    assert_eq!(opened.good("delete", json!([])).await, Value::Null);
    assert!(!opened.path.exists());
    assert_eq!(opened.good("delete", json!([])).await, Value::Null);
    assert_eq!(opened.bad("make_tempdir", json!([])).await.message, "the workspace is deleted");
    assert_eq!(opened.bad("run", json!(["sh"])).await.message, "the workspace is deleted");
    assert_eq!(opened.good("get_path", json!([])).await, opened.path.to_str().unwrap().into());
    opened.close().await;
}

#[tokio::test]
async fn a_taken_directory_or_an_odd_uid_is_refused() {
    let lab = Lab::new();
    let _opened = lab.open().await;
    let profile = Arc::new(lab.driver.config.generic_profile());
    for (uid, message) in [("0123456789", "cannot make workspace"), ("../x", "invalid workspace uid: ../x")] {
        let item = Identity::new("workspace", uid);
        let granted = Granted {
            item,
            profile: Arc::clone(&profile),
            known: Arc::clone(&profile),
            again: false,
            at: None,
            number: 1,
        };
        let refusal = lab.driver.open(&granted).await.err().unwrap();
        assert!(refusal.message.starts_with(message), "{refusal}");
    }
}

#[test]
fn a_sweep_is_waited_for_by_resets_and_by_nobody_else() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().max_blocking_threads(1).build().unwrap().block_on(async {
        let lab = Lab::new();
        let left = lab.open().await;
        let path = left.path.clone();
        std::mem::forget(left);
        let (release, held) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || held.recv().is_err());
        let sweeping = lab.driver.sweep();
        assert!(path.exists() && !sweeping.is_finished());
        let (item, known) = (Identity::new("workspace", "lab-0"), Profile::default());
        let mut reset = Box::pin(lab.driver.reset(&item, &known));
        assert!(futures::poll!(&mut reset).is_pending());
        drop(release);
        assert!(busy.await.unwrap());
        reset.await.unwrap();
        assert!(!path.exists() && sweeping.is_finished());
    });
}

#[tokio::test]
async fn leftovers_of_a_dead_broker_are_swept_and_nothing_else() {
    let lab = Lab::new();
    let mut opened = lab.open().await;
    let script = "setsid sh -c 'echo $$ >daemon; exec sleep 1000' & while ! [ -s daemon ]; do :; done";
    opened.good("run", json!([["sh", "-c", script]])).await;
    let daemon = fs::read_to_string(opened.path.join("daemon")).unwrap();
    fs::create_dir(lab.home().join("w/other")).unwrap();
    let path = opened.path.clone();
    std::mem::forget(opened);
    lab.driver.sweep().await.unwrap();
    assert!(!path.exists() && lab.home().join("w/other").exists());
    let stat = format!("/proc/{}/stat", daemon.trim_end());
    until("the daemon is dead", || !fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "))).await;
}
