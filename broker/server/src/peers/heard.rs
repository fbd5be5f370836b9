//! What a share says of itself, read from the calls by which it does: complete lists, as every broker sends
//! them, and the changes that our own kind sends. What makes no sense refuses the whole call; what is unknown here, or too
//! much, is left out. (Specification 6.2 and 6.3.)

mod read;
mod stacks;

use std::collections::BTreeMap;
use std::sync::Arc;

use ave_core::{Origin, Report, SharedPiece, Taken};
use ave_profile::{Identity, KindTable, Map, Profile, Refusal, Value};

use self::read::{list, profile, within};
use super::burden::{excess, excess_of_profile};
use super::limits::PIECES_PER_SHARE_MAX;

pub(crate) use self::read::{address, address_value, addressed, member, object, wrong};

/// What one call says.
#[derive(Debug, Default, PartialEq)]
pub struct Heard {
    /// Whether it names all pieces there are: any other is gone.
    pub whole: bool,
    /// What it says; nothing is gone by a whole list alone.
    pub report: Report,
    /// How many pieces and stacks are left out, and why the first one is.
    pub left_out: LeftOut,
}

/// What is not taken from what was said.
#[derive(Debug, Default, PartialEq)]
pub struct LeftOut {
    /// So many pieces and stacks.
    pub count: usize,
    /// Why the first one is not taken; empty if there is none.
    pub first: String,
}

impl LeftOut {
    fn note(&mut self, why: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = why();
        }
        self.count += 1;
    }
}

impl Heard {
    /// The lists of `set_equipment`.
    ///
    /// # Errors
    /// If a list or a profile in it is malformed, or says too much.
    pub fn of_lists(kinds: &KindTable, equipment: Value, allocations: Value) -> Result<Heard, Refusal> {
        let mut reader = Reader { kinds, left_out: LeftOut::default() };
        let mut taken = reader.allocations(allocations)?;
        let origin = Arc::new(Origin::default());
        let mut changed = Vec::new();
        for piece in bounded(list("equipment", equipment)?)? {
            if let Some((identity, profile)) = reader.piece(piece)? {
                let taken = taken.remove(&identity).unwrap_or_default();
                let piece = SharedPiece { profile: Arc::new(profile), taken, origin: origin.clone() };
                changed.extend(reader.bearable(&identity, piece));
            }
        }
        let report = Report { changed, ..Report::default() };
        Ok(Heard { whole: true, report, left_out: reader.left_out })
    }

    /// The second argument of `share_update`.
    ///
    /// # Errors
    /// If a member is missing or malformed, or says too much.
    pub fn of_changes(kinds: &KindTable, update: Value) -> Result<Heard, Refusal> {
        let mut update = object("update", update)?;
        let mut reader = Reader { kinds, left_out: LeftOut::default() };
        let whole = match member(&mut update, "whole")? {
            Value::Bool(whole) => whole,
            other => return Err(wrong("whole", "true or false", &other)),
        };
        let mut report = Report::default();
        for (n, piece) in bounded(list("changed", member(&mut update, "changed")?)?)?.into_iter().enumerate()
        {
            let piece = reader.shared_piece(piece).map_err(|refusal| within("changed", n, refusal))?;
            let Some((identity, piece)) = piece else { continue };
            match reader.bearable(&identity, piece) {
                Some(piece) => report.changed.push(piece),
                None => report.gone.push(identity), // it is not what it was
            }
        }
        for (n, piece) in bounded(list("gone", member(&mut update, "gone")?)?)?.into_iter().enumerate() {
            let piece = reader.piece(piece).map_err(|refusal| within("gone", n, refusal))?;
            report.gone.extend(piece.map(|(identity, _)| identity));
        }
        let stacks = update.remove("stacks");
        report.stacks = stacks.map(|stacks| stacks::read(kinds, stacks, &mut reader.left_out)).transpose()?;
        report.workspace = match update.remove("workspace") {
            None => None,
            Some(Value::Null) => Some(None),
            Some(generic) => Some(Some(workspace(generic)?)),
        };
        Ok(Heard { whole, report, left_out: reader.left_out })
    }

    /// The second argument of `set_stacks`.
    ///
    /// # Errors
    /// If it is not a list of lists of profiles, or says too much.
    pub fn of_stacks(kinds: &KindTable, stacks: Value) -> Result<Heard, Refusal> {
        let mut left_out = LeftOut::default();
        let report =
            Report { stacks: Some(stacks::read(kinds, stacks, &mut left_out)?), ..Report::default() };
        Ok(Heard { report, left_out, ..Heard::default() })
    }

    /// The second argument of `set_ws_profile`.
    ///
    /// # Errors
    /// If it is not what workspaces can be made from.
    pub fn of_workspace(generic: Value) -> Result<Heard, Refusal> {
        let report = Report { workspace: Some(Some(workspace(generic)?)), ..Report::default() };
        Ok(Heard { report, ..Heard::default() })
    }
}

