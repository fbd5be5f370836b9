//! `equipment.json`: the pieces of the lab that no driver finds by itself, as a list of profiles. It is
//! read again whenever it changes; one wrong entry never hides the others.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ave_profile::{Identity, KindTable, Profile, Value};

use super::fault::{Fault, shown};
use super::file::{self, FileFault};

/// How many wrong entries are told one by one. A lister's program may print a hundred thousand.
const SKIPPED_MAX: usize = 100;

/// What a file lists, in its order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Equipment {
    /// The pieces; no identity occurs twice.
    pub profiles: Vec<Profile>,
    /// The entries that were left out, and why.
    pub skipped: Vec<Fault>,
}

/// What is different in a later reading.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// Pieces that are new or described differently, in the file's order.
    pub changed: Vec<Profile>,
    /// Pieces that are not listed any more.
    pub vanished: Vec<Identity>,
}

impl Equipment {
    /// Reads the file at `path`; no file is an empty list.
    ///
    /// # Errors
    /// Why the file as a whole is of no use. Whoever had an earlier reading keeps that.
    pub fn read(path: &Path, kinds: &KindTable) -> Result<Equipment, Box<Fault>> {
        match file::read(path) {
            Ok(content) => Equipment::of(path, content, kinds),
            Err(FileFault::Missing) => Ok(Equipment::default()),
            Err(fault) => {
                let message = format!("could not load {}: {fault}", path.display());
                Err(Box::new(Fault::error(path, "", "a list of profiles in JSON", fault.found(), message)))
            }
        }
    }

    /// Checks a file's content entry by entry.
    ///
    /// # Errors
    /// If it is no list.
    pub fn of(path: &Path, content: Value, kinds: &KindTable) -> Result<Equipment, Box<Fault>> {
        let Value::List(entries) = content else {
            let found = content.type_name();
            let message = format!("invalid {}: wanted a list of profiles, found {found}", path.display());
            return Err(Box::new(Fault::error(path, "", "a list of profiles", found, message)));
        };
        let mut equipment = Equipment::default();
        let mut seen = BTreeSet::new();
        let mut further = 0;
        for (i, entry) in entries.into_iter().enumerate() {
            let field = format!("[{i}]");
            match identified(entry, kinds) {
                Ok((identity, profile)) if seen.insert(identity.clone()) => equipment.profiles.push(profile),
                _ if equipment.skipped.len() == SKIPPED_MAX => further += 1,
                Ok((identity, _)) => {
                    let found = format!("{identity} a second time (it is skipped)");
                    equipment.skipped.push(Fault::warning(path, field, "each piece once", found));
                }
                Err((wanted, entry)) => {
                    let found = format!("{} (it is skipped)", shown(&entry));
                    equipment.skipped.push(Fault::warning(path, field, wanted, found));
                }
            }
        }
        if further > 0 {
            let found = format!("{further} further entries that are none (they are skipped)");
            equipment.skipped.push(Fault::warning(path, "", "a list of profiles", found));
        }
        Ok(equipment)
    }

    /// What has changed since `previous`, an earlier reading of the same file.
    pub fn changes_since(&self, previous: &Equipment, kinds: &KindTable) -> Changes {
        let named = |profile| Some((kinds.identity(profile)?, profile));
        self.changes_to(previous.profiles.iter().filter_map(named), kinds)
    }

    /// What is different from what is known.
    pub fn changes_to<'k>(
        &self,
        known: impl Iterator<Item = (Identity, &'k Profile)>,
        kinds: &KindTable,
    ) -> Changes {
        let mut left: BTreeMap<Identity, &Profile> = known.collect();
        let is_new = |profile: &&Profile| {
            let before = kinds.identity(profile).and_then(|identity| left.remove(&identity));
            before != Some(*profile)
        };
        let changed = self.profiles.iter().filter(is_new).cloned().collect();
        Changes { changed, vanished: left.into_keys().collect() }
    }
}

