//! What has changed, for those this broker shares with: every change has a number, and only the last one of
//! a piece counts, so that a report costs what has changed and not what there is. (Specification 6.5.)

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use ave_profile::{Address, Identity, Profile, SessionId};

use crate::broker::Core;
use crate::equipment::{Item, ItemId};
use crate::share::Share;
use crate::view::with_fault;
use crate::{News, Origin, Report, Revision, SharedPiece, Taken, Toward};

/// So many changes are kept for pieces that may be gone; then those that are gone are forgotten.
const KEPT_MIN: usize = 4096;

/// So many of them are looked at after one event, each at every share: half a millisecond's worth with a
/// hundred shares.
const LOOKED_AT_ONCE: usize = 256;

/// The changes, by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    last: u64,
    at: BTreeMap<u64, Identity>,
    of: HashMap<Identity, u64, BuildHasherDefault<DefaultHasher>>,
    /// The last change of stacks, and of what workspaces are made from.
    stacks: u64,
    workspace: u64,
    /// The last change that was forgotten.
    forgotten: u64,
    /// When to look for something to forget.
    kept_max: usize,
    /// How far that has come, until it is through.
    looked_upto: Option<u64>,
}

impl Changes {
    /// Something about a piece has changed.
    pub(crate) fn touch(&mut self, item: Identity) {
        self.last += 1;
        if let Some(before) = self.of.insert(item.clone(), self.last) {
            self.at.remove(&before);
        }
        self.at.insert(self.last, item);
    }

    /// The stacks have changed, or those of a share.
    pub(crate) fn touch_stacks(&mut self) {
        self.last += 1;
        self.stacks = self.last;
    }

    /// What this host's workspaces are made from has changed.
    pub(crate) fn touch_workspace(&mut self) {
        self.last += 1;
        self.workspace = self.last;
    }

    /// Looks, now and then and a little at a time, for pieces that are gone.
    fn forget(&mut self, is_there: impl Fn(&Identity) -> bool) {
        if self.looked_upto.is_none() && self.at.len() <= self.kept_max {
            return;
        }
        let from = self.looked_upto.map_or(0, |upto| upto + 1);
        let looked_at: Vec<_> = self.at.range(from..).take(LOOKED_AT_ONCE).collect();
        let is_through = looked_at.len() < LOOKED_AT_ONCE;
        self.looked_upto = looked_at.last().filter(|_| !is_through).map(|(number, _)| **number);
        let gone = looked_at.into_iter().filter(|(_, item)| !is_there(item)).map(|(number, _)| *number);
        for number in gone.collect::<Vec<_>>() {
            self.forgotten = self.forgotten.max(number);
            self.at.remove(&number).map(|item| self.of.remove(&item));
        }
        if is_through {
            self.kept_max = KEPT_MIN + 2 * self.at.len();
        }
    }
}

impl Core {
    /// Grows whenever [`Core::news`] may find something.
    pub fn revision(&self) -> Revision {
        Revision { place: self.changes.last, forgotten: 0 }
    }

    /// What has changed since, of at most `pieces_max` pieces; from the beginning if `since` is the default
    /// or too long ago. (Specification 6.5.)
    pub fn news(&self, since: Revision, toward: &Toward, pieces_max: usize) -> News {
        let changes = &self.changes;
        let afresh = since.place == 0 || changes.forgotten > since.place.max(since.forgotten);
        let since = match afresh {
            true => Revision { place: 0, forgotten: changes.forgotten },
            false => since,
        };
        let mut report = Report::default();
        let mut upto = since;
        for (number, item) in changes.at.range(since.place + 1..).take(pieces_max) {
            upto.place = *number;
            match self.told(item, toward) {
                Some(piece) => report.changed.push(piece),
                None if afresh => {}
                None => report.gone.push(item.clone()),
            }
        }
        let more = changes.at.range(upto.place + 1..).next().is_some();
        if !more {
            upto.place = changes.last;
        }
        // Once in all portions, however many there are.
        let is_next = |number| since.place < number && number <= upto.place || afresh && number == 0;
        if is_next(changes.stacks) {
            report.stacks = Some(self.stacks_toward(toward));
        }
        if is_next(changes.workspace) {
            report.workspace = Some(self.workspaces.generic.clone());
        }
        News { upto, more, afresh, report }
    }

    /// Numbers what the last event has changed.
    pub(crate) fn number_changes(&mut self) {
        let mut touched = std::mem::take(&mut self.equipment.touched);
        touched.append(&mut self.workspaces.touched);
        let (mut shared, restacked) = self.shares.touched();
        touched.append(&mut shared);
        if restacked {
            self.changes.touch_stacks();
        }
        for item in touched {
            self.changes.touch(item);
        }
        let mut changes = std::mem::take(&mut self.changes);
        changes.forget(|item| {
            let here = self.equipment.knows(item) || self.workspaces.made.contains_key(item);
            here || self.shares.iter().any(|(_, share)| share.has(item))
        });
        self.changes = changes;
    }

