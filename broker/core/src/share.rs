//! One share: its equipment, stacks and workspaces as it reports them, and what was lent of them through here.
//! (Specification 6.3.)

use std::collections::BTreeMap;
use std::sync::Arc;

use ave_profile::{BrokerId, Identity, Kind, KindTable, LinkId, Profile, SessionId};

use crate::equipment::{Equipment, Hold, ItemId, Phase};
use crate::search::Request;
use crate::{Moment, Origin, Report, SharedPiece, Source, Taken};

/// One share.
#[derive(Clone, Debug)]
pub(crate) struct Share {
    /// The newest connection over which it has reported.
    pub(crate) link: LinkId,
    pub(crate) broker: Option<BrokerId>,
    pub(crate) equipment: Equipment,
    /// What its workspaces are made from.
    pub(crate) generic: Option<Profile>,
    /// The workspaces that exist there.
    pub(crate) workspaces: BTreeMap<Identity, SharedPiece>,
    /// Where its pieces are, if that is not all the same.
    pub(crate) origins: BTreeMap<Identity, Arc<Origin>>,
    /// What was given back through here and not reported since, until when, and as what it then returns.
    pub(crate) absent: BTreeMap<Identity, (Moment, SharedPiece)>,
    /// Workspaces that have changed since somebody last asked.
    pub(crate) touched: Vec<Identity>,
    /// Whether its stacks have changed since, or where their pieces are.
    pub(crate) restacked: bool,
}

impl Share {
    pub(crate) fn new(link: LinkId) -> Share {
        Share {
            link,
            broker: None,
            equipment: Equipment::default(),
            generic: None,
            workspaces: BTreeMap::new(),
            origins: BTreeMap::new(),
            absent: BTreeMap::new(),
            touched: Vec::new(),
            restacked: false,
        }
    }

    /// A piece as the share reports it, if it is there.
    pub(crate) fn piece(&self, item: &Identity) -> Option<SharedPiece> {
        if let Some(workspace) = self.workspaces.get(item) {
            return Some(workspace.clone());
        }
        let piece = self.equipment.item(self.equipment.id(item)?);
        let profile = piece.profile()?.clone();
        let origin = self.origins.get(item).cloned().unwrap_or_default();
        Some(SharedPiece { profile, taken: piece.taken.clone(), origin })
    }

    /// Whether it reports a piece.
    pub(crate) fn has(&self, item: &Identity) -> bool {
        self.workspaces.contains_key(item) || self.equipment.knows(item)
    }

