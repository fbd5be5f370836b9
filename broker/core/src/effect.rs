//! The door out: everything the broker does.

use std::sync::Arc;

use ave_profile::{
    Address, AskId, BrokerId, Generation, Identity, LinkId, Profile, Refusal, RequestId, SessionId,
};
use serde::{Deserialize, Serialize};

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
    /// Ask another broker, over the session's own link to it, which is made now if there is none. Report
    /// [`Event::PeerSlow`](crate::Event::PeerSlow) if the answer takes long, and
    /// [`Event::PeerAnswered`](crate::Event::PeerAnswered) exactly once. (Specification 5.9.)
    AskPeer {
        /// For whom.
        session: SessionId,
        /// To be named in the events.
        ask: AskId,
        /// The broker.
        peer: Address,
        /// What is wanted, with defaults: all of it or nothing.
        groups: Vec<Vec<Profile>>,
        /// The brokers this question has come through, this one last.
        via: Vec<BrokerId>,
    },
    /// Give these pieces back at another broker. The [`Effect::Yielded`] that follows waits for it.
    YieldAtPeer {
        /// Whose pieces they were.
        session: SessionId,
        /// The broker.
        peer: Address,
        /// The pieces, as they were granted.
        profiles: Vec<Arc<Profile>>,
    },
    /// Break a session's link to another broker, whatever it is doing: with it goes all it holds there.
    /// Nothing that was asked over it is answered any more. A later question makes a new link.
    HangUp {
        /// Whose link.
        session: SessionId,
        /// The broker.
        peer: Address,
    },
    /// Close a connection over which shares reported.
    CutLink {
        /// The connection.
        link: LinkId,
    },
    /// A share has begun to report over a new connection, or has left: for the log.
    ShareChanged {
        /// As the share announces itself.
        share: Address,
        /// Whether it is there now.
        joined: bool,
    },
    /// Have an older process end one of its sessions. (Specification 7.1.)
    EndElder {
        /// The process.
        generation: Generation,
        /// The session.
        session: SessionId,
    },
    /// The process that takes over has to know that this piece is closed. Only while this one is frozen.
    Departed {
        /// Whose piece it was.
        session: SessionId,
        /// The piece.
        item: Identity,
        /// How closing went.
        outcome: Result<(), String>,
    },
    /// Something a lab owner should know, for the log.
    Warn {
        /// What, in one sentence.
        message: String,
    },
}

/// One piece granted for one requested profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Granted {
    /// The piece.
    pub item: Identity,
    /// What the client is shown of it.
    pub profile: Arc<Profile>,
    /// All that is known of it, for the driver.
    pub known: Arc<Profile>,
    /// Whether the session holds it already, so that nothing has to be opened.
    pub again: bool,
    /// The broker it was asked from, whose session there drives it or knows who does; `None` for a piece
    /// of this host.
    pub at: Option<Address>,
    /// Greater than that of every grant before, of any piece, by this broker or by one that it has followed:
    /// whoever drives a piece can tell a late command by it. 0 for another broker's piece.
    pub number: u64,
}
