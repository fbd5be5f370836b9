//! A server that follows a script: one thread runs one closure, which says every byte itself. Every wait
//! has a limit, so that a client that does not do its part fails the test instead of stopping it.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ave_profile::Value;
use ave_protocol::error::Fault;
use ave_protocol::frame;
use ave_protocol::handshake::{self, Answer, Salt};
use ave_protocol::limits::Limits;
use ave_protocol::message::{Call, Encoding, Envelope, Place, Reply};
use bytes::{Bytes, BytesMut};

/// Far more than any step takes, even on a busy machine.
const STEP_LIMIT: Duration = Duration::from_secs(20);

/// A salt of ours and one of an original server.
pub(crate) const OURS: Salt = Salt(*b"0123456789abcdefAVE\x02");
pub(crate) const THEIRS: Salt = Salt(*b"0123456789abcdefghij");

/// The thread that follows the script, and where it listens.
pub(crate) struct Server {
    pub(crate) port: u16,
    thread: JoinHandle<()>,
}

impl Server {
    pub(crate) fn run(script: impl FnOnce(&mut Door) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || script(&mut Door { listener, port }));
        Server { port, thread }
    }

    pub(crate) fn address(&self) -> (&str, u16) {
        ("127.0.0.1", self.port)
    }

    /// Waits for the end of the script; fails if it failed.
    pub(crate) fn join(self) {
        self.thread.join().expect("the script went as written");
    }
}

/// Where the script's peers come in.
pub(crate) struct Door {
    listener: TcpListener,
    pub(crate) port: u16,
}

impl Door {
    pub(crate) fn accept(&mut self) -> Peer {
        let (socket, _) = self.listener.accept().unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(STEP_LIMIT)).unwrap();
        Peer { socket, incoming: BytesMut::new(), encoding: Encoding::Json }
    }

    /// Accepts a peer, and its answer whatever it is.
    pub(crate) fn welcome(&mut self) -> Peer {
        let mut peer = self.accept();
        peer.challenge(&OURS);
        peer.receive();
        peer.send(handshake::verdict(true));
        peer
    }
}

/// The other side of one connection.
pub(crate) struct Peer {
    socket: TcpStream,
    incoming: BytesMut,
    encoding: Encoding,
}

impl Peer {
    pub(crate) fn challenge(&mut self, salt: &Salt) {
        self.send(&salt.challenge_payload());
    }

    pub(crate) fn answer(&mut self) -> Answer {
        Answer::parse(&self.receive())
    }

    pub(crate) fn request(&mut self) -> Call {
        let payload = self.receive();
        self.encoding = Encoding::of(&payload);
        Envelope::parse(&payload, &Limits::default()).unwrap().check(Place::Session).unwrap()
    }

    /// Expects a request with these positional arguments, written as JSON.
    pub(crate) fn expect(&mut self, method: &str, vargs: serde_json::Value) -> Call {
        let call = self.request();
        let arguments = call.clone().arguments().unwrap();
        assert_eq!((call.method.as_str(), Value::List(arguments.positional)), (method, vargs.into()));
        call
    }

    pub(crate) fn result(&mut self, result: impl Into<Value>) {
        self.reply(&Reply::Result(result.into()));
    }

    pub(crate) fn fault(&mut self, kind: &str, message: &str) {
        self.reply(&Reply::Fault(Fault::new(kind, message)));
    }

    /// Replies in the encoding of the last request.
    pub(crate) fn reply(&mut self, reply: &Reply) {
        let mut out = BytesMut::new();
        reply.encode(self.encoding, &mut out);
        self.raw(&out);
    }

    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    pub(crate) fn send(&mut self, payload: &[u8]) {
        let mut out = BytesMut::new();
        frame::encode(payload, &mut out);
        self.raw(&out);
    }

    /// Each byte in a packet of its own.
    pub(crate) fn trickle(&mut self, bytes: &[u8]) {
        for byte in bytes.chunks(1) {
            self.raw(byte);
        }
    }

    pub(crate) fn raw(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    pub(crate) fn receive(&mut self) -> Bytes {
        loop {
            if let Some(payload) = frame::decode(&mut self.incoming, 1 << 30).unwrap() {
                return payload;
            }
            let mut chunk = [0; 4096];
            let count = self.socket.read(&mut chunk).unwrap();
            assert!(count > 0, "the client left");
            self.incoming.extend_from_slice(&chunk[..count]);
        }
    }

    /// Waits until the client has closed the connection; it must not say anything more.
    pub(crate) fn gone(&mut self) {
        let end = self.socket.read(&mut [0; 64]);
        assert!(matches!(end, Ok(0) | Err(_)), "the client still speaks");
        let late = end.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock);
        assert!(!late, "the client did not leave");
    }
}
