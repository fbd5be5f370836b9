//! Which pieces are there and which were there before, so that only changes are told. A piece that is not
//! there any more is not forgotten but offline.

use std::collections::BTreeMap;
use std::sync::Arc;

use ave_profile::{Kind, Profile, Value};
use tracing::warn;

use crate::config::descriptors::POWER_STATE;

/// How many pieces one lister may know: it forgets none, and its programs may be wrong.
const PIECES_MAX: usize = 10_000;

/// The pieces of one lister.
pub(super) struct Presence {
    kind: Arc<Kind>,
    /// Members that mean nothing while a piece is offline.
    blank: Vec<String>,
    known: BTreeMap<String, Profile>,
    full: bool,
}

impl Presence {
    /// No pieces yet. The members `blank` are null while a piece is offline.
    pub(super) fn new(kind: Arc<Kind>, blank: Vec<String>) -> Presence {
        Presence { kind, blank, known: BTreeMap::new(), full: false }
    }

    /// What is to be told now that exactly these pieces are there. They are all identified, no two as the
    /// same.
    pub(super) fn update(&mut self, present: Vec<Profile>) -> Vec<Profile> {
        let mut before = std::mem::take(&mut self.known);
        let mut changed = Vec::new();
        for profile in present {
            let Some(identity) = self.kind.identity_of(&profile).map(str::to_owned) else { continue };
            match before.remove(&identity) {
                None if self.known.len() + before.len() >= PIECES_MAX => self.refuse(&identity),
                Some(same) if same == profile => drop(self.known.insert(identity, same)),
                _ => {
                    changed.push(profile.clone());
                    self.known.insert(identity, profile);
                }
            }
        }
        for (identity, was) in before {
            let offline = self.offline(was.clone());
            if offline != was {
                changed.push(offline.clone());
            }
            self.known.insert(identity, offline);
        }
        changed
    }

    fn offline(&self, mut profile: Profile) -> Profile {
        profile.0.insert(POWER_STATE.to_owned(), "offline".into());
        profile.0.extend(self.blank.iter().map(|member| (member.clone(), Value::Null)));
        profile
    }

    fn refuse(&mut self, identity: &str) {
        if !std::mem::replace(&mut self.full, true) {
            warn!(kind = %self.kind.name, identity, most = PIECES_MAX, "a lister finds too many pieces");
        }
    }
}

#[cfg(test)]
mod tests {
    use ave_profile::KindTable;
    use serde_json::json;

    use super::*;

    fn meter(uid: &str, node: Option<&str>) -> Profile {
        let state = if node.is_some() { "online" } else { "offline" };
        Profile::of(json!({"type": "powermeter", "uid": uid, "device_node": node, "power_state": state}))
    }

    #[test]
    fn p_5_only_changes_are_told_and_what_is_missing_is_offline_once() {
        let kind = KindTable::builtin().get("powermeter").unwrap().clone();
        let mut presence = Presence::new(kind, vec!["device_node".into()]);
        let (a, b) = (meter("a", Some("1")), meter("b", Some("2")));
        assert_eq!(presence.update(vec![a.clone(), b.clone()]), [a.clone(), b.clone()]);
        assert_eq!(presence.update(vec![b.clone(), a.clone()]), []);
        assert_eq!(presence.update(vec![b.clone()]), [meter("a", None)]);
        assert_eq!(presence.update(vec![b.clone()]), []);
        let moved = meter("a", Some("3"));
        assert_eq!(presence.update(vec![moved.clone()]), [moved, meter("b", None)]);
        assert_eq!(presence.update(Vec::new()), [meter("a", None)]);
    }

    #[test]
    fn a_lister_cannot_make_up_pieces_for_ever() {
        let kind = KindTable::builtin().get("powermeter").unwrap().clone();
        let mut presence = Presence::new(kind, Vec::new());
        let many = |from: usize| (from..from + 6_000).map(|i| meter(&i.to_string(), Some("1"))).collect();
        assert_eq!(presence.update(many(0)).len(), 6_000);
        let told = presence.update(many(6_000));
        assert_eq!(told.len(), 4_000 + 6_000); // new ones, and those that are offline now
        assert_eq!(presence.known.len(), PIECES_MAX);
    }
}
