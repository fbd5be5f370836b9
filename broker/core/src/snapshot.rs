//! All that a broker knows, to be kept or passed on: for the process that takes over, and for the beginning of
//! a journal. Readable by programs before and after this one. (Specification 7.1.)

use std::collections::BTreeSet;
use std::sync::Arc;

use ave_profile::{Address, BrokerId, Generation, Identity, KindTable, LinkId, Profile, SessionId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::broker::Core;
use crate::equipment::{Equipment, Fault, Hold, Item, ItemId, Phase};
use crate::sessions::{Far, Session};
use crate::workspaces::Workspace;
use crate::{Moment, Report, SharedPiece, Source};

/// How deep a snapshot may be nested: profiles by what a message may be, and a few levels above them.
const DEPTH_MAX: usize = 160;

/// A broker without its types, which its configuration says, and without questions that are under way. The
/// order of pieces is that of the lists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    now: Moment,
    pieces: Vec<Piece>,
    stacks: Vec<Vec<Arc<Profile>>>,
    workspace: Option<Profile>,
    workspaces: Vec<Made>,
    sessions: Vec<Kept>,
    elders: Vec<(SessionId, Generation)>,
    shares: Vec<Shared>,
    forward: Option<Address>,
    slow: Vec<Address>,
    asked_last: u64,
    granted_last: u64,
    /// Since version 2: until when equipment is listed of which nobody has spoken to this process.
    #[serde(default)]
    settles_at: Option<Moment>,
}

/// One piece of equipment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Piece {
    item: Identity,
    known: Option<Known>,
    holds: Vec<Lent>,
    fault: Option<Broken>,
    /// Its short form, if it is collateral by stacks that are not there any more.
    written: Option<Arc<Profile>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Known {
    profile: Arc<Profile>,
    source: Source,
    /// Since version 2.
    #[serde(default)]
    hearsay: bool,
}

/// One allocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Lent {
    session: SessionId,
    closing: bool,
    granted: Arc<Profile>,
    collateral: Vec<Identity>,
    number: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Broken {
    reason: String,
    mending: bool,
    collateral: Vec<Identity>,
    /// Since version 2; otherwise it is time.
    #[serde(default)]
    retry_at: Option<Moment>,
    /// Since version 2.
    #[serde(default)]
    failed: u32,
}

impl Broken {
    fn restored(self, now: Moment, collateral: Vec<ItemId>) -> Fault {
        let retry_at = (!self.mending).then(|| self.retry_at.unwrap_or(now));
        Fault { reason: self.reason, retry_at, failed: self.failed, collateral }
    }
}

/// One workspace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Made {
    item: Identity,
    profile: Arc<Profile>,
    session: SessionId,
    closing: bool,
    number: u64,
    fault: Option<Broken>,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kept {
    session: SessionId,
    items: Vec<Identity>,
    far: Vec<Far>,
    marks: Vec<Identity>,
}

/// One share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Shared {
    address: Address,
    link: LinkId,
    broker: Option<BrokerId>,
    pieces: Vec<SharedPiece>,
    stacks: Vec<Vec<Arc<Profile>>>,
    workspace: Option<Profile>,
    /// What this broker's sessions have of it.
    lent: Vec<(Identity, Lent)>,
    absent: Vec<(Moment, SharedPiece)>,
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// They were written by another program.
    #[error("snapshot version: wanted {} to {}, found {found}", Snapshot::OLDEST, Snapshot::NEWEST)]
    Version {
        /// The version they say.
        found: u32,
    },
    /// They are not what a program of that version writes.
    #[error("not a snapshot: {0}")]
    Malformed(String),
    /// What they say cannot be.
    #[error("a snapshot that cannot be true: {0}")]
    Untrue(String),
}

impl Snapshot {
    /// The oldest version that this program reads and writes.
    pub const OLDEST: u32 = 1;
    /// The newest one.
    pub const NEWEST: u32 = if cfg!(feature = "previous-snapshot") { 1 } else { 2 };

    /// As bytes, for a program that reads this version.
    ///
    /// # Errors
    /// If this program does not write that version.
    pub fn encode(&self, version: u32) -> Result<Vec<u8>, SnapshotError> {
        let malformed = |error: rmp_serde::encode::Error| SnapshotError::Malformed(error.to_string());
        match version {
            2 if Snapshot::NEWEST >= 2 => rmp_serde::to_vec_named(&(version, self)).map_err(malformed),
            1 => rmp_serde::to_vec_named(&(version, self.as_first_version())).map_err(malformed),
            found => Err(SnapshotError::Version { found }),
        }
    }

