//! The door out: everything the broker does.

use std::sync::Arc;

use ave_profile::{Identity, Profile, Refusal, RequestId, SessionId};

/// Something an edge has to do. Effects of one event are carried out in order.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Open these pieces, then answer the request.
    Grant {
        /// Who asked.
        session: SessionId,
        /// What is being answered.
        request: RequestId,
        /// One list per group of the request, each in the order of its profiles.
        groups: Vec<Vec<Granted>>,
    },
    /// Answer the request with a refusal. If the session ends with it, [`Effect::End`] comes first, and
    /// the answer waits until that is done.
    Refuse {
        /// Who asked.
        session: SessionId,
        /// What is being answered.
        request: RequestId,
        /// Why not.
        refusal: Refusal,
    },
    /// Answer a yield, once the pieces that an earlier [`Effect::Close`] of the same event named are
    /// closed.
    Yielded {
        /// Who gave back.
        session: SessionId,
        /// What is being answered.
        request: RequestId,
        /// The profiles that the client must also yield at its session, or what stopped the call.
        outcome: Result<Vec<Profile>, Refusal>,
    },
    /// Close these pieces and report [`Event::Closed`](crate::Event::Closed) for each, exactly once.
    Close {
        /// Whose pieces they were.
        session: SessionId,
        /// The pieces, the last granted first.
        items: Vec<Identity>,
    },
    /// The session is over: its key and connections are worth nothing from now on. Close these pieces
    /// and report [`Event::Closed`](crate::Event::Closed) for each, exactly once.
    End {
        /// The session.
        session: SessionId,
        /// Everything it still held, the last granted first.
        items: Vec<Identity>,
    },
    /// Make this piece clean and report [`Event::ResetDone`](crate::Event::ResetDone), exactly once.
    Reset {
        /// The piece; nobody holds it.
        item: Identity,
        /// All that is known of it, for the driver.
        known: Arc<Profile>,
        /// To be named in the event.
        request: Option<RequestId>,
    },
    /// Answer somebody who asked for a reset.
    ResetAnswered {
        /// What is being answered.
        request: RequestId,
        /// The piece can be lent again, or why it cannot.
        outcome: Result<(), Refusal>,
    },
    /// Answer a report of equipment.
    Reported {
        /// What is being answered.
        request: RequestId,
        /// Nothing of the report is stored after a refusal.
        outcome: Result<(), Refusal>,
    },
    /// Something a lab owner should know, for the log.
    Warn {
        /// What, in one sentence.
        message: String,
    },
}

/// One piece granted for one requested profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Granted {
    /// The piece.
    pub item: Identity,
    /// What the client is shown of it.
    pub profile: Arc<Profile>,
    /// All that is known of it, for the driver.
    pub known: Arc<Profile>,
    /// Whether the session holds it already, so that nothing has to be opened.
    pub again: bool,
}
