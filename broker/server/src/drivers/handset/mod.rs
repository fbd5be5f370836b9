//! Handsets over the adb server of this host: which are there, how far they have booted, and what a script can
//! do with one. `docs/handset.md` says the latter.

mod android;
mod calls;
mod device;
mod files;
mod follower;
mod forwards;
mod limits;
mod power;
mod presence;
mod privileges;
mod probe;
mod processes;
mod properties;
mod server;
mod shell;
#[cfg(test)]
mod tests;
mod transfer;
mod unit;
mod watch;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use ave_adb::Server;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal, Value};
use ave_protocol::arguments::Signature;
use tokio::sync::watch::{Receiver, Sender, channel};

use self::device::Handset;
use self::presence::Picture;
use self::probe::Platform;
use self::unit::HandsetUnit;
pub(crate) use self::watch::HandsetWatch;
use super::{Driver, Unit};
use crate::config::handset::HandsetConfig;
use crate::usb::Usb;

/// What all handsets of this host share.
pub(crate) struct Site {
    server: Server,
    config: HandsetConfig,
    /// The broker's own folder, whose files are not for handsets.
    own: PathBuf,
    /// Who is there, as the watch sees it.
    picture: Receiver<Picture>,
}

/// Lends the handsets of one adb server.
pub(crate) struct HandsetDriver(Arc<Site>);

impl HandsetDriver {
    /// The driver of the handsets at `server`, and the watch that finds them. The broker is at home in `home`.
    pub(crate) fn new(
        server: Server,
        config: HandsetConfig,
        home: &Path,
        usb: Usb,
    ) -> (HandsetDriver, HandsetWatch) {
        let (shown, picture): (Sender<Picture>, _) = channel(Picture::default());
        let site = Arc::new(Site { server, config, own: home.join(".ave"), picture });
        (HandsetDriver(Arc::clone(&site)), HandsetWatch::new(site, usb, shown))
    }
}

/// The calls of every class of handset together.
pub(super) fn methods() -> &'static [Signature] {
    unit::methods(Platform::Android)
}

#[async_trait]
impl Driver for HandsetDriver {
    /// Nothing is asked of the handset yet: one that is offline can be lent to who wants that.
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal> {
        let serial = &granted.item.value;
        let platform = match granted.known.get("platform").and_then(Value::as_str) {
            None | Some("adb") => Platform::Adb,
            Some("android") => Platform::Android,
            Some(other) => {
                let text = format!("no class of handset for platform \"{other}\": {serial}");
                return Err(Refusal::exception(text));
            }
        };
        let handset = Handset::new(&self.0, serial, (*granted.profile).clone(), platform);
        Ok(Box::new(HandsetUnit::new(handset)))
    }

    fn methods(&self) -> &[Signature] {
        methods()
    }

    /// What a session opened ends with its connections, but for its ports.
    async fn reset(&self, item: &Identity, _known: &Profile) -> Result<(), String> {
        forwards::remove_all(&self.0, &item.value).await
    }
}
