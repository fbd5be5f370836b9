//! A snapshot as a broker. What contradicts itself is none.

use std::collections::{BTreeSet, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use ave_profile::{BrokerId, Identity, KindTable, Profile, SessionId};

use super::{Changes, Kept, Known, Lent, Made, Piece, Remainder, Shared, Snapshot, SnapshotError};
use crate::broker::Core;
use crate::equipment::{Equipment, Hold, ItemId, Phase};
use crate::sessions::Session;
use crate::workspaces::Workspace;
use crate::{Moment, Report, Source};

impl Core {
    /// A broker that knows the same and goes on the same way. What is of a type that is not known any more is
    /// left out.
    ///
    /// # Errors
    /// If the snapshot contradicts itself.
    pub fn restore(kinds: KindTable, id: BrokerId, snapshot: Snapshot) -> Result<Core, SnapshotError> {
        Core::new(kinds, id).complete(Remainder { changes: Changes::default(), rest: snapshot })
    }

    /// The broker that is meant, if this one was restored from a [draft](Snapshot::draft) of it and nothing has happened
    /// to it since.
    ///
    /// # Errors
    /// If the two together contradict themselves.
    pub fn complete(mut self, remainder: Remainder) -> Result<Core, SnapshotError> {
        let Remainder { changes, rest } = remainder;
        let Snapshot { now, forward, asked_last, granted_last, .. } = rest;
        (self.now, self.forward, self.asked_last, self.granted_last) =
            (now, forward, asked_last, granted_last);
        self.slow = rest.slow.into_iter().collect();
        self.succession.elders = rest.elders.into_iter().collect();
        self.succession.settles_at = rest.settles_at;
        self.equipment.vanish_whoever_said(&changes.gone);
        let stacks = (!changes.stacks_kept).then_some(rest.stacks);
        self.equipment.restore(&self.kinds, now, rest.pieces, stacks)?;
        self.workspaces.generic = rest.workspace;
        for made in rest.workspaces {
            self.restore_workspace(made)?;
        }
        for share in rest.shares {
            self.restore_share(share)?;
        }
        for kept in rest.sessions {
            self.restore_session(kept)?;
        }
        self.retries = self.planned_retries();
        self.changes.touch_stacks();
        self.changes.touch_workspace();
        self.number_changes();
        self.true_holders()?;
        Ok(self)
    }

    fn restore_workspace(&mut self, made: Made) -> Result<(), SnapshotError> {
        let Made { item, profile, session, closing, number, fault } = made;
        if !self.kinds.get(&item.kind).is_some_and(|kind| kind.made_on_demand) {
            return Ok(());
        }
        let phase = if closing { Phase::Closing } else { Phase::Held };
        let fault = fault.map(|broken| Box::new(broken.restored(self.now, Vec::new())));
        let workspace = Workspace { profile, session, phase, number, fault };
        match self.workspaces.made.insert(item.clone(), workspace) {
            Some(_) => Err(SnapshotError::Untrue(format!("{item} exists twice"))),
            None => Ok(()),
        }
    }

    fn restore_session(&mut self, kept: Kept) -> Result<(), SnapshotError> {
        let asking = match kept.asking {
            Some(asked) => self.restore_asking(kept.session, *asked)?.map(Box::new),
            None => None,
        };
        let known = |item: &Identity| self.kinds.get(&item.kind).is_some();
        let session = Session {
            items: kept.items.into_iter().filter(known).collect(),
            far: kept.far.into_iter().filter(|far| known(&far.item)).collect(),
            marks: kept.marks.into(),
            asking,
        };
        match self.sessions.insert(kept.session, session) {
            Some(_) => Err(SnapshotError::Untrue(format!("session {} is there twice", kept.session))),
            None => Ok(()),
        }
    }

    fn restore_share(&mut self, shared: Shared) -> Result<(), SnapshotError> {
        let Shared { address, link, broker, pieces, stacks, workspace, lent, absent } = shared;
        let stacks = stacks.into_iter().map(Arc::from).collect();
        let report =
            Report { changed: pieces, gone: Vec::new(), stacks: Some(stacks), workspace: Some(workspace) };
        if self.shares.get(&address).is_some() {
            return Err(SnapshotError::Untrue(format!("share {address} is there twice")));
        }
        self.shares.report(&self.kinds, self.id, (&address, link), broker, report);
        for (item, Lent { session, granted, collateral, .. }) in lent {
            let lent = (&item, &granted, &collateral[..]);
            self.shares.restore_lent(&self.kinds, &address, session, lent, Phase::Held);
        }
        for (until, piece) in absent {
            self.shares.restore_absent(&self.kinds, &address, until, piece);
        }
        Ok(())
    }

    /// Sessions hold what is held by them, each piece once, as often as its type allows.
    fn true_holders(&self) -> Result<(), SnapshotError> {
        let untrue = |what: String| Err(SnapshotError::Untrue(what));
        let mut said: BTreeSet<(SessionId, &Identity)> = BTreeSet::new();
        for (id, session) in &self.sessions {
            for item in &session.items {
                if !said.insert((*id, item)) {
                    return untrue(format!("session {id} holds {item} twice"));
                }
            }
        }
        for (_, item) in self.equipment.items() {
            if !item.is_within_room() {
                return untrue(format!("{} is lent too often", item.identity));
            }
            for (session, hold) in &item.holds {
                if said.remove(&(*session, &item.identity)) != (hold.phase == Phase::Held) {
                    return untrue(format!("session {session} and {} disagree", item.identity));
                }
            }
        }
        for (item, made) in self.workspaces.made.iter().filter(|(_, made)| made.fault.is_none()) {
            if said.remove(&(made.session, item)) != (made.phase == Phase::Held) {
                return untrue(format!("session {} and {item} disagree", made.session));
            }
        }
        for (address, share) in self.shares.iter() {
            for (session, item) in share.borrowed() {
                let far = self.sessions.get(&session).map_or(&[][..], |session| &session.far);
                if !far.iter().any(|far| far.peer == *address && far.item == *item) {
                    return untrue(format!("session {session} and {item} of {address} disagree"));
                }
            }
        }
        match said.first() {
            Some((session, item)) => {
                untrue(format!("session {session} holds {item}, which does not know it"))
            }
            None => Ok(()),
        }
    }
}

impl Equipment {
    fn vanish_whoever_said(&mut self, gone: &[Identity]) {
        let said_by = |item: &Identity| Some(self.item(self.id(item)?).known.as_ref()?.source);
        let sources: BTreeSet<Source> = gone.iter().filter_map(said_by).collect();
        sources.into_iter().for_each(|source| self.vanish(source, gone));
    }

    /// Takes in what is said of these pieces; without `stacks` those stay that are there.
    fn restore(
        &mut self,
        kinds: &KindTable,
        now: Moment,
        pieces: Vec<Piece>,
        stacks: Option<Vec<Vec<Arc<Profile>>>>,
    ) -> Result<(), SnapshotError> {
        let mut seen: HashSet<&Identity, BuildHasherDefault<DefaultHasher>> = HashSet::default();
        for Piece { item, known, .. } in &pieces {
            if !seen.insert(item) {
                return Err(SnapshotError::Untrue(format!("{item} is listed twice")));
            }
            let is_of = |known: &Known| kinds.identity(&known.profile).is_none_or(|of| of == *item);
            if !known.as_ref().is_none_or(is_of) {
                return Err(SnapshotError::Untrue(format!("what is known of {item} is another piece's")));
            }
        }
        for run in pieces.chunk_by(|a, b| source(a) == source(b)) {
            let Some(source) = run.first().and_then(source) else { continue };
            let reported = run.iter().filter_map(|piece| {
                let kind = kinds.get(&piece.item.kind).filter(|kind| !kind.made_on_demand)?;
                Some((kind.clone(), piece.item.clone(), piece.known.as_ref()?.profile.clone()))
            });
            self.learn(source, reported.collect(), false);
        }
        if let Some(stacks) = stacks {
            let written =
                |stack: Vec<Arc<Profile>>| stack.iter().map(|entry| Profile::clone(entry)).collect();
            self.set_stacks(kinds, stacks.into_iter().map(written).collect());
        }
        let mut left_over = Vec::new();
        for Piece { item, known, holds, fault, written } in pieces {
            let Some(kind) = kinds.get(&item.kind).filter(|kind| !kind.made_on_demand) else { continue };
            let id = self.intern(kind, &item);
            if let Some(known) = self.item_mut(id).known.as_mut().zip(known) {
                known.0.hearsay = known.1.hearsay;
            }
            for lent in holds {
                let phase = if lent.closing { Phase::Closing } else { Phase::Held };
                let collateral = self.numbers(kinds, &lent.collateral);
                let Lent { session, granted, number, .. } = lent;
                self.take(id, session, Hold { phase, granted, collateral, number });
            }
            if let Some(broken) = fault {
                let collateral = self.numbers(kinds, &broken.collateral);
                self.set_fault(id, broken.restored(now, collateral));
            }
            self.forget_if_idle(id);
            left_over.extend(written.map(|written| (item, written)));
        }
        for (item, written) in left_over {
            if let Some(id) = self.id(&item) {
                self.item_mut(id).written.get_or_insert(written);
            }
        }
        Ok(())
    }

    /// The numbers of pieces of known types, each once.
    pub(crate) fn numbers(&mut self, kinds: &KindTable, items: &[Identity]) -> Vec<ItemId> {
        let kind = |item: &&Identity| kinds.get(&item.kind).filter(|kind| !kind.made_on_demand).is_some();
        let known: BTreeSet<&Identity> = items.iter().filter(kind).collect();
        let number = |item: &Identity| kinds.get(&item.kind).map(|kind| self.intern(kind, item));
        known.into_iter().filter_map(number).collect()
    }
}

fn source(piece: &Piece) -> Option<Source> {
    piece.known.as_ref().map(|known| known.source)
}
