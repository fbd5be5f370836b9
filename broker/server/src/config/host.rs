//! The name under which clients of other hosts find this broker.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How long a name may take to resolve at start. A broken name server must not keep a broker from starting.
const RESOLVE_LIMIT: Duration = Duration::from_secs(2);

/// What is announced, and what was tried in vain if that is only this host's own loopback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// The name or address clients are told.
    pub host: String,
    /// The name that does not resolve, if that is why.
    pub unresolvable: Option<String>,
}

/// The name to announce: the configured one, else the address listened on if it is a certain one, else the
/// reverse-resolved name of this host. One that does not resolve is replaced by `127.0.0.1`.
pub fn announced(configured: Option<&str>, listen: IpAddr) -> Announced {
    let name = match configured {
        Some(name) => name.to_owned(),
        None if !listen.is_unspecified() => listen.to_string(),
        None => own_name(),
    };
    if name.parse::<IpAddr>().is_ok() || addresses(&name).is_some() {
        return Announced { host: name, unresolvable: None };
    }
    Announced { host: Ipv4Addr::LOCALHOST.to_string(), unresolvable: Some(name) }
}

/// The canonical name of this host: what its own name's address resolves back to.
pub fn own_name() -> String {
    let own = dns_lookup::get_hostname().unwrap_or_default();
    let reverse = |own: &str| {
        let first = *addresses(own)?.first()?;
        within_limit(move || dns_lookup::lookup_addr(&first).ok())
    };
    let named = |name: &String| name.parse::<IpAddr>().is_err() && name != "localhost";
    reverse(&own).filter(named).unwrap_or(own)
}

fn addresses(name: &str) -> Option<Vec<IpAddr>> {
    let name = name.to_owned();
    let found = within_limit(move || Some(dns_lookup::lookup_host(&name).ok()?.collect::<Vec<_>>()));
    found.filter(|found| !found.is_empty())
}

/// What `resolve` finds in time. The system's resolver cannot be cancelled: a late one ends by itself.
fn within_limit<T: Send + 'static>(resolve: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    let (found, answer) = mpsc::channel();
    thread::spawn(move || found.send(resolve()));
    answer.recv_timeout(RESOLVE_LIMIT).ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

    #[test]
    fn addresses_are_announced_as_they_are() {
        let host = |configured, listen| announced(configured, listen).host;
        assert_eq!(host(Some("10.0.0.7"), ANY), "10.0.0.7");
        assert_eq!(host(None, [127, 0, 0, 2].into()), "127.0.0.2");
        assert_eq!(host(Some("localhost"), ANY), "localhost");
    }

    #[test]
    fn a_name_that_does_not_resolve_becomes_loopback() {
        let announced = announced(Some("no such host"), ANY);
        assert_eq!(announced.host, "127.0.0.1");
        assert_eq!(announced.unresolvable.as_deref(), Some("no such host"));
    }
}
