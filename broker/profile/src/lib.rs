//! The vocabulary every part of the broker shares: what a value, a profile, a type of equipment, a want
//! and a refusal are. No I/O, no clock, no decisions about who gets what.

mod budget;
mod identity;
mod ids;
mod kind;
mod profile;
mod refusal;
mod value;
mod want;

pub use budget::Budget;
pub use identity::Identity;
pub use ids::{RequestId, SessionId};
pub use kind::{Kept, Kind, KindTable, Rule};
pub use profile::Profile;
pub use refusal::{Refusal, RefusalKind};
pub use value::{Map, Value};
pub use want::{GROUPS_MAX, PROFILES_MAX, WEIGHT_MAX, Want, weighed};
