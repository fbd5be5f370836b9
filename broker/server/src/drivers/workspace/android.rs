//! What tools of the Android world tell about files in a workspace: packages through `aapt`, coverage through
//! Emma (Specification 4.3).

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ave_profile::Refusal;

use super::erase;
use super::files::{self, failed};
use super::limits::{AAPT_LIMIT, REPORT_LIMIT};
use super::tools::{Run, Tools, run_error};
use super::work::FileWork;
use crate::config::workspace::WorkspaceConfig;

/// Where the packages of a host put Emma.
const EMMA_JAR: &str = "/usr/share/ave/workspace/emma.jar";

/// Where a report goes.
const REPORT: &str = "reports/coverage";

/// Its archive, and where that is until it is whole.
const REPORT_ARCHIVE: &str = "coverage.tar";
const REPORT_PART: &str = "reports/coverage.tar";

/// What an error repeats of a tool's output.
const GIST_CHARS_MAX: usize = 300;

/// The `aapt` of `tools`, else the first one of `PATH`.
///
/// # Errors
/// If there is none.
pub(super) fn aapt(config: &WorkspaceConfig) -> Result<PathBuf, Refusal> {
    let of_path = || {
        let places = env::var_os("PATH").unwrap_or_default();
        env::split_paths(&places).map(|place| place.join("aapt")).find(|path| path.is_file())
    };
    let found = config.tool("aapt").map(Path::to_owned).or_else(of_path);
    found.ok_or_else(|| Refusal::exception("no aapt: neither tools of workspace.json nor PATH has one"))
}

/// What `aapt` says about a package: `package: name='a.b' versionCode='1' ...` and more.
#[derive(Debug)]
pub(super) struct Badging {
    told: String,
    path: String,
}

impl Badging {
    /// Asks it.
    ///
    /// # Errors
    /// A path that is missing or outside, no `aapt`, `Timeout`.
    pub(super) async fn of(
        config: &WorkspaceConfig,
        work: &FileWork,
        tools: &mut Tools,
        path: String,
    ) -> Result<Badging, Refusal> {
        let (asked, aapt) = (path.clone(), aapt(config)?);
        let package = work.run(move |ground, _| {
            files::open(ground, &asked)?;
            ground.inside(&asked)
        });
        let argv = vec![aapt.into(), "d".into(), "badging".into(), package.await?.into()];
        let run = Run { argv, directory: work.ground().root(), environment: &[], limit: Some(AAPT_LIMIT) };
        Ok(Badging { told: tools.run(run).await?.output, path })
    }

    /// The package's name.
    ///
    /// # Errors
    /// `Could not get package name`.
    pub(super) fn package_name(&self) -> Result<&str, Refusal> {
        let missing = || {
            Refusal::exception(format!("Could not get package name of {}: {}", self.path, gist(&self.told)))
        };
        self.member("name").ok_or_else(missing)
    }

    /// The package's version as a number.
    ///
    /// # Errors
    /// `Can not find versionCode`.
    pub(super) fn version_code(&self) -> Result<i64, Refusal> {
        let missing =
            || Refusal::exception(format!("Can not find versionCode of {}: {}", self.path, gist(&self.told)));
        self.member("versionCode").and_then(|code| code.parse().ok()).ok_or_else(missing)
    }

    fn member(&self, name: &str) -> Option<&str> {
        let line = self.told.lines().find_map(|line| line.strip_prefix("package:"))?;
        let (_, rest) = line.split_once(&format!(" {name}='"))?;
        rest.split('\'').next().filter(|value| !value.is_empty())
    }
}

/// What a coverage report is made of.
#[derive(Debug)]
pub(super) struct Coverage {
    /// The metadata of the instrumented classes.
    pub(super) em: String,
    /// What was covered.
    pub(super) ec: String,
    /// The sources, if they are to be shown.
    pub(super) src_tree: Option<String>,
}

/// Makes the report in HTML and packs it.
///
/// # Errors
/// `report file already exists: P`; `RunError` for what Emma or `tar` refuse; `Timeout`.
pub(super) async fn coverage_report(
    config: &WorkspaceConfig,
    work: &FileWork,
    tools: &mut Tools,
    wanted: Coverage,
) -> Result<PathBuf, Refusal> {
    let Coverage { em, ec, src_tree } = wanted;
    let call = format!("make_coverage_report({em}, {ec})");
    let ground = work.ground();
    let archive = ground.entry(REPORT_ARCHIVE)?;
    if archive.symlink_metadata().is_ok() {
        let message = format!("report file already exists: {}", archive.display());
        return Err(Refusal::exception(message));
    }
    let report = ground.entry(REPORT)?;
    let [em, ec] = [ground.inside(&em)?, ground.inside(&ec)?];
    let sources = src_tree.map(|tree| ground.inside(&tree)).transpose()?;
    work.run(move |ground, _| {
        // What an older, failed call left would be packed as well.
        let report = ground.entry(REPORT)?;
        erase::tree(&report)
            .and_then(|()| std::fs::create_dir_all(&report))
            .map_err(|error| failed(REPORT, &error))
    })
    .await?;

    let mut page = OsString::from("-Dreport.html.out.file=");
    page.push(report.join("index.html"));
    let java = config.tool("java").unwrap_or(Path::new("java"));
    let mut emma: Vec<OsString> = vec![java.into()];
    emma.extend(["-cp", EMMA_JAR, "emma", "report", "-r", "html"].map(OsString::from));
    emma.extend(["-in".into(), em.into(), "-in".into(), ec.into(), page]);
    emma.extend(sources.into_iter().flat_map(|tree| ["-sp".into(), tree.into_os_string()]));
    let tar = ["tar", "--create", "--file", REPORT_PART, "--directory", "reports", "--", "coverage"];
    for (what, argv) in [("Emma", emma), ("tar", tar.map(OsString::from).to_vec())] {
        step(work, tools, &call, what, argv).await?;
    }
    work.run(move |ground, _| {
        let renamed = std::fs::rename(ground.entry(REPORT_PART)?, &archive);
        renamed.map(|()| archive).map_err(|error| failed(REPORT_ARCHIVE, &error))
    })
    .await
}

async fn step(
    work: &FileWork,
    tools: &mut Tools,
    call: &str,
    what: &str,
    argv: Vec<OsString>,
) -> Result<(), Refusal> {
    let directory = work.ground().root();
    let run = Run { argv, directory, environment: &[], limit: Some(REPORT_LIMIT) };
    let finished = tools.run(run).await?;
    if finished.code == 0 {
        return Ok(());
    }
    let message = format!("{what} failed with exit code {}: {}", finished.code, gist(&finished.output));
    Err(run_error(message, call.into(), &finished.output))
}

/// The beginning of a tool's first line, which says what is wrong.
fn gist(output: &str) -> String {
    output.trim().lines().next().unwrap_or_default().chars().take(GIST_CHARS_MAX).collect()
}
