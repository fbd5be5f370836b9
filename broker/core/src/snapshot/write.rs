//! A broker as a snapshot.

use ave_profile::{Identity, SessionId};

use super::questions::Asked;
use super::{Broken, Kept, Known, Lent, Made, Piece, Shared, Snapshot};
use crate::broker::Core;
use crate::equipment::{Equipment, Fault, Hold, Item, ItemId, Phase};
use crate::sessions::Session;
use crate::workspaces::Workspace;

impl Core {
    /// All it knows.
    pub fn snapshot(&self) -> Snapshot {
        let shares = self.shares.iter().map(|(address, share)| {
            let of = &share.equipment;
            let lent = of.items().flat_map(|(_, item)| {
                let held = item.holds.iter().filter(|(_, hold)| hold.phase != Phase::Asked);
                held.map(|held| (item.identity.clone(), of.lent(held)))
            });
            Shared {
                address: address.clone(),
                link: share.link,
                broker: share.broker,
                pieces: share.pieces().collect(),
                stacks: of.stacks.written.iter().map(|stack| stack.to_vec()).collect(),
                workspace: share.generic.clone(),
                lent: lent.collect(),
                absent: share.absent_pieces().cloned().collect(),
            }
        });
        Snapshot { shares: shares.collect(), slow: self.slow.iter().cloned().collect(), ..self.estate() }
    }

    /// What a process that takes over has to know: other brokers speak for themselves then.
    pub fn estate(&self) -> Snapshot {
        let session = |(id, session): (&SessionId, &Session)| Kept {
            session: *id,
            items: session.items.clone(),
            far: session.far.clone(),
            marks: session.marks.iter().cloned().collect(),
            asking: session.asking.as_ref().map(|asking| Box::new(Asked::of(self, *id, asking))),
        };
        let made = |(item, made): (&Identity, &Workspace)| Made {
            item: item.clone(),
            profile: made.profile.clone(),
            session: made.session,
            closing: made.phase == Phase::Closing,
            number: made.number,
            fault: made.fault.as_ref().map(|fault| self.equipment.broken(fault)),
        };
        Snapshot {
            now: self.now,
            pieces: self.equipment.pieces(),
            stacks: self.equipment.stacks.written.iter().map(|stack| stack.to_vec()).collect(),
            workspace: self.workspaces.generic.clone(),
            workspaces: self.workspaces.made.iter().map(made).collect(),
            sessions: self.sessions.iter().map(session).collect(),
            elders: self.succession.elders.iter().map(|(session, elder)| (*session, *elder)).collect(),
            shares: Vec::new(),
            forward: self.forward.clone(),
            slow: Vec::new(),
            asked_last: self.asked_last,
            granted_last: self.granted_last,
            settles_at: self.succession.settles_at,
        }
    }
}

impl Equipment {
    /// All pieces: those of the list in its order, then those that are only spoken of. Members of stacks that
    /// nothing else is to be said of are in the stacks.
    fn pieces(&self) -> Vec<Piece> {
        let unlisted = self.items().filter(|(_, item)| item.known.is_none()).map(|(id, _)| id);
        let all = self.listed().chain(unlisted).map(|id| self.item(id));
        let said = all.filter(|item| item.known.is_some() || item.is_taken() || item.is_left_over());
        said.map(|item| self.piece(item)).collect()
    }

    fn piece(&self, item: &Item) -> Piece {
        Piece {
            item: item.identity.clone(),
            known: item.known.as_ref().map(|known| Known {
                profile: known.profile.clone(),
                source: known.source,
                hearsay: known.hearsay,
            }),
            holds: item.holds.iter().map(|held| self.lent(held)).collect(),
            fault: item.fault.as_deref().map(|fault| self.broken(fault)),
            written: item.written.clone().filter(|_| item.is_left_over()),
        }
    }

    pub(super) fn lent(&self, (session, hold): (&SessionId, &Hold)) -> Lent {
        Lent {
            session: *session,
            closing: hold.phase == Phase::Closing,
            granted: hold.granted.clone(),
            collateral: self.names(&hold.collateral),
            number: hold.number,
        }
    }

    fn broken(&self, fault: &Fault) -> Broken {
        Broken {
            reason: fault.reason.clone(),
            mending: fault.retry_at.is_none(),
            collateral: self.names(&fault.collateral),
            retry_at: fault.retry_at,
            failed: fault.failed,
        }
    }

    /// In an order that does not depend on their numbers, which a replay may give anew.
    fn names(&self, ids: &[ItemId]) -> Vec<Identity> {
        let mut names: Vec<Identity> = ids.iter().map(|id| self.item(*id).identity.clone()).collect();
        names.sort_unstable();
        names
    }
}
