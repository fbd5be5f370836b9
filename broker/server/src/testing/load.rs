//! One client's load is not another's delay.

use serde_json::json;
use tokio::runtime::Builder;
use tokio::task::spawn_blocking;
use tokio::time::{Duration, timeout};

use super::House;

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
