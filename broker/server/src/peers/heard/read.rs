//! Values of expected shapes, and what is said of those that have another.

use ave_profile::{Address, BrokerId, Map, Profile, Refusal, RefusalKind, Value};

use crate::log::brief;
use crate::peers::limits::HOST_BYTES_MAX;

/// What a share calls itself: `[host, port]`.
///
/// # Errors
/// If the value is anything else.
pub(crate) fn address(value: &Value) -> Result<Address, Refusal> {
    let wanted = || {
        let form =
            format!("[host, port], a plain text of at most {HOST_BYTES_MAX} bytes and a number to 65535");
        wrong("address", &form, value)
    };
    let Some([Value::Text(host), Value::Int(port)]) = value.as_list() else { return Err(wanted()) };
    let port = u16::try_from(*port).map_err(|_| wanted())?;
    if host.len() > HOST_BYTES_MAX || host.chars().any(char::is_control) {
        return Err(wanted());
    }
    Ok(Address::new(host, port))
}

/// `[host, port]`, as addresses travel.
pub(crate) fn address_value(address: &Address) -> Value {
    Value::List(vec![Value::from(&*address.host), i64::from(address.port).into()])
}

/// A broker's id.
pub(crate) fn addressed(value: &Value) -> Result<BrokerId, Refusal> {
    let id = value.as_str().and_then(|text| text.parse().ok());
    id.ok_or_else(|| wrong("a broker's id", "16 lower-case hex digits", value))
}

pub(super) fn profile(value: Value) -> Result<Profile, Refusal> {
    match value {
        Value::Map(map) => Ok(Profile(map)),
        other => Err(wrong("profile", "an object", &other)),
    }
}

pub(crate) fn object(what: &str, value: Value) -> Result<Map, Refusal> {
    match value {
        Value::Map(map) => Ok(map),
        other => Err(wrong(what, "an object", &other)),
    }
}

pub(super) fn list(what: &str, value: Value) -> Result<Vec<Value>, Refusal> {
    match value {
        Value::List(list) => Ok(list),
        other => Err(wrong(what, "a list", &other)),
    }
}

pub(crate) fn member(map: &mut Map, name: &str) -> Result<Value, Refusal> {
    map.remove(name).ok_or_else(|| Refusal::new(RefusalKind::KeyError, name))
}

pub(crate) fn wrong(what: &str, wanted: &str, found: &Value) -> Refusal {
    Refusal::exception(format!("{what}: wanted {wanted}, found {}", brief(&found.to_string())))
}

/// Says in which element of which list something is wrong.
pub(super) fn within(list: &str, nth: usize, refusal: Refusal) -> Refusal {
    match refusal.kind {
        RefusalKind::KeyError => refusal, // its message is the name of a member
        _ => Refusal { message: format!("{list}[{nth}]: {}", refusal.message), ..refusal },
    }
}
