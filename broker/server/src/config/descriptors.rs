//! The types of equipment a broker knows: the built-in ones, and those a lab describes, each in a file of its
//! own, `<home>/.ave/equipment.d/<type>.json`. A file that is at fault disables its type and no other.

mod check;
mod lists;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ave_profile::{Kind, KindTable, Lister, Map, Value};

pub use self::lists::List;
use super::fault::{Fault, shown};
use super::{Paths, file};

/// The largest descriptor read; real ones have a few kilobytes.
const DESCRIPTOR_BYTES_MAX: u64 = 1 << 20;

/// How many descriptors are read. A lab with more has put something else into the folder.
const DESCRIPTORS_MAX: usize = 256;

/// Types whose pieces the broker finds and drives itself.
const DRIVEN_HERE: [&str; 2] = ["handset", "relay"];

/// What a lab may say about those.
const CHANGEABLE: [&str; 6] = ["type", "defaults", "rules", "kept", "allocations", "fields"];

/// The member that says whether a piece is there.
pub(crate) const POWER_STATE: &str = "power_state";

/// Its value while the piece is.
pub(crate) const ONLINE: &str = "online";

/// The types of one home.
#[derive(Clone, Debug)]
pub struct Types {
    kinds: KindTable,
    described: BTreeMap<String, Described>,
    disabled: BTreeMap<String, Vec<Fault>>,
    /// What is wrong with the folder itself.
    folder_faults: Vec<Fault>,
}

/// Where a type is described, if it is not only built in.
#[derive(Clone, Debug)]
pub struct Described {
    /// The descriptor.
    pub file: PathBuf,
    /// The folder that programs are relative to: the descriptor's, or that of the file it is a link to.
    pub folder: PathBuf,
}

impl Types {
    /// Reads the descriptors of one home. No folder is none.
    pub fn load(paths: &Paths) -> Types {
        let mut folder_faults = Vec::new();
        let files = descriptors(&paths.equipment_d(), &mut folder_faults);
        let mut kinds: BTreeMap<String, Kind> =
            KindTable::builtin().iter().map(|kind| (kind.name.to_string(), (**kind).clone())).collect();
        let (mut described, mut disabled) = (BTreeMap::new(), BTreeMap::new());
        for (name, file) in files {
            match describe(&file) {
                Ok((kind, folder)) => {
                    kinds.insert(name.clone(), kind);
                    described.insert(name, Described { file, folder });
                }
                Err(faults) => {
                    // Without what the lab says of it, a piece might be lent to the wrong people or without
                    // its reset. What the broker drives itself it resets itself.
                    kinds
                        .retain(|known, kind| *known != name || kind.made_on_demand || is_driven_here(known));
                    disabled.insert(name, faults);
                }
            }
        }
        Types { kinds: KindTable::new(kinds.into_values()), described, disabled, folder_faults }
    }

    /// All types that can be lent.
    pub fn kinds(&self) -> &KindTable {
        &self.kinds
    }

    /// Where a type is described; nowhere, if it is just built in.
    pub fn described(&self, kind: &str) -> Option<&Described> {
        self.described.get(kind)
    }

    /// What is wrong with each descriptor of no use, by its type. The type can be lent all the same if the
    /// broker drives it itself.
    pub fn disabled(&self) -> &BTreeMap<String, Vec<Fault>> {
        &self.disabled
    }

    /// All faults. A broker starts with them.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.folder_faults.iter().chain(self.disabled.values().flatten())
    }
}

/// The files of the folder, by the type each describes.
fn descriptors(folder: &Path, faults: &mut Vec<Fault>) -> BTreeMap<String, PathBuf> {
    let mut files = BTreeMap::new();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return files,
        Err(error) => {
            faults.push(Fault::warning(folder, "", "a folder of descriptors", error.to_string()));
            return files;
        }
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = type_of(&path);
        if path.extension().is_none_or(|extension| extension != "json") || name.starts_with('.') {
            continue; // programs and their files
        }
        if files.len() == DESCRIPTORS_MAX {
            let wanted = format!("at most {DESCRIPTORS_MAX} descriptors");
            faults.push(Fault::warning(folder, "", wanted, "more (they are not read)"));
            break;
        }
        files.insert(name, path);
    }
    files
}

