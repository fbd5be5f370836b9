//! Fetches what a Jenkins job built (Specification 4.5).

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use ave_profile::Refusal;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::files::failed;
use super::http::{client, refusal, save, within};
use super::limits::{ARTIFACTS_MAX, JENKINS_ANSWER_BYTES_MAX};
use super::part::bounded;
use super::paths::outside;
use super::work::FileWork;
use crate::config::jenkins::{JenkinsAccount, JenkinsAccounts};

/// What a name of a file must not say plainly in a URL.
const IN_NAMES: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The same for the names that callers give, who may have encoded them.
const IN_GIVEN_NAMES: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'?').add(b'\\');

/// What `download_jenkins` is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Where Jenkins is.
    pub(super) base: String,
    /// The job; with slashes if it lies in folders (`folder/job/name`).
    pub(super) job: String,
    /// The build; by default the last successful one.
    pub(super) build: Option<String>,
    /// The paths to fetch; by default all.
    pub(super) artifacts: Option<Vec<String>>,
    /// Where to; by default `jenkins/<job>/<build>`.
    pub(super) dst: Option<String>,
    /// When it is given up.
    pub(super) limit: Option<Duration>,
}

/// Fetches the artifacts of a build and answers the directory they are in.
///
/// # Errors
/// `job has no artifacts: J`; 401 and 403 in words; names and paths that lead outside; `Timeout`.
pub(super) async fn download(
    work: &FileWork,
    accounts: &JenkinsAccounts,
    wanted: Wanted,
) -> Result<PathBuf, Refusal> {
    let what = format!("download of Jenkins job {}", wanted.job);
    within(wanted.limit, what, fetch(work, accounts, wanted)).await
}

async fn fetch(work: &FileWork, accounts: &JenkinsAccounts, wanted: Wanted) -> Result<PathBuf, Refusal> {
    let Wanted { base, job, build, artifacts, dst, .. } = wanted;
    let jenkins = Jenkins::at(&base, accounts)?;
    let url = format!("{}/job/{}", jenkins.base, given(&job)?);
    let newest = build.is_none() && dst.is_none();
    let build = match build {
        Some(build) => build,
        None => jenkins.last_successful(&job, &url).await?,
    };
    let url = format!("{url}/{}", given(&build)?);
    let files = jenkins.artifacts(&job, &url, artifacts.as_deref()).await?;
    let folder = dst.unwrap_or_else(|| format!("jenkins/{job}/{build}"));
    let directory = work.ground().inside(&folder)?;
    let mut total = 0;
    for file in files {
        let place = format!("{url}/artifact/{}", utf8_percent_encode(&file, IN_NAMES));
        let response = jenkins.get(&place).await?;
        let (_, length) = save(work, response, format!("{folder}/{file}")).await?;
        total += length;
        bounded(total)?;
    }
    if newest {
        let note = format!("jenkins/{job}/last_successful");
        work.run(move |ground, _| {
            fs::write(ground.inside(&note)?, build).map_err(|error| failed(&note, &error))
        })
        .await?;
    }
    Ok(directory)
}

/// A job or build as part of a URL.
fn given(name: &str) -> Result<String, Refusal> {
    leads_down(name)?;
    Ok(utf8_percent_encode(name.trim_matches('/'), IN_GIVEN_NAMES).to_string())
}

/// Whether each step of a path is a name.
fn leads_down(path: &str) -> Result<(), Refusal> {
    let mut steps = Path::new(path).components().peekable();
    let down = steps.peek().is_some() && steps.all(|step| matches!(step, Component::Normal(_)));
    if down && !path.contains('\0') { Ok(()) } else { Err(outside(path)) }
}

/// One Jenkins server.
struct Jenkins<'a> {
    client: Client,
    base: &'a str,
    account: Option<&'a JenkinsAccount>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Job {
    last_successful_build: Option<NumberedBuild>,
}

#[derive(Deserialize)]
struct NumberedBuild {
    number: u64,
}

#[derive(Deserialize)]
struct Build {
    artifacts: Vec<Artifact>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    relative_path: String,
}

impl<'a> Jenkins<'a> {
    fn at(base: &'a str, accounts: &'a JenkinsAccounts) -> Result<Jenkins<'a>, Refusal> {
        let invalid = |error: &dyn std::fmt::Display| {
            Refusal::exception(format!("invalid jenkins base URL {base}: {error}"))
        };
        let url = Url::parse(base).map_err(|error| invalid(&error))?;
        let client = client(None).map_err(|error| invalid(&error))?;
        Ok(Jenkins { client, base: base.trim_end_matches('/'), account: accounts.at(&url) })
    }

    async fn last_successful(&self, job: &str, url: &str) -> Result<String, Refusal> {
        let answer: Job = self.json(&format!("{url}/api/json")).await?;
        let build = answer.last_successful_build;
        let none = || Refusal::exception(format!("job has no successful build: {job}"));
        Ok(build.ok_or_else(none)?.number.to_string())
    }

    /// The paths of a build's artifacts, of those asked for if any are.
    async fn artifacts(
        &self,
        job: &str,
        url: &str,
        asked: Option<&[String]>,
    ) -> Result<Vec<String>, Refusal> {
        let build: Build = self.json(&format!("{url}/api/json")).await?;
        let mut paths: Vec<_> = build.artifacts.into_iter().map(|artifact| artifact.relative_path).collect();
        paths.retain(|path| asked.is_none_or(|asked| asked.contains(path)));
        if paths.is_empty() {
            return Err(Refusal::exception(format!("job has no artifacts: {job}")));
        }
        if paths.len() > ARTIFACTS_MAX {
            return Err(Refusal::exception(format!("{job} has more than {ARTIFACTS_MAX} artifacts")));
        }
        paths.iter().try_for_each(|path| leads_down(path))?;
        Ok(paths)
    }

    async fn json<T: DeserializeOwned>(&self, url: &str) -> Result<T, Refusal> {
        let mut response = self.get(url).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| refusal(url, error))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > JENKINS_ANSWER_BYTES_MAX {
                let message = format!("{url} answers more than {JENKINS_ANSWER_BYTES_MAX} bytes");
                return Err(Refusal::exception(message));
            }
        }
        serde_json::from_slice(&bytes)
            .map_err(|error| Refusal::exception(format!("{url} does not answer as Jenkins does: {error}")))
    }

    async fn get(&self, url: &str) -> Result<Response, Refusal> {
        let mut request = self.client.get(url).header("Bypass-Kerberos", "Yes");
        if let Some(JenkinsAccount { user, password }) = self.account {
            request = request.basic_auth(user.expose(), Some(password.expose()));
        }
        let response = request.send().await.map_err(|error| refusal(url, error))?;
        match response.status() {
            StatusCode::FORBIDDEN => Err(Refusal::exception(format!(
                "{url} requires authentication: give user and password in jenkins.json"
            ))),
            StatusCode::UNAUTHORIZED => {
                Err(Refusal::exception(format!("Invalid authentication to {url}: see jenkins.json")))
            }
            _ => response.error_for_status().map_err(|error| refusal(url, error)),
        }
    }
}
