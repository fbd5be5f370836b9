//! An adb server that says what it was told to say, whatever it is asked.

use std::net::Ipv4Addr;
use std::time::Duration;

use ave_adb::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A call that has not come back by then never will.
const PATIENCE: Duration = Duration::from_secs(10);

/// Runs `call` against a server whose first connection says the first answer and ends, the next the second, and so
/// on. Returns what the call said, and what it had asked on each connection.
pub(crate) async fn against<T>(answers: &[&[u8]], call: impl AsyncFnOnce(Server) -> T) -> (T, Vec<String>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let server = Server::new(listener.local_addr().unwrap());
    let (over, mut is_over) = oneshot::channel::<()>();
    let script = async {
        let mut asked = Vec::new();
        for answer in answers {
            let mut stream = tokio::select! {
                biased;
                accepted = listener.accept() => accepted.unwrap().0,
                _ = &mut is_over => break, // the call gave up early
            };
            // The client may hang up before it has read everything.
            let _ = stream.write_all(answer).await;
            let _ = stream.shutdown().await;
            let mut question = Vec::new();
            let _ = stream.read_to_end(&mut question).await;
            asked.push(question.escape_ascii().to_string());
        }
        asked
    };
    let call = async {
        let said = timeout(PATIENCE, call(server)).await.expect("the call hangs");
        drop(over);
        said
    };
    tokio::join!(call, script)
}
