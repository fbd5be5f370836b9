//! A static list of the pieces of one type: a file like `equipment.json`, in which no other type occurs.

use std::path::{Path, PathBuf};

use ave_profile::{Kind, KindTable, Lister};

use crate::config::equipment::Equipment;
use crate::config::{Fault, Paths};

/// One list.
#[derive(Clone, Debug)]
pub struct List {
    path: PathBuf,
    kinds: KindTable,
}

impl List {
    /// The list of this type's pieces at `path`.
    pub fn new(kind: &Kind, path: PathBuf) -> List {
        List { path, kinds: KindTable::new([kind.clone()]) }
    }

    /// The lists that a type names.
    pub fn of(kind: &Kind, paths: &Paths) -> Vec<List> {
        let files = kind.listers.iter().filter_map(|lister| match lister {
            Lister::File(file) => Some(paths.config().join(&file.path)),
            Lister::Usb(_) | Lister::Command(_) => None,
        });
        files.map(|path| List::new(kind, path)).collect()
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The one type it lists, as a table.
    pub fn kinds(&self) -> &KindTable {
        &self.kinds
    }

    /// What it says now. No file is no pieces.
    ///
    /// # Errors
    /// Why it is of no use.
    pub fn read(&self) -> Result<Equipment, Box<Fault>> {
        Equipment::read(&self.path, &self.kinds)
    }

    /// What is wrong with it now. A broker starts with that.
    pub fn faults(&self) -> Vec<Fault> {
        if !self.path.exists() {
            return vec![Fault::warning(&self.path, "", "a list of pieces", "no file: no pieces")];
        }
        match self.read() {
            Ok(equipment) => equipment.skipped,
            Err(fault) => vec![Fault::warning(&fault.file, fault.field, fault.wanted, fault.found)],
        }
    }
}
