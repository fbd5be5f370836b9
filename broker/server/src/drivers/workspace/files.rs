//! The calls on single files and directories. All of them block.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ave_profile::{Refusal, Value};
use md5::{Digest, Md5};
use rustix::fs::OFlags;
use tokio_util::sync::CancellationToken;

use super::codec::{Codec, OnError};
use super::limits::{NAMES_TRIED_MAX, READ_BYTES_MAX};
use super::paths::Ground;

/// How the names of temporary files begin.
pub(super) const TEMPFILE_PREFIX: &str = "tmp";

/// A file's bytes, or its text if an encoding is named (W7).
///
/// # Errors
/// A path that leaves, is missing or is no file; more than [`READ_BYTES_MAX`]; text that is not.
pub(super) fn cat(
    ground: &Ground,
    path: &str,
    encoding: Option<&str>,
    errors: &str,
) -> Result<Value, Refusal> {
    let codec = encoding.map(Codec::of).transpose()?;
    let on_error = OnError::of(errors)?;
    let mut bytes = Vec::new();
    let file = open(ground, path)?;
    file.take(READ_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| failed(path, &error))?;
    if bytes.len() as u64 > READ_BYTES_MAX {
        return Err(Refusal::exception(format!(
            "{path} has more than the {READ_BYTES_MAX} bytes a call can answer"
        )));
    }
    match codec {
        None => Ok(Value::Bytes(bytes)),
        Some(codec) => codec.decode(bytes, on_error).map(Value::Text),
    }
}

/// The MD5 of a file, in hexadecimal.
pub(super) fn checksum(ground: &Ground, path: &str, stop: &CancellationToken) -> Result<String, Refusal> {
    let mut file = open(ground, path)?;
    let mut digest = Md5::new();
    let mut buffer = vec![0; 64 << 10];
    while !stop.is_cancelled() {
        match file.read(&mut buffer).map_err(|error| failed(path, &error))? {
            0 => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            length => digest.update(&buffer[..length]),
        }
    }
    Err(Refusal::exception("get_checksum was given up"))
}

/// Whether something of this type is there; types other than `symlink`, `directory` and `file` never are.
pub(super) fn exists(ground: &Ground, path: &str, file_type: Option<&str>) -> Result<bool, Refusal> {
    Ok(match file_type {
        None => ground.inside(path)?.exists(),
        Some("directory") => ground.inside(path)?.is_dir(),
        Some("file") => ground.inside(path)?.is_file(),
        Some("symlink") => ground.entry(path)?.is_symlink(),
        Some(_) => ground.entry(path).map(|_| false)?,
    })
}

/// A new directory with a name of ten digits.
pub(super) fn make_tempdir(ground: &Ground) -> Result<PathBuf, Refusal> {
    let make = |path: &Path| DirBuilder::new().mode(0o700).create(path);
    fresh(ground.root(), "", make).map(|(path, ())| path)
}

/// A new empty file `tmp...` in a directory of the workspace.
pub(super) fn make_tempfile(ground: &Ground, path: &str) -> Result<(PathBuf, File), Refusal> {
    let directory = ground.inside(path)?;
    let make = |path: &Path| OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    fresh(&directory, TEMPFILE_PREFIX, make)
}

/// Writes text, or the texts of a list one after the other, to a new file (W8).
pub(super) fn write_tempfile(ground: &Ground, sequence: &Value, encoding: &str) -> Result<PathBuf, Refusal> {
    let codec = Codec::of(encoding)?;
    let pieces = match sequence {
        Value::List(pieces) => pieces.as_slice(),
        text => std::slice::from_ref(text),
    };
    let encoded = |piece: &Value| match piece {
        Value::Text(text) => codec.encode(text),
        Value::Bytes(bytes) => Ok(bytes.clone()),
        other => Err(Refusal::exception(format!(
            "sequence must be text or a list of texts, found {}",
            other.type_name()
        ))),
    };
    let content = pieces.iter().map(encoded).collect::<Result<Vec<_>, _>>()?.concat();
    let (path, mut file) = make_tempfile(ground, "")?;
    file.write_all(&content).map_err(|error| failed(&path.to_string_lossy(), &error))?;
    Ok(path)
}

/// Opens a file to read. A pipe or device is refused and not waited for.
pub(super) fn open(ground: &Ground, path: &str) -> Result<File, Refusal> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let opened = OpenOptions::new().read(true).custom_flags(flags).open(ground.inside(path)?);
    let file = opened.map_err(|error| failed(path, &error))?;
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => Ok(file),
        _ => Err(Refusal::exception(format!("Path {path} is not a file"))),
    }
}

/// What the system says about a path of the caller.
pub(super) fn failed(path: &str, error: &io::Error) -> Refusal {
    match error.kind() {
        io::ErrorKind::NotFound => Refusal::exception(format!("Path {path} does not exist")),
        _ => Refusal::exception(format!("{path}: {error}")),
    }
}

/// Makes something under a name that nothing has yet.
fn fresh<T>(
    directory: &Path,
    prefix: &str,
    make: impl Fn(&Path) -> io::Result<T>,
) -> Result<(PathBuf, T), Refusal> {
    for _ in 0..NAMES_TRIED_MAX {
        let path = directory.join(format!("{prefix}{}", ten_digits()?));
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(&directory.to_string_lossy(), &error)),
        }
    }
    Err(Refusal::exception(format!("no free name in {}", directory.display())))
}

