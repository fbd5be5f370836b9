//! What a handset that runs Android can do besides, or does differently (Specification 1.6 B).

use ave_protocol::arguments::Bound;

use super::device::{Answer, Handset};
use super::power::PowerState;

/// The calls that only Android has, and those it takes other arguments for.
pub(super) const CALLS: &[&str] = &["pm_ready()"];

/// What these calls keep for the session. Dropping it ends what runs in the background.
#[derive(Default)]
pub(super) struct Android {}

impl Android {
    /// Makes a call; `None` if it is the same on every handset.
    pub(super) async fn call(
        &mut self,
        handset: &mut Handset,
        method: &str,
        _arguments: &mut Bound,
    ) -> Option<Answer> {
        match method {
            "pm_ready" => Some(Ok((handset.power_state().await >= PowerState::PackageManager).into())),
            _ => None,
        }
    }
}
