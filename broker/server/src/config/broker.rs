//! `broker.json`: where the broker listens, what it announces, which equipment is wired together, which
//! broker it works with.

mod time_limits;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use ave_profile::{KindTable, Map, Profile, Value};
use ave_protocol::handshake::Secret;
use ave_protocol::limits::Limits;

use super::fault::{Fault, current_value, shown};
use super::file::{self, FileFault};
use super::host;
use super::stacks;
use crate::keepalive::Keepalive;
pub use time_limits::TimeLimits;

/// The port of a broker that is not told another one.
const PORT: u16 = 4000;

/// How long the pieces of a grant may take to open before it is refused. Clients wait five seconds for a
/// reply.
const OPEN_LIMIT_S: u64 = 3;

/// The longest open limit that makes sense: nobody waits longer for equipment that may not come.
const OPEN_LIMIT_S_MAX: u64 = 600;

/// How long another broker may be silent before it is given up: a cut cable has to be noticed within 15 s.
const SILENCE_LIMIT_S: u64 = 12;

/// The longest silence that makes sense: equipment held by a site that is gone helps nobody.
pub(crate) const SILENCE_LIMIT_S_MAX: u64 = 300;

/// Where Linux shows what is plugged into USB.
const USB_DEVICES: &str = "/sys/bus/usb/devices";

/// Where Linux has the nodes of devices.
const DEVICE_NODES: &str = "/dev";

/// What `broker.json` says (Specification 8.2).
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    /// What is announced to clients; resolves.
    pub host: String,
    /// The address to listen on.
    pub listen: IpAddr,
    /// The port to listen on; 0 for any free one.
    pub port: u16,
    /// The ports of sessions, if every session is to have its own.
    pub session_ports: Option<RangeInclusive<u16>>,
    /// The stacks, in order of preference.
    pub stacks: Vec<Vec<Profile>>,
    /// The broker this one works with.
    pub remote: Option<Remote>,
    /// Whether to log more than faults.
    pub logging: bool,
    /// How much one peer may ask for.
    pub limits: Limits,
    /// Seconds until the pieces of a grant must be open.
    pub open_limit_s: u64,
    /// Seconds that another broker may be silent before it is given up.
    pub silence_limit_s: u64,
    /// After which time a session is ended.
    pub time_limits: TimeLimits,
    /// How a peer that has vanished is found out.
    pub keepalive: Keepalive,
    /// Where the kernel shows what is plugged into USB.
    pub usb_devices: PathBuf,
    /// Where the nodes of devices are.
    pub device_nodes: PathBuf,
    content: Map,
}

/// The other broker.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where it is.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What the two do together.
    pub policy: Policy,
}

/// What two brokers do together.
#[derive(Clone, Debug)]
pub enum Policy {
    /// Ours asks the other for what it does not have.
    Forward,
    /// Ours lends its equipment to the other, which knows it by this key.
    Share(Secret),
}

impl BrokerConfig {
    /// Reads the file at `path`, which may stack pieces of these types; adds what is wrong with it to `faults`.
    /// Resolves the announced name.
    pub fn load(path: &Path, kinds: &KindTable, faults: &mut Vec<Fault>) -> Option<BrokerConfig> {
        let mut config = BrokerConfig::read(path, kinds, faults)?;
        let configured = config.content.get("host").and_then(Value::as_str);
        let announced = host::announced(configured, config.listen);
        if let Some(name) = announced.unresolvable {
            let found = format!("\"{name}\" (announcing {} instead)", announced.host);
            faults.push(Fault::warning(path, "host", "a name that resolves", found));
        }
        config.host = announced.host;
        Some(config)
    }

    /// Like [`BrokerConfig::load`], without asking a name server: for clients on the same host.
    pub(crate) fn read(path: &Path, kinds: &KindTable, faults: &mut Vec<Fault>) -> Option<BrokerConfig> {
        match file::read(path) {
            Ok(content) => BrokerConfig::of(path, content, kinds, faults),
            Err(fault) => {
                faults.push(unreadable(path, &fault));
                None
            }
        }
    }