fn is_driven_here(kind: &str) -> bool {
    DRIVEN_HERE.contains(&kind)
}

/// The type that the file at `path` describes, and the folder of its programs.
fn describe(path: &Path) -> Result<(Kind, PathBuf), Vec<Fault>> {
    let unusable = |found| vec![Fault::warning(path, "", "a descriptor in JSON", found)];
    let content = file::read_within(path, DESCRIPTOR_BYTES_MAX).map_err(|fault| unusable(fault.found()))?;
    let real = fs::canonicalize(path).map_err(|error| unusable(error.to_string()))?;
    let folder = real.parent().unwrap_or(Path::new("/")).to_owned();
    Ok((of(path, &folder, content)?, folder))
}

/// Checks a descriptor's content; its programs are relative to `folder`. What it does not say of a built-in
/// type stays as it is there.
///
/// # Errors
/// All that is wrong with it, each a warning.
pub fn of(path: &Path, folder: &Path, content: Value) -> Result<Kind, Vec<Fault>> {
    let fault = |field: &str, wanted: &str, found: String| vec![Fault::warning(path, field, wanted, found)];
    let Value::Map(content) = content else { return Err(fault("", "an object", shown(&content))) };
    let name = type_of(path);
    if content.get("type").and_then(Value::as_str) != Some(&name) {
        let wanted = format!("\"{name}\", as the file is named");
        return Err(fault("type", &wanted, content.get("type").map_or("nothing".to_owned(), shown)));
    }
    let built_in = KindTable::builtin().get(&name).cloned();
    let faults = built_in.iter().flat_map(|kind| fixed(path, kind, &content)).collect::<Vec<_>>();
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut kind = parse(content, built_in.as_deref())
        .map_err(|(field, found)| fault(&field, check::wanted(&field), found))?;
    let comes_and_goes = kind.listers.iter().any(|lister| !matches!(lister, Lister::File(_)));
    if comes_and_goes {
        // Or what is unplugged would be lent to whoever does not ask for its state.
        kind.defaults.entry(POWER_STATE.to_owned()).or_insert_with(|| ONLINE.into());
    }
    let faults = check::faults(path, folder, &kind);
    if faults.is_empty() { Ok(kind) } else { Err(faults) }
}

/// The type that a file is named after.
fn type_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// What a descriptor says of a built-in type although that is for the broker alone to say.
fn fixed(path: &Path, kind: &Kind, content: &Map) -> Vec<Fault> {
    if kind.made_on_demand {
        let found = format!("\"{}\", which is built in", kind.name);
        return vec![Fault::warning(path, "type", "a type that can be described", found)];
    }
    if !is_driven_here(&kind.name) {
        return Vec::new();
    }
    let fixed = content.iter().filter(|(member, _)| !CHANGEABLE.contains(&member.as_str()));
    let wanted = format!("nothing: the broker finds and drives a {} itself", kind.name);
    fixed.map(|(member, value)| Fault::warning(path, member.clone(), &*wanted, shown(value))).collect()
}

/// The type these members describe, or the field that is wrong and what is there.
fn parse(content: Map, built_in: Option<&Kind>) -> Result<Kind, (String, String)> {
    let mut members = built_in.and_then(|kind| serde_json::to_value(kind).ok()).unwrap_or_default();
    match (members.as_object_mut(), serde_json::to_value(content)) {
        (Some(members), Ok(serde_json::Value::Object(content))) => members.extend(content),
        (_, content) => members = content.unwrap_or_default(),
    }
    serde_path_to_error::deserialize(members).map_err(|error| {
        let path = error.path().to_string();
        let field = path.trim_end_matches(['?', '.']).to_owned();
        (field, error.into_inner().to_string())
    })
}
