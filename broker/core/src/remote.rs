//! The other brokers this one knows: shares, whose equipment it lends as a hint of what their owners will
//! say, and the target of forwarding. (Specification 5.9 and 6.)

use std::sync::Arc;

use ave_profile::{Address, Profile};

use crate::broker::Core;
use crate::{Moment, News, Report, Revision, SharedPiece, Toward};

impl Core {
    /// When [`Event::DeadlineReached`](crate::Event::DeadlineReached) is to be told, if at all.
    pub fn deadline(&self) -> Option<Moment> {
        None
    }

    /// Grows whenever [`Core::news`] may find something.
    pub fn revision(&self) -> Revision {
        Revision::default()
    }

    /// What has changed since, of at most `pieces_max` pieces; from the beginning if `since` is the default
    /// or too long ago. (Specification 6.5.)
    pub fn news(&self, since: Revision, _toward: &Toward, _pieces_max: usize) -> News {
        News { upto: since, more: false, afresh: false, report: Report::default() }
    }

    /// The connected shares, in the order in which they are asked. (Specification 4.2, `list_shares`.)
    pub fn shares(&self) -> Vec<Address> {
        Vec::new()
    }

    /// What a share has reported, so that a complete list can be compared with it.
    pub fn shared_by(&self, _share: &Address) -> Vec<SharedPiece> {
        Vec::new()
    }

    /// Matching equipment with the broker that holds it, as far as that is known; `None` is this one. All
    /// of it, or only what is available.
    pub fn holders(
        &self,
        _filter: Option<&Profile>,
        _available: bool,
    ) -> Vec<(Option<Address>, Arc<Profile>)> {
        Vec::new()
    }
}