    /// Checks a file's content; adds what is wrong with it to `faults`. The announced name is the
    /// configured one, resolved or not.
    pub fn of(
        path: &Path,
        content: Value,
        kinds: &KindTable,
        faults: &mut Vec<Fault>,
    ) -> Option<BrokerConfig> {
        let Value::Map(content) = content else {
            let message =
                format!("could not load broker configuration file: Expecting an object: {}", path.display());
            faults.push(Fault::error(path, "", "an object", content.type_name(), message));
            return None;
        };
        let before = faults.len();
        let mut members = Members { path, content: &content, kinds, faults };
        let port =
            members.read("port", ("<int>", "a number from 0 to 65535"), |value| integer(value, 0..=u16::MAX));
        let config = BrokerConfig {
            host: members.read("host", ("<string>", "a string"), text).unwrap_or_default(),
            listen: members
                .read("listen", ("<IP address>", "an IP address"), |value| value.as_str()?.parse().ok())
                .unwrap_or(Ipv4Addr::UNSPECIFIED.into()),
            port: port.unwrap_or(PORT),
            session_ports: members.session_ports(port.unwrap_or(PORT)),
            stacks: members.stacks(),
            remote: members.remote(),
            logging: members.logging(),
            limits: members.limits(),
            open_limit_s: members
                .read("open_limit_s", ("<int>", "a number from 1 to 600"), |value| {
                    integer(value, 1..=OPEN_LIMIT_S_MAX)
                })
                .unwrap_or(OPEN_LIMIT_S),
            silence_limit_s: members
                .read("silence_limit_s", ("<int>", "a number from 1 to 300"), |value| {
                    integer(value, 1..=SILENCE_LIMIT_S_MAX)
                })
                .unwrap_or(SILENCE_LIMIT_S),
            time_limits: members.time_limits(),
            keepalive: Keepalive::within(
                members
                    .read("keepalive", ("<int>", "a number from 1 to 30"), |value| {
                        integer(value, 1..=Keepalive::SECONDS_MAX)
                    })
                    .unwrap_or(Keepalive::SECONDS_MAX),
            ),
            usb_devices: members.folder("usb_devices", USB_DEVICES),
            device_nodes: members.folder("device_nodes", DEVICE_NODES),
            content: content.clone(),
        };
        let fatal = faults[before..].iter().any(|fault| fault.severity == super::Severity::Error);
        (!fatal).then_some(config)
    }

    /// What `get_profile` tells everybody: the whole file, members nobody knows among them, but no key
    /// (55). Making it leaves the configuration as it is (56).
    pub fn public_profile(&self) -> Profile {
        let mut content = self.content.clone();
        content.insert("type".into(), "broker".into());
        content.insert("host".into(), self.host.as_str().into());
        content.insert("port".into(), Value::Int(self.port.into()));
        content.entry("stacks".into()).or_insert_with(|| Value::List(Vec::new()));
        let remote = content.entry("remote".into()).or_insert_with(|| Value::Map(Map::new()));
        *remote = without_key(remote);
        Profile(content)
    }
}

/// The fault of a file that gives no value.
fn unreadable(path: &Path, fault: &FileFault) -> Fault {
    let message = match fault {
        FileFault::Missing => format!("no such configuration file: {}", path.display()),
        other => format!("could not load broker configuration file: {other}"),
    };
    Fault::error(path, "", "an object in JSON", fault.found(), message)
}

/// The members of one file, read one by one; every fault is kept.
struct Members<'a> {
    path: &'a Path,
    content: &'a Map,
    kinds: &'a KindTable,
    faults: &'a mut Vec<Fault>,
}

