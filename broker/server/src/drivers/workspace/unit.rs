//! One workspace a session holds: its calls, and how it goes.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use ave_profile::{Profile, Refusal, Value};
use ave_protocol::arguments::{Bound, Signature};

use super::arguments::Take;
use super::directory::Directory;
use super::limits::COPY_LIMIT;
use super::paths::Ground;
use super::tools::{Run, Tools};
use super::work::FileWork;
use super::{archive, download, files, git, glob};
use crate::config::workspace::{Proxy, WorkspaceConfig};
use crate::drivers::Unit;

/// Every call of a workspace (Specification 4.3).
const CALLS: &[&str] = &[
    "get_path()",
    "get_profile()",
    "get_wifi_ssid()",
    "get_wifi_pw()",
    "has_tool(tool)",
    "run(cmd, timeout=0)",
    "make_tempdir()",
    "make_tempfile(path=None)",
    "write_tempfile(sequence, encoding='utf-8', promoted_target=None)",
    "cat(path, encoding=None, errors=None)",
    "get_checksum(path)",
    "ls(path, globstr='*')",
    "path_exists(path, file_type=None)",
    "copy(src, dst)",
    "delete()",
    "zip(path, dst=None)",
    "unzip(zip_file, path=None, pwd=None)",
    "validate_zip_file(filename, crc_check=False)",
    "make_git(path)",
    "download_git(src, refspec, dst=None, timeout=0, depth=1)",
    "has_git(path, refspec)",
    "delete_git(path)",
    "download(url, dst=None, timeout=0, output_file=None, proxy=False, proxy_user=None, proxy_password=None)",
];

static METHODS: LazyLock<Vec<Signature>> =
    LazyLock::new(|| CALLS.iter().map(|notation| Signature::parse(notation)).collect());

/// A workspace in use.
#[derive(Debug)]
pub(super) struct WorkspaceUnit {
    config: Arc<WorkspaceConfig>,
    profile: Profile,
    work: FileWork,
    tools: Tools,
    /// Gone after `delete`.
    directory: Option<Directory>,
}

impl WorkspaceUnit {
    /// The unit of a directory that was just made.
    pub(super) fn new(
        directory: Directory,
        profile: Profile,
        config: Arc<WorkspaceConfig>,
        home: &Path,
    ) -> WorkspaceUnit {
        let root = directory.path().to_owned();
        let tools = Tools::new(&root, home);
        WorkspaceUnit {
            config,
            profile,
            work: FileWork::new(Ground::new(root)),
            tools,
            directory: Some(directory),
        }
    }

    /// The calls that need neither the directory nor a tool.
    fn tell(&self, method: &str, arguments: &mut Bound) -> Option<Result<Value, Refusal>> {
        let wlan = |what: &str| {
            let missing = || Refusal::exception(format!("Fail to get {what}: no wlan is configured"));
            self.config.wlan().ok_or_else(missing)
        };
        Some(match method {
            "get_path" => Ok(shown(self.work.ground().root().to_owned())),
            "get_profile" => Ok(self.profile.clone().into()),
            "get_wifi_ssid" => wlan("wlan-ssid").map(|wlan| wlan.ssid.as_str().into()),
            "get_wifi_pw" => wlan("wlan-auth").map(|wlan| wlan.auth.as_str().into()),
            "has_tool" => arguments.text("tool").map(|tool| self.config.tool(&tool).is_some().into()),
            _ => return None,
        })
    }

    /// The calls on files; `None` if it is none of them.
    async fn handle_files(&self, method: &str, arguments: &mut Bound) -> Result<Option<Value>, Refusal> {
        let work = &self.work;
        Ok(Some(match method {
            "make_tempdir" => work.run(|ground, _| files::make_tempdir(ground)).await.map(shown)?,
            "make_tempfile" => {
                let path = arguments.optional("path")?.unwrap_or_default();
                shown(work.run(move |ground, _| files::make_tempfile(ground, &path)).await?.0)
            }
            "write_tempfile" => self.write_tempfile(arguments).await?,
            "cat" => {
                let (path, encoding) = (arguments.text("path")?, arguments.optional("encoding")?);
                let errors = arguments.optional("errors")?.unwrap_or_else(|| "replace".into());
                work.run(move |ground, _| files::cat(ground, &path, encoding.as_deref(), &errors)).await?
            }
            "get_checksum" => {
                let path = arguments.text("path")?;
                work.run(move |ground, stop| files::checksum(ground, &path, stop)).await?.into()
            }
            "ls" => {
                let (path, pattern) = (arguments.text("path")?, arguments.text("globstr")?);
                let found = work.run(move |ground, stop| glob::list(ground, &path, &pattern, stop)).await?;
                Value::List(found.into_iter().map(shown).collect())
            }
            "path_exists" => {
                let (path, file_type) = (arguments.text("path")?, arguments.optional("file_type")?);
                work.run(move |ground, _| files::exists(ground, &path, file_type.as_deref())).await?.into()
            }
            "delete_git" => {
                let path = arguments.text("path")?;
                work.run(move |ground, _| git::delete(ground, &path)).await?;
                Value::Null
            }
            _ => return self.handle_archives(method, arguments).await,
        }))
    }

    async fn write_tempfile(&self, arguments: &mut Bound) -> Result<Value, Refusal> {
        if *arguments.get("promoted_target") != Value::Null {
            return Err(Refusal::exception("promoted_target: workspaces cannot promote files yet"));
        }
        let (sequence, encoding) = (arguments.take("sequence"), arguments.text("encoding")?);
        self.work.run(move |ground, _| files::write_tempfile(ground, &sequence, &encoding)).await.map(shown)
    }

