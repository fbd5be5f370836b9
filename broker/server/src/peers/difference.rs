//! What a complete list changes, and how it is told: only what is new to the core, and never so much at
//! once that clients have to wait for it.

use std::collections::BTreeMap;

use ave_core::{Report, SharedPiece};
use ave_profile::{Identity, KindTable};

use super::burden;
use super::limits::{PIECES_AT_ONCE, WEIGHT_AT_ONCE};

/// Leaves of a complete list what is not known already, and names what is gone.
pub(crate) fn of_whole(kinds: &KindTable, known: Vec<SharedPiece>, report: &mut Report) {
    let identified = |piece: SharedPiece| Some((kinds.identity(&piece.profile)?, piece));
    let mut known: BTreeMap<Identity, SharedPiece> = known.into_iter().filter_map(identified).collect();
    // Of a piece that is said twice, the second finds nothing known: the last word counts.
    report.changed.retain(|piece| {
        let before = kinds.identity(&piece.profile).and_then(|identity| known.remove(&identity));
        before.as_ref() != Some(piece)
    });
    report.gone = known.into_keys().collect();
}

/// A report as several small ones, to be told in this order; one at least.
pub(crate) fn in_parts(report: Report) -> Vec<Report> {
    let Report { changed, gone, stacks, workspace } = report;
    let mut parts = vec![Report { stacks, workspace, ..Report::default() }];
    let mut weight = 0;
    for item in gone {
        open_part(&mut parts, &mut weight, 1).gone.push(item);
    }
    for piece in changed {
        let more = burden::weight(&piece);
        open_part(&mut parts, &mut weight, more).changed.push(piece);
    }
    parts
}

/// The last part, or a new one if that has no room for `more`.
fn open_part<'p>(parts: &'p mut Vec<Report>, weight: &mut usize, more: usize) -> &'p mut Report {
    let pieces = parts.last().map_or(0, |part| part.changed.len() + part.gone.len());
    if pieces == PIECES_AT_ONCE || (pieces > 0 && *weight + more > WEIGHT_AT_ONCE) {
        parts.push(Report::default());
        *weight = 0;
    }
    *weight += more;
    parts.last_mut().expect("there is one from the start")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use ave_core::{Origin, Taken};
    use ave_profile::Profile;
    use serde_json::json;

    fn piece(uid: &str, room: i64) -> SharedPiece {
        let profile = Arc::new(Profile::of(json!({"type": "wlan", "uid": uid, "room": room})));
        SharedPiece { profile, taken: Vec::new(), origin: Arc::new(Origin::default()) }
    }

    fn taken(piece: SharedPiece) -> SharedPiece {
        let taken = Taken { profile: piece.profile.clone(), collateral: Vec::new() };
        SharedPiece { taken: vec![taken], ..piece }
    }

    /// What a complete list of `said` changes.
    fn difference(known: &[&SharedPiece], said: &[&SharedPiece]) -> (Vec<SharedPiece>, Vec<Identity>) {
        let pieces = |pieces: &[&SharedPiece]| pieces.iter().copied().cloned().collect();
        let mut report = Report { changed: pieces(said), ..Report::default() };
        of_whole(&KindTable::builtin(), pieces(known), &mut report);
        (report.changed, report.gone)
    }

    #[test]
    fn only_what_is_not_known_is_told_and_what_is_not_said_is_gone() {
        let (a, b, c) = (&piece("a", 1), &piece("b", 1), &piece("c", 1));
        let (moved, new) = (&piece("b", 2), &piece("d", 1));
        let gone = vec![Identity::new("wlan", "c")];
        assert_eq!(difference(&[a, b, c], &[new, a, moved]), (vec![new.clone(), moved.clone()], gone));
        assert_eq!(difference(&[a, b], &[a, b]), (vec![], vec![]), "190: nothing has changed");
        assert_eq!(difference(&[], &[a]), (vec![a.clone()], vec![]));
        assert_eq!(difference(&[c], &[]), (vec![], vec![Identity::new("wlan", "c")]));
    }

    #[test]
    fn who_has_a_piece_is_part_of_what_is_known_of_it() {
        let (free, lent) = (&piece("a", 1), &taken(piece("a", 1)));
        assert_eq!(difference(&[free], &[lent]), (vec![lent.clone()], vec![]));
        assert_eq!(difference(&[lent], &[free]), (vec![free.clone()], vec![]));
    }

    #[test]
    fn of_a_piece_that_is_said_twice_the_last_word_counts() {
        let (old, new) = (&piece("a", 1), &piece("a", 2));
        assert_eq!(difference(&[old], &[old, new]), (vec![new.clone()], vec![]));
        let (told, gone) = difference(&[old], &[new, old]);
        assert_eq!((told.last(), gone.as_slice()), (Some(old), [].as_slice()));
    }

    #[test]
    fn a_report_is_told_in_small_parts_in_its_order() {
        let pieces: Vec<_> = (0..1000).map(|n| piece(&n.to_string(), n)).collect();
        let gone: Vec<_> = (0..300).map(|n| Identity::new("wlan", &format!("gone {n}"))).collect();
        let stacks = Some(Vec::new());
        let parts = in_parts(Report { changed: pieces.clone(), gone: gone.clone(), stacks, workspace: None });
        assert_eq!(parts.len(), 1300_usize.div_ceil(PIECES_AT_ONCE));
        assert!(parts[0].stacks.is_some() && parts[1..].iter().all(|part| part.stacks.is_none()));
        assert!(parts.iter().all(|part| part.changed.len() + part.gone.len() <= PIECES_AT_ONCE));
        let told: Vec<_> = parts.iter().flat_map(|part| part.changed.clone()).collect();
        let told_gone: Vec<_> = parts.iter().flat_map(|part| part.gone.clone()).collect();
        assert_eq!((told, told_gone), (pieces, gone));
        assert_eq!(in_parts(Report::default()), [Report::default()], "that it speaks is told too");
    }

    #[test]
    fn few_pieces_that_say_much_are_told_one_by_one() {
        let much =
            Arc::new(Profile::of(json!({"type": "wlan", "uid": "a", "much": vec![0; WEIGHT_AT_ONCE]})));
        let piece = SharedPiece { profile: much, ..piece("a", 1) };
        let parts = in_parts(Report { changed: vec![piece; 3], ..Report::default() });
        assert_eq!(parts.iter().map(|part| part.changed.len()).collect::<Vec<_>>(), [1, 1, 1]);
    }
}
