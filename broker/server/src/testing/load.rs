//! One client's load is not another's delay.

use std::pin::pin;

use serde_json::{Value, json};
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, timeout};

use super::House;
use crate::limits::LARGE_FRAME_BYTES;

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_proxy_gets_in_while_all_threads_for_files_are_busy() {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (release, released) = std::sync::mpsc::channel::<()>();
        let busy = spawn_blocking(move || released.recv());
        let house = House::new(&[("a", "")]).await;
        let mut client = house.guest("").await;
        let granted = client.get(&["a"]).await;
        let key = granted["result"][0]["authkey"].as_str().unwrap();
        let mut proxy = timeout(LONG, house.guest(key)).await.expect("a handshake");
        assert!(proxy.authenticated);
        assert_eq!(proxy.call("get_version", json!([])).await.unwrap(), json!({"result": 1}));
        drop(release);
        busy.await.unwrap().unwrap_err();
    });
}

#[tokio::test]
async fn a_large_frame_waits_for_its_turn_and_keeps_nobody_else_waiting() {
    let house = House::new(&[]).await;
    let turn = house.site.large_frames.acquire().await.unwrap();
    let (mut large, mut small) = (house.guest("").await, house.guest("").await);
    let long = "x".repeat(LARGE_FRAME_BYTES);
    large.ask(&Value::Null, "get_version", json!([long]), false).await;
    assert_eq!(small.call("get_version", json!([])).await.unwrap(), json!({"result": 1}));
    let mut reply = pin!(large.reply());
    assert!(timeout(Duration::from_millis(50), reply.as_mut()).await.is_err());
    drop(turn);
    assert_eq!(reply.await.unwrap()["exception"]["type"], "TypeError");
}
