//! A service of a device that is running: what it says, and what it is told.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::error::AdbError;

/// Output and input of a command on a device. Its end of file is the command's end; dropping it ends the command.
#[derive(Debug)]
pub struct Stream(TcpStream);

impl Stream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(stream)
    }

    /// Reads to the end of the command.
    ///
    /// # Errors
    /// [`AdbError::TooLong`] if it says more than `bytes_max` bytes: the command is ended then.
    pub async fn text(mut self, bytes_max: usize) -> Result<Vec<u8>, AdbError> {
        read_all(&mut self.0, "output of the device", bytes_max).await
    }

    pub(crate) fn into_inner(self) -> TcpStream {
        self.0
    }
}

/// Reads to the end, `bytes_max` bytes at most.
pub(crate) async fn read_all(
    from: &mut (impl AsyncRead + Unpin),
    what: &'static str,
    bytes_max: usize,
) -> Result<Vec<u8>, AdbError> {
    let mut text = Vec::new();
    from.take(bytes_max as u64 + 1).read_to_end(&mut text).await?;
    match text.len() > bytes_max {
        true => Err(AdbError::TooLong { what, bytes_max }),
        false => Ok(text),
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