    /// Reads what [`Snapshot::encode`] wrote, by this program or another one.
    ///
    /// # Errors
    /// If the version is not one of this program's, or the bytes are not of that version.
    pub fn decode(bytes: &[u8]) -> Result<Snapshot, SnapshotError> {
        let malformed = |error: rmp_serde::decode::Error| SnapshotError::Malformed(error.to_string());
        let (found, _): (u32, IgnoredAny) = read(bytes).map_err(malformed)?;
        if !(Snapshot::OLDEST..=Snapshot::NEWEST).contains(&found) {
            return Err(SnapshotError::Version { found });
        }
        let (_, snapshot): (u32, Snapshot) = read(bytes).map_err(malformed)?;
        Ok(snapshot)
    }

    /// The first version does not know that word of equipment can be hearsay, nor when what is broken is reset.
    fn as_first_version(&self) -> Snapshot {
        let mut first = Snapshot { settles_at: None, ..self.clone() };
        for known in first.pieces.iter_mut().filter_map(|piece| piece.known.as_mut()) {
            known.hearsay = false;
        }
        let made = first.workspaces.iter_mut().map(|made| &mut made.fault);
        let faults = first.pieces.iter_mut().map(|piece| &mut piece.fault).chain(made);
        for broken in faults.flatten() {
            (broken.retry_at, broken.failed) = (None, 0);
        }
        first
    }
}

impl Core {
    /// All it knows, but for questions that are under way.
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

    /// A broker that knows the same and goes on the same way. What is of a type that is not known any more is
    /// left out.
    ///
    /// # Errors
    /// If the snapshot contradicts itself.
    pub fn restore(kinds: KindTable, id: BrokerId, snapshot: Snapshot) -> Result<Core, SnapshotError> {
        let mut core = Core::new(kinds, id);
        let Snapshot { now, forward, asked_last, granted_last, .. } = snapshot;
        (core.now, core.forward, core.asked_last, core.granted_last) =
            (now, forward, asked_last, granted_last);
        core.slow = snapshot.slow.into_iter().collect();
        core.succession.elders = snapshot.elders.into_iter().collect();
        core.succession.settles_at = snapshot.settles_at;
        core.equipment.restore(&core.kinds, now, snapshot.pieces, snapshot.stacks)?;
        core.workspaces.generic = snapshot.workspace;
        for made in snapshot.workspaces {
            core.restore_workspace(made)?;
        }
        for share in snapshot.shares {
            core.restore_share(share)?;
        }
        for kept in snapshot.sessions {
            core.restore_session(kept)?;
        }
        core.retries = core.planned_retries();
        core.changes.touch_stacks();
        core.changes.touch_workspace();
        core.number_changes();
        core.true_holders()?;
        Ok(core)
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
        let known = |item: &Identity| self.kinds.get(&item.kind).is_some();
        let session = Session {
            items: kept.items.into_iter().filter(known).collect(),
            far: kept.far.into_iter().filter(|far| known(&far.item)).collect(),
            marks: kept.marks.into(),
            asking: None,
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
            self.shares.restore_lent(&self.kinds, &address, session, (&item, &granted, &collateral));
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

    fn lent(&self, (session, hold): (&SessionId, &Hold)) -> Lent {
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

    fn names(&self, ids: &[ItemId]) -> Vec<Identity> {
        ids.iter().map(|id| self.item(*id).identity.clone()).collect()
    }

    fn restore(
        &mut self,
        kinds: &KindTable,
        now: Moment,
        pieces: Vec<Piece>,
        stacks: Vec<Vec<Arc<Profile>>>,
    ) -> Result<(), SnapshotError> {
        let mut seen = BTreeSet::new();
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
                let profile = &piece.known.as_ref()?.profile;
                Some((kind.clone(), piece.item.clone(), Profile::clone(profile)))
            });
            self.report(source, reported.collect());
        }
        let written =
            stacks.into_iter().map(|stack| stack.iter().map(|entry| Profile::clone(entry)).collect());
        self.set_stacks(kinds, written.collect());
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

fn read<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEPTH_MAX);
    T::deserialize(&mut deserializer)
}

fn source(piece: &Piece) -> Option<Source> {
    piece.known.as_ref().map(|known| known.source)
}
