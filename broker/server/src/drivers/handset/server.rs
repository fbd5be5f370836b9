//! The adb server's list of devices, pushed whenever it changes. Nothing here starts a server: one that is not
//! there is waited for.

use std::sync::Arc;

use ave_adb::{AdbError, Server, Sighted};
use tokio::sync::watch::Sender;
use tokio::time::sleep;
use tracing::{info, warn};

use super::limits::SERVER_PAUSE;

/// The list as it was last pushed; empty while there is no server.
pub(super) type Listing = Arc<[Sighted]>;

/// Keeps the list up to date for as long as somebody wants it.
pub(super) async fn follow(server: Server, list: Sender<Listing>) {
    let mut missing = false;
    loop {
        let mut greeted = false;
        let ended = track(&server, &list, || {
            greeted = true;
            info!(address = %server.address(), "following the adb server's devices");
        })
        .await;
        list.send_replace(Arc::new([]));
        if greeted || !missing {
            warn!(address = %server.address(), reason = %ended, "no adb server: looking again each second");
        }
        missing = true;
        sleep(SERVER_PAUSE).await;
    }
}

/// Follows one server to its end, and tells when it has said its first list.
async fn track(server: &Server, list: &Sender<Listing>, greet: impl FnOnce()) -> AdbError {
    let mut tracker = match server.track().await {
        Ok(tracker) => tracker,
        Err(error) => return error,
    };
    let mut greet = Some(greet);
    loop {
        match tracker.next().await {
            Ok(devices) => list.send_replace(devices.into()),
            Err(error) => return error,
        };
        if let Some(greet) = greet.take() {
            greet();
        }
    }
}
