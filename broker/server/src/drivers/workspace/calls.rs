//! The calls of a workspace that do more than tell something: arguments in, work done, values out.

use std::path::PathBuf;

use ave_profile::{Refusal, Value};
use ave_protocol::arguments::Bound;
use ave_protocol::handshake::Secret;

use super::arguments::Take;
use super::limits::COPY_LIMIT;
use super::paths::Ground;
use super::tools::Run;
use super::unit::WorkspaceUnit;
use super::{android, archive, download, files, git, glob, jenkins};
use crate::config::workspace::{Proxy, Wlan};

pub(super) type Answer = Result<Value, Refusal>;

impl WorkspaceUnit {
    pub(super) fn wlan(&self, what: &str) -> Result<&Wlan, Refusal> {
        let missing = || Refusal::exception(format!("Fail to get {what}: no wlan is configured"));
        self.config.wlan().ok_or_else(missing)
    }

    pub(super) async fn run(&mut self, arguments: &mut Bound) -> Answer {
        let words = arguments.words("cmd", |cmd| cmd.split_whitespace().map(str::to_owned).collect())?;
        let limit = arguments.limit("timeout")?;
        let tool = self.config.tool(&words[0]).ok_or_else(|| {
            Refusal::exception(format!("no such tool available in this workspace: {}", words[0]))
        })?;
        let argv = [tool.into()].into_iter().chain(words[1..].iter().map(Into::into)).collect();
        let run = Run { argv, directory: self.work.ground().root(), environment: &[], limit };
        let finished = self.tools.run(run).await?;
        Ok(Value::List(vec![finished.code.into(), finished.output.into(), "".into()]))
    }

    pub(super) async fn make_tempfile(&self, arguments: &mut Bound) -> Answer {
        let path = arguments.optional("path")?.unwrap_or_default();
        let (path, _file) = self.work.run(move |ground, _| files::make_tempfile(ground, &path)).await?;
        Ok(shown(path))
    }

    pub(super) async fn cat(&self, arguments: &mut Bound) -> Answer {
        let (path, encoding) = (arguments.text("path")?, arguments.optional("encoding")?);
        let errors = arguments.optional("errors")?.unwrap_or_else(|| "replace".into());
        self.work.run(move |ground, _| files::cat(ground, &path, encoding.as_deref(), &errors)).await
    }

    pub(super) async fn get_checksum(&self, arguments: &mut Bound) -> Answer {
        let path = arguments.text("path")?;
        self.work.run(move |ground, stop| files::checksum(ground, &path, stop)).await.map(Value::Text)
    }

    pub(super) async fn ls(&self, arguments: &mut Bound) -> Answer {
        let (path, pattern) = (arguments.text("path")?, arguments.text("globstr")?);
        let found = self.work.run(move |ground, stop| glob::list(ground, &path, &pattern, stop)).await?;
        Ok(Value::List(found.into_iter().map(shown).collect()))
    }

    pub(super) async fn path_exists(&self, arguments: &mut Bound) -> Answer {
        let (path, file_type) = (arguments.text("path")?, arguments.optional("file_type")?);
        self.work
            .run(move |ground, _| files::exists(ground, &path, file_type.as_deref()))
            .await
            .map(Value::Bool)
    }

    /// `cp` within its limit; whether it could copy everything is not told (Specification 4.3).
    pub(super) async fn copy(&mut self, arguments: &mut Bound) -> Answer {
        let ground = self.work.ground();
        let (src, dst) = (ground.inside(&arguments.text("src")?)?, ground.inside(&arguments.text("dst")?)?);
        // What is in the way is removed and not written through, should it be a link.
        let options = ["cp", "--recursive", "--remove-destination", "--"];
        let argv = options.into_iter().map(Into::into).chain([src.into(), dst.into()]).collect();
        let run = Run { argv, directory: ground.root(), environment: &[], limit: Some(COPY_LIMIT) };
        self.tools.run(run).await?;
        Ok(Value::Null)
    }

    pub(super) async fn zip(&self, arguments: &mut Bound) -> Answer {
        let paths = arguments.words("path", |path| vec![path.to_owned()])?;
        let dst = arguments.optional("dst")?;
        self.work
            .run(move |ground, stop| archive::pack(ground, &paths, dst.as_deref(), stop))
            .await
            .map(shown)
    }

