//! Fetches one file over HTTP or HTTPS into a workspace.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ave_profile::{Map, Refusal, RefusalKind};
use percent_encoding::percent_decode_str;
use reqwest::header::CONTENT_DISPOSITION;
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};

use super::files::{failed, make_tempfile};
use super::limits::{CONNECT_LIMIT, DOWNLOAD_BYTES_MAX, REDIRECTS_MAX, SILENCE_LIMIT};
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
    let limit = wanted.limit;
    let url = wanted.url.clone();
    match limit {
        None => fetch(work, wanted).await,
        Some(limit) => tokio::time::timeout(limit, fetch(work, wanted)).await.unwrap_or_else(|_| {
            let kind = RefusalKind::Driver("Timeout".into());
            Err(Refusal { kind, message: format!("download of {url} timed out"), details: Map::new() })
        }),
    }
}

async fn fetch(work: &FileWork, wanted: Wanted) -> Result<PathBuf, Refusal> {
    let Wanted { url, dst, output_file, proxy, .. } = wanted;
    let refused = |error: reqwest::Error| refusal(&url, error);
    let client = client(proxy).map_err(refused)?;
    let mut response = client.get(&url).send().await.and_then(Response::error_for_status).map_err(refused)?;
    bounded(response.content_length().unwrap_or_default())?;
    let name = output_file.unwrap_or_else(|| name_of(&response));
    let (mut part, target) = work
        .run(move |ground, _| {
            ground.inside(&dst)?;
            let wanted = Path::new(&dst).join(name);
            let target = ground.entry(&wanted.to_string_lossy())?;
            let directory = target.parent().unwrap_or(ground.root());
            fs::create_dir_all(directory).map_err(|error| failed(&dst, &error))?;
            let (path, file) = make_tempfile(ground, &directory.to_string_lossy())?;
            Ok((Part { path, file, length: 0 }, target))
        })
        .await?;
    while let Some(chunk) = response.chunk().await.map_err(refused)? {
        part = work.run(move |_, _| part.with(&chunk)).await?;
    }
    work.run(move |_, _| {
        fs::rename(&part.path, &target).map_err(|error| failed(&target.to_string_lossy(), &error))?;
        Ok(target)
    })
    .await
}

fn client(proxy: Option<Proxy>) -> reqwest::Result<Client> {
    let proxy = proxy.map(way).transpose()?;
    let builder = || {
        let redirects = Policy::limited(REDIRECTS_MAX);
        let builder = Client::builder().redirect(redirects).connect_timeout(CONNECT_LIMIT);
        proxy.iter().cloned().fold(builder.read_timeout(SILENCE_LIMIT), ClientBuilder::proxy)
    };
    // A host that trusts no authority at all can still fetch over HTTP.
    builder().build().or_else(|_| builder().tls_certs_only([]).build())
}

fn way(proxy: Proxy) -> reqwest::Result<reqwest::Proxy> {
    let Proxy { url, user, password } = proxy;
    let way = reqwest::Proxy::all(url)?;
    Ok(if user.is_empty() { way } else { way.basic_auth(&user, password.expose()) })
}

/// A download that is not whole yet: it goes with this value, unless it was renamed.
struct Part {
    path: PathBuf,
    file: fs::File,
    length: u64,
}

impl Part {
    fn with(mut self, chunk: &[u8]) -> Result<Part, Refusal> {
        self.length += chunk.len() as u64;
        bounded(self.length)?;
        self.file.write_all(chunk).map_err(|error| failed(&self.path.to_string_lossy(), &error))?;
        Ok(self)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After the renaming there is nothing there.
        let _ = fs::remove_file(&self.path);
    }
}

fn bounded(length: u64) -> Result<(), Refusal> {
    if length > DOWNLOAD_BYTES_MAX {
        return Err(Refusal::exception(format!("the file has more than {DOWNLOAD_BYTES_MAX} bytes")));
    }
    Ok(())
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

/// With the causes, because the outermost error only repeats the URL.
fn refusal(url: &str, error: reqwest::Error) -> Refusal {
    let error = error.without_url();
    let mut message = format!("could not download {url}: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    Refusal::exception(message)
}
