//! Files and directories on a handset, through its shell: what failed is told by its words alone, because no
//! exit status is.

use std::path::Path;
use std::time::Duration;

use ave_adb::quoted;
use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use tokio::time::sleep;

use super::device::{Answer, Handset};
use super::limits::{CALL_LIMIT, LOOK_LIMIT, OUTPUT_BYTES_MAX, WAIT_PAUSE};
use super::power::within;
use super::transfer::is_readable;
use crate::drivers::arguments::Take;

/// What `ls` says of a path it cannot list.
const LS_ERRORS: [&str; 3] = ["No such file or directory", "Not a directory", "Permission denied"];

/// The types that `path_exists` knows, and the letters that `test` has for them.
const FILE_TYPES: [(&str, &str); 4] =
    [("symlink", "h"), ("directory", "d"), ("file", "f"), ("executable", "x")];

/// What `mount` may take.
const MOUNT_LIMIT: Duration = Duration::from_secs(3);

impl Handset {
    pub(super) async fn ls(&self, arguments: &mut Bound) -> Answer {
        let path = arguments.text("path")?;
        let list = self.list(&path).await?.map_err(|why| Refusal::exception(format!("{why}: {path}")))?;
        Ok(list.into())
    }

    /// The words of a listing, or which of [`LS_ERRORS`] it is.
    async fn list(&self, path: &str) -> Result<Result<Vec<String>, &'static str>, Refusal> {
        let output = self.sh(&format!("ls {path}")).await?;
        let says = |error: &&&str| output.lines().any(|line| line.trim_end().ends_with(**error));
        Ok(match LS_ERRORS.iter().find(says) {
            Some(error) => Err(error),
            None => Ok(output.split_whitespace().map(str::to_owned).collect()),
        })
    }

    pub(super) async fn path_exists(&self, arguments: &mut Bound) -> Answer {
        let (path, file_type) = (arguments.text("path")?, arguments.optional("file_type")?);
        self.exists(&path, file_type.as_deref()).await.map(Value::Bool)
    }

    /// Whether there is such a path, and of this type if one is named.
    pub(super) async fn exists(&self, path: &str, file_type: Option<&str>) -> Result<bool, Refusal> {
        let letter = file_type.map(letter).transpose()?;
        match self.list(path).await? {
            Err("No such file or directory") => return Ok(false),
            Err(why) => return Err(Refusal::exception(format!("{why}: {path}"))),
            Ok(_) => {}
        }
        let Some(letter) = letter else { return Ok(true) };
        let output = self.sh(&format!("test -{letter} {path} && echo \"OK\"")).await?;
        Ok(output.trim() == "OK")
    }

    pub(super) async fn wait_for_path(&self, arguments: &mut Bound) -> Answer {
        let (path, file_type) = (arguments.text("path")?, arguments.optional("file_type")?);
        let limit = arguments.limit("timeout")?;
        let there = async {
            while !self.exists(&path, file_type.as_deref()).await? {
                sleep(WAIT_PAUSE).await;
            }
            Ok(Value::Null)
        };
        within(limit, &format!("wait for path timed out: {path}"), there).await?
    }

    pub(super) async fn cat(&self, arguments: &mut Bound) -> Answer {
        let target = arguments.text("target")?;
        self.read_text(&target).await.map(Value::Text)
    }

    /// A file's content, as it is but for what is not UTF-8.
    pub(super) async fn read_text(&self, path: &str) -> Result<String, Refusal> {
        let words = ["pull", path];
        let stat = self.adb(&words, Some(CALL_LIMIT), self.followed(path)).await?;
        let stat =
            stat.ok_or_else(|| Refusal::exception(format!("remote object '{path}' does not exist")))?;
        if stat.is_dir() {
            return Err(Refusal::exception(format!("target '{path}' is a directory")));
        }
        if !is_readable(&stat) {
            return Err(Refusal::exception(format!("target '{path}' is not a file")));
        }
        if stat.size as usize > OUTPUT_BYTES_MAX {
            let text = format!("{path} is too large: {} bytes, more than {OUTPUT_BYTES_MAX}", stat.size);
            return Err(Refusal::exception(text));
        }
        // However long it says to be, it may be longer.
        let bytes = self.adb(&words, Some(CALL_LIMIT), self.device.read(path, OUTPUT_BYTES_MAX)).await?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Makes or replaces a file that everybody may read.
    pub(super) async fn write_text(&self, path: &str, content: &str) -> Result<(), Refusal> {
        let here = tempfile::tempdir().map_err(no_room)?;
        let copy = here.path().join("pushed");
        tokio::fs::write(&copy, content).await.map_err(no_room)?;
        let pushed = self.device.push(Path::new(&copy), path, 0o644);
        self.adb(&["push", path], Some(CALL_LIMIT), pushed).await.map(drop)
    }

    pub(super) async fn rm(&self, arguments: &mut Bound) -> Answer {
        let target = arguments.text("target")?;
        let option = if arguments.flag("recursive")? { "-r " } else { "" };
        let output = self.sh(&format!("rm {option}{target}")).await?;
        refuse_complaints("rm", &output, Some("No such file"))
    }

    /// Whether it worked is not told.
    pub(super) async fn mv(&self, arguments: &mut Bound) -> Answer {
        let (src, dst) = (quoted(&arguments.text("src")?), quoted(&arguments.text("dst")?));
        self.sh(&format!("mv {src} {dst}")).await.map(|_| Value::Null)
    }

    pub(super) async fn mkdir(&self, arguments: &mut Bound) -> Answer {
        let (target, parents) = (quoted(&arguments.text("target")?), arguments.flag("parents")?);
        let option = if parents { "-p " } else { "" };
        let output = self.sh(&format!("mkdir {option}{target}")).await?;
        // A toolbox that knows no better complains although the parents are there.
        refuse_complaints("mkdir", &output, parents.then_some("File exists"))
    }

    /// Whether it worked is not told.
    pub(super) async fn chmod(&self, arguments: &mut Bound) -> Answer {
        let permissions = match arguments.take("permissions") {
            Value::Int(number) => number.to_string(),
            Value::Text(text) => text,
            other => {
                let found = other.type_name();
                return Err(Refusal::exception(format!("permissions must be a string, found {found}")));
            }
        };
        let target = quoted(&arguments.text("target")?);
        self.sh(&format!("chmod {} {target}", quoted(&permissions))).await.map(|_| Value::Null)
    }

    pub(super) async fn take_screenshot(&self, arguments: &mut Bound) -> Answer {
        let (dst, limit) = (arguments.text("dst")?, arguments.limit("timeout")?);
        let wrong = match dst.as_str() {
            "" => Some("must not be empty"),
            dst if dst.ends_with('/') => Some("must not be a folder"),
            dst if dst.matches('/').count() < 2 => Some("must not be root"),
            _ => None,
        };
        if let Some(wrong) = wrong {
            return Err(Refusal::exception(format!("dst {wrong}: \"{dst}\"")));
        }
        self.run(&format!("screencap -p {dst}"), limit).await?;
        Ok(Value::Int(0))
    }

    /// As `mount` prints it, which has the mount point second or third.
    pub(super) async fn is_mounted(&self, arguments: &mut Bound) -> Answer {
        let mount_point = arguments.text("mount_point")?;
        let list = self.run("mount", Some(MOUNT_LIMIT)).await?;
        let is_it = |line: &str| line.split_whitespace().skip(1).take(2).any(|column| column == mount_point);
        Ok(list.lines().any(is_it).into())
    }

    /// Memory cards are known of Android alone, which answers this itself.
    pub(super) fn wait_mounted(&self) -> Answer {
        Err(Refusal::exception("wait_mounted: memory cards are known of Android handsets only"))
    }

    pub(super) async fn run_bugreport(&self, arguments: &mut Bound) -> Answer {
        let directory = arguments.text("directory")?;
        if !self.exists(&directory, None).await? {
            return Err(Refusal::exception(format!("no such directory on handset: {directory}")));
        }
        if !self.exists(&directory, Some("directory")).await? {
            return Err(Refusal::exception(format!("not a directory: {directory}")));
        }
        let stamp = self.run("date +%Y%m%d-%H%M%S", Some(LOOK_LIMIT)).await?;
        let path = format!("{}/BugReport-AVE-Generated-{}", directory.trim_end_matches('/'), stamp.trim());
        self.sh(&format!("bugreport > {}", quoted(&path))).await?;
        Ok(path.into())
    }

    pub(super) fn workstation(&self) -> Answer {
        let workstation =
            self.profile.get("workstation").and_then(Value::as_str).filter(|name| !name.is_empty());
        let missing = || Refusal::exception("the profile of this handset names no workstation");
        workstation.map(Value::from).ok_or_else(missing)
    }
}

/// Refuses with the first line in which a program complains, but for those that say what is fine.
fn refuse_complaints(program: &str, output: &str, fine: Option<&str>) -> Answer {
    let (new, old) = (format!("{program}: "), format!("{program} failed"));
    let complains = |line: &&str| line.starts_with(&new) || line.starts_with(&old);
    let is_fine = |line: &&str| fine.is_some_and(|fine| line.contains(fine));
    match output.lines().filter(complains).find(|line| !is_fine(line)) {
        Some(complaint) => Err(Refusal::exception(complaint.trim_end())),
        None => Ok(Value::Null),
    }
}

fn letter(file_type: &str) -> Result<&'static str, Refusal> {
    let known = FILE_TYPES.iter().find(|(name, _)| *name == file_type).map(|(_, letter)| *letter);
    known.ok_or_else(|| {
        let names = FILE_TYPES.map(|(name, _)| name).join(", ");
        Refusal::exception(format!("invalid type {file_type}. valid types: {names}"))
    })
}

fn no_room(error: std::io::Error) -> Refusal {
    Refusal::exception(format!("no room for a copy on this host: {error}"))
}
