//! The member `flocker` of `workspace.json`: the file server that keeps what jobs upload. Who the broker is
//! there never leaves this value in clear.

use std::time::Duration;

use ave_profile::{Map, Value};
use ave_protocol::handshake::Secret;

/// How long one step with the server may take where the file does not say.
const DEFAULT_TIMEOUT_S: i64 = 30;

/// The form of the member, for messages.
pub(super) const FORM: &str = concat!(
    r#"{"flocker":{"enable":<bool>,"host":"name","#,
    r#""ftp":{"port":<int>,"user":"name","password":"password","timeout":<int>,"store":"directory"},"#,
    r#""http":{"port":<int>,"doc-root":"directory"}}}"#
);

/// A file server that takes files over FTP and shows them over HTTP (Specification 4.1).
#[derive(Clone, Debug)]
pub struct Flocker {
    /// Its host, for both.
    pub host: String,
    /// Where it takes files.
    pub ftp_port: u16,
    /// Who the server knows us as.
    pub user: Secret,
    /// What proves it.
    pub password: Secret,
    /// How long one step may take, and how long a transfer may stand still.
    pub timeout: Duration,
    /// The directory of all uploads, seen from the login directory.
    pub store: String,
    /// Where it shows them.
    pub http_port: u16,
    /// The directory that HTTP shows as its root, seen from the login directory.
    pub doc_root: String,
}

impl Flocker {
    /// The server of this member, or none if it is not enabled. All members but `ftp.timeout` must be
    /// there; what they hold matters only when it is. `None` for a member that is not on its [`FORM`].
    pub(super) fn of(value: &Value) -> Option<Option<Flocker>> {
        let flocker = value.as_map()?;
        let (ftp, http) = (flocker.get("ftp")?.as_map()?, flocker.get("http")?.as_map()?);
        let complete = ["port", "user", "password", "store"].iter().all(|name| ftp.contains_key(*name))
            && ["port", "doc-root"].iter().all(|name| http.contains_key(*name))
            && flocker.contains_key("host");
        match flocker.get("enable")? {
            Value::Bool(_) if !complete => None,
            Value::Bool(true) => Flocker::enabled(flocker, ftp, http).map(Some),
            Value::Bool(false) => Some(None),
            _ => None,
        }
    }

    fn enabled(flocker: &Map, ftp: &Map, http: &Map) -> Option<Flocker> {
        let timeout_s = ftp.get("timeout").map_or(Some(DEFAULT_TIMEOUT_S), whole)?;
        Some(Flocker {
            host: text(flocker, "host").filter(|host| !host.is_empty())?,
            ftp_port: port(ftp)?,
            user: Secret::new(text(ftp, "user")?),
            password: Secret::new(text(ftp, "password")?),
            timeout: Duration::from_secs(u64::try_from(timeout_s).ok().filter(|seconds| *seconds > 0)?),
            store: text(ftp, "store")?,
            http_port: port(http)?,
            doc_root: text(http, "doc-root")?,
        })
    }
}

fn text(section: &Map, name: &str) -> Option<String> {
    section.get(name)?.as_str().map(str::to_owned)
}

fn port(section: &Map) -> Option<u16> {
    u16::try_from(whole(section.get("port")?)?).ok().filter(|port| *port > 0)
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn content() -> serde_json::Value {
        json!({"enable": true, "host": "files", "ftp": {"port": 21, "user": "u", "password": "p", "store": "s"},
            "http": {"port": 80, "doc-root": "d"}})
    }

    fn read(content: &serde_json::Value) -> Option<Option<Flocker>> {
        Flocker::of(&content.clone().into())
    }

    #[test]
    fn w1_every_member_but_the_timeout_must_be_there() {
        let server = read(&content()).unwrap().unwrap();
        assert_eq!((server.ftp_port, server.timeout), (21, Duration::from_secs(30)));
        for (section, name) in [
            ("", "enable"),
            ("", "host"),
            ("", "ftp"),
            ("/ftp", "port"),
            ("/ftp", "user"),
            ("/ftp", "password"),
            ("/ftp", "store"),
            ("/http", "port"),
            ("/http", "doc-root"),
        ] {
            for enable in [true, false] {
                let mut content = content();
                content["enable"] = enable.into();
                content.pointer_mut(section).unwrap().as_object_mut().unwrap().remove(name).unwrap();
                assert!(read(&content).is_none(), "{section}/{name}");
            }
        }
    }

    #[test]
    fn w1_types_matter_only_when_it_is_enabled() {
        for (place, wrong) in [
            ("/host", json!("")),
            ("/ftp/port", json!("21")),
            ("/ftp/port", json!(0)),
            ("/ftp/user", json!(1)),
            ("/ftp/password", json!(null)),
            ("/ftp/timeout", json!(0)),
            ("/http/port", json!(65536)),
            ("/http/doc-root", json!([])),
        ] {
            let mut content = content();
            content["ftp"]["timeout"] = json!(7);
            *content.pointer_mut(place).unwrap() = wrong;
            assert!(read(&content).is_none(), "{place}");
            content["enable"] = false.into();
            assert!(matches!(read(&content), Some(None)), "{place}");
        }
    }
}
