//! The vocabulary every part of the broker shares: what a value, a profile, a type of equipment, a want
//! and a refusal are. No I/O, no clock, no decisions about who gets what.

mod budget;
mod identity;
mod ids;
mod kind;
mod means;
mod profile;
mod refusal;
mod value;
mod want;

pub use budget::Budget;
pub use identity::Identity;
pub use ids::{Address, AskId, BrokerId, Generation, LinkId, RequestId, SessionId};
pub use kind::{Allocations, Kept, Kind, KindTable, Rule, Unlimited};
pub use means::{CommandLister, DriverLimits, FileLister, Lister, Opening, Program, Reset, UsbLister};
pub use profile::Profile;
pub use refusal::{Refusal, RefusalKind};
pub use value::{Map, Value};
pub use want::{GROUPS_MAX, PROFILES_MAX, WEIGHT_MAX, Want, weighed};