/// The piece an entry describes, or what it lacks, and the entry.
fn identified(entry: Value, kinds: &KindTable) -> Result<(Identity, Profile), (String, Value)> {
    let Value::Map(members) = entry else { return Err(("an object".to_owned(), entry)) };
    let profile = Profile(members);
    match kinds.reported(&profile) {
        Ok((_, identity)) => Ok((identity, profile)),
        Err(_) => Err((lacking(&profile, kinds), Value::Map(profile.0))),
    }
}

fn lacking(profile: &Profile, kinds: &KindTable) -> String {
    match profile.kind().and_then(|name| kinds.get(name)) {
        Some(kind) if !kind.made_on_demand => {
            format!("\"{}\", a string that identifies the {}", kind.identity, kind.name)
        }
        _ => {
            let listed = kinds.iter().filter(|kind| !kind.made_on_demand);
            let names: Vec<&str> = listed.map(|kind| kind.name.as_ref()).collect();
            format!("a \"type\" of {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(content: serde_json::Value) -> Equipment {
        Equipment::of(Path::new("/x/equipment.json"), content.into(), &KindTable::builtin()).unwrap()
    }

    #[test]
    fn a_wrong_entry_is_named_and_hides_no_other() {
        let relay = json!({"type": "relay", "uid": "a"});
        let wrong = [
            json!(1),
            json!({"uid": "b"}),
            json!({"type": "toaster", "uid": "b"}),
            json!({"type": "workspace", "uid": "b"}),
            json!({"type": "relay"}),
            json!({"type": "relay", "uid": 1}),
            json!({"type": "relay", "uid": "a", "late": true}),
        ];
        let count = wrong.len();
        let mut entries = vec![relay.clone()];
        entries.extend(wrong);
        entries.push(json!({"type": "handset", "serial": "h"}));
        let equipment = of(json!(entries));
        assert_eq!(equipment.profiles.len(), 2);
        assert_eq!(equipment.profiles[0], Profile::of(relay));
        assert_eq!(equipment.skipped.len(), count);
        assert_eq!(equipment.skipped[4].field, "[5]");
        assert!(equipment.skipped[4].wanted.contains("\"uid\""), "{}", equipment.skipped[4]);
        assert!(equipment.skipped[2].wanted.contains("handset, powermeter"), "{}", equipment.skipped[2]);
    }

    #[test]
    fn a_list_of_nonsense_is_told_in_part() {
        let mut entries = vec![json!(1); 100_000];
        entries.push(json!({"type": "relay", "uid": "a"}));
        let equipment = of(json!(entries));
        assert_eq!((equipment.profiles.len(), equipment.skipped.len()), (1, SKIPPED_MAX + 1));
        assert!(equipment.skipped[SKIPPED_MAX].to_string().contains("99900 further entries"));
    }

    #[test]
    fn no_file_is_no_equipment_and_a_broken_one_a_fault() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("equipment.json");
        let read = || Equipment::read(&path, &KindTable::builtin());
        assert_eq!(read(), Ok(Equipment::default()));
        for broken in ["", "[", "{}", "[1] x"] {
            std::fs::write(&path, broken).unwrap();
            assert!(read().unwrap_err().message.contains("equipment.json: "));
        }
    }

    #[test]
    fn only_what_changed_is_told() {
        let kinds = KindTable::builtin();
        let before = of(json!([
            {"type": "relay", "uid": "a"}, {"type": "relay", "uid": "b"}, {"type": "relay", "uid": "c"}]));
        let after = of(json!([
            {"type": "relay", "uid": "d"}, {"type": "relay", "uid": "c", "power_state": "online"},
            {"type": "relay", "uid": "b"}]));
        let changes = after.changes_since(&before, &kinds);
        let uids: Vec<_> = changes.changed.iter().filter_map(|piece| piece.get("uid")?.as_str()).collect();
        assert_eq!(uids, ["d", "c"]);
        assert_eq!(changes.vanished, [Identity::new("relay", "a")]);
        assert_eq!(after.changes_since(&after, &kinds), Changes::default());
    }
}
