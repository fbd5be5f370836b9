//! The file server that keeps what a workspace uploads (Specification 4.3). Files lie below a key; beside the
//! key lies a description that is rewritten after each change.

mod link;
mod names;

use std::fs::File;
use std::time::Duration;

use ave_profile::{Map, Refusal, Value};
use tokio::time;

use self::link::Link;
pub(super) use self::link::Trouble;
pub(super) use self::names::Remote;
use super::limits::{METADATA_BYTES_MAX, PUSH_PAUSE};
use super::part::Part;
use super::paths::Ground;
use super::tools;
use super::work::FileWork;
use crate::config::file;
use crate::config::flocker::Flocker as Server;

/// The members of a description that scripts set.
const DESCRIPTION: [&str; 3] = ["contact", "asset", "comment"];

/// One workspace's way to the file server.
#[derive(Debug)]
pub(super) struct Flocker {
    server: Server,
    /// What one call leaves open for the next. A call takes it out, so that one that fails or is given up
    /// closes it.
    link: Option<Link>,
    /// Where uploads go, once that is known.
    key: Option<String>,
}

/// Where uploads go.
#[derive(Debug)]
pub(super) enum Key {
    /// To a new key, with these words before its random part.
    New(Option<Remote>),
    /// To one that exists.
    Existing(String),
}

impl Flocker {
    /// Nothing is open yet.
    pub(super) fn new(server: Server) -> Flocker {
        Flocker { server, link: None, key: None }
    }

    /// Uploads go to this key from now on.
    pub(super) async fn begin(&mut self, key: Key) -> Result<(), Trouble> {
        let mut link = self.link().await?;
        self.key = Some(self.opened(&mut link, key).await?);
        self.link = Some(link);
        Ok(())
    }

    /// Stores a file in the place of any other. Answers the description and the key.
    pub(super) async fn push(
        &mut self,
        key: Option<String>,
        file: File,
        place: &Remote,
    ) -> Result<Value, Trouble> {
        let mut link = self.link().await?;
        let key = self.key(&mut link, key).await?;
        let path = self.place(&mut link, &key, place).await?;
        link.store(&path, 0, &mut tokio::fs::File::from_std(file)).await?;
        self.pushed(link, key).await
    }

    /// Appends to a file, which is made if there is none. What the server refuses is tried again until the
    /// limit.
    ///
    /// # Errors
    /// `push string timed out`; `Could not access K`.
    pub(super) async fn append(
        &mut self,
        key: Option<String>,
        text: &str,
        place: &Remote,
        limit: Option<Duration>,
    ) -> Result<Value, Refusal> {
        let (mut end, mut last) = (None, String::new());
        let tried = async {
            loop {
                match self.append_once(key.clone(), text, place, &mut end).await {
                    Err(trouble) if trouble.may_pass() => last = trouble.to_string(),
                    other => return other.map_err(Refusal::from),
                }
                time::sleep(PUSH_PAUSE).await;
            }
        };
        let Some(limit) = limit else { return tried.await };
        match time::timeout(limit, tried).await {
            Ok(done) => done,
            Err(_) => Err(tools::timeout("push string timed out", Value::Null, last)),
        }
    }

    /// `end` is where the text goes once that was found out: a second try must not leave half of the first.
    async fn append_once(
        &mut self,
        key: Option<String>,
        text: &str,
        place: &Remote,
        end: &mut Option<usize>,
    ) -> Result<Value, Trouble> {
        let mut link = self.link().await?;
        let key = self.key(&mut link, key).await?;
        let path = self.place(&mut link, &key, place).await?;
        let offset = match *end {
            Some(offset) => offset,
            None => *end.insert(link.size(&path).await?),
        };
        link.store(&path, offset, &mut text.as_bytes()).await?;
        self.pushed(link, key).await
    }

    /// Changes [`DESCRIPTION`]; nothing keeps what is there. Answers it.
    pub(super) async fn describe(&mut self, changes: [Option<String>; 3]) -> Result<Value, Trouble> {
        let mut link = self.link().await?;
        let key = self.key(&mut link, None).await?;
        let described = self.rewrite(&mut link, &key, changes).await?;
        self.link = Some(link);
        Ok(Value::Map(described))
    }

