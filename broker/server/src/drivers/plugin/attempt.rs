//! A driver opened by hand, to see how it behaves, without a session around it.

use ave_profile::{Identity, Kind, Map, Profile};
use ave_protocol::arguments::Arguments;

use std::sync::Arc;

use super::messages::{self, Method};
use super::process::Process;
use super::{Plugin, PluginDriver, seconds};

/// An open driver.
pub(crate) struct Attempt {
    plugin: Arc<Plugin>,
    process: Process,
    methods: Vec<Method>,
}

impl PluginDriver {
    /// The type it drives.
    pub(crate) fn kind(&self) -> &Arc<Kind> {
        &self.0.kind
    }

    /// Whether something else than a driver's good end makes a piece clean.
    pub(crate) fn has_reset(&self) -> bool {
        self.0.kind.reset.is_some()
    }

    /// Starts the program for a piece.
    ///
    /// # Errors
    /// Why it does not open.
    pub(crate) async fn try_open(&self, item: &Identity, known: &Profile) -> Result<Attempt, String> {
        let (process, methods) = self.0.start(item, known, Some(1)).await.map_err(|not| not.why())?;
        Ok(Attempt { plugin: self.0.clone(), process, methods })
    }

    /// Makes a piece clean that nobody holds.
    ///
    /// # Errors
    /// Why it is not clean.
    pub(crate) async fn try_reset(&self, item: &Identity, known: &Profile) -> Result<(), String> {
        self.0.reset(item, known, None).await
    }
}

impl Attempt {
    /// What it lists.
    pub(crate) fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The methods that can be called without arguments, but for the reset.
    pub(crate) fn without_arguments(&self) -> Vec<String> {
        let reset = match &self.plugin.kind.reset {
            Some(ave_profile::Reset::Method(name)) => name.as_str(),
            _ => "",
        };
        let signatures = self.methods.iter().map(|method| &method.signature);
        let callable = signatures.filter(|signature| signature.bind(Arguments::default()).is_ok());
        callable.map(|signature| signature.name().to_owned()).filter(|name| name != reset).collect()
    }

    /// Calls a method with its defaults; any answer will do, also an exception.
    ///
    /// # Errors
    /// How the driver was lost.
    pub(crate) async fn call(&mut self, name: &str) -> Result<String, String> {
        let signature = self.methods.iter().map(|method| &method.signature).find(|s| s.name() == name);
        let bound = signature.and_then(|signature| signature.bind(Arguments::default()).ok());
        let arguments = bound.map(|bound| bound.named()).unwrap_or_default();
        match self.ask(name, &arguments).await? {
            Ok(result) => Ok(result.to_string()),
            Err(refusal) => Ok(refusal.to_string()),
        }
    }

    /// Calls a method that the driver does not list, which it has to refuse.
    ///
    /// # Errors
    /// What it did instead.
    pub(crate) async fn refuses(&mut self, name: &str) -> Result<String, String> {
        match self.ask(name, &Map::new()).await? {
            Ok(result) => Err(format!("{name}() is {result}: answer an exception to a name you do not list")),
            Err(refusal) => Ok(refusal.to_string()),
        }
    }

    /// Ends its input.
    ///
    /// # Errors
    /// How it did not end.
    pub(crate) async fn end(self) -> Result<(), String> {
        let limit = seconds(self.plugin.kind.limits.close_s);
        self.process.end(limit).await.map_err(|how| format!("it {how}"))
    }

    /// Kills it, as a broker does in the middle of a call that nobody waits for any more.
    pub(crate) async fn kill(self) {
        self.process.kill().await;
    }

    async fn ask(&mut self, name: &str, arguments: &Map) -> Result<super::Answer, String> {
        let request = messages::call(name, arguments).map_err(|refusal| refusal.to_string())?;
        let limit = seconds(self.plugin.kind.limits.call_s);
        let answer = self.plugin.call(&mut self.process, name, &request, limit).await;
        answer.map_err(|lost| format!("the driver {}", lost.how))
    }
}
