//! The adb server: where it is, how it is asked, and the services it answers itself.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::device::Device;
use crate::error::AdbError;
use crate::limits::{ANSWER_LIMIT, CONNECT_LIMIT};
use crate::listing::{self, Forward, Sighted};
use crate::tracker::Tracker;
use crate::wire;

/// An adb server, which may be running or not. Cheap to copy; each request makes a connection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Server {
    address: SocketAddr,
}

impl Server {
    /// The server at `address`. Nothing is sent yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address }
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The device with this serial, whether it is there or not.
    pub fn device(&self, serial: &str) -> Device {
        Device::new(*self, serial)
    }

    /// The number of the server's protocol, e.g. 41. Answered by every server that is well, so also a sign of life.
    pub async fn version(&self) -> Result<u32, AdbError> {
        let digits = self.call("host:version").await?;
        u32::from_str_radix(&digits, 16)
            .map_err(|_| AdbError::protocol("a version in hexadecimal digits", digits.as_bytes()))
    }

    /// The devices the server sees now.
    pub async fn devices(&self) -> Result<Vec<Sighted>, AdbError> {
        listing::sighted(&self.call("host:devices").await?)
    }

    /// The devices the server sees, now and after each change it tells of: see [`Tracker`].
    pub async fn track(&self) -> Result<Tracker, AdbError> {
        Ok(Tracker::new(self.open("host:track-devices").await?))
    }

    /// Every forwarded port of every device. The listing the server made of them is as long as these words with a
    /// blank or a line end behind each.
    pub async fn forwards(&self) -> Result<Vec<Forward>, AdbError> {
        listing::forwards(&self.call("host:list-forward").await?)
    }

    /// Makes the server attach the device at `address` (`host:port`) and answers the server's words.
    ///
    /// # Errors
    /// [`AdbError::Refused`] with those words if it could not.
    pub async fn connect(&self, address: &str) -> Result<String, AdbError> {
        let words = self.call(&format!("host:connect:{address}")).await?;
        // The server accepts the request in either case; its words alone tell.
        match words.starts_with("connected to") || words.starts_with("already connected to") {
            true => Ok(words),
            false => Err(AdbError::Refused(words)),
        }
    }

    /// Asks for a service that answers one text.
    pub(crate) async fn call(&self, service: &str) -> Result<String, AdbError> {
        let mut stream = self.open(service).await?;
        in_time(service, wire::text(&mut stream)).await
    }

    /// Asks for a service and leaves its stream to the caller.
    pub(crate) async fn open(&self, service: &str) -> Result<TcpStream, AdbError> {
        let mut stream = self.dial().await?;
        in_time(service, enter(&mut stream, service)).await?;
        Ok(stream)
    }

    async fn dial(&self) -> Result<TcpStream, AdbError> {
        let dialled = match timeout(CONNECT_LIMIT, TcpStream::connect(self.address)).await {
            Ok(dialled) => dialled,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let stream = dialled.map_err(|source| AdbError::NoServer { address: self.address, source })?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

/// Asks for `service` on a connection and reads whether it is accepted.
pub(crate) async fn enter(stream: &mut TcpStream, service: &str) -> Result<(), AdbError> {
    wire::ask(stream, service).await?;
    wire::accepted(stream).await
}

/// Waits [`ANSWER_LIMIT`] for an answer to `request`.
pub(crate) async fn in_time<T>(
    request: &str,
    answer: impl Future<Output = Result<T, AdbError>>,
) -> Result<T, AdbError> {
    match timeout(ANSWER_LIMIT, answer).await {
        Ok(answer) => answer,
        Err(_) => Err(AdbError::Silent { request: request.to_owned(), limit: ANSWER_LIMIT }),
    }
}
