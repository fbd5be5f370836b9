//! What the calls that fetch over HTTP or HTTPS share: the client, its bounds, and how its errors read.

use std::path::PathBuf;
use std::time::Duration;

use ave_profile::{Map, Refusal, RefusalKind};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};

use super::limits::{CONNECT_LIMIT, REDIRECTS_MAX, SILENCE_LIMIT};
use super::part::{Part, bounded};
use super::work::FileWork;
use crate::config::workspace::Proxy;

/// A client that goes this way to the web, or the direct one.
pub(super) fn client(proxy: Option<Proxy>) -> reqwest::Result<Client> {
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

/// Saves what the server answered, and says where it is and how long. An older file of that name is
/// replaced, but only by a whole one.
///
/// # Errors
/// A path that leaves the workspace, and what the network or the disk refuse.
pub(super) async fn save(
    work: &FileWork,
    mut response: Response,
    target: String,
) -> Result<(PathBuf, u64), Refusal> {
    bounded(response.content_length().unwrap_or_default())?;
    let url = response.url().to_string();
    let mut part = work.run(move |ground, _| Part::of(ground, &target)).await?;
    while let Some(chunk) = response.chunk().await.map_err(|error| refusal(&url, error))? {
        part = work.run(move |_, _| part.with(&chunk)).await?;
    }
    work.run(move |_, _| part.finish()).await
}

/// Does this within its limit, if there is one.
///
/// # Errors
/// Those of the work; `Timeout`, `<what> timed out`.
pub(super) async fn within<T>(
    limit: Option<Duration>,
    what: String,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let Some(limit) = limit else { return work.await };
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let kind = RefusalKind::Driver("Timeout".into());
        Err(Refusal { kind, message: format!("{what} timed out"), details: Map::new() })
    })
}

/// With the causes, because the outermost error only repeats the URL.
pub(super) fn refusal(url: &str, error: reqwest::Error) -> Refusal {
    let error = error.without_url();
    let mut message = format!("could not download {url}: {error}");
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        message += &format!(": {error}");
        cause = error.source();
    }
    Refusal::exception(message)
}
