//! The other end of a line: whoever this broker calls, doing what a test wants.

use ave_protocol::frame;
use ave_protocol::handshake::{self, Answer, Salt};
use ave_protocol::limits::Limits;
use ave_protocol::message::Encoding;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::wire::Wire;

/// A salt of our own kind.
pub(crate) fn our_salt() -> Salt {
    Salt::ours([7; 16])
}

/// A salt as original peers send it.
pub(crate) fn original_salt() -> Salt {
    Salt([7; 20])
}

/// One accepted connection.
pub(crate) struct FarEnd<S> {
    wire: Wire<S>,
    encoding: Encoding,
}

impl<S: AsyncRead + AsyncWrite + Unpin> FarEnd<S> {
    /// Has not said anything yet.
    pub(crate) fn new(stream: S) -> FarEnd<S> {
        FarEnd { wire: Wire::new(stream, 1 << 20), encoding: Encoding::Json }
    }

    /// Shakes hands with whoever comes. Also what the answer to the challenge was.
    pub(crate) async fn welcome(stream: S, salt: Salt) -> (FarEnd<S>, Answer) {
        FarEnd::judge(stream, salt, true).await
    }

    /// Shakes hands with whoever comes, and does not know the key.
    pub(crate) async fn refuse(stream: S, salt: Salt) -> FarEnd<S> {
        FarEnd::judge(stream, salt, false).await.0
    }

    async fn judge(stream: S, salt: Salt, known: bool) -> (FarEnd<S>, Answer) {
        let mut far = FarEnd::new(stream);
        far.send(&salt.challenge_payload()).await;
        let answer = Answer::parse(&far.wire.frame().await.unwrap());
        far.send(handshake::verdict(known)).await;
        (far, answer)
    }

    /// The next request, all of it; `None` if the connection ends instead.
    pub(crate) async fn request(&mut self) -> Option<Value> {
        let payload = self.wire.frame().await.ok()?;
        self.encoding = Encoding::of(&payload);
        let request = Encoding::read(&payload, &Limits::default()).expect("a request");
        Some(serde_json::to_value(request).unwrap())
    }

    /// The next request, which calls this; its arguments.
    pub(crate) async fn expect(&mut self, method: &str) -> Value {
        let request = self.request().await.expect(method);
        assert_eq!(request["method"], method, "{request}");
        request["params"]["vargs"].clone()
    }

    /// Answers in JSON, which everybody reads.
    pub(crate) async fn reply(&mut self, reply: &Value) {
        self.send(reply.to_string().as_bytes()).await;
    }

    /// Answers with a result.
    pub(crate) async fn result(&mut self, result: Value) {
        self.reply(&json!({"result": result})).await;
    }

    /// How the last request was written.
    pub(crate) fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Sends a frame, whatever is in it.
    pub(crate) async fn send(&mut self, payload: &[u8]) {
        frame::encode(payload, self.wire.output());
        let _ = self.wire.flush().await; // who is called may have gone
    }
}
