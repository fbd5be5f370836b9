//! The yardstick: a server that does nothing with a frame but send it back. The same codec and runtime as
//! the broker's, one task per connection.

use ave_protocol::frame;
use bytes::BytesMut;
use tokio::io::{self, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Longer than any frame of these benches.
const FRAME_BYTES_MAX: usize = 4096;

/// Serves for ever; says first where.
pub(crate) async fn serve() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("echo at {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(answer(stream));
    }
}

async fn answer(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    while stream.read_buf(&mut input).await? > 0 {
        while let Some(payload) = frame::decode(&mut input, FRAME_BYTES_MAX).map_err(io::Error::other)? {
            frame::encode(&payload, &mut output);
        }
        stream.write_all(&output).await?;
        output.clear();
    }
    Ok(())
}
