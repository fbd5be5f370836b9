//! Restarts: of the handset, and of Android alone.

use std::time::Duration;

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::sleep;

use super::super::device::{Answer, Handset};
use super::super::limits::WAIT_PAUSE;
use super::super::power::within;
use super::Android;
use crate::drivers::arguments::Take;

/// The processes that all others of Android come from.
const ZYGOTES: [&str; 2] = ["zygote", "zygote64"];

/// Whether the animation that is shown while Android starts has ended.
const ANIMATION_ENDED: &str = "service.bootanim.exit";

/// The pause between two looks whether it has.
const ANIMATION_PAUSE: Duration = Duration::from_secs(5);

impl Android {
    pub(super) async fn reboot(&mut self, handset: &mut Handset, arguments: &mut Bound) -> Answer {
        self.settle(handset).await;
        handset.reboot(arguments).await
    }

    pub(super) async fn restart_system(&mut self, handset: &Handset, arguments: &mut Bound) -> Answer {
        let limit = arguments.whole("timeout").ok().and_then(|limit| u64::try_from(limit).ok());
        let Some(limit) = limit.filter(|limit| *limit > 0) else {
            return Err(Refusal::exception("timeout must be a positive whole number"));
        };
        handset.need_level("restart_system", 16).await?;
        self.settle(handset).await;
        handset.become_root().await?;
        let limit = Some(Duration::from_secs(limit));
        within(limit, "restart system timed out", handset.restart_android()).await??;
        Ok(Value::Null)
    }
}

impl Handset {
    async fn restart_android(&self) -> Result<(), Refusal> {
        self.sh("stop").await?;
        self.wait_for_zygote(false).await?;
        // Said before the start says it: no animation is too quick to be missed.
        self.sh(&format!("setprop {ANIMATION_ENDED} 0; start")).await?;
        self.wait_for_zygote(true).await?;
        while self.property(ANIMATION_ENDED).await.as_deref() != Some("1") {
            sleep(ANIMATION_PAUSE).await;
        }
        Ok(())
    }

    async fn wait_for_zygote(&self, wanted: bool) -> Result<(), Refusal> {
        while self.runs(&ZYGOTES).await? != wanted {
            sleep(WAIT_PAUSE).await;
        }
        Ok(())
    }

    /// Whether a process has one of these names.
    pub(super) async fn runs(&self, names: &[&str]) -> Result<bool, Refusal> {
        Ok(self.processes().await?.iter().any(|process| names.contains(&process.name.as_str())))
    }
}
