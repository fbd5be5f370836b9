//! Somebody at the other end of a connection, speaking the original's JSON.

use ave_protocol::handshake::{Salt, Secret, original_answer};
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use crate::wire::Wire;

/// One connection.
pub(super) struct Guest {
    wire: Wire<DuplexStream>,
    pub(super) authenticated: bool,
}

impl Guest {
    pub(super) async fn enter(stream: DuplexStream, key: &str) -> Guest {
        let mut guest = Guest { wire: Wire::new(stream, 1 << 20), authenticated: false };
        let salt = Salt::of_challenge(&guest.wire.frame().await.unwrap()).unwrap();
        guest.send(&original_answer(&Secret::new(key.to_owned()), &salt)).await;
        guest.authenticated = guest.reply().await.unwrap()["authenticated"].as_bool().unwrap();
        guest
    }

    /// Makes a call and waits for the whole reply; `None` if the connection ends instead.
    pub(super) async fn call(&mut self, method: &str, vargs: Value) -> Option<Value> {
        self.call_on(&Value::Null, method, vargs).await
    }

    /// Makes a call on a resource.
    pub(super) async fn call_on(&mut self, resource: &Value, method: &str, vargs: Value) -> Option<Value> {
        self.ask(resource, method, vargs, false).await;
        self.reply().await
    }

    /// Sends a request without waiting for anything.
    pub(super) async fn ask(&mut self, resource: &Value, method: &str, vargs: Value, silent: bool) {
        let params = json!({"vargs": vargs, "kwargs": {}});
        let request = json!({"method": method, "resource": resource, "params": params, "async": silent});
        self.send(request.to_string().as_bytes()).await;
    }

    /// The next reply; `None` if the connection ends instead.
    pub(super) async fn reply(&mut self) -> Option<Value> {
        Some(serde_json::from_slice(&self.wire.frame().await.ok()?).unwrap())
    }

    /// Allocates pieces by name, each in a group of its own.
    pub(super) async fn get(&mut self, names: &[&str]) -> Value {
        self.call("get_multi_resources", wanted(names)).await.unwrap()
    }

    async fn send(&mut self, payload: &[u8]) {
        ave_protocol::frame::encode(payload, self.wire.output());
        self.wire.flush().await.unwrap();
    }
}

/// The arguments of `get_multi_resources` for pieces by name.
pub(super) fn wanted(names: &[&str]) -> Value {
    names.iter().map(|name| resource(name)).collect()
}

/// How a piece is addressed.
pub(super) fn resource(name: &str) -> Value {
    json!({"type": "wlan", "uid": name})
}