    /// All it has, as it reports it.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = SharedPiece> {
        let listed = self.equipment.listed().map(|id| &self.equipment.item(id).identity);
        listed.chain(self.workspaces.keys()).filter_map(|item| self.piece(item))
    }

    /// What it has, and what it may have told of before.
    pub(crate) fn identities(&self) -> impl Iterator<Item = &Identity> {
        let pieces = self.equipment.items().map(|(_, item)| &item.identity);
        pieces.chain(self.workspaces.keys()).chain(self.absent())
    }

    /// What was given back through here and is not listed again yet.
    pub(crate) fn absent(&self) -> impl Iterator<Item = &Identity> {
        self.absent.keys()
    }

    /// The same as they will return, and when.
    pub(crate) fn absent_pieces(&self) -> impl Iterator<Item = &(Moment, SharedPiece)> {
        self.absent.values()
    }

    /// What sessions of this broker have of it.
    pub(crate) fn borrowed(&self) -> impl Iterator<Item = (SessionId, &Identity)> {
        let items = self.equipment.items();
        items.flat_map(|(_, item)| {
            let had = item.holds.iter().filter(|(_, hold)| hold.phase != Phase::Asked);
            had.map(|(session, _)| (*session, &item.identity))
        })
    }

    /// Whether it has a piece, even if that is not listed at the moment.
    pub(crate) fn lists(&self, item: &Identity) -> bool {
        self.equipment.knows(item) || self.absent.contains_key(item)
    }

    /// Whether such a piece was given back through here and is not listed again yet.
    pub(crate) fn awaits(&self, Request { kind, profile }: &Request) -> bool {
        self.absent.values().any(|(_, piece)| {
            piece.profile.kind() == Some(&*kind.name) && kind.matches(profile, &piece.profile)
        })
    }

    /// Where a piece is, as far as the share says so.
    pub(crate) fn origin(&self, item: &Identity) -> Option<&Arc<Origin>> {
        self.workspaces.get(item).map(|workspace| &workspace.origin).or_else(|| self.origins.get(item))
    }

    /// Takes in what the share says. Types that are not known are left out, and what has come through `own`
    /// before.
    pub(crate) fn report(&mut self, kinds: &KindTable, own: BrokerId, report: Report) {
        let mut gone = report.gone;
        let (mut pieces, mut states) = (Vec::new(), Vec::new());
        let mut moved: Vec<Identity> =
            gone.iter().filter(|item| self.equipment.knows(item)).cloned().collect();
        for piece in report.changed {
            let Some(item) = kinds.identity(&piece.profile) else { continue };
            let Some(kind) = kinds.get(&item.kind) else { continue };
            if piece.origin.path.contains(&own) {
                gone.push(item);
            } else if kind.made_on_demand {
                self.touched.push(item.clone());
                self.workspaces.insert(item, piece);
            } else {
                if !self.lists(&item) || self.origin(&item).is_some_and(|origin| *origin != piece.origin) {
                    moved.push(item.clone());
                }
                pieces.push((kind.clone(), item.clone(), piece.profile.clone()));
                states.push((kind.clone(), item, piece.taken, piece.origin));
            }
        }
        self.equipment.report(Source::Share, pieces);
        let mut heard = gone.clone();
        for (kind, item, taken, origin) in states {
            let id = self.equipment.intern(&kind, &item);
            self.set_taken(kinds, id, taken);
            heard.push(item.clone());
            self.set_origin(&item, origin);
        }
        for item in &gone {
            self.forget(kinds, item);
        }
        if let Some(stacks) = report.stacks.filter(|stacks| *stacks != self.equipment.stacks.written) {
            let stacks = stacks.iter().map(|stack| stack.iter().map(|short| Profile::clone(short)).collect());
            self.equipment.set_stacks(kinds, stacks.collect());
            self.restacked = true;
        }
        let stacked = |item: &Identity| {
            let id = self.equipment.id(item);
            id.is_some_and(|id| !self.equipment.item(id).stacks.is_empty())
        };
        self.restacked |= moved.iter().any(stacked);
        if let Some(generic) = report.workspace {
            self.generic = generic;
        }
        for item in &heard {
            self.absent.remove(item);
        }
    }

    fn forget(&mut self, kinds: &KindTable, item: &Identity) {
        if self.workspaces.remove(item).is_some() {
            self.touched.push(item.clone());
        }
        if let Some(id) = self.equipment.id(item) {
            self.set_taken(kinds, id, Vec::new());
        }
        self.equipment.vanish(Source::Share, std::slice::from_ref(item));
        self.origins.remove(item);
    }

    pub(crate) fn set_origin(&mut self, item: &Identity, origin: Arc<Origin>) {
        if *origin == Origin::default() {
            self.origins.remove(item);
        } else if self.origins.get(item) != Some(&origin) {
            self.equipment.touched.push(item.clone());
            self.origins.insert(item.clone(), origin);
        }
    }

    pub(crate) fn set_taken(&mut self, kinds: &KindTable, id: ItemId, taken: Vec<Taken>) {
        let was = self.equipment.item(id).taken.clone();
        if was == taken {
            return self.equipment.forget_if_idle(id);
        }
        let (was, is) = (self.collateral(kinds, &was), self.collateral(kinds, &taken));
        self.equipment.set_taken(id, taken, &is, &was);
    }

    fn collateral(&mut self, kinds: &KindTable, taken: &[Taken]) -> Vec<ItemId> {
        let short = taken.iter().flat_map(|taken| &taken.collateral);
        let named = short.filter_map(|short| {
            let item = kinds.identity(short)?;
            let kind = kinds.get(&item.kind).filter(|kind| !kind.made_on_demand)?;
            Some(self.equipment.intern(kind, &item))
        });
        named.collect()
    }

    pub(crate) fn release(&mut self, session: SessionId, item: &Identity) {
        if let Some(id) = self.equipment.id(item) {
            self.equipment.release(id, session);
        }
    }

    /// A piece is lent to one of this broker's sessions, or its owner is being asked for it.
    pub(crate) fn take(
        &mut self,
        kind: &Arc<Kind>,
        session: SessionId,
        item: &Identity,
        granted: &Arc<Profile>,
        phase: Phase,
    ) {
        self.release(session, item); // it may be reserved for another question of the session
        let id = self.equipment.intern(kind, item);
        let collateral = self.equipment.entangled(id);
        self.equipment.take(id, session, Hold { phase, granted: granted.clone(), collateral, number: 0 });
    }
}
