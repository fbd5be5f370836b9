//! The device's file service: its packets, and what it tells about files. All numbers are little-endian.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::device::Device;
use crate::error::AdbError;
use crate::limits::{ENTRIES_MAX, NAME_BYTES_MAX, SYNC_PATH_BYTES_MAX, WORDS_BYTES_MAX};
use crate::server::in_time;
use crate::wire;

/// What a device tells about a file. Links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Kind and permissions, as `stat(2)` has them.
    pub mode: u32,
    /// Its size in bytes, modulo 4 GiB.
    pub size: u32,
    /// When it was changed, in seconds since 1970.
    pub mtime: u32,
}

impl Stat {
    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.mode & 0o170_000 == 0o040_000
    }
}

/// One entry of a directory of a device, `.` and `..` among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, without the directory.
    pub name: String,
    /// What the device tells about it.
    pub stat: Stat,
}

impl Device {
    /// What the device tells about `path`; `None` if there is no such file or it may not be seen.
    pub async fn stat(&self, path: &str) -> Result<Option<Stat>, AdbError> {
        let mut stream = self.sync().await?;
        request(&mut stream, *b"STAT", path).await?;
        let stat = in_time("sync: STAT", read_stat(&mut stream)).await?;
        Ok((stat != Stat { mode: 0, size: 0, mtime: 0 }).then_some(stat))
    }

    /// The entries of the directory `path`; none if there is no such directory or it may not be read.
    pub async fn list(&self, path: &str) -> Result<Vec<Entry>, AdbError> {
        let mut stream = self.sync().await?;
        request(&mut stream, *b"LIST", path).await?;
        in_time("sync: LIST", read_entries(&mut BufReader::new(stream))).await
    }

    pub(crate) async fn sync(&self) -> Result<TcpStream, AdbError> {
        self.open("sync:").await
    }
}

/// The head of a packet: what it is, and a number.
pub(crate) fn head(id: [u8; 4], number: u32) -> [u8; 8] {
    let mut head = [0; 8];
    head[..4].copy_from_slice(&id);
    head[4..].copy_from_slice(&number.to_le_bytes());
    head
}

/// Asks for something of `path`.
pub(crate) async fn request(
    to: &mut (impl AsyncWrite + Unpin),
    id: [u8; 4],
    path: &str,
) -> Result<(), AdbError> {
    if path.len() > SYNC_PATH_BYTES_MAX {
        return Err(AdbError::TooLong { what: "path on the device", bytes_max: SYNC_PATH_BYTES_MAX });
    }
    let mut packet = head(id, path.len() as u32).to_vec();
    packet.extend_from_slice(path.as_bytes());
    to.write_all(&packet).await?;
    Ok(())
}

/// The reason behind a `FAIL`, whose head has been read up to its number.
pub(crate) async fn refusal(from: &mut (impl AsyncRead + Unpin)) -> Result<AdbError, AdbError> {
    let length = from.read_u32_le().await? as usize;
    let words = read_bytes(from, length, "refusal of the device", WORDS_BYTES_MAX).await?;
    Ok(AdbError::Refused(wire::lossy(&words)))
}

async fn read_bytes(
    from: &mut (impl AsyncRead + Unpin),
    length: usize,
    what: &'static str,
    bytes_max: usize,
) -> Result<Vec<u8>, AdbError> {
    if length > bytes_max {
        return Err(AdbError::TooLong { what, bytes_max });
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn read_stat(from: &mut (impl AsyncRead + Unpin)) -> Result<Stat, AdbError> {
    match &wire::read_word(from).await? {
        b"STAT" => read_numbers(from).await,
        b"FAIL" => Err(refusal(from).await?),
        found => Err(AdbError::protocol("STAT", found)),
    }
}

async fn read_numbers(from: &mut (impl AsyncRead + Unpin)) -> Result<Stat, AdbError> {
    let (mode, size, mtime) =
        (from.read_u32_le().await?, from.read_u32_le().await?, from.read_u32_le().await?);
    Ok(Stat { mode, size, mtime })
}

async fn read_entries(from: &mut (impl AsyncRead + Unpin)) -> Result<Vec<Entry>, AdbError> {
    let mut entries = Vec::new();
    loop {
        match &wire::read_word(from).await? {
            b"DENT" if entries.len() == ENTRIES_MAX => {
                return Err(AdbError::Protocol(format!("more than {ENTRIES_MAX} entries in a directory")));
            }
            b"DENT" => {
                let stat = read_numbers(from).await?;
                let length = from.read_u32_le().await? as usize;
                let name = read_bytes(from, length, "name of a file on the device", NAME_BYTES_MAX).await?;
                entries.push(Entry { name: wire::lossy(&name), stat });
            }
            b"DONE" => return Ok(entries),
            b"FAIL" => return Err(refusal(from).await?),
            found => return Err(AdbError::protocol("DENT or DONE", found)),
        }
    }
}
