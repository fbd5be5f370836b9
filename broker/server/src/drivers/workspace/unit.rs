//! One workspace a session holds: its calls, and how it goes.

use std::path::Path;
use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use ave_profile::{Profile, Refusal, Value};
use ave_protocol::arguments::{Bound, Signature};
use tokio::sync::Semaphore;

use super::arguments::Take;
use super::calls::shown;
use super::directory::Directory;
use super::flocker::Flocker;
use super::paths::Ground;
use super::tools::Tools;
use super::work::FileWork;
use super::{android, files};
use crate::config::workspace::WorkspaceConfig;
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
    "promote(source_path, target, server='flocker')",
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
    "download_jenkins(job_id, build_id=None, artifacts=None, dst=None, timeout=0, base=None)",
    "download(url, dst=None, timeout=0, output_file=None, proxy=False, proxy_user=None, proxy_password=None)",
    "get_package_name(path)",
    "get_apk_version(apk_path)",
    "get_aapt_path()",
    "make_coverage_report(em, ec, src_tree=None)",
    "flocker_initial(existing_key=None, custom_key=None)",
    "flocker_push_file(src, dst=None, key=None)",
    "flocker_push_string(string, dst, key=None, timeout=30)",
    "flocker_set_metadata(key=None, contact=None, asset=None, comment=None)",
    "flocker_get_file(remote, local)",
];

static METHODS: LazyLock<Vec<Signature>> =
    LazyLock::new(|| CALLS.iter().map(|notation| Signature::parse(notation)).collect());

/// Every call of a workspace.
pub(in crate::drivers) fn methods() -> &'static [Signature] {
    &METHODS
}

/// A workspace in use.
#[derive(Debug)]
pub(super) struct WorkspaceUnit {
    pub(super) config: Arc<WorkspaceConfig>,
    profile: Profile,
    pub(super) work: FileWork,
    pub(super) tools: Tools,
    /// None where the lab has no file server.
    pub(super) flocker: Option<Flocker>,
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
        threads: Arc<Semaphore>,
    ) -> WorkspaceUnit {
        let root = directory.path().to_owned();
        let tools = Tools::new(&root, home);
        let flocker = config.flocker().cloned().map(Flocker::new);
        WorkspaceUnit {
            config,
            profile,
            work: FileWork::new(Ground::new(root), threads),
            tools,
            flocker,
            directory: Some(directory),
        }
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

    fn take_turns(&mut self, turns: &Arc<Semaphore>) {
        self.work.take_turns(turns);
    }

    async fn call(&mut self, method: &str, mut arguments: Bound) -> Result<Value, Refusal> {
        let arguments = &mut arguments;
        if self.directory.is_none() && !matches!(method, "get_path" | "get_profile" | "delete") {
            return Err(Refusal::exception("the workspace is deleted"));
        }
        match method {
            "get_path" => Ok(shown(self.work.ground().root().to_owned())),
            "get_profile" => Ok(self.profile.clone().into()),
            "get_wifi_ssid" => self.wlan("wlan-ssid").map(|wlan| wlan.ssid.as_str().into()),
            "get_wifi_pw" => self.wlan("wlan-auth").map(|wlan| wlan.auth.as_str().into()),
            "has_tool" => Ok(self.config.tool(&arguments.text("tool")?).is_some().into()),
            "run" => self.run(arguments).await,
            "make_tempdir" => self.work.run(|ground, _| files::make_tempdir(ground)).await.map(shown),
            "make_tempfile" => self.make_tempfile(arguments).await,
            "write_tempfile" => self.write_tempfile(arguments).await,
            "promote" => self.promote(arguments).await,
            "cat" => self.cat(arguments).await,
            "get_checksum" => self.get_checksum(arguments).await,
            "ls" => self.ls(arguments).await,
            "path_exists" => self.path_exists(arguments).await,
            "copy" => self.copy(arguments).await,
            "delete" => self.remove().await.map(|()| Value::Null).map_err(Refusal::exception),
            "zip" => self.zip(arguments).await,
            "unzip" => self.unzip(arguments).await,
            "validate_zip_file" => self.validate_zip_file(arguments).await,
            "make_git" => self.make_git(arguments).await,
            "download_git" => self.download_git(arguments).await,
            "has_git" => self.has_git(arguments).await,
            "delete_git" => self.delete_git(arguments).await,
            "download_jenkins" => self.download_jenkins(arguments).await,
            "download" => self.download(arguments).await,
            "get_package_name" => {
                let badging = self.badging(arguments.text("path")?).await?;
                badging.package_name().map(Value::from)
            }
            "get_apk_version" => {
                let badging = self.badging(arguments.text("apk_path")?).await?;
                badging.version_code().map(Value::from)
            }
            "get_aapt_path" => android::aapt(&self.config).map(shown),
            "make_coverage_report" => self.make_coverage_report(arguments).await,
            "flocker_initial" => self.flocker_initial(arguments).await,
            "flocker_push_file" => self.flocker_push_file(arguments).await,
            "flocker_push_string" => self.flocker_push_string(arguments).await,
            "flocker_set_metadata" => self.flocker_set_metadata(arguments).await,
            "flocker_get_file" => self.flocker_get_file(arguments).await,
            _ => Err(Refusal::exception(format!("no such RPC: {method}"))),
        }
    }

    async fn close(mut self: Box<Self>) -> Result<(), String> {
        self.remove().await
    }
}