fn ten_digits() -> Result<String, Refusal> {
    let random = getrandom::u64().map_err(|error| Refusal::exception(error.to_string()))?;
    Ok(format!("{:010}", random % 10_000_000_000))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn ground() -> (tempfile::TempDir, Ground) {
        let folder = tempfile::tempdir().unwrap();
        let ground = Ground::new(folder.path().canonicalize().unwrap());
        (folder, ground)
    }

    #[test]
    fn w7_cat_answers_bytes_or_text_and_names_what_is_wrong() {
        let (_folder, ground) = ground();
        fs::write(ground.root().join("a"), b"x\xff").unwrap();
        fs::create_dir(ground.root().join("d")).unwrap();
        let cat =
            |path: &str, encoding, errors: &str| cat(&ground, path, encoding, errors).map_err(|e| e.message);
        assert_eq!(cat("a", None, "replace").unwrap(), Value::Bytes(b"x\xff".to_vec()));
        assert_eq!(cat("a", Some("utf-8"), "replace").unwrap(), "x\u{fffd}".into());
        assert_eq!(cat("a", Some("utf-8"), "ignore").unwrap(), "x".into());
        assert!(cat("a", Some("utf-8"), "strict").unwrap_err().contains("can't decode byte 0xff"));
        assert_eq!(cat("a", Some("x"), "replace").unwrap_err(), "unknown encoding: x");
        assert_eq!(cat("b", None, "replace").unwrap_err(), "Path b does not exist");
        assert_eq!(cat("d", None, "replace").unwrap_err(), "Path d is not a file");
        let pipe = ground.root().join("pipe");
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0)
            .unwrap();
        assert_eq!(cat("pipe", None, "replace").unwrap_err(), "Path pipe is not a file");
        let large = File::create(ground.root().join("large")).unwrap();
        large.set_len(READ_BYTES_MAX + 1).unwrap();
        assert!(cat("large", None, "replace").unwrap_err().contains("33554432 bytes a call can answer"));
    }

    #[test]
    fn w7_the_checksum_is_md5() {
        let (_folder, ground) = ground();
        fs::write(ground.root().join("a"), "abc").unwrap();
        let checksum = |path: &str| checksum(&ground, path, &CancellationToken::new()).map_err(|e| e.message);
        assert_eq!(checksum("a").unwrap(), "900150983cd24fb0d6963f7d28e17f72");
        assert_eq!(checksum("b").unwrap_err(), "Path b does not exist");
        assert_eq!(checksum(".").unwrap_err(), "Path . is not a file");
    }

    #[test]
    fn w8_temporary_names_and_contents() {
        let (_folder, ground) = ground();
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let directory = make_tempdir(&ground).unwrap();
        assert!(directory.is_dir() && name(&directory).len() == 10);
        assert!(name(&directory).bytes().all(|byte| byte.is_ascii_digit()));
        let (file, _) = make_tempfile(&ground, &name(&directory)).unwrap();
        assert!(name(&file).starts_with("tmp") && file.parent() == Some(&directory));
        assert_eq!(fs::read(&file).unwrap(), b"");
        assert_eq!(make_tempfile(&ground, "..").unwrap_err().message, "path cannot be outside workspace: ..");

        let write = |sequence: serde_json::Value, encoding| {
            let path = write_tempfile(&ground, &sequence.into(), encoding).map_err(|error| error.message)?;
            Ok::<_, String>(fs::read(path).unwrap())
        };
        assert_eq!(write("å".into(), "utf-8").unwrap(), "å".as_bytes());
        assert_eq!(write(serde_json::json!(["a", "å", ""]), "latin-1").unwrap(), b"a\xe5");
        assert!(write("å".into(), "ascii").unwrap_err().contains("can't encode"));
        assert!(write(serde_json::json!([1]), "utf-8").unwrap_err().contains("list of texts, found number"));
    }

    #[test]
    fn paths_exist_by_type() {
        let (_folder, ground) = ground();
        fs::write(ground.root().join("f"), "").unwrap();
        fs::create_dir(ground.root().join("d")).unwrap();
        std::os::unix::fs::symlink("f", ground.root().join("l")).unwrap();
        std::os::unix::fs::symlink("/etc", ground.root().join("out")).unwrap();
        for (path, file_type, expected) in [
            ("f", None, true),
            ("f", Some("file"), true),
            ("f", Some("directory"), false),
            ("f", Some("symlink"), false),
            ("d", Some("directory"), true),
            ("l", Some("symlink"), true),
            ("l", Some("file"), true),
            ("out", Some("symlink"), true),
            ("x", None, false),
            ("f", Some("pipe"), false),
        ] {
            assert_eq!(exists(&ground, path, file_type).unwrap(), expected, "{path} {file_type:?}");
        }
        for (path, file_type) in [("out", None), ("out/passwd", Some("file")), ("../x", Some("what"))] {
            let message = exists(&ground, path, file_type).unwrap_err().message;
            assert_eq!(message, format!("path cannot be outside workspace: {path}"));
        }
    }
}
