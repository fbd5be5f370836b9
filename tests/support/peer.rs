//! A peer as unmodified original clients are: 16-byte digests, JSON, nothing assumed of the broker.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use ave_protocol::handshake::{Salt, Secret, original_answer};
use serde_json::{Value, json};

use super::{PATIENCE, names};

/// One connection.
pub(crate) struct Peer {
    stream: TcpStream,
    /// What the broker said to the digest.
    pub(crate) authenticated: bool,
    /// The salt it was challenged with.
    pub(crate) salt: Vec<u8>,
}

impl Peer {
    /// Connects and answers the challenge with this key; the empty key is nobody's.
    pub(crate) fn connect(address: SocketAddr, key: &str) -> Peer {
        let mut peer = Peer::challenged(address);
        peer.send(&peer.digest(key));
        peer.read_verdict()
    }

    /// What proves this key to the challenge.
    pub(crate) fn digest(&self, key: &str) -> [u8; 16] {
        let salt = Salt::of_challenge(&self.salt).expect("a challenge");
        original_answer(&Secret::new(key.to_owned()), &salt)
    }

    /// Connects and reads the challenge.
    pub(crate) fn challenged(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("a broker");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_nodelay(true).expect("no delay");
        let mut peer = Peer { stream, authenticated: false, salt: Vec::new() };
        peer.salt = peer.receive().expect("a challenge");
        peer
    }

    /// Reads what the broker says to the digest.
    pub(crate) fn read_verdict(mut self) -> Peer {
        let verdict = self.receive().expect("a verdict");
        let verdict: Value = serde_json::from_slice(&verdict).expect("JSON");
        self.authenticated = verdict["authenticated"].as_bool().expect("a verdict");
        self
    }

    /// Makes a call and waits for the whole reply.
    pub(crate) fn call(&mut self, method: &str, vargs: Value) -> Value {
        self.request(&request(method, Value::Null, vargs))
    }

    /// Makes a call on a resource.
    pub(crate) fn call_on(&mut self, resource: &Value, method: &str, vargs: Value) -> Value {
        self.request(&request(method, resource.clone(), vargs))
    }

    /// Sends a request as it is and waits for the reply.
    pub(crate) fn request(&mut self, request: &Value) -> Value {
        self.send(request.to_string().as_bytes());
        self.reply()
            .unwrap_or_else(|| panic!("the broker closed the connection instead of answering {request}"))
    }

    /// Makes a call and expects the connection to end without a reply.
    pub(crate) fn call_in_vain(&mut self, method: &str, vargs: Value) {
        self.send(request(method, Value::Null, vargs).to_string().as_bytes());
        assert_eq!(self.reply(), None, "{method}");
    }

    /// Sends a request without waiting for a reply.
    pub(crate) fn ask(&mut self, resource: &Value, method: &str, vargs: Value) {
        self.send(request(method, resource.clone(), vargs).to_string().as_bytes());
    }

    /// The result of a call, which must succeed.
    pub(crate) fn result(&mut self, method: &str, vargs: Value) -> Value {
        result_of(method, self.call(method, vargs))
    }

    /// The result of a call on a resource, which must succeed.
    pub(crate) fn result_on(&mut self, resource: &Value, method: &str, vargs: Value) -> Value {
        result_of(method, self.call_on(resource, method, vargs))
    }

    /// The result of `get`, which must succeed.
    pub(crate) fn get(&mut self, vargs: Value) -> Value {
        self.result("get", vargs)
    }

    /// The identities that `get_multi_resources` grants, one group after the other.
    pub(crate) fn get_groups(&mut self, groups: Value) -> Vec<String> {
        let answer = self.result("get_multi_resources", groups);
        let groups = answer.as_array().expect("a list");
        groups.iter().flat_map(|group| names(&group["resources"])).collect()
    }

    /// The type and the message with which `get` fails.
    pub(crate) fn get_refused(&mut self, vargs: Value) -> (String, String) {
        raised(&self.call("get", vargs))
    }

    /// The end of the connection, without anything before it.
    pub(crate) fn ends(&mut self) -> bool {
        self.receive().is_none()
    }

    /// A connection to the session that a reply of `get` names.
    pub(crate) fn session_of(result: &Value) -> Peer {
        let (address, key) = Peer::address_of(result);
        Peer::connect(address, &key)
    }

    /// Address and key of the session that a reply of `get` names.
    pub(crate) fn address_of(result: &Value) -> (SocketAddr, String) {
        let (host, port) = (&result["address"][0], &result["address"][1]);
        let address = format!("{}:{port}", host.as_str().expect("a host")).parse().expect("an address");
        (address, result["authkey"].as_str().expect("a key").to_owned())
    }

    /// Sends one frame.
    pub(crate) fn send(&mut self, payload: &[u8]) {
        self.send_raw(&framed(payload));
    }

    /// Sends bytes that need not be a frame.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// The next frame; `None` at the end of the connection.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        let mut header = [0; 4];
        match self.stream.read_exact(&mut header) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer in time"),
            Err(_) => return None,
        }
        let mut payload = vec![0; u32::from_be_bytes(header) as usize];
        self.stream.read_exact(&mut payload).ok()?;
        Some(payload)
    }

    /// The next frame as JSON.
    pub(crate) fn reply(&mut self) -> Option<Value> {
        self.receive().map(|payload| serde_json::from_slice(&payload).expect("JSON"))
    }

    /// The connection, for something else than a peer.
    pub(crate) fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Ends the connection in both directions.
    pub(crate) fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A request in the original's form.
pub(crate) fn request(method: &str, resource: Value, vargs: Value) -> Value {
    json!({"method": method, "resource": resource, "params": {"vargs": vargs, "kwargs": {}}, "async": false})
}

/// A frame.
pub(crate) fn framed(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a length");
    [&length.to_be_bytes(), payload].concat()
}

/// The type and the message of an exception that a method raised.
pub(crate) fn raised(reply: &Value) -> (String, String) {
    let text = |name: &str| reply["exception"][name].as_str().map(str::to_owned);
    text("type").zip(text("message")).unwrap_or_else(|| panic!("no method raised this: {reply}"))
}

/// The exception of a request that reached no method.
pub(crate) fn plain(reply: &Value) -> &str {
    reply["exception"].as_str().unwrap_or_else(|| panic!("not a plain exception: {reply}"))
}

fn result_of(method: &str, reply: Value) -> Value {
    reply.get("result").unwrap_or_else(|| panic!("{method}: {reply}")).clone()
}
