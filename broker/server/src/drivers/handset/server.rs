//! The adb server's list of devices, kept up to date. Nothing here starts a server: one that is not there is waited
//! for.

use std::sync::Arc;

use ave_adb::{AdbError, Server, Sighted};
use tokio::sync::watch::Sender;
use tokio::time::{sleep, timeout};
use tracing::{info, warn};

use super::limits::{LIST_PAUSE, SERVER_PAUSE};

/// The list as it was last; empty while there is no server.
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
        // The server pushes whoever comes and goes, but not that a link over TCP broke: that its list says.
        let devices = match timeout(LIST_PAUSE, tracker.next()).await {
            Ok(pushed) => pushed,
            Err(_) => server.devices().await,
        };
        let devices: Listing = match devices {
            Ok(devices) => devices.into(),
            Err(error) => return error,
        };
        list.send_if_modified(|known| std::mem::replace(known, devices.clone()) != devices);
        if let Some(greet) = greet.take() {
            greet();
        }
    }
}
