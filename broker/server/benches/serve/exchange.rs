//! The trivial call: how many requests a second are answered, by the broker's session and by the echo.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ave_client::{Broker, Door};
use ave_protocol::arguments::Arguments;
use ave_protocol::frame;
use ave_protocol::handshake::{self, KeyId, Salt};
use ave_protocol::message::{Encoding, Request};
use bytes::{Bytes, BytesMut};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::figure::Figure;
use crate::guest;

const SLICE: Duration = Duration::from_millis(300);
const PAIRS: usize = 9;
/// Longer than any frame of these benches.
const FRAME_BYTES_MAX: usize = 4096;

/// The rate of trivial calls over so many connections, each waiting for its answer before the next.
pub(crate) async fn trivial_calls(
    name: &'static str,
    connections: usize,
    broker: &str,
    echo: &str,
) -> io::Result<Figure> {
    let (_holder, door) = open_session(broker);
    let echo = echo.parse().map_err(io::Error::other)?;
    let mut echoes = try_join_all((0..connections).map(|_| Line::dial(echo))).await?;
    let mut calls = try_join_all((0..connections).map(|_| Line::to_session(&door))).await?;
    let mut pairs = Vec::new();
    for _ in 0..PAIRS {
        let (echoed, answered);
        (echoed, echoes) = rate(echoes).await?;
        (answered, calls) = rate(calls).await?;
        pairs.push((echoed, answered));
    }
    Ok(Figure::of_pairs(name, pairs))
}

/// A session, alive as long as the client that holds it, and the way to it.
fn open_session(address: &str) -> (Broker, Door) {
    let mut holder = guest::broker(address);
    let grants = holder.get(&guest::any_piece()).expect("a free piece");
    (holder, grants[0].door.clone())
}

/// Answers a second, over these lines at once.
async fn rate(lines: Vec<Line>) -> io::Result<(f64, Vec<Line>)> {
    let mut request = BytesMut::new();
    let call = Request::new("get_version", Arguments::default());
    call.encode(Encoding::MessagePack, &mut request).map_err(io::Error::other)?;
    let (begin, request) = (Instant::now(), request.freeze());
    let tasks: Vec<_> =
        lines.into_iter().map(|line| tokio::spawn(line.ask_until(begin + SLICE, request.clone()))).collect();
    let (mut answers, mut lines) = (0, Vec::new());
    for task in tasks {
        let (count, line) = task.await??;
        answers += count;
        lines.push(line);
    }
    Ok((answers as f64 / begin.elapsed().as_secs_f64(), lines))
}

/// A connection that knows nothing but frames.
struct Line {
    stream: TcpStream,
    input: BytesMut,
}

impl Line {
    async fn dial(address: SocketAddr) -> io::Result<Line> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Line { stream, input: BytesMut::new() })
    }

    async fn to_session(door: &Door) -> io::Result<Line> {
        let address = format!("{}:{}", door.address.0, door.address.1).parse().map_err(io::Error::other)?;
        let mut line = Line::dial(address).await?;
        let salt = Salt::of_challenge(&line.frame().await?).map_err(io::Error::other)?;
        let id = KeyId::Session(door.session.expect("this broker names its sessions"));
        let mut answer = BytesMut::new();
        frame::encode(&handshake::named_answer(&door.key, &salt, &id), &mut answer);
        line.stream.write_all(&answer).await?;
        assert_eq!(handshake::read_verdict(&line.frame().await?), Ok(true));
        Ok(line)
    }

    async fn ask_until(mut self, end: Instant, request: Bytes) -> io::Result<(u64, Line)> {
        let mut answers = 0;
        while Instant::now() < end {
            self.stream.write_all(&request).await?;
            self.frame().await?;
            answers += 1;
        }
        Ok((answers, self))
    }

    async fn frame(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(payload) =
                frame::decode(&mut self.input, FRAME_BYTES_MAX).map_err(io::Error::other)?
            {
                return Ok(payload);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
