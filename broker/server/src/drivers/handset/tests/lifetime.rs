use super::*;

#[tokio::test]
async fn h28_a_session_leaves_nothing_running_and_no_forward() {
    let lab = Lab::new();
    let serial = lab.phone.serial();
    assert!(lab.adb.adb(&["-s", &serial, "forward", "tcp:0", "tcp:7"]).unwrap().status.success());
    let mut handset = lab.open().await;
    for _ in 0..2 {
        handset.good("shell", json!([["sleep 55"], 0, true])).await;
    }
    handset.good("open_forwarded_port", json!(["tcp:8"])).await;
    until("both run", || lab.phone.running().len() == 2);
    assert_eq!(lab.forwards().len(), 2);
    handset.0.close().await.unwrap();
    until("both are gone", || lab.phone.running().is_empty());
    let left = lab.forwards();
    assert!(left.len() == 1 && left[0].ends_with("tcp:7"), "{left:?}");
}

#[tokio::test]
async fn h28_closing_needs_neither_handset_nor_adb_server() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    handset.good("open_forwarded_port", json!(["tcp:8"])).await;
    handset.good("shell", json!([["sleep 55"], 0, true])).await;
    drop(lab);
    handset.0.close().await.unwrap();
}

#[tokio::test]
async fn background_commands_have_a_bound() {
    let lab = Lab::new();
    let mut handset = lab.open().await;
    for _ in 0..super::super::limits::BACKGROUND_MAX {
        handset.good("shell", json!([["sleep 55"], 0, true])).await;
    }
    handset.fails("shell", json!([["sleep 55"], 0, true]), "too many background commands").await;
    handset.0.close().await.unwrap();
}
