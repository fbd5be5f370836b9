//! The two encodings of a message, told apart by its first byte.

use ave_profile::{Budget, Value};
use bytes::{BufMut, BytesMut};
use serde::Serialize;
use serde::de::DeserializeSeed;

use crate::json;
use crate::limits::{Limits, NESTING_MAX};

/// How a message is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// What every peer understands.
    #[default]
    Json,
    /// What carries bytes, for peers that have seen the marker in the salt.
    MessagePack,
}

impl Encoding {
    /// The encoding of a payload: MessagePack if it starts like one of its objects, JSON otherwise.
    pub fn of(payload: &[u8]) -> Encoding {
        match payload.first() {
            Some(0x80..=0x8f | 0xde | 0xdf) => Encoding::MessagePack,
            _ => Encoding::Json,
        }
    }

    /// Appends one message. Writing to memory cannot fail, everything written here has a form in both
    /// encodings, and values nest far below the encoders' own limit: they were read or made by a driver.
    pub(crate) fn write(self, message: &impl Serialize, out: &mut BytesMut) {
        match self {
            Encoding::Json => json::write(message, out.writer()).expect("every value has a JSON form"),
            Encoding::MessagePack => rmp_serde::encode::write(&mut out.writer(), message)
                .expect("every value has a MessagePack form"),
        }
    }

    /// Reads a whole payload as one value; `None` if it is none or exceeds a limit.
    pub fn read(payload: &[u8], limits: &Limits) -> Option<Value> {
        let budget = Budget::new(limits.values_max);
        match Encoding::of(payload) {
            Encoding::Json => {
                let mut deserializer = serde_json::Deserializer::from_slice(payload);
                let value = budget.deserialize(&mut deserializer).ok()?;
                deserializer.end().ok().map(|()| value)
            }
            Encoding::MessagePack => {
                let mut deserializer = rmp_serde::Deserializer::new(payload);
                deserializer.set_max_depth(NESTING_MAX);
                let value = budget.deserialize(&mut deserializer).ok()?;
                deserializer.into_inner().is_empty().then_some(value)
            }
        }
    }
}