    pub(super) async fn unzip(&self, arguments: &mut Bound) -> Answer {
        let (zip_file, path) = (arguments.text("zip_file")?, arguments.optional("path")?);
        let password = arguments.optional("pwd")?;
        let unpack = move |ground: &Ground, stop: &_| {
            archive::unpack(ground, &zip_file, path.as_deref(), password.as_deref(), stop)
        };
        self.work.run(unpack).await.map(shown)
    }

    pub(super) async fn validate_zip_file(&self, arguments: &mut Bound) -> Answer {
        let (path, check) = (arguments.text("filename")?, arguments.flag("crc_check")?);
        self.work
            .run(move |ground, stop| archive::validate(ground, &path, check, stop))
            .await
            .map(Value::Bool)
    }

    pub(super) async fn make_git(&mut self, arguments: &mut Bound) -> Answer {
        let path = arguments.text("path")?;
        git::make(&self.work, &mut self.tools, &path).await.map(shown)
    }

    pub(super) async fn download_git(&mut self, arguments: &mut Bound) -> Answer {
        let wanted = git::Wanted {
            src: arguments.optional("src")?.unwrap_or_default(),
            refspec: arguments.optional("refspec")?.unwrap_or_default(),
            dst: arguments.optional("dst")?,
            limit: arguments.limit("timeout")?,
            depth: arguments.whole("depth")?,
        };
        git::download(&self.work, &mut self.tools, wanted).await.map(shown)
    }

    pub(super) async fn has_git(&mut self, arguments: &mut Bound) -> Answer {
        let (path, refspec) = (arguments.text("path")?, arguments.text("refspec")?);
        git::knows(&self.work, &mut self.tools, &path, &refspec).await.map(Value::Bool)
    }

    pub(super) async fn delete_git(&self, arguments: &mut Bound) -> Answer {
        let path = arguments.text("path")?;
        self.work.run(move |ground, _| git::delete(ground, &path)).await.map(|()| Value::Null)
    }

    pub(super) async fn download(&self, arguments: &mut Bound) -> Answer {
        let wanted = download::Wanted {
            url: arguments.optional("url")?.ok_or_else(|| Refusal::exception("url is None"))?,
            dst: arguments.optional("dst")?.unwrap_or_default(),
            output_file: arguments.optional("output_file")?,
            limit: arguments.limit("timeout")?,
            proxy: self.proxy(arguments)?,
        };
        download::download(&self.work, wanted).await.map(shown)
    }

    pub(super) async fn download_jenkins(&self, arguments: &mut Bound) -> Answer {
        let missing = || Refusal::exception("jenkins base URL is not set or provided");
        let base = arguments.optional("base")?.or_else(|| self.config.jenkins().map(str::to_owned));
        let wanted = jenkins::Wanted {
            base: base.filter(|base| !base.is_empty()).ok_or_else(missing)?,
            job: arguments.text("job_id")?,
            build: arguments.number_or_text("build_id")?,
            artifacts: match arguments.get("artifacts") {
                Value::Null => None,
                _ => Some(arguments.words("artifacts", |path| vec![path.to_owned()])?),
            },
            dst: arguments.optional("dst")?,
            limit: arguments.limit("timeout")?,
        };
        jenkins::download(&self.work, self.config.jenkins_accounts(), wanted).await.map(shown)
    }

    pub(super) async fn badging(&mut self, path: String) -> Result<android::Badging, Refusal> {
        android::Badging::of(&self.config, &self.work, &mut self.tools, path).await
    }

    pub(super) async fn make_coverage_report(&mut self, arguments: &mut Bound) -> Answer {
        let wanted = android::Coverage {
            em: arguments.text("em")?,
            ec: arguments.text("ec")?,
            src_tree: arguments.optional("src_tree")?,
        };
        android::coverage_report(&self.config, &self.work, &mut self.tools, wanted).await.map(shown)
    }

    /// The lab's proxy, if it is asked for, with the caller's credentials where there are some.
    fn proxy(&self, arguments: &mut Bound) -> Result<Option<Proxy>, Refusal> {
        let (user, password) = (arguments.optional("proxy_user")?, arguments.optional("proxy_password")?);
        if !arguments.flag("proxy")? {
            return Ok(None);
        }
        let missing = || Refusal::exception("proxy url is not set or provided");
        let known = self.config.proxy().cloned().ok_or_else(missing)?;
        let password = password.map_or(known.password, Secret::new);
        Ok(Some(Proxy { url: known.url, user: user.unwrap_or(known.user), password }))
    }
}

/// A path as scripts get it.
pub(super) fn shown(path: PathBuf) -> Value {
    path.to_string_lossy().into_owned().into()
}