    /// Fetches a file of the key into the workspace.
    pub(super) async fn fetch(
        &mut self,
        work: &FileWork,
        place: &Remote,
        local: String,
    ) -> Result<(), Trouble> {
        let mut link = self.link().await?;
        let key = self.key(&mut link, None).await?;
        let path = format!("{}/{}", self.directory(&link, &key), place.path());
        let begin = move |ground: &Ground, _: &_| Part::of(ground, &local);
        let mut part = work.run(begin).await.map_err(Trouble::Local)?;
        let mut stream = link.fetch(&path).await?;
        while let Some(chunk) = stream.next().await? {
            part = work.run(move |_, _| part.with(&chunk)).await.map_err(Trouble::Local)?;
        }
        stream.finish().await?;
        work.run(move |_, _| part.finish()).await.map_err(Trouble::Local)?;
        self.link = Some(link);
        Ok(())
    }

    /// A link that answers.
    async fn link(&mut self) -> Result<Link, Trouble> {
        if let Some(mut link) = self.link.take()
            && link.answers().await
        {
            return Ok(link);
        }
        Link::dial(&self.server).await
    }

    /// This key; without one that of the last call, or a new one. It stays, also if what it is wanted for
    /// fails.
    async fn key(&mut self, link: &mut Link, key: Option<String>) -> Result<String, Trouble> {
        let key = match (key, &self.key) {
            (None, Some(last)) => return Ok(last.clone()),
            (Some(key), Some(last)) if key == *last => return Ok(key),
            (Some(key), _) => Key::Existing(key),
            (None, None) => Key::New(None),
        };
        let key = self.opened(link, key).await?;
        Ok(self.key.insert(key).clone())
    }

    async fn opened(&self, link: &mut Link, key: Key) -> Result<String, Trouble> {
        match key {
            Key::New(words) => {
                let key = names::fresh_key(words.as_ref()).map_err(Trouble::Local)?;
                link.make(&self.directory(link, &key)).await?;
                Ok(key)
            }
            Key::Existing(key) => {
                let known = names::is_key(&key) && link.enter(&self.directory(link, &key)).await?;
                if known { Ok(key) } else { Err(Trouble::NoKey(key)) }
            }
        }
    }

    /// Keeps the link for the next call, and answers the description and the key.
    async fn pushed(&mut self, mut link: Link, key: String) -> Result<Value, Trouble> {
        let mut described = self.rewrite(&mut link, &key, [None, None, None]).await?;
        described.insert("key".into(), key.into());
        self.link = Some(link);
        Ok(Value::Map(described))
    }

    /// Rewrites a key's description with these changes. What it said before is read first: another workspace
    /// may have changed it.
    async fn rewrite(
        &self,
        link: &mut Link,
        key: &str,
        changes: [Option<String>; 3],
    ) -> Result<Map, Trouble> {
        let before = self.description(link, key).await?;
        let before = before.as_ref().and_then(Value::as_map);
        let mut described = Map::from([("url".into(), self.url(key))]);
        for (name, change) in DESCRIPTION.into_iter().zip(changes) {
            let kept = || before.and_then(|before| before.get(name).cloned()).unwrap_or(Value::Null);
            described.insert(name.into(), change.map_or_else(kept, Value::Text));
        }
        let path = format!("{}.json", self.directory(link, key));
        link.store(&path, 0, &mut serde_json::json!(described).to_string().as_bytes()).await?;
        Ok(described)
    }

    /// What the server keeps as a key's description; nothing if it is none.
    async fn description(&self, link: &mut Link, key: &str) -> Result<Option<Value>, Trouble> {
        let path = format!("{}.json", self.directory(link, key));
        if link.size(&path).await? == 0 {
            return Ok(None);
        }
        let mut stream = link.fetch(&path).await?;
        let mut bytes = Vec::new();
        while let Some(chunk) = stream.next().await? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > METADATA_BYTES_MAX {
                return Err(Trouble::Local(Refusal::exception(format!(
                    "the description of {key} is too long"
                ))));
            }
        }
        stream.finish().await?;
        Ok(file::parse(&bytes).ok())
    }

    /// The whole path of a key's directory.
    fn directory(&self, link: &Link, key: &str) -> String {
        link.path(&names::stored(&self.server.store, key))
    }

    /// The whole path of a file, whose directory is made.
    async fn place(&self, link: &mut Link, key: &str, place: &Remote) -> Result<String, Trouble> {
        let path = format!("{}/{}", self.directory(link, key), place.path());
        if let Some((directory, _)) = path.rsplit_once('/') {
            link.make(directory).await?;
        }
        Ok(path)
    }

    /// Where HTTP shows a key.
    fn url(&self, key: &str) -> Value {
        let Server { host, http_port, store, doc_root, .. } = &self.server;
        let stored = names::stored(store, key);
        let members = [
            ("host".into(), host.as_str().into()),
            ("port".into(), i64::from(*http_port).into()),
            ("path".into(), names::shown(&stored, doc_root).into()),
        ];
        Value::Map(Map::from(members))
    }
}
