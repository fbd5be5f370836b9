//! Asks the running broker of a home something, as its administrator.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use ave_client::{Broker, ClientError, Credential, Options};
use ave_profile::{KindTable, Value};
use ave_protocol::arguments::Arguments;
use ave_protocol::handshake::Secret;

use super::{ExitCode, Failure};
use crate::config::{AuthKeys, BrokerConfig, Fault, Paths};

/// How long the broker may take to be reached, and to answer what it knows.
pub(super) const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// A call, and what it is made for.
pub(super) struct Question<'q> {
    /// What cannot be done if it fails.
    pub(super) doing: &'q str,
    pub(super) call: &'q str,
    pub(super) arguments: Arguments,
    /// How long the answer may take.
    pub(super) limit: Duration,
}

impl Question<'_> {
    /// The broker's answer; `admin` is used instead of the key of the home.
    pub(super) fn ask(self, paths: &Paths, admin: Option<&str>) -> Result<Value, Failure> {
        self.put(paths, admin, Err)
    }

    /// The same; `None` if the broker is an older one that does not know the call.
    pub(super) fn ask_if_known(self, paths: &Paths, admin: Option<&str>) -> Result<Option<Value>, Failure> {
        self.put(paths, admin, |error| match error {
            ClientError::Plain(text) if text.starts_with("no such RPC") => Ok(None),
            other => Err(other),
        })
    }

    fn put<T: From<Value>>(
        self,
        paths: &Paths,
        admin: Option<&str>,
        failed: impl FnOnce(ClientError) -> Result<T, ClientError>,
    ) -> Result<T, Failure> {
        let key = match admin {
            Some(key) => Some(Secret::new(key.to_owned())),
            None => usable(|faults| AuthKeys::load(&paths.authkeys_json(), faults))?.key("admin").cloned(),
        };
        let credential = match key {
            Some(key) => Credential::Account { name: Some("admin".to_owned()), key },
            None => Credential::Anonymous,
        };
        let Question { doing, call, arguments, limit } = self;
        let (host, port) = address(paths, doing)?;
        let limits = (Some(ANSWER_LIMIT), Some(limit));
        let options = Options { connect_limit: limits.0, reply_limit: limits.1, ..Options::default() };
        let mut broker = Broker::new((host.to_string(), port), credential, options);
        broker.call(call, arguments).map_or_else(failed, |answer| Ok(answer.into())).map_err(|error| {
            Failure::new(code(&error), format_args!("could not {doing}: {host}:{port}: {error}"))
        })
    }
}

/// A broker that says no is there.
fn code(error: &ClientError) -> ExitCode {
    match error {
        ClientError::Fault(_) | ClientError::Plain(_) => ExitCode::Failure,
        _ => ExitCode::NoAnswer,
    }
}

/// Where the broker of this home listens: it wrote the port down, unless it is not running.
fn address(paths: &Paths, doing: &str) -> Result<(IpAddr, u16), Failure> {
    let written = std::fs::read_to_string(paths.port_file()).ok().and_then(|text| text.trim().parse().ok());
    let config = usable(|faults| BrokerConfig::read(&paths.broker_json(), &KindTable::builtin(), faults));
    let (listen, port) = match (config, written) {
        (Ok(config), written) => (config.listen, written.unwrap_or(config.port)),
        // Whatever has become of the file since, the broker runs on: by default it listens here, too.
        (Err(_), Some(port)) => (Ipv4Addr::UNSPECIFIED.into(), port),
        (Err(fault), None) => return Err(fault),
    };
    if port == 0 {
        let file = paths.port_file();
        return Err(Failure::of(format_args!("could not {doing}: no broker has written {}", file.display())));
    }
    let host = if listen.is_unspecified() { Ipv4Addr::LOCALHOST.into() } else { listen };
    Ok((host, port))
}

/// What a file says, or all that is wrong with it.
fn usable<T>(load: impl FnOnce(&mut Vec<Fault>) -> Option<T>) -> Result<T, Failure> {
    let mut faults = Vec::new();
    load(&mut faults).ok_or_else(|| Failure::of_faults(&faults))
}
