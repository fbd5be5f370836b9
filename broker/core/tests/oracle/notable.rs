//! Kinds of answers that enough histories must have brought about.

use ave_core::{Effect, Granted};

const SEVERAL_PIECES: &str = "a grant of several pieces of a stack";
const SEVERAL_GROUPS: &str = "a grant of several groups";
const AGAIN: &str = "a grant of something held already";

/// Grants by their shape, refusals by how their message starts.
pub(crate) const NOTABLE: [&str; 14] = [
    SEVERAL_PIECES,
    SEVERAL_GROUPS,
    AGAIN,
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
];

/// Which kinds of answers an effect is.
pub(crate) fn notable(effect: &Effect) -> Vec<&'static str> {
    match effect {
        Effect::Grant { groups, .. } => shapes(groups),
        Effect::Refuse { refusal, .. }
        | Effect::Yielded { outcome: Err(refusal), .. }
        | Effect::Reported { outcome: Err(refusal), .. } => {
            NOTABLE.into_iter().filter(|start| refusal.message.starts_with(start)).collect()
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