impl Members<'_> {
    /// The member `name` if it is there and `read` understands it.
    fn read<T>(
        &mut self,
        name: &str,
        (form, wanted): (&str, &str),
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.content.get(name)?;
        let understood = read(value);
        if understood.is_none() {
            self.refuse(name, (form, wanted), value);
        }
        understood
    }

    fn refuse(&mut self, name: &str, (form, wanted): (&str, &str), value: &Value) {
        let message = format!(
            "broker attribute \"{name}\" must be on the form {{\"{name}\":{form}}}. {}",
            current_value(value)
        );
        self.faults.push(Fault::error(self.path, name, wanted, shown(value), message));
    }

    fn folder(&mut self, name: &str, default: &str) -> PathBuf {
        let absolute = |value: &Value| value.as_str().map(PathBuf::from).filter(|path| path.is_absolute());
        self.read(name, ("<path>", "an absolute path"), absolute).unwrap_or_else(|| default.into())
    }

    fn session_ports(&mut self, port: u16) -> Option<RangeInclusive<u16>> {
        let ports =
            self.read("session_ports", ("[<int>,<int>]", "the first and the last port"), |value| {
                let [first, last] = value.as_list()? else { return None };
                let ports = integer(first, 1..=u16::MAX)?..=integer(last, 1..=u16::MAX)?;
                (!ports.is_empty()).then_some(ports)
            })?;
        if ports.contains(&port) {
            let found = format!("[{}, {}]", ports.start(), ports.end());
            let message =
                format!("broker attribute \"session_ports\" must not contain the broker's port {port}");
            let wanted = format!("a range without the broker's port {port}");
            self.faults.push(Fault::error(self.path, "session_ports", wanted, found, message));
        }
        Some(ports)
    }

    fn stacks(&mut self) -> Vec<Vec<Profile>> {
        let lists = |value: &Value| {
            let lists: Option<Vec<_>> = value.as_list()?.iter().map(Value::as_list).collect();
            lists.map(|lists| lists.into_iter().map(<[Value]>::to_vec).collect())
        };
        let lists = self
            .read("stacks", ("[[<profile>,...],...]", "a list of lists of profiles"), lists)
            .unwrap_or_default();
        stacks::check(self.path, lists, self.kinds, self.faults)
    }

    fn remote(&mut self) -> Option<Remote> {
        const FORM: (&str, &str) = (
            r#"{"host":<string>,"port":<int>,"policy":<string>}"#,
            "an object with \"host\", \"port\" and \"policy\"",
        );
        let found = match self.content.get("remote")? {
            Value::Null => return None,
            Value::Map(map) if map.is_empty() => return None,
            found => found,
        };
        let member = |name: &str| found.as_map()?.get(name);
        let host = member("host").and_then(text);
        let port = member("port").and_then(|port| integer(port, 1..=u16::MAX));
        let (Some(host), Some(port), Some(policy)) = (host, port, member("policy").and_then(Value::as_str))
        else {
            self.refuse("remote", FORM, &without_key(found));
            return None;
        };
        let mut refuse = |field: &str, wanted: &str, found: &Value, message: String| {
            self.faults.push(Fault::error(self.path, field, wanted, shown(found), message));
        };
        let policy = match (policy, member("authkey").unwrap_or(&Value::Null)) {
            ("forward", _) => Policy::Forward,
            ("share", Value::Text(key)) if !key.is_empty() => Policy::Share(Secret::new(key.clone())),
            ("share", Value::Null | Value::Text(_)) => {
                let message = "broker configuration: remote sharing authkey not set".to_owned();
                refuse("remote.authkey", "the other broker's share key", &Value::Null, message);
                return None;
            }
            ("share", other) => {
                let message = "broker configuration: remote sharing authkey must be a string".to_owned();
                refuse("remote.authkey", "a string", &other.type_name().into(), message);
                return None;
            }
            (other, _) => {
                let found = Value::from(other);
                let message = format!(
                    "broker conguration: remote policy must be \"share\" or \"forward\". {}",
                    current_value(&found)
                );
                refuse("remote.policy", "\"share\" or \"forward\"", &found, message);
                return None;
            }
        };
        Some(Remote { host, port, policy })
    }

    fn logging(&mut self) -> bool {
        match self.content.get("logging") {
            None => true,
            Some(Value::Bool(logging)) => *logging,
            Some(other) => {
                let message = format!("logging is not a boolean: {}", shown(other));
                self.faults.push(Fault::error(self.path, "logging", "true or false", shown(other), message));
                true
            }
        }
    }

    fn limits(&mut self) -> Limits {
        let Some(value) = self.content.get("limits") else { return Limits::default() };
        let read = serde_json::to_value(value).map_err(|error| (String::new(), error.to_string()));
        let read = read.and_then(|json| {
            serde_path_to_error::deserialize(json)
                .map_err(|error| (format!(".{}", error.path()), error.inner().to_string()))
        });
        let wrong = match read {
            Ok(limits) => match zero(&limits) {
                None => return limits,
                Some(name) => (format!(".{name}"), "0".to_owned()),
            },
            Err(wrong) => wrong,
        };
        let field = format!("limits{}", wrong.0.trim_end_matches('.'));
        let message = format!(
            "broker attribute \"limits\" must be on the form {{\"limits\":{{<name>:<int>,...}}}}: {}. {}",
            wrong.1,
            current_value(value)
        );
        self.faults.push(Fault::error(self.path, field, "a known limit of at least 1", wrong.1, message));
        Limits::default()
    }
}

/// A limit that lets nothing through.
fn zero(limits: &Limits) -> Option<&'static str> {
    let Limits {
        frame_bytes_max,
        handshake_frame_bytes_max,
        values_max,
        handshake_limit_s,
        connections_max,
        unauthenticated_max,
        sessions_per_host_max,
        queued_bytes_max,
    } = limits;
    let zeros = [
        ("frame_bytes_max", *frame_bytes_max == 0),
        ("handshake_frame_bytes_max", *handshake_frame_bytes_max == 0),
        ("values_max", *values_max == 0),
        ("handshake_limit_s", *handshake_limit_s == 0),
        ("connections_max", *connections_max == 0),
        ("unauthenticated_max", *unauthenticated_max == 0),
        ("sessions_per_host_max", *sessions_per_host_max == 0),
        ("queued_bytes_max", *queued_bytes_max == 0),
    ];
    zeros.into_iter().find(|(_, is_zero)| *is_zero).map(|(name, _)| name)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn integer<T: TryFrom<i64> + PartialOrd>(value: &Value, within: RangeInclusive<T>) -> Option<T> {
    match value {
        Value::Int(number) => T::try_from(*number).ok().filter(|number| within.contains(number)),
        _ => None,
    }
}

fn without_key(remote: &Value) -> Value {
    match remote {
        Value::Map(map) => {
            let open = map.iter().filter(|(name, _)| *name != "authkey");
            Value::Map(open.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests;
