//! `jenkins.json`: who the broker is at the Jenkins servers that ask. Optional; passwords never print.

use std::collections::BTreeMap;
use std::path::Path;

use ave_profile::Value;
use ave_protocol::handshake::Secret;
use reqwest::Url;

use super::fault::Fault;
use super::file::{self, FileFault};

/// The form of the file, for messages.
const FORM: &str =
    r#"{"auth":{"<host or URL>":{"method":null or "basic","user":"name","password":"password"}}}"#;

/// Who the broker is, by host or URL (Specification 4.5).
#[derive(Clone, Debug, Default)]
pub struct JenkinsAccounts(BTreeMap<String, Option<JenkinsAccount>>);

/// What one server is told.
#[derive(Clone, Debug)]
pub struct JenkinsAccount {
    /// Who the server knows us as.
    pub user: Secret,
    /// What proves it.
    pub password: Secret,
}

impl JenkinsAccounts {
    /// Reads the file at `path`; no file is no accounts. Adds what is wrong with it to `faults`.
    pub fn load(path: &Path, faults: &mut Vec<Fault>) -> Option<JenkinsAccounts> {
        let accounts = match file::read(path) {
            Ok(content) => {
                faults.extend(file::readable_by_others(path));
                JenkinsAccounts::of(path, &content)
            }
            Err(FileFault::Missing) => Ok(JenkinsAccounts::default()),
            Err(fault) => {
                let message =
                    format!("could not load Jenkins configuration file: {}: {fault}", path.display());
                Err(Box::new(Fault::error(path, "", "a JSON object", fault.found(), message)))
            }
        };
        accounts.map_err(|fault| faults.push(*fault)).ok()
    }

    fn of(path: &Path, content: &Value) -> Result<JenkinsAccounts, Box<Fault>> {
        let faulty = |field: String| {
            let message = format!("{}: {field} must be on the form {FORM}", path.display());
            Box::new(Fault::error(path, field, FORM, "<not shown>", message))
        };
        let auth = content.as_map().and_then(|content| content.get("auth")?.as_map());
        let mut accounts = BTreeMap::new();
        for (server, entry) in auth.ok_or_else(|| faulty("auth".into()))? {
            let account = account(entry).ok_or_else(|| faulty(format!("auth.{server}")))?;
            accounts.insert(server.trim_end_matches('/').to_owned(), account);
        }
        Ok(JenkinsAccounts(accounts))
    }

    /// Who the broker is at the server with this base URL: what is said of the URL goes before what is said
    /// of its host.
    pub fn at(&self, base: &Url) -> Option<&JenkinsAccount> {
        let (scheme, host) = (base.scheme(), base.host_str()?);
        let authority = base.port().map_or(host.to_owned(), |port| format!("{host}:{port}"));
        let whole = base.as_str().trim_end_matches('/').to_owned();
        let names = [
            whole,
            format!("{scheme}://{authority}"),
            authority,
            format!("{scheme}://{host}"),
            host.to_owned(),
        ];
        names.iter().find_map(|name| self.0.get(name))?.as_ref()
    }
}

/// The account of one entry, `Some(None)` if its method is none. `None` for another form.
fn account(entry: &Value) -> Option<Option<JenkinsAccount>> {
    let entry = entry.as_map()?;
    let secret = |name: &str| Some(Secret::new(entry.get(name)?.as_str()?.to_owned()));
    match entry.get("method") {
        None | Some(Value::Null) => Some(None),
        Some(method) if method.as_str() == Some("basic") => {
            Some(Some(JenkinsAccount { user: secret("user")?, password: secret("password")? }))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn read(content: serde_json::Value) -> Result<JenkinsAccounts, String> {
        JenkinsAccounts::of(Path::new("jenkins.json"), &content.into()).map_err(|fault| fault.message)
    }

    #[test]
    fn w12_an_account_is_found_by_url_or_host() {
        let basic = |user: &str| json!({"method": "basic", "user": user, "password": "SECRET"});
        let accounts = read(json!({"auth": {
            "http://one": basic("url"), "two": basic("host"), "three:8080": basic("port"),
            "http://four/jenkins/": basic("path"), "none": {"method": null, "user": "", "password": ""}}}));
        let accounts = accounts.unwrap();
        let user = |base: &str| {
            accounts.at(&Url::parse(base).unwrap()).map(|account| account.user.expose().to_owned())
        };
        for (base, expected) in [
            ("http://one/", Some("url")),
            ("http://one:8080/jenkins", Some("url")),
            ("https://one/", None),
            ("https://two/jenkins/", Some("host")),
            ("http://three:8080/", Some("port")),
            ("http://three/", None),
            ("http://four/jenkins", Some("path")),
            ("http://four/", None),
            ("http://none/", None),
        ] {
            assert_eq!(user(base).as_deref(), expected, "{base}");
        }
        assert!(!format!("{accounts:?}").contains("SECRET"));
    }

    #[test]
    fn another_form_is_named_without_the_password() {
        for content in [
            json!([]),
            json!({}),
            json!({"auth": []}),
            json!({"auth": {"h": "SECRET"}}),
            json!({"auth": {"h": {"method": "basic", "user": "SECRET"}}}),
            json!({"auth": {"h": {"method": "magic", "password": "SECRET"}}}),
        ] {
            let message = read(content).unwrap_err();
            assert!(message.contains("must be on the form") && !message.contains("SECRET"), "{message}");
        }
    }

    #[test]
    fn no_file_is_no_accounts_and_one_that_others_read_is_warned_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jenkins.json");
        let mut faults = Vec::new();
        assert!(JenkinsAccounts::load(&path, &mut faults).unwrap().0.is_empty());
        assert!(faults.is_empty());
        fs::write(&path, r#"{"auth": {}}"#).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(JenkinsAccounts::load(&path, &mut faults).is_some());
        assert!(faults.pop().unwrap().message.ends_with("(mode 0600), found mode 0640"));
        fs::write(&path, "{").unwrap();
        assert!(JenkinsAccounts::load(&path, &mut faults).is_none());
        let message = faults.pop().unwrap().message;
        assert!(message.starts_with("could not load Jenkins configuration file: "), "{message}");
    }
}
