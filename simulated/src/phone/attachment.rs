//! Keeps a phone attached to one adb server, as a cable does: at once, and again whenever the link is gone. Left
//! alone, an adb server looks for a lost device every ten seconds, and gives it up after a minute.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::state::State;

/// How long one answer of the server may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

/// How long to wait for a link, or for a server that is not there.
const TRY_AGAIN: Duration = Duration::from_millis(200);

/// Attaches the phone at `address` to `server` whenever it has no link. Never returns.
pub(super) async fn keep(state: &State, address: SocketAddr, server: SocketAddr) {
    loop {
        if !state.linked() {
            // What the server remembers of a lost device keeps it from connecting.
            let _ = timeout(ANSWER_MAX, ask(server, &format!("host:disconnect:{address}"))).await;
            let _ = timeout(ANSWER_MAX, ask(server, &format!("host:connect:{address}"))).await;
        }
        sleep(TRY_AGAIN).await;
    }
}

async fn ask(server: SocketAddr, question: &str) -> io::Result<()> {
    let mut socket = TcpStream::connect(server).await?;
    socket.write_all(format!("{:04x}{question}", question.len()).as_bytes()).await?;
    let mut answer = [0; 4];
    socket.read_exact(&mut answer).await.map(|_| ())
}
