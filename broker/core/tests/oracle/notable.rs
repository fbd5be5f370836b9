//! Kinds of answers that enough histories must have brought about.

use ave_core::{Effect, Granted};

const SEVERAL_PIECES: &str = "a grant of several pieces of a stack";
const SEVERAL_GROUPS: &str = "a grant of several groups";
const AGAIN: &str = "a grant of something held already";
const RESET: &str = "a reset";
const RETRIED: &str = "a reset that nobody asked for";
const MENDED: &str = "a reset that helped";

/// Grants by their shape, refusals by their message.
pub(crate) const NOTABLE: [&str; 21] = [
    SEVERAL_PIECES,
    SEVERAL_GROUPS,
    AGAIN,
    RESET,
    RETRIED,
    MENDED,
    "unreadable",
    "unknown profile type",
    "session closed",
    "no such resource",
    "no such workspace",
    "all such equipment busy",
    "resource already allocated",
    "equipment shares collateral with a prior allocation",
    "cannot allocate all equipment together",
    "not owner of this resource",
    "uid",
    "is not broken",
    "is being reset already",
    "resource already allocated: net:",
    "could not be reset",
];

/// Which kinds of answers an effect is.
pub(crate) fn notable(effect: &Effect) -> Vec<&'static str> {
    match effect {
        Effect::Grant { groups, .. } => shapes(groups),
        Effect::Reset { request: None, .. } => vec![RETRIED],
        Effect::Reset { .. } => vec![RESET],
        Effect::ResetAnswered { outcome: Ok(()), .. } => vec![MENDED],
        Effect::Refuse { refusal, .. }
        | Effect::ResetAnswered { outcome: Err(refusal), .. }
        | Effect::Yielded { outcome: Err(refusal), .. }
        | Effect::Reported { outcome: Err(refusal), .. } => {
            NOTABLE.into_iter().filter(|start| refusal.message.contains(start)).collect()
        }
        _ => vec![],
    }
}

fn shapes(groups: &[Vec<Granted>]) -> Vec<&'static str> {
    let pieces =
        |group: &Vec<Granted>| group.iter().filter(|granted| &*granted.item.kind != "workspace").count();
    let shapes = [
        (groups.iter().any(|group| pieces(group) > 1), SEVERAL_PIECES),
        (groups.len() > 1, SEVERAL_GROUPS),
        (groups.iter().flatten().any(|granted| granted.again), AGAIN),
    ];
    shapes.into_iter().filter(|(fits, _)| *fits).map(|(_, shape)| shape).collect()
}
