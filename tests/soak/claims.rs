//! Who holds what, as the clients themselves know it: a file for each piece, which only one of them can make.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use ave_profile::{Profile, Value};

/// A folder of claims that all clients share, of whatever language.
#[derive(Clone)]
pub(super) struct Claims(PathBuf);

impl Claims {
    pub(super) fn at(folder: &Path) -> Claims {
        Claims(folder.to_owned())
    }

    pub(super) fn folder(&self) -> &Path {
        &self.0
    }

    /// Says that this piece is the caller's from now on. False if it is somebody else's.
    pub(super) fn take(&self, profile: &Profile) -> bool {
        match File::create_new(self.0.join(name(profile))) {
            Ok(_) => true,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
            Err(error) => panic!("{}: {error}", self.0.display()),
        }
    }

    /// Says that this piece is the caller's no more, before it is.
    pub(super) fn leave(&self, profile: &Profile) {
        fs::remove_file(self.0.join(name(profile))).expect("it was claimed");
    }

    /// Something that somebody holds, as type and identity; `luck` chooses.
    pub(super) fn somebodys(&self, luck: usize) -> Option<Profile> {
        let entries = fs::read_dir(&self.0).expect("a folder");
        let names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        let name = names.get(luck % names.len().max(1))?;
        let (kind, identity) = name.split_once('=').expect("a claim");
        let field = if kind == "handset" { "serial" } else { "uid" };
        Some(Profile::of(serde_json::json!({"type": kind, field: identity})))
    }
}

/// `type=identity`.
fn name(profile: &Profile) -> String {
    let identity = ["serial", "uid"].iter().find_map(|field| profile.get(*field)).and_then(Value::as_str);
    format!("{}={}", profile.kind().expect("a type"), identity.expect("an identity"))
}
