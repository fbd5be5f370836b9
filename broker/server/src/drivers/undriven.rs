//! Equipment of a type that has no driver: it can be lent and described, and says what is missing for
//! everything else.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use ave_core::Granted;
use ave_profile::{Identity, Profile, Refusal, Value};
use ave_protocol::arguments::{Bound, Signature};

use super::{Driver, Unit};

/// The driver of types without one.
pub(crate) struct Undriven;

struct Piece(Arc<Profile>);

/// What is said to every call that only a driver could make.
pub(super) fn refusal(kind: &str, method: &str) -> Refusal {
    Refusal::exception(format!("no driver for type \"{kind}\": {method}"))
}

static METHODS: LazyLock<[Signature; 1]> = LazyLock::new(|| [Signature::parse("get_profile()")]);

#[async_trait]
impl Driver for Undriven {
    async fn open(&self, granted: &Granted) -> Result<Box<dyn Unit>, Refusal> {
        Ok(Box::new(Piece(granted.profile.clone())))
    }

    /// There is nothing to wait for.
    fn lazy(&self) -> bool {
        true
    }

    fn methods(&self) -> &[Signature] {
        &*METHODS
    }

    async fn reset(&self, _item: &Identity, _known: &Profile) -> Result<(), String> {
        Ok(())
    }
}

#[async_trait]
impl Unit for Piece {
    fn methods(&self) -> &[Signature] {
        &*METHODS
    }

    fn no_driver_for(&self, method: &str) -> Option<Refusal> {
        Some(refusal(self.0.kind().unwrap_or_default(), method))
    }

    async fn call(&mut self, _method: &str, _arguments: Bound) -> Result<Value, Refusal> {
        Ok(Profile::clone(&self.0).into())
    }

    async fn close(self: Box<Self>) -> Result<(), String> {
        Ok(())
    }
}
