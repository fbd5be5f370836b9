//! Fetches one file over HTTP or HTTPS into a workspace.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ave_profile::Refusal;
use percent_encoding::percent_decode_str;
use reqwest::Response;
use reqwest::header::CONTENT_DISPOSITION;

use super::http::{client, refusal, save, within};
use super::work::FileWork;
use crate::config::workspace::Proxy;

/// What `download` is asked for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Where from.
    pub(super) url: String,
    /// The directory it goes to.
    pub(super) dst: String,
    /// Its name there; by default what the server calls it.
    pub(super) output_file: Option<String>,
    /// When it is given up.
    pub(super) limit: Option<Duration>,
    /// The way to the web, if not the direct one.
    pub(super) proxy: Option<Proxy>,
}

/// Fetches the file. An older one of that name is replaced, but only by a whole one.
///
/// # Errors
/// A path that leaves the workspace, what the server or the network refuse, `Timeout` after the limit.
pub(super) async fn download(work: &FileWork, wanted: Wanted) -> Result<PathBuf, Refusal> {
    within(wanted.limit, format!("download of {}", wanted.url), fetch(work, wanted)).await
}

async fn fetch(work: &FileWork, wanted: Wanted) -> Result<PathBuf, Refusal> {
    let Wanted { url, dst, output_file, proxy, .. } = wanted;
    let refused = |error: reqwest::Error| refusal(&url, error);
    let client = client(proxy).map_err(refused)?;
    let response = client.get(&url).send().await.and_then(Response::error_for_status).map_err(refused)?;
    work.ground().inside(&dst)?;
    let name = output_file.unwrap_or_else(|| name_of(&response));
    let target = Path::new(&dst).join(name).to_string_lossy().into_owned();
    save(work, response, target).await.map(|(path, _)| path)
}

/// The name the server gives the file, else the last one of its URL; never more than a base name.
fn name_of(response: &Response) -> String {
    let disposition = response.headers().get(CONTENT_DISPOSITION);
    let given = disposition.and_then(|value| disposition_name(&String::from_utf8_lossy(value.as_bytes())));
    let of_url = || base_name(&percent_decode_str(response.url().path()).decode_utf8_lossy());
    given.or_else(of_url).unwrap_or_else(|| "index.html".into())
}

/// `attachment; filename="a b"`, or the encoded `filename*=UTF-8''a%20b`, which goes first.
fn disposition_name(header: &str) -> Option<String> {
    let parameter = |wanted: &str| {
        header.split(';').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim().eq_ignore_ascii_case(wanted).then(|| value.trim().trim_matches('"'))
        })
    };
    let encoded = parameter("filename*").and_then(|value| value.splitn(3, '\'').nth(2));
    let encoded = encoded.map(|value| percent_decode_str(value).decode_utf8_lossy().into_owned());
    base_name(&encoded.or_else(|| parameter("filename").map(str::to_owned))?)
}

fn base_name(path: &str) -> Option<String> {
    let name = path.rsplit(['/', '\\']).next()?;
    (!matches!(name, "" | "." | "..") && !name.contains('\0')).then(|| name.to_owned())
}
