//! How much is said of pieces, and whether that is more than brokers take from each other. What is too much
//! is left out by who hears it, so that one odd piece does not stop all that a site shares.

use ave_core::SharedPiece;
use ave_profile::{Profile, Value};

use super::limits::{PATH_MAX, PIECE_LEVELS_MAX, PIECE_WEIGHT_MAX};

/// What looking at all that is said of a piece costs.
pub(super) fn weight(piece: &SharedPiece) -> usize {
    profiles(piece).map(Profile::weight).sum::<usize>() + piece.origin.path.len()
}

/// About how many bytes of memory it takes to hear of a piece.
pub(super) fn bytes(piece: &SharedPiece) -> usize {
    profiles(piece).map(Profile::bytes).sum()
}

/// Why a piece is not taken from another broker, if that is so.
pub(super) fn excess(piece: &SharedPiece) -> Option<String> {
    let path = piece.origin.path.len();
    if path > PATH_MAX {
        return Some(format!("a word that came through {path} brokers, at most {PATH_MAX} are followed"));
    }
    let deep = profiles(piece).find_map(too_deep);
    deep.or_else(|| too_heavy(weight(piece)))
}

/// Why a profile is not taken from another broker, if that is so.
pub(super) fn excess_of_profile(profile: &Profile) -> Option<String> {
    too_deep(profile).or_else(|| too_heavy(profile.weight()))
}

fn too_deep(profile: &Profile) -> Option<String> {
    let levels = 1 + profile.values().map(Value::levels).max().unwrap_or_default();
    let text = || format!("a profile of {levels} levels, at most {PIECE_LEVELS_MAX} are taken");
    (levels > PIECE_LEVELS_MAX).then(text)
}

fn too_heavy(weight: usize) -> Option<String> {
    let wanted = format!("at most {PIECE_WEIGHT_MAX} values, members and kilobytes of text");
    let text = || format!("too much is said of one piece: {wanted}, found {weight}");
    (weight > PIECE_WEIGHT_MAX).then(text)
}

/// All that is said of a piece: what it is, and who has it.
fn profiles(piece: &SharedPiece) -> impl Iterator<Item = &Profile> {
    let taken = piece.taken.iter().flat_map(|taken| std::iter::once(&taken.profile).chain(&taken.collateral));
    std::iter::once(&piece.profile).chain(taken).map(|profile| &**profile)
}
