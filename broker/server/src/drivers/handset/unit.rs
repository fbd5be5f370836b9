//! A handset in use: which calls it has, and how it is given back.

use std::sync::LazyLock;

use async_trait::async_trait;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::{Bound, Signature};

use super::android::{self, Android};
use super::calls;
use super::device::Handset;
use super::probe::Platform;
use crate::drivers::Unit;

static BASE: LazyLock<Vec<Signature>> = LazyLock::new(|| signatures(&[calls::CALLS]));
static ANDROID: LazyLock<Vec<Signature>> = LazyLock::new(|| signatures(&[calls::CALLS, android::CALLS]));

/// The calls of these tables; of calls of the same name the last one counts.
fn signatures(tables: &[&[&'static str]]) -> Vec<Signature> {
    let mut signatures: Vec<Signature> = Vec::new();
    for signature in tables.concat().into_iter().map(Signature::parse) {
        match signatures.iter_mut().find(|known| known.name() == signature.name()) {
            Some(known) => *known = signature,
            None => signatures.push(signature),
        }
    }
    signatures
}

/// Every call of a handset that runs this.
pub(super) fn methods(platform: Platform) -> &'static [Signature] {
    match platform {
        Platform::Android => &ANDROID,
        Platform::Adb | Platform::Firefox => &BASE,
    }
}

/// A handset and, if it runs Android, what its further calls keep.
pub(super) struct HandsetUnit {
    handset: Handset,
    android: Option<Android>,
}

impl HandsetUnit {
    pub(super) fn new(handset: Handset) -> HandsetUnit {
        let android = handset.is_android().then(Android::default);
        HandsetUnit { handset, android }
    }
}

#[async_trait]
impl Unit for HandsetUnit {
    fn methods(&self) -> &[Signature] {
        methods(self.handset.platform())
    }

    async fn call(&mut self, method: &str, mut arguments: Bound) -> Result<Value, Refusal> {
        if let Some(android) = &mut self.android
            && let Some(answer) = android.call(&mut self.handset, method, &mut arguments).await
        {
            return answer;
        }
        calls::call(&mut self.handset, method, &mut arguments).await
    }

    /// Ends what runs on the handset for this session and removes its forwards. What was changed on the handset
    /// stays (Specification 1.7), so there is nothing that could fail.
    async fn close(mut self: Box<Self>) -> Result<(), String> {
        if let Some(android) = &mut self.android {
            android.stop_all().await;
        }
        self.handset.background.stop_all().await;
        self.handset.close_forwards().await;
        Ok(())
    }
}
