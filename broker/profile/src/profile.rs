//! A profile: the description of a piece of equipment, or of what somebody wants.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

use crate::value::{map_weight, object_bytes};
use crate::{Map, Value};

/// The members of a profile. Every member is the lab's own word; only `type` and the identity field of
/// that type mean something to the broker itself.
#[derive(Clone, Debug, Default, PartialEq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Profile(pub Map);

impl Profile {
    /// The `type` member, if it is there and a string.
    pub fn kind(&self) -> Option<&str> {
        self.0.get("type").and_then(Value::as_str)
    }

    /// What looking at all of it costs, as [`Value::weight`] has it.
    pub fn weight(&self) -> usize {
        map_weight(&self.0)
    }

    /// About how many bytes of memory it takes, as [`Value::bytes`] has it.
    pub fn bytes(&self) -> usize {
        object_bytes(&self.0)
    }

    /// A profile of a JSON object, for tests and defaults. Anything but an object gives an empty profile.
    pub fn of(json: serde_json::Value) -> Profile {
        match Value::from(json) {
            Value::Map(map) => Profile(map),
            _ => Profile::default(),
        }
    }
}

impl Deref for Profile {
    type Target = Map;

    fn deref(&self) -> &Map {
        &self.0
    }
}

impl From<Profile> for Value {
    fn from(profile: Profile) -> Value {
        Value::Map(profile.0)
    }
}

/// Compact JSON.
impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
