//! One configuration file, read whole and within a limit. What its content means is for others.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ave_profile::Value;

use super::Fault;

/// The largest file read: an equipment list of a hundred thousand pieces fits, a disk image named
/// `broker.json` does not.
pub const FILE_BYTES_MAX: u64 = 64 << 20;

/// Why a file gives no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// There is none.
    #[error("no such file")]
    Missing,
    /// It cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// It is not JSON.
    #[error("Expecting valid JSON: {0}")]
    NotJson(String),
}

impl FileFault {
    /// What a person is told was found.
    pub(super) fn found(&self) -> String {
        match self {
            FileFault::Missing => "no such file".to_owned(),
            FileFault::Unreadable(reason) | FileFault::NotJson(reason) => reason.clone(),
        }
    }
}

/// The value in the file at `path`. Of members that occur twice the last one counts.
///
/// # Errors
/// Why there is none.
pub fn read(path: &Path) -> Result<Value, FileFault> {
    read_within(path, FILE_BYTES_MAX)
}

/// Like [`read`], for a file that has no reason to be large.
pub(super) fn read_within(path: &Path, bytes_max: u64) -> Result<Value, FileFault> {
    let bytes = bytes(path, bytes_max).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => FileFault::Missing,
        _ => FileFault::Unreadable(error.to_string()),
    })?;
    parse(&bytes)
}

/// The value these bytes are.
///
/// # Errors
/// Where they stop being JSON.
pub fn parse(bytes: &[u8]) -> Result<Value, FileFault> {
    serde_json::from_slice(bytes).map_err(|error| FileFault::NotJson(error.to_string()))
}

fn bytes(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    // Asked before it is opened: opening a pipe waits for whoever writes it.
    if !path.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// The warning about a file with passwords that others than its owner can read.
pub(super) fn readable_by_others(path: &Path) -> Option<Fault> {
    let mode = path.metadata().ok()?.permissions().mode() & 0o777;
    let wanted = "a file only its owner reads (mode 0600)";
    (mode & 0o077 != 0).then(|| Fault::warning(path, "", wanted, format!("mode {mode:04o}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_duplicate_member_wins_silently() {
        // 208
        assert_eq!(parse(br#"{"a": 1, "a": 2}"#), Ok(Value::from(serde_json::json!({"a": 2}))));
    }

    #[test]
    fn only_regular_files_of_bounded_size_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        assert_eq!(read(&path), Err(FileFault::Missing));
        assert_eq!(read(folder.path()), Err(FileFault::Unreadable("not a regular file".into())));
        File::create(&path).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
        assert_eq!(read(&path), Err(FileFault::Unreadable("larger than 67108864 bytes".into())));
    }

    #[test]
    fn nesting_is_bounded() {
        let deep = "[".repeat(100_000);
        assert!(matches!(parse(deep.as_bytes()), Err(FileFault::NotJson(_))));
    }
}
