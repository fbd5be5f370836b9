//! Somebody at the other end of a connection, speaking the original's JSON unless told otherwise.

use ave_profile::Profile;
use ave_protocol::arguments::Arguments;
use ave_protocol::handshake::{Salt, Secret, original_answer};
use ave_protocol::limits::Limits;
use ave_protocol::message::{Encoding, Request};
use serde_json::{Value, json};
use tokio::io::DuplexStream;

use crate::wire::Wire;

/// One connection.
pub(crate) struct Guest {
    wire: Wire<DuplexStream>,
    encoding: Encoding,
    pub(crate) authenticated: bool,
}

impl Guest {
    pub(crate) async fn enter(stream: DuplexStream, key: &str) -> Guest {
        let mut guest =
            Guest { wire: Wire::new(stream, 1 << 20), encoding: Encoding::Json, authenticated: false };
        let salt = Salt::of_challenge(&guest.wire.frame().await.unwrap()).unwrap();
        guest.send(&original_answer(&Secret::new(key.to_owned()), &salt)).await;
        guest.authenticated = guest.reply().await.unwrap()["authenticated"].as_bool().unwrap();
        guest
    }

    /// Makes a call and waits for the whole reply; `None` if the connection ends instead.
    pub(crate) async fn call(&mut self, method: &str, vargs: Value) -> Option<Value> {
        self.call_on(&Value::Null, method, vargs).await
    }

    /// Makes a call on a resource.
    pub(crate) async fn call_on(&mut self, resource: &Value, method: &str, vargs: Value) -> Option<Value> {
        self.ask(resource, method, vargs, false).await;
        self.reply().await
    }

    /// Sends a request without waiting for anything.
    pub(crate) async fn ask(&mut self, resource: &Value, method: &str, vargs: Value, silent: bool) {
        let resource = resource.clone().into();
        self.say(Request { resource, asynchronous: silent, ..request(method, vargs) }).await;
    }

    /// Sends a request with members beside its own.
    pub(crate) async fn ask_with(&mut self, method: &str, vargs: Value, further: Value) {
        let further = Profile::of(further).0;
        self.say(Request { further, ..request(method, vargs) }).await;
    }

    /// Writes requests so from now on.
    pub(crate) fn speak(&mut self, encoding: Encoding) {
        self.encoding = encoding;
    }

    /// The next reply; `None` if the connection ends instead.
    pub(crate) async fn reply(&mut self) -> Option<Value> {
        let payload = self.wire.frame().await.ok()?;
        let reply = Encoding::read(&payload, &Limits::default()).unwrap();
        Some(serde_json::to_value(reply).unwrap())
    }

    /// Allocates pieces by name, each in a group of its own.
    pub(crate) async fn get(&mut self, names: &[&str]) -> Value {
        self.call("get_multi_resources", wanted(names)).await.unwrap()
    }

    async fn say(&mut self, request: Request) {
        request.encode(self.encoding, self.wire.output()).unwrap();
        self.wire.flush().await.unwrap();
    }

    async fn send(&mut self, payload: &[u8]) {
        ave_protocol::frame::encode(payload, self.wire.output());
        self.wire.flush().await.unwrap();
    }
}

fn request(method: &str, vargs: Value) -> Request {
    let positional = ave_profile::Value::from(vargs).as_list().unwrap().to_vec();
    Request::new(method, Arguments { positional, ..Arguments::default() })
}

/// The arguments of `get_multi_resources` for pieces by name.
pub(crate) fn wanted(names: &[&str]) -> Value {
    names.iter().map(|name| resource(name)).collect()
}

/// How a piece is addressed.
pub(crate) fn resource(name: &str) -> Value {
    json!({"type": "wlan", "uid": name})
}
