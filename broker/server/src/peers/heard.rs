//! What a share says of itself, read from the calls by which it does: complete lists, as every broker sends
//! them, and the changes that our own kind sends. Whatever is wrong refuses the whole call. (Specification
//! 6.2 and 6.3.)

mod read;
mod stacks;

use std::collections::BTreeMap;
use std::sync::Arc;

use ave_core::{Origin, Report, SharedPiece, Taken};
use ave_profile::{Identity, KindTable, Map, Profile, Refusal, Value};

use self::read::{list, profile, within};
use super::difference::piece_weight;
use super::limits::{PATH_MAX, PIECE_WEIGHT_MAX, PIECES_PER_SHARE_MAX};

pub(crate) use self::read::{address, address_value, addressed, member, object, wrong};

/// What one call says.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Heard {
    /// Whether it names all pieces there are: any other is gone.
    pub(crate) whole: bool,
    /// What it says; nothing is gone by a whole list alone.
    pub(crate) report: Report,
    /// How many pieces are left out, because this broker does not know their types, and the first such type.
    pub(crate) left_out: Option<(usize, String)>,
}

impl Heard {
    /// The lists of `set_equipment`.
    ///
    /// # Errors
    /// If a list or a profile in it is malformed, or says too much.
    pub(crate) fn of_lists(
        kinds: &KindTable,
        equipment: Value,
        allocations: Value,
    ) -> Result<Heard, Refusal> {
        let mut reader = Reader { kinds, left_out: None };
        let mut taken = reader.allocations(allocations)?;
        let origin = Arc::new(Origin::default());
        let mut changed = Vec::new();
        for piece in bounded(list("equipment", equipment)?)? {
            if let Some((identity, profile)) = reader.piece(piece)? {
                let taken = taken.remove(&identity).unwrap_or_default();
                let piece = SharedPiece { profile: Arc::new(profile), taken, origin: origin.clone() };
                changed.push(not_too_heavy(piece)?);
            }
        }
        let report = Report { changed, ..Report::default() };
        Ok(Heard { whole: true, report, left_out: reader.left_out })
    }

    /// The second argument of `share_update`.
    ///
    /// # Errors
    /// If a member is missing or malformed, or says too much.
    pub(crate) fn of_changes(kinds: &KindTable, update: Value) -> Result<Heard, Refusal> {
        let mut update = object("update", update)?;
        let mut reader = Reader { kinds, left_out: None };
        let whole = match member(&mut update, "whole")? {
            Value::Bool(whole) => whole,
            other => return Err(wrong("whole", "true or false", &other)),
        };
        let mut report = Report::default();
        for (n, piece) in bounded(list("changed", member(&mut update, "changed")?)?)?.into_iter().enumerate()
        {
            let piece = reader.shared_piece(piece).map_err(|refusal| within("changed", n, refusal))?;
            report.changed.extend(piece);
        }
        for (n, piece) in bounded(list("gone", member(&mut update, "gone")?)?)?.into_iter().enumerate() {
            let piece = reader.piece(piece).map_err(|refusal| within("gone", n, refusal))?;
            report.gone.extend(piece.map(|(identity, _)| identity));
        }
        report.stacks = update.remove("stacks").map(|stacks| stacks::read(kinds, stacks)).transpose()?;
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
    pub(crate) fn of_stacks(kinds: &KindTable, stacks: Value) -> Result<Heard, Refusal> {
        let report = Report { stacks: Some(stacks::read(kinds, stacks)?), ..Report::default() };
        Ok(Heard { report, ..Heard::default() })
    }

    /// The second argument of `set_ws_profile`.
    ///
    /// # Errors
    /// If it is not what workspaces can be made from.
    pub(crate) fn of_workspace(generic: Value) -> Result<Heard, Refusal> {
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
    heavy(profile.weight()).map(|()| profile)
}

/// Reads pieces; remembers what it left out.
struct Reader<'k> {
    kinds: &'k KindTable,
    left_out: Option<(usize, String)>,
}

impl Reader<'_> {
    /// A profile and whose it is; `None` if its type is unknown.
    fn piece(&mut self, value: Value) -> Result<Option<(Identity, Profile)>, Refusal> {
        let profile = profile(value)?;
        let identity = self.kinds.shared(&profile)?;
        if identity.is_none() {
            let first = || (0, profile.kind().unwrap_or_default().to_owned());
            self.left_out.get_or_insert_with(first).0 += 1;
        }
        Ok(identity.map(|identity| (identity, profile)))
    }

    /// An element of `changed`.
    fn shared_piece(&mut self, value: Value) -> Result<Option<SharedPiece>, Refusal> {
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
        let Some((_, profile)) = piece else { return Ok(None) };
        let taken = taken.into_iter().flatten().map(|(_, taken)| taken).collect();
        let piece = SharedPiece { profile: Arc::new(profile), taken, origin: Arc::new(origin) };
        not_too_heavy(piece).map(Some)
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
    let path = list("path", value)?;
    if path.len() > PATH_MAX {
        return Err(Refusal::exception(format!("path: at most {PATH_MAX} brokers, found {}", path.len())));
    }
    path.iter().map(addressed).collect()
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

fn not_too_heavy(piece: SharedPiece) -> Result<SharedPiece, Refusal> {
    heavy(piece_weight(&piece)).map(|()| piece)
}

fn heavy(weight: usize) -> Result<(), Refusal> {
    if weight <= PIECE_WEIGHT_MAX {
        return Ok(());
    }
    let wanted = format!("at most {PIECE_WEIGHT_MAX} values, members and kilobytes of text");
    Err(Refusal::exception(format!("too much is said of one piece: {wanted}, found {weight}")))
}

#[cfg(test)]
mod tests;