    async fn handle_archives(&self, method: &str, arguments: &mut Bound) -> Result<Option<Value>, Refusal> {
        let work = &self.work;
        Ok(Some(match method {
            "zip" => {
                let paths = arguments.words("path", |path| vec![path.to_owned()])?;
                let dst = arguments.optional("dst")?;
                shown(
                    work.run(move |ground, stop| archive::pack(ground, &paths, dst.as_deref(), stop)).await?,
                )
            }
            "unzip" => {
                let (zip_file, path) = (arguments.text("zip_file")?, arguments.optional("path")?);
                let password = arguments.optional("pwd")?;
                let unpack = move |ground: &Ground, stop: &_| {
                    archive::unpack(ground, &zip_file, path.as_deref(), password.as_deref(), stop)
                };
                shown(work.run(unpack).await?)
            }
            "validate_zip_file" => {
                let (path, check) = (arguments.text("filename")?, arguments.flag("crc_check")?);
                work.run(move |ground, stop| archive::validate(ground, &path, check, stop)).await?.into()
            }
            _ => return Ok(None),
        }))
    }

    /// The calls that run programs or use the network; `None` if it is none of them.
    async fn handle_programs(
        &mut self,
        method: &str,
        arguments: &mut Bound,
    ) -> Result<Option<Value>, Refusal> {
        Ok(Some(match method {
            "run" => self.run(arguments).await?,
            "copy" => self.copy(arguments).await?,
            "make_git" => {
                let path = arguments.text("path")?;
                shown(git::make(&self.work, &mut self.tools, &path).await?)
            }
            "download_git" => {
                let wanted = git::Wanted {
                    src: arguments.optional("src")?.unwrap_or_default(),
                    refspec: arguments.optional("refspec")?.unwrap_or_default(),
                    dst: arguments.optional("dst")?,
                    limit: arguments.limit("timeout")?,
                    depth: arguments.whole("depth")?,
                };
                shown(git::download(&self.work, &mut self.tools, wanted).await?)
            }
            "has_git" => {
                let (path, refspec) = (arguments.text("path")?, arguments.text("refspec")?);
                git::knows(&self.work, &mut self.tools, &path, &refspec).await?.into()
            }
            "download" => {
                let wanted = self.wanted_download(arguments)?;
                shown(download::download(&self.work, wanted).await?)
            }
            _ => return Ok(None),
        }))
    }

    async fn run(&mut self, arguments: &mut Bound) -> Result<Value, Refusal> {
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

    /// `cp` within its limit; whether it could copy everything is not told (Specification 4.3).
    async fn copy(&mut self, arguments: &mut Bound) -> Result<Value, Refusal> {
        let ground = self.work.ground();
        let (src, dst) = (ground.inside(&arguments.text("src")?)?, ground.inside(&arguments.text("dst")?)?);
        // What is in the way is removed and not written through, should it be a link.
        let options = ["cp", "--recursive", "--remove-destination", "--"];
        let argv = options.into_iter().map(Into::into).chain([src.into(), dst.into()]).collect();
        let run = Run { argv, directory: ground.root(), environment: &[], limit: Some(COPY_LIMIT) };
        self.tools.run(run).await?;
        Ok(Value::Null)
    }

    fn wanted_download(&self, arguments: &mut Bound) -> Result<download::Wanted, Refusal> {
        let url = arguments.optional("url")?.ok_or_else(|| Refusal::exception("url is None"))?;
        let user = arguments.optional("proxy_user")?;
        let password = arguments.optional("proxy_password")?;
        let proxy = if arguments.flag("proxy")? {
            let missing = || Refusal::exception("proxy url is not set or provided");
            let Proxy { url, user: known, password: secret } =
                self.config.proxy().cloned().ok_or_else(missing)?;
            let password = password.map_or(secret, ave_protocol::handshake::Secret::new);
            Some(Proxy { url, user: user.unwrap_or(known), password })
        } else {
            None
        };
        Ok(download::Wanted {
            url,
            dst: arguments.optional("dst")?.unwrap_or_default(),
            output_file: arguments.optional("output_file")?,
            limit: arguments.limit("timeout")?,
            proxy,
        })
    }

    /// Stops what still runs and removes the directory. Doing it again does nothing.
    async fn remove(&mut self) -> Result<(), String> {
        self.work.settled().await;
        let (leftovers, directory) = (self.tools.leftovers(), self.directory.take());
        let removal = tokio::task::spawn_blocking(move || {
            let killed = leftovers.map_or(Ok(()), |kill| kill());
            let removed = directory.map_or(Ok(()), |mut directory| {
                directory
                    .remove()
                    .map_err(|error| format!("cannot remove {}: {error}", directory.path().display()))
            });
            killed.and(removed)
        });
        removal.await.map_err(|error| error.to_string())?
    }
}

#[async_trait]
impl Unit for WorkspaceUnit {
    fn methods(&self) -> &[Signature] {
        &METHODS
    }

    async fn call(&mut self, method: &str, mut arguments: Bound) -> Result<Value, Refusal> {
        if let Some(told) = self.tell(method, &mut arguments) {
            return told;
        }
        if method == "delete" {
            return self.remove().await.map(|()| Value::Null).map_err(Refusal::exception);
        }
        if self.directory.is_none() {
            return Err(Refusal::exception("the workspace is deleted"));
        }
        if let Some(value) = self.handle_files(method, &mut arguments).await? {
            return Ok(value);
        }
        let value = self.handle_programs(method, &mut arguments).await?;
        value.ok_or_else(|| Refusal::exception(format!("no such RPC: {method}")))
    }

    async fn close(mut self: Box<Self>) -> Result<(), String> {
        self.remove().await
    }
}

/// A path as scripts get it.
fn shown(path: PathBuf) -> Value {
    path.to_string_lossy().into_owned().into()
}
