//! The calls by which a workspace's files get names of their own and leave the host.

use std::path::Path;

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;

use super::arguments::Take;
use super::calls::{Answer, shown};
use super::files;
use super::flocker::{Flocker, Key, Remote};
use super::promote::{Promoted, promote, stored_file};
use super::unit::WorkspaceUnit;

impl WorkspaceUnit {
    pub(super) async fn write_tempfile(&mut self, arguments: &mut Bound) -> Answer {
        let (sequence, encoding) = (arguments.take("sequence"), arguments.text("encoding")?);
        let target = arguments.optional("promoted_target")?;
        let written = self.work.run(move |ground, _| {
            let path = files::write_tempfile(ground, &sequence, &encoding)?;
            let Some(target) = target else { return Ok((path, None)) };
            match promote(ground, &path.to_string_lossy(), &target) {
                Ok(promoted) => Ok((promoted.target.clone(), Some(promoted))),
                Err(refusal) => {
                    // Nobody knows its name; should it stay, it goes with the workspace.
                    let _ = std::fs::remove_file(path);
                    Err(refusal)
                }
            }
        });
        let (path, promoted) = written.await?;
        if let Some(promoted) = promoted {
            self.publish(&promoted).await;
        }
        Ok(shown(path))
    }

    pub(super) async fn promote(&mut self, arguments: &mut Bound) -> Answer {
        let (source, target) = (arguments.text("source_path")?, arguments.text("target")?);
        let server = arguments.text("server")?;
        if server != "flocker" {
            return Err(Refusal::exception(format!("no such server: wanted flocker, found {server}")));
        }
        let promoted = self.work.run(move |ground, _| promote(ground, &source, &target)).await?;
        Ok(self.publish(&promoted).await)
    }

    /// Uploads what got a name. Without a file server, or if it refuses, nothing is answered: the name is
    /// there all the same (Specification 4.3).
    async fn publish(&mut self, promoted: &Promoted) -> Value {
        let Some(flocker) = &mut self.flocker else { return Value::Null };
        let name = promoted.name.clone();
        let Ok(file) = self.work.run(move |ground, _| files::open(ground, &name)).await else {
            return Value::Null;
        };
        let pushed = match Remote::of(&promoted.name, "") {
            Ok(place) => flocker.push(None, file, &place).await.map_err(Refusal::from),
            Err(refusal) => Err(refusal),
        };
        pushed.unwrap_or_else(|refusal| {
            tracing::info!(name = promoted.name, %refusal, "promoted without an upload");
            Value::Null
        })
    }

    pub(super) async fn flocker_initial(&mut self, arguments: &mut Bound) -> Answer {
        let flocker = enabled(&mut self.flocker)?;
        let key = match (arguments.optional("existing_key")?, arguments.optional("custom_key")?) {
            (Some(_), Some(_)) => {
                return Err(Refusal::exception("existing_key and custom_key can not both be set"));
            }
            (Some(key), None) => Key::Existing(key),
            (None, Some(words)) if words.contains('/') => {
                return Err(Refusal::exception(format!(
                    "custom_key must be a name without a slash, found {words}"
                )));
            }
            (None, Some(words)) => Key::New(Some(Remote::of(&words, "")?)),
            (None, None) => Key::New(None),
        };
        flocker.begin(key).await?;
        Ok(Value::Null)
    }

    pub(super) async fn flocker_push_file(&mut self, arguments: &mut Bound) -> Answer {
        let flocker = enabled(&mut self.flocker)?;
        let (src, key) = (arguments.text("src")?, arguments.optional("key")?);
        let name = || Path::new(&src).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let dst = arguments.optional("dst")?.unwrap_or_else(name);
        let opened = self.work.run(move |ground, _| {
            let real = stored_file(ground, &src, "pushed file")?;
            files::open(ground, &real.to_string_lossy())
        });
        let file = opened.await?;
        let place = Remote::of(&dst, "pushed file destination is absolute path")?;
        Ok(flocker.push(key, file, &place).await?)
    }

    pub(super) async fn flocker_push_string(&mut self, arguments: &mut Bound) -> Answer {
        let flocker = enabled(&mut self.flocker)?;
        let (text, dst) = (arguments.text("string")?, arguments.text("dst")?);
        let (key, limit) = (arguments.optional("key")?, arguments.limit("timeout")?);
        let place = Remote::of(&dst, "pushed string destination is absolute path")?;
        flocker.append(key, &text, &place, limit).await
    }

    /// `key` is there for old scripts: what is described is what the last call used.
    pub(super) async fn flocker_set_metadata(&mut self, arguments: &mut Bound) -> Answer {
        let flocker = enabled(&mut self.flocker)?;
        arguments.optional("key")?;
        let changes =
            [arguments.optional("contact")?, arguments.optional("asset")?, arguments.optional("comment")?];
        Ok(flocker.describe(changes).await?)
    }

    pub(super) async fn flocker_get_file(&mut self, arguments: &mut Bound) -> Answer {
        let flocker = enabled(&mut self.flocker)?;
        let (remote, local) = (arguments.text("remote")?, arguments.text("local")?);
        let place = Remote::of(&remote, "Remote file should be relative path")?;
        self.work.ground().inside(&local)?;
        flocker.fetch(&self.work, &place, local).await?;
        Ok(Value::Null)
    }
}

fn enabled(flocker: &mut Option<Flocker>) -> Result<&mut Flocker, Refusal> {
    flocker.as_mut().ok_or_else(|| Refusal::exception("flocker is disabled in workspace.json"))
}
