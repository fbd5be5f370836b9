//! A peer as unmodified original clients are: 16-byte digests, JSON, nothing assumed of the broker.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use ave_protocol::handshake::{Salt, Secret, original_answer};
use serde_json::{Value, json};

use super::PATIENCE;

/// One connection.
pub struct Peer {
    stream: TcpStream,
    /// What the broker said to the digest.
    pub authenticated: bool,
    /// The salt it was challenged with.
    pub salt: Vec<u8>,
}

impl Peer {
    /// Connects and answers the challenge with this key; the empty key is nobody's.
    pub fn connect(address: SocketAddr, key: &str) -> Peer {
        let mut peer = Peer::challenged(address);
        let salt = Salt::of_challenge(&peer.salt).expect("a challenge");
        peer.send(&original_answer(&Secret::new(key.to_owned()), &salt));
        peer.read_verdict()
    }

    /// Connects and reads the challenge.
    pub fn challenged(address: SocketAddr) -> Peer {
        let stream = TcpStream::connect(address).expect("a broker");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
        stream.set_nodelay(true).expect("no delay");
        let mut peer = Peer { stream, authenticated: false, salt: Vec::new() };
        peer.salt = peer.receive().expect("a challenge");
        peer
    }

    /// Reads what the broker says to the digest.
    pub fn read_verdict(mut self) -> Peer {
        let verdict = self.receive().expect("a verdict");
        let verdict: Value = serde_json::from_slice(&verdict).expect("JSON");
        self.authenticated = verdict["authenticated"].as_bool().expect("a verdict");
        self
    }

    /// Makes a call and waits for the whole reply.
    pub fn call(&mut self, method: &str, vargs: Value) -> Value {
        self.request(&request(method, Value::Null, vargs))
    }

    /// Makes a call on a resource.
    pub fn call_on(&mut self, resource: &Value, method: &str, vargs: Value) -> Value {
        self.request(&request(method, resource.clone(), vargs))
    }

    /// Sends a request as it is and waits for the reply.
    pub fn request(&mut self, request: &Value) -> Value {
        self.send(request.to_string().as_bytes());
        self.reply()
            .unwrap_or_else(|| panic!("the broker closed the connection instead of answering {request}"))
    }

    /// Makes a call and expects the connection to end without a reply.
    pub fn call_in_vain(&mut self, method: &str, vargs: Value) {
        self.send(request(method, Value::Null, vargs).to_string().as_bytes());
        assert_eq!(self.reply(), None, "{method}");
    }

    /// The result of `get`, which must succeed.
    pub fn get(&mut self, vargs: Value) -> Value {
        let reply = self.call("get", vargs);
        assert!(reply.get("result").is_some(), "{reply}");
        reply["result"].clone()
    }

    /// The exception of `get`, which must fail.
    pub fn get_refused(&mut self, vargs: Value) -> Value {
        let reply = self.call("get", vargs);
        assert!(reply.get("exception").is_some(), "{reply}");
        reply["exception"].clone()
    }

    /// A connection to the session that a reply of `get` names.
    pub fn session_of(result: &Value) -> Peer {
        let (address, key) = Peer::address_of(result);
        Peer::connect(address, &key)
    }

    /// Address and key of the session that a reply of `get` names.
    pub fn address_of(result: &Value) -> (SocketAddr, String) {
        let (host, port) = (&result["address"][0], &result["address"][1]);
        let address = format!("{}:{port}", host.as_str().expect("a host")).parse().expect("an address");
        (address, result["authkey"].as_str().expect("a key").to_owned())
    }

    /// Sends one frame.
    pub fn send(&mut self, payload: &[u8]) {
        let mut frame = u32::try_from(payload.len()).expect("a length").to_be_bytes().to_vec();
        frame.extend_from_slice(payload);
        self.send_raw(&frame);
    }

    /// Sends bytes that need not be a frame.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("the broker reads");
    }

    /// The next frame; `None` at the end of the connection.
    pub fn receive(&mut self) -> Option<Vec<u8>> {
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
    pub fn reply(&mut self) -> Option<Value> {
        self.receive().map(|payload| serde_json::from_slice(&payload).expect("JSON"))
    }

    /// Ends the connection in both directions.
    pub fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// A request in the original's form.
pub fn request(method: &str, resource: Value, vargs: Value) -> Value {
    json!({"method": method, "resource": resource, "params": {"vargs": vargs, "kwargs": {}}, "async": false})
}
