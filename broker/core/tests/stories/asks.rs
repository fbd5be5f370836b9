//! Short words for what clients ask for.

use serde_json::{Value as Json, json};

/// A handset of any kind.
pub(crate) fn h() -> Json {
    json!({"type": "handset"})
}

/// A relay of any kind.
pub(crate) fn r() -> Json {
    json!({"type": "relay"})
}

/// A workspace.
pub(crate) fn w() -> Json {
    json!({"type": "workspace"})
}

/// A camera, which two sessions may use at once.
pub(crate) fn camera() -> Json {
    json!({"type": "camera"})
}

/// The request with further criteria.
pub(crate) fn with(mut request: Json, criteria: Json) -> Json {
    let criteria = criteria.as_object().expect("criteria are an object").clone();
    request.as_object_mut().expect("a request is an object").extend(criteria);
    request
}

/// The handset with this serial.
pub(crate) fn handset(serial: &str) -> Json {
    with(h(), json!({"serial": serial}))
}

/// The relay with this uid.
pub(crate) fn relay(uid: &str) -> Json {
    with(r(), json!({"uid": uid}))
}
