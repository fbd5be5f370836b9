//! Where a phone's paths are on this host. Absolute paths of a command line are moved below the phone's root, and
//! back in what the command prints, so that no command reaches the host's files by their names.

use std::path::{Component, Path, PathBuf};

use bytes::{Bytes, BytesMut};

/// The place of a path of the phone; nothing for one that leaves the root.
pub(super) fn inside(root: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path);
    let mut place = root.to_owned();
    for component in path.components() {
        match component {
            Component::Normal(name) => place.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return None,
        }
    }
    Some(place)
}

/// A command line with every absolute path moved below the root: a slash that begins a word, or follows a quote, a
/// redirection or an assignment.
pub(super) fn to_host(root: &Path, line: &str) -> String {
    let root = root.to_string_lossy();
    let mut moved = String::with_capacity(line.len() + root.len());
    let mut before = ' ';
    for letter in line.chars() {
        if letter == '/' && (before.is_whitespace() || "'\"`<>=;|&(".contains(before)) {
            moved.push_str(&root);
        }
        moved.push(letter);
        before = letter;
    }
    moved
}

/// Moves the root out of what a command prints, also where it prints it in two parts.
pub(super) struct ToPhone {
    root: Vec<u8>,
    kept: BytesMut,
}

impl ToPhone {
    pub(super) fn new(root: &Path) -> ToPhone {
        ToPhone { root: root.as_os_str().as_encoded_bytes().to_vec(), kept: BytesMut::new() }
    }

    /// What of the output is certain, after this part.
    pub(super) fn add(&mut self, part: &[u8]) -> Bytes {
        self.kept.extend_from_slice(part);
        let open = (1..=self.root.len().min(self.kept.len()))
            .rev()
            .find(|length| self.root.starts_with(&self.kept[self.kept.len() - length..]));
        let certain = self.kept.len() - open.unwrap_or(0);
        let certain = self.kept.split_to(certain);
        self.moved(&certain)
    }

    /// The rest, after the last part.
    pub(super) fn finish(&mut self) -> Bytes {
        let rest = self.kept.split();
        self.moved(&rest)
    }

    fn moved(&self, text: &[u8]) -> Bytes {
        let mut moved = BytesMut::with_capacity(text.len());
        let mut rest = text;
        while let Some(first) = rest.first() {
            match rest.strip_prefix(&self.root[..]) {
                Some(after) => {
                    if after.first() != Some(&b'/') {
                        moved.extend_from_slice(b"/");
                    }
                    rest = after;
                }
                None => {
                    moved.extend_from_slice(&[*first]);
                    rest = &rest[1..];
                }
            }
        }
        moved.freeze()
    }
}