/// What a broker's workspaces are made from. (Specification 4.3.)
///
/// # Errors
/// If the profile is not that of a workspace, names one workspace, or says too much.
pub(crate) fn workspace(generic: Value) -> Result<Profile, Refusal> {
    let profile = profile(generic)?;
    if profile.contains_key("uid") {
        let text = format!("cannot set generic workspace profile with uid: {profile}");
        return Err(Refusal::exception(text));
    }
    if profile.kind() != Some("workspace") {
        return Err(Refusal::exception(format!("not a workspace profile: {profile}")));
    }
    excess_of_profile(&profile).map_or(Ok(profile), |why| Err(Refusal::exception(why)))
}

/// Reads pieces; remembers what it left out.
struct Reader<'k> {
    kinds: &'k KindTable,
    left_out: LeftOut,
}

impl Reader<'_> {
    /// A profile and whose it is; `None` if its type is unknown.
    fn piece(&mut self, value: Value) -> Result<Option<(Identity, Profile)>, Refusal> {
        let profile = profile(value)?;
        let identity = self.kinds.shared(&profile)?;
        if identity.is_none() {
            let kind = profile.kind().unwrap_or_default();
            self.left_out.note(|| format!("type {kind:?} is not known here"));
        }
        Ok(identity.map(|identity| (identity, profile)))
    }

    /// An element of `changed`.
    fn shared_piece(&mut self, value: Value) -> Result<Option<(Identity, SharedPiece)>, Refusal> {
        let mut said = object("a changed piece", value)?;
        let piece = self.piece(member(&mut said, "profile")?)?;
        let taken = list("taken", member(&mut said, "taken")?)?;
        let taken = taken.into_iter().map(|taken| self.taken(taken)).collect::<Result<Vec<_>, _>>()?;
        let origin = Origin {
            holder: match member(&mut said, "holder")? {
                Value::Null => None,
                holder => Some(address(&holder)?),
            },
            path: path(member(&mut said, "path")?)?,
        };
        let Some((identity, profile)) = piece else { return Ok(None) };
        let taken = taken.into_iter().flatten().map(|(_, taken)| taken).collect();
        let piece = SharedPiece { profile: Arc::new(profile), taken, origin: Arc::new(origin) };
        Ok(Some((identity, piece)))
    }

    /// The piece, if no more is said of it than brokers take from each other.
    fn bearable(&mut self, identity: &Identity, piece: SharedPiece) -> Option<SharedPiece> {
        let Some(why) = excess(&piece) else { return Some(piece) };
        self.left_out.note(|| format!("{identity}: {why}"));
        None
    }

    /// Who has what, by piece, from the lists that `set_equipment` names by whatever keys.
    fn allocations(&mut self, value: Value) -> Result<BTreeMap<Identity, Vec<Taken>>, Refusal> {
        let mut found: BTreeMap<Identity, Vec<Taken>> = BTreeMap::new();
        for allocations in object("allocations", value)?.into_values() {
            for allocation in list("allocations of a session", allocations)? {
                if let Some((identity, taken)) = self.taken(allocation)? {
                    found.entry(identity).or_default().push(taken);
                }
            }
        }
        Ok(found)
    }

    /// One allocation; `None` if the type of its piece is unknown.
    fn taken(&self, value: Value) -> Result<Option<(Identity, Taken)>, Refusal> {
        let mut said: Map = object("an allocation", value)?;
        let taken = profile(member(&mut said, "profile")?)?;
        let identity = self.kinds.shared(&taken)?;
        let collateral = list("collateral", member(&mut said, "collateral")?)?;
        let collateral = collateral.into_iter().map(profile).collect::<Result<Vec<_>, _>>()?;
        let collateral = collateral.into_iter().filter(|short| self.kinds.identity(short).is_some());
        let collateral = collateral.map(Arc::new).collect();
        Ok(identity.map(|identity| (identity, Taken { profile: Arc::new(taken), collateral })))
    }
}

fn path(value: Value) -> Result<Vec<ave_profile::BrokerId>, Refusal> {
    list("path", value)?.iter().map(addressed).collect()
}

fn bounded(pieces: Vec<Value>) -> Result<Vec<Value>, Refusal> {
    match pieces.len() {
        0..=PIECES_PER_SHARE_MAX => Ok(pieces),
        found => Err(too_many(found)),
    }
}

/// What a share that has more than this broker takes is told.
pub(crate) fn too_many(found: usize) -> Refusal {
    Refusal::exception(format!("too much equipment: at most {PIECES_PER_SHARE_MAX} pieces, found {found}"))
}

#[cfg(test)]
mod tests;
