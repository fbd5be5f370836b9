//! One connection with the file server: FTP, binary and passive, every step within the server's limit.

use std::net::SocketAddr;
use std::time::Duration;

use ave_profile::Refusal;
use suppaftp::tokio::{AsyncFtpStream, TransferStream};
use suppaftp::types::FileType;
use suppaftp::{FtpError, Mode, Status};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time;

use crate::config::flocker::Flocker as Server;

/// What is moved at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Why the file server did not do it.
#[derive(Debug, thiserror::Error)]
pub(in crate::drivers::workspace) enum Trouble {
    /// There is no such key.
    #[error("Could not access {0}")]
    NoKey(String),
    /// Not the server's fault.
    #[error("{0}")]
    Local(Refusal),
    /// What it answered, or what became of the connection.
    #[error("flocker: {0}")]
    Ftp(#[from] FtpError),
    /// It answered nothing.
    #[error("flocker: no answer within {} s", .0.as_secs())]
    Silence(Duration),
}

impl Trouble {
    /// Whether it makes sense to try again.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Trouble::Ftp(_) | Trouble::Silence(_))
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble::Ftp(FtpError::ConnectionError(error))
    }
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Refusal {
        match trouble {
            Trouble::Local(refusal) => refusal,
            other => Refusal::exception(other.to_string()),
        }
    }
}

/// A connection that was let in.
pub(super) struct Link {
    ftp: AsyncFtpStream,
    limit: Duration,
    /// The login directory.
    home: String,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("home", &self.home).finish_non_exhaustive()
    }
}

/// A file on its way here.
pub(super) struct Incoming {
    transfer: TransferStream<suppaftp::tokio::AsyncNoTlsStream>,
    limit: Duration,
}

impl Link {
    /// Connects and logs in.
    pub(super) async fn dial(server: &Server) -> Result<Link, Trouble> {
        let limit = server.timeout;
        let dialed = async {
            let stream = TcpStream::connect((server.host.as_str(), server.ftp_port)).await?;
            let peer = stream.peer_addr()?;
            let mut ftp = AsyncFtpStream::connect_with_stream(stream).await?;
            // Whatever the server believes to be called, it is where it was reached.
            ftp.set_passive_nat_workaround(true);
            if let SocketAddr::V6(_) = peer {
                ftp.set_mode(Mode::ExtendedPassive);
            }
            ftp.login(server.user.expose(), server.password.expose()).await?;
            ftp.transfer_type(FileType::Binary).await?;
            let home = ftp.pwd().await?;
            Ok(Link { ftp, limit, home })
        };
        time::timeout(limit, dialed).await.unwrap_or(Err(Trouble::Silence(limit)))
    }

    /// Whether the server still answers.
    pub(super) async fn answers(&mut self) -> bool {
        within(self.limit, self.ftp.noop()).await.is_ok()
    }

    /// The whole path of one that is seen from the login directory.
    pub(super) fn path(&self, path: &str) -> String {
        if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("{}/{path}", self.home.trim_end_matches('/'))
        }
    }

    /// Enters a directory; whether there is one that lets us.
    pub(super) async fn enter(&mut self, directory: &str) -> Result<bool, Trouble> {
        match within(self.limit, self.ftp.cwd(directory)).await {
            Ok(()) => Ok(true),
            Err(trouble) if is_refused(&trouble) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    /// Makes a directory, and those above it, where they are missing.
    pub(super) async fn make(&mut self, directory: &str) -> Result<(), Trouble> {
        let (mut missing, mut there) = (Vec::new(), directory);
        while !there.is_empty() && !self.enter(there).await? {
            missing.push(there);
            there = there.rsplit_once('/').map_or("", |(above, _)| above);
        }
        for directory in missing.into_iter().rev() {
            let made = within(self.limit, self.ftp.mkdir(directory)).await;
            // Somebody else may have been faster.
            if made.is_err() && !self.enter(directory).await? {
                return made;
            }
        }
        Ok(())
    }

    /// The length of a file; 0 if there is none.
    pub(super) async fn size(&mut self, path: &str) -> Result<usize, Trouble> {
        match within(self.limit, self.ftp.size(path)).await {
            Err(trouble) if is_refused(&trouble) => Ok(0),
            other => other,
        }
    }

    /// Stores what `source` gives, from `offset` on.
    pub(super) async fn store(
        &mut self,
        path: &str,
        offset: usize,
        source: &mut (impl AsyncRead + Unpin),
    ) -> Result<(), Trouble> {
        within(self.limit, self.ftp.resume_transfer(offset)).await?;
        let mut transfer = within(self.limit, self.ftp.put_with_stream(path)).await?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = source.read(&mut chunk).await?;
            if length == 0 {
                break;
            }
            let written = async { Ok(transfer.write_all(&chunk[..length]).await?) };
            time::timeout(self.limit, written).await.unwrap_or(Err(Trouble::Silence(self.limit)))?;
        }
        within(self.limit, transfer.finish()).await
    }

    /// Begins to fetch a file.
    pub(super) async fn fetch(&mut self, path: &str) -> Result<Incoming, Trouble> {
        within(self.limit, self.ftp.resume_transfer(0)).await?;
        let transfer = within(self.limit, self.ftp.retr_as_stream(path)).await?;
        Ok(Incoming { transfer, limit: self.limit })
    }
}

impl Incoming {
    /// The next bytes; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Trouble> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = async { Ok(self.transfer.read_buf(&mut chunk).await?) };
        let length = time::timeout(self.limit, read).await.unwrap_or(Err(Trouble::Silence(self.limit)))?;
        Ok((length > 0).then_some(chunk))
    }

    /// Whether it was the whole file.
    pub(super) async fn finish(self) -> Result<(), Trouble> {
        within(self.limit, self.transfer.finish()).await
    }
}

async fn within<T>(limit: Duration, step: impl Future<Output = Result<T, FtpError>>) -> Result<T, Trouble> {
    match time::timeout(limit, step).await {
        Ok(done) => Ok(done?),
        Err(_) => Err(Trouble::Silence(limit)),
    }
}

/// Whether the server said that there is no such thing for us.
fn is_refused(trouble: &Trouble) -> bool {
    matches!(trouble, Trouble::Ftp(FtpError::UnexpectedResponse(response)) if response.status == Status::FileUnavailable)
}
