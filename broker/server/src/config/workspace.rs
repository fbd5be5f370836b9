//! `workspace.json`: where workspaces are made, which tools they may run, and what else a job may know of
//! this host. Passwords stay here; the profile that clients see has none.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use ave_profile::{Map, Profile, Value};
use ave_protocol::handshake::Secret;
use serde_json::json;

use super::Fault;
use super::credentials;
use super::fault::{current_value, shown};
use super::file::{self, FileFault};
use super::flocker::{self, Flocker};
use super::jenkins::JenkinsAccounts;

/// What `workspace.json` says (Specification 4.1, 8.4).
#[derive(Clone, Debug)]
pub struct WorkspaceConfig {
    root: PathBuf,
    tools: BTreeMap<String, PathBuf>,
    wlan: Option<Wlan>,
    proxy: Option<Proxy>,
    flocker: Option<Flocker>,
    jenkins: Option<String>,
    jenkins_accounts: JenkinsAccounts,
    profile: Profile,
}

/// The lab's wireless network, which jobs may read.
#[derive(Clone, Debug)]
pub struct Wlan {
    /// Its name.
    pub ssid: String,
    /// Its password. Handed to jobs on purpose: their phones join with it.
    pub auth: String,
}

/// The way to the web for downloads that ask for it.
#[derive(Clone, Debug)]
pub struct Proxy {
    /// Where the proxy listens.
    pub url: String,
    /// Who the proxy knows us as; empty if it asks nobody.
    pub user: String,
    /// What proves it.
    pub password: Secret,
}

impl WorkspaceConfig {
    /// Reads the file at `path` for the AVE home `home`.
    ///
    /// # Errors
    /// The first fault of the file.
    pub fn load(path: &Path, home: &Path) -> Result<WorkspaceConfig, Box<Fault>> {
        let content = file::read(path).map_err(|fault| {
            let message = match fault {
                FileFault::Missing => format!("no such configuration file: {}", path.display()),
                _ => format!("could not load workspace configuration file: {}: {fault}", path.display()),
            };
            Box::new(Fault::error(path, "", "a JSON object", fault.found(), message))
        })?;
        WorkspaceConfig::of(path, content, home)
    }

    /// Checks what the file at `path` holds, and expands its root.
    ///
    /// # Errors
    /// The first member that is missing or not on its form.
    pub fn of(path: &Path, content: Value, home: &Path) -> Result<WorkspaceConfig, Box<Fault>> {
        let Value::Map(members) = content else {
            let found = content.type_name();
            let message = format!(
                "could not load workspace configuration file: {}: wanted an object, found {found}",
                path.display()
            );
            return Err(Box::new(Fault::error(path, "", "an object", found, message)));
        };
        let mut content = Content { path, members };
        let root = content.root(home)?;
        let (tools, wlan, proxy) = (content.tools()?, content.wlan()?, content.proxy()?);
        content.check_hints()?;
        let flocker = content.flocker()?;
        let jenkins = content.members.get("jenkins").and_then(Value::as_str);
        let jenkins = jenkins.filter(|base| !base.is_empty()).map(str::to_owned);
        content.members.insert("root".into(), root.as_str().into());
        let profile = credentials::without(content.members);
        let (root, jenkins_accounts) = (root.into(), JenkinsAccounts::default());
        Ok(WorkspaceConfig { root, tools, wlan, proxy, flocker, jenkins, jenkins_accounts, profile })
    }

    /// The same with what `jenkins.json` says.
    pub fn with_jenkins_accounts(self, jenkins_accounts: JenkinsAccounts) -> WorkspaceConfig {
        WorkspaceConfig { jenkins_accounts, ..self }
    }

    /// What a fresh home gets, on the host called `host`.
    pub fn default_content(host: &str) -> serde_json::Value {
        json!({
            "pretty": host,
            "root": "~/.ave",
            "tools": {},
            "jenkins": "",
            "wlan": {},
            "wifi-capable": false,
            "proxy": "",
            "flocker": {
                "enable": false,
                "host": "",
                "ftp": {"port": 21, "user": "", "password": "", "timeout": 30, "store": ""},
                "http": {"port": 80, "doc-root": ""}
            }
        })
    }

    /// The parent of all workspaces, absolute.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The program behind a tool's name, if workspaces may run it.
    pub fn tool(&self, name: &str) -> Option<&Path> {
        self.tools.get(name).map(PathBuf::as_path)
    }

    /// The tools whose program is not there to be run, each as a warning about the file at `path`.
    pub fn missing_tools<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = Fault> + 'a {
        let missing = self.tools.iter().filter(|(_, program)| !is_executable(program));
        missing.map(move |(name, program)| {
            let found = format!("none at {}", program.display());
            Fault::warning(path, format!("tools.{name}"), "an executable file", found)
        })
    }

    /// The lab's wireless network, if there is one.
    pub fn wlan(&self) -> Option<&Wlan> {
        self.wlan.as_ref()
    }

    /// The way to the web, if one is configured.
    pub fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_ref()
    }

    /// The file server, if one is enabled.
    pub fn flocker(&self) -> Option<&Flocker> {
        self.flocker.as_ref()
    }

    /// The base URL of the lab's Jenkins, if it has one.
    pub fn jenkins(&self) -> Option<&str> {
        self.jenkins.as_deref()
    }

    /// Who the broker is at Jenkins servers.
    pub fn jenkins_accounts(&self) -> &JenkinsAccounts {
        &self.jenkins_accounts
    }

    /// The host's profile: the whole file and `type`, without `uid` and without the file server's or the
    /// proxy's credentials (W14).
    pub fn generic_profile(&self) -> Profile {
        self.profile.clone()
    }
}

