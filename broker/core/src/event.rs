//! The door in: everything that can happen to the broker.

use std::time::Duration;

use ave_profile::{
    Address, AskId, BrokerId, Generation, Identity, LinkId, Profile, Refusal, RequestId, SessionId, Want,
};
use serde::{Deserialize, Serialize};

use crate::Report;

/// When something happened: time since the broker started. The core has no clock of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub Duration);

impl Moment {
    /// So much later.
    pub(crate) fn after(self, time: Duration) -> Moment {
        Moment(self.0.saturating_add(time))
    }
}

/// Something that happened. Every event in every state has an answer; one about a session or a piece
/// that is already gone changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A client's connection needs a session for the first time.
    SessionOpened {
        /// The new session.
        session: SessionId,
    },
    /// A session is over, whatever ended it: connection lost, `stop`, `crash`, `close_session`, a unit
    /// that did not open. Answered by [`Effect::End`](crate::Effect::End).
    SessionEnded {
        /// The session.
        session: SessionId,
    },
    /// A client asks for equipment.
    Asked {
        /// Who asks.
        session: SessionId,
        /// To be named in the answer.
        request: RequestId,
        /// What was asked for, or why it could not be understood: that too ends the session.
        want: Result<Want, Refusal>,
        /// Random; the digits of new workspaces come from it.
        nonce: u64,
        /// The brokers this question has come through, the first one first.
        via: Vec<BrokerId>,
    },
    /// A client gives equipment back.
    Yielded {
        /// Who gives back.
        session: SessionId,
        /// To be named in the answer.
        request: RequestId,
        /// Where the client said so: it says it at both doors, one after the other.
        door: Door,
        /// What it gives back.
        profiles: Vec<Profile>,
    },
    /// An edge has finished with a piece it was told to close.
    Closed {
        /// Whose piece it was.
        session: SessionId,
        /// The piece.
        item: Identity,
        /// How it went. After a failure the piece stays out of the pool, with this reason.
        outcome: Result<(), String>,
    },
    /// An administrator or a watch wants a piece that could not be closed to be lent again. Answered by
    /// [`Effect::Reset`](crate::Effect::Reset).
    ResetAsked {
        /// The piece.
        item: Identity,
        /// To be named in the answer, if somebody waits for one.
        request: Option<RequestId>,
    },
    /// An edge has finished with a piece it was told to reset.
    ResetDone {
        /// The piece.
        item: Identity,
        /// As the effect said it.
        request: Option<RequestId>,
        /// How it went. After a failure the piece stays out of the pool, with this reason.
        outcome: Result<(), String>,
    },
    /// Equipment appeared or changed. The last word about a piece counts, whoever said it.
    Reported {
        /// Who says so.
        source: Source,
        /// Full profiles; each replaces what was known of its piece.
        profiles: Vec<Profile>,
        /// To be named in the answer, if somebody waits for one.
        request: Option<RequestId>,
    },
    /// Equipment is gone. Only pieces about which this source had the last word are touched.
    Vanished {
        /// Who says so.
        source: Source,
        /// The pieces.
        items: Vec<Identity>,
    },
    /// This broker's stacks, all of them, in order of preference.
    StacksSet {
        /// Short profiles: type and identity.
        stacks: Vec<Vec<Profile>>,
    },
    /// What this host's workspaces are made from.
    WorkspaceProfileSet {
        /// The content of `workspace.json` and `type: workspace`, without `uid`; `None` if this host
        /// has no workspaces.
        profile: Option<Profile>,
    },
    /// Where to send what nobody here can serve.
    ForwardSet {
        /// Another broker; `None` for nowhere.
        target: Option<Address>,
    },
    /// Another broker has answered an [`Effect::AskPeer`](crate::Effect::AskPeer), or could not be asked.
    /// The last word about that question.
    PeerAnswered {
        /// Who asked.
        session: SessionId,
        /// As the effect said it.
        ask: AskId,
        /// Full profiles in the order of the question, or why not.
        outcome: Result<Vec<Vec<Profile>>, Setback>,
    },
    /// Another broker has not answered for a while: time to ask somebody else too.
    PeerSlow {
        /// Who asked.
        session: SessionId,
        /// As the effect said it.
        ask: AskId,
    },
    /// A session's link to another broker, through which it holds something, has ended: what it held there
    /// is gone.
    PeerLost {
        /// Whose link.
        session: SessionId,
        /// The other broker.
        peer: Address,
    },
    /// A share says what it has. The newest link that speaks for an address counts; from then on an older
    /// one is not listened to.
    ShareReported {
        /// As the share announces itself.
        share: Address,
        /// Over which connection.
        link: LinkId,
        /// The share's id, if it is known.
        broker: Option<BrokerId>,
        /// What has changed.
        report: Report,
        /// To be named in the answer, if somebody waits for one.
        request: Option<RequestId>,
    },
    /// A connection over which shares reported has ended: what is known by it alone is forgotten.
    ShareLost {
        /// The connection.
        link: LinkId,
    },
    /// An administrator wants a share disconnected. Answered by [`Effect::CutLink`](crate::Effect::CutLink).
    ShareDropped {
        /// Which; `None` for all.
        share: Option<Address>,
    },
    /// This process takes over: every session that was served until now belongs to that older process, which
    /// goes on serving it, and nothing is known of other brokers yet. Equipment of which nobody speaks within
    /// half a minute is gone. (Specification 7.1.)
    Inherited {
        /// The process that served until now.
        generation: Generation,
    },
    /// What this source has told the process before is still so, as far as it has not said otherwise since.
    Confirmed {
        /// The source.
        source: Source,
    },
    /// Everything this source knows has been reported: of its equipment, what only the process before knew of
    /// is gone.
    Settled {
        /// The source.
        source: Source,
    },
    /// An older process has finished with a piece of one of its sessions.
    ElderClosed {
        /// Whose piece it was.
        session: SessionId,
        /// The piece.
        item: Identity,
        /// How closing went.
        outcome: Result<(), String>,
    },
    /// An older process has nothing left of one of its sessions.
    ElderEnded {
        /// The session.
        session: SessionId,
    },
    /// An older process is dead, whatever killed it: nobody closes what its sessions held. It is reset before
    /// it is lent again.
    GenerationLost {
        /// The process.
        generation: Generation,
        /// What the lists say of its pieces until then.
        reason: String,
    },
    /// Another process is about to take over. From now on nothing is reserved here, and whoever asks hears
    /// [`Restarting`](ave_profile::RefusalKind::Restarting). (Specification 7.1.)
    Frozen,
    /// It has not.
    Thawed,
    /// The moment that [`Core::deadline`](crate::Core::deadline) named has come. Answered by an
    /// [`Effect::Reset`](crate::Effect::Reset) for each broken piece whose turn it is.
    DeadlineReached,
}

/// Why another broker did not serve a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Setback {
    /// It said no. It has ended the session it had for us, and with it everything held there.
    Refused(Refusal),
    /// It has a successor, and lends nothing more over this link. What is held there stays.
    Restarting,
    /// It could not be reached, broke off, did not answer in time or not sensibly.
    Unreachable(String),
}

/// Where a client said that it gives something back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Door {
    /// At the broker: closes and releases, and leaves a mark for the second word.
    Broker,
    /// At the session: consumes the mark, or does all of it if there is none.
    Session,
}

/// Who described a piece of equipment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Source {
    /// `equipment.json`.
    File,
    /// A program that called `add_equipment`.
    Lister,
    /// One of this broker's own watches, by its number.
    Watch(u16),
    /// The share whose piece it is.
    Share,
}