    /// What every session has of this host's equipment, in the order of its grants. (Specification 7.2.)
    pub fn lent(&self) -> BTreeMap<SessionId, Vec<Taken>> {
        let taken = |session, item: &Identity| {
            if let Some(workspace) = self.workspaces.made.get(item) {
                return Some(Taken { profile: workspace.profile.clone(), collateral: Vec::new() });
            }
            let hold = self.equipment.item(self.equipment.id(item)?).holds.get(&session)?;
            let collateral = written(hold.collateral.iter().map(|id| self.equipment.item(*id)));
            Some(Taken { profile: hold.granted.clone(), collateral })
        };
        let sessions = self.sessions.iter().filter(|(_, session)| !session.items.is_empty());
        let lent = sessions
            .map(|(id, session)| (*id, session.items.iter().filter_map(|item| taken(*id, item)).collect()));
        lent.collect()
    }

    /// A piece as it is told to a master: this broker's own, or else the first share's that has it.
    fn told(&self, item: &Identity, toward: &Toward) -> Option<SharedPiece> {
        if let Some(workspace) = self.workspaces.made.get(item) {
            let profile = with_fault(&workspace.profile, workspace.fault.as_deref());
            let taken = vec![Taken { profile: profile.clone(), collateral: Vec::new() }];
            return Some(SharedPiece { profile, taken, origin: self.origin(None, None) });
        }
        if let Some(piece) = self.equipment.id(item).map(|id| self.equipment.item(id))
            && let Some(known) = piece.profile()
        {
            let profile = with_fault(known, piece.fault.as_deref());
            let broken = piece.fault.iter().map(|fault| (&profile, &fault.collateral));
            let held = piece.holds.values().map(|hold| (&hold.granted, &hold.collateral));
            let taken = broken.chain(held).map(|(profile, ids)| Taken {
                profile: profile.clone(),
                collateral: written(ids.iter().map(|id| self.equipment.item(*id))),
            });
            let (profile, taken) = (profile.clone(), taken.collect());
            return Some(SharedPiece { profile, taken, origin: self.origin(None, None) });
        }
        let mut shares = self.shares.iter().filter(|(address, share)| is_told(address, share, toward));
        shares.find_map(|(address, share)| {
            let mut piece = share.piece(item)?;
            let origin = self.origin(Some(address), Some(&piece.origin));
            if has_been(Some(&origin), toward) {
                return None;
            }
            piece.origin = origin;
            let lent = share.equipment.id(item).map(|id| share.equipment.item(id));
            let ours = lent.into_iter().flat_map(|lent| lent.holds.values().skip(piece.taken.len()));
            let ours: Vec<Taken> =
                ours.map(|hold| own_hold(share, &hold.granted, &hold.collateral)).collect();
            piece.taken.extend(ours);
            Some(piece)
        })
    }

    fn origin(&self, share: Option<&Address>, before: Option<&Origin>) -> Arc<Origin> {
        let holder = before.and_then(|origin| origin.holder.as_ref()).or(share);
        let path = before.map_or(&[][..], |origin| &origin.path);
        let path = path.iter().copied().chain([self.id]).collect();
        Arc::new(Origin { holder: holder.cloned(), path })
    }

    /// This broker's own stacks and those of which a share's piece is told: in a loop of shares none goes
    /// round for ever.
    fn stacks_toward(&self, toward: &Toward) -> Vec<Arc<[Arc<Profile>]>> {
        let shares = self.shares.iter().filter(|(address, share)| is_told(address, share, toward));
        let shared = shares.flat_map(|(_, share)| {
            let goes_on = |short: &Arc<Profile>| {
                let item = self.kinds.identity(short);
                item.is_some_and(|item| {
                    share.lists(&item)
                        && !self.equipment.knows(&item)
                        && !has_been(share.origin(&item), toward)
                })
            };
            let stacks = share.equipment.stacks.written.iter();
            stacks.filter(move |stack| stack.iter().any(goes_on))
        });
        self.equipment.stacks.written.iter().chain(shared).cloned().collect()
    }
}

/// What came from a master is not told there.
fn is_told(address: &Address, share: &Share, toward: &Toward) -> bool {
    toward.address.as_ref() != Some(address) && (share.broker.is_none() || share.broker != toward.broker)
}

/// Whether the word of a piece has come through a master before.
fn has_been(origin: Option<&Arc<Origin>>, toward: &Toward) -> bool {
    let path = origin.map_or(&[][..], |origin| &origin.path);
    toward.broker.is_some_and(|broker| path.contains(&broker))
}

fn own_hold(share: &Share, granted: &Arc<Profile>, collateral: &[ItemId]) -> Taken {
    let items = collateral.iter().map(|id| share.equipment.item(*id));
    Taken { profile: granted.clone(), collateral: written(items) }
}

fn written<'i>(items: impl Iterator<Item = &'i Item>) -> Vec<Arc<Profile>> {
    items.filter_map(|item| item.written.clone()).collect()
}