/// The members of a file that is being checked.
struct Content<'a> {
    path: &'a Path,
    members: Map,
}

impl Content<'_> {
    fn root(&self, home: &Path) -> Result<String, Box<Fault>> {
        let value = self.mandatory("root", "workspace root directory is not configured")?;
        let home = home.to_string_lossy();
        value
            .as_str()
            .map(|root| root.replace('~', &home).replace("$HOME", &home))
            .filter(|root| root.starts_with('/'))
            .ok_or_else(|| self.fault("root", r#"{"root":"/absolute/directory"}"#))
    }

    fn tools(&self) -> Result<BTreeMap<String, PathBuf>, Box<Fault>> {
        let value = self.mandatory("tools", "workspace tools are not configured")?;
        let absolute = |(name, path): (&String, &Value)| {
            let path = Path::new(path.as_str()?);
            path.is_absolute().then(|| (name.clone(), path.to_owned()))
        };
        let tools = value.as_map().and_then(|tools| tools.iter().map(absolute).collect());
        tools.ok_or_else(|| self.fault("tools", r#"{"tools":{"name":"/absolute/path"}}"#))
    }

    /// An empty object says that there is no network, as the default file does.
    fn wlan(&self) -> Result<Option<Wlan>, Box<Fault>> {
        let Some(value) = self.members.get("wlan").filter(|value| !is_empty_object(value)) else {
            return Ok(None);
        };
        let text = |name: &str| Some(value.as_map()?.get(name)?.as_str()?.to_owned());
        let wlan = text("ssid").zip(text("auth")).map(|(ssid, auth)| Wlan { ssid, auth });
        wlan.map(Some).ok_or_else(|| self.fault("wlan", r#"{"wlan":{"ssid":"name","auth":"password"}}"#))
    }

    /// An empty string, or an empty `url`, says that there is no proxy.
    fn proxy(&self) -> Result<Option<Proxy>, Box<Fault>> {
        const FORM: &str =
            r#"{"proxy":{"url":"http://host:port","proxy_user":"name","proxy_password":"password"}}"#;
        let Some(value) = self.members.get("proxy").filter(|value| value.as_str() != Some("")) else {
            return Ok(None);
        };
        let text = |name: &str| match value.as_map()?.get(name) {
            None => Some(String::new()),
            Some(text) => text.as_str().map(str::to_owned),
        };
        let found = text("url").zip(text("proxy_user")).zip(text("proxy_password"));
        let found = found.filter(|((url, _), _)| !credentials::are_in(url));
        let ((url, user), password) = found.ok_or_else(|| self.fault("proxy", FORM))?;
        Ok((!url.is_empty()).then(|| Proxy { url, user, password: Secret::new(password) }))
    }

    /// The members that only matching and jobs read.
    fn check_hints(&self) -> Result<(), Box<Fault>> {
        let check = |name, form, fits: fn(&Value) -> bool| match self.members.get(name) {
            Some(value) if !fits(value) => Err(self.fault(name, form)),
            _ => Ok(()),
        };
        // `pretty` becomes part of a directory's name.
        check("pretty", r#"{"pretty":"name without a slash"}"#, |value| {
            value.as_str().is_some_and(|pretty| !pretty.contains(['/', '\0']))
        })?;
        check("wifi-capable", r#"{"wifi-capable":<bool>}"#, |value| matches!(value, Value::Bool(_)))?;
        check("jenkins", r#"{"jenkins":"http://host/"}"#, |value| {
            value.as_str().is_some_and(|url| !credentials::are_in(url))
        })?;
        check("env", r#"{"env":["name"]}"#, |value| value.as_list().is_some())?;
        check("subclass", r#"{"subclass":{"Workspace":"module.Name"}}"#, |value| value.as_map().is_some())
    }

    fn flocker(&self) -> Result<Option<Flocker>, Box<Fault>> {
        let Some(value) = self.members.get("flocker") else { return Ok(None) };
        Flocker::of(value).ok_or_else(|| self.fault("flocker", flocker::FORM))
    }

    fn mandatory(&self, name: &str, message: &str) -> Result<&Value, Box<Fault>> {
        let missing = || Box::new(Fault::error(self.path, name, "a value", "none", message));
        self.members.get(name).ok_or_else(missing)
    }

    /// A member that is there but not on its form. What may hold a password is not repeated.
    fn fault(&self, name: &str, form: &str) -> Box<Fault> {
        let hidden = Value::from("<not shown>");
        let value = match name {
            "flocker" | "jenkins" | "proxy" | "wlan" => &hidden,
            _ => self.members.get(name).unwrap_or(&hidden),
        };
        let message =
            format!("workspace attribute \"{name}\" must be on the form {form}. {}", current_value(value));
        Box::new(Fault::error(self.path, name, form, shown(value), message))
    }
}

/// Whether there is a file that may be run.
pub(crate) fn is_executable(program: &Path) -> bool {
    program.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn is_empty_object(value: &Value) -> bool {
    value.as_map().is_some_and(Map::is_empty)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(content: serde_json::Value) -> Result<WorkspaceConfig, String> {
        let path = Path::new("workspace.json");
        WorkspaceConfig::of(path, content.into(), Path::new("/home/lab")).map_err(|fault| fault.to_string())
    }

    #[test]
    fn w1_tilde_and_home_are_expanded_anywhere_in_the_root() {
        let root = |text: &str| read(json!({"root": text, "tools": {}})).unwrap().root().to_owned();
        assert_eq!(root("~/.ave"), Path::new("/home/lab/.ave"));
        assert_eq!(root("$HOME/w"), Path::new("/home/lab/w"));
        assert_eq!(root("/x~/$HOME"), Path::new("/x/home/lab//home/lab"));
    }

    #[test]
    fn w1_missing_members_and_files_have_their_messages() {
        assert_eq!(read(json!({"tools": {}})).unwrap_err(), "workspace root directory is not configured");
        assert_eq!(read(json!({"root": "/w"})).unwrap_err(), "workspace tools are not configured");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("workspace.json");
        let load = || WorkspaceConfig::load(&path, folder.path()).map_err(|fault| fault.to_string());
        assert_eq!(load().unwrap_err(), format!("no such configuration file: {}", path.display()));
        for broken in ["", "{", "[]", "\u{1}"] {
            fs::write(&path, broken).unwrap();
            let message = load().unwrap_err();
            assert!(message.starts_with("could not load workspace configuration file: "), "{message}");
        }
        fs::write(&path, r#"{"root": "~", "tools": {}}"#).unwrap();
        assert_eq!(load().unwrap().root(), folder.path());
    }

    #[test]
    fn w1_members_of_another_form_are_named() {
        let wrong = [
            ("root", json!(1)),
            ("root", json!("relative")),
            ("tools", json!([])),
            ("tools", json!({"ls": 1})),
            ("tools", json!({"ls": "bin/ls"})),
            ("pretty", json!(1)),
            ("pretty", json!("../x")),
            ("jenkins", json!(1)),
            ("jenkins", json!("http://lab:SECRET@ci/")),
            ("wifi-capable", json!("yes")),
            ("wlan", json!({"ssid": "x"})),
            ("wlan", json!("x")),
            ("proxy", json!("http://p")),
            ("proxy", json!({"url": 1})),
            ("proxy", json!({"url": "http://lab:SECRET@proxy:3128"})),
            ("env", json!({})),
            ("subclass", json!([])),
            ("flocker", json!({"enable": true})),
            ("flocker", json!("host")),
        ];
        for (name, value) in wrong {
            let mut content = json!({"root": "/w", "tools": {}});
            content[name] = value;
            let message = read(content).unwrap_err();
            let beginning = format!("workspace attribute \"{name}\" must be on the form {{");
            assert!(message.starts_with(&beginning), "{message}");
            assert!(message.contains(". current value=") && !message.contains("SECRET"), "{message}");
        }
    }

    #[test]
    fn w14_the_profile_has_everything_but_credentials() {
        let content = json!({
            "root": "~/w", "tools": {"ls": "/bin/ls"}, "pretty": "lab", "mine": 1, "uid": "x",
            "jenkins": "http://ci/", "wlan": {"ssid": "air", "auth": "key"},
            "proxy": {"url": "http://p:1", "proxy_user": "lab", "proxy_password": "SECRET"},
            "flocker": {"enable": true, "host": "h",
                "ftp": {"port": 21, "user": "SECRET", "password": "SECRET", "store": "s"},
                "http": {"port": 80, "doc-root": "d"}}
        });
        let config = read(content).unwrap();
        let expected = json!({
            "type": "workspace", "root": "/home/lab/w", "tools": {"ls": "/bin/ls"}, "pretty": "lab", "mine": 1,
            "jenkins": "http://ci/", "wlan": {"ssid": "air", "auth": "key"}, "proxy": {"url": "http://p:1"},
            "flocker": {"enable": true, "host": "h", "ftp": {"port": 21, "store": "s"},
                "http": {"port": 80, "doc-root": "d"}}
        });
        assert_eq!(config.generic_profile(), Profile::of(expected));
        assert!(!format!("{config:?}").contains("SECRET"), "{config:?}");
    }

    #[test]
    fn the_default_file_is_valid_and_offers_neither_network_nor_proxy() {
        let config = read(WorkspaceConfig::default_content("host")).unwrap();
        assert_eq!(config.root(), Path::new("/home/lab/.ave"));
        assert!(config.wlan().is_none() && config.proxy().is_none());
    }
}
