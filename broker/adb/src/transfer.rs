//! Whole files to and from a device, in packets of the file service.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::fs::File;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, BufWriter,
};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::device::Device;
use crate::error::AdbError;
use crate::limits::{SYNC_CHUNK_BYTES_MAX, TRANSFER_BUFFER_BYTES};
use crate::{sync, wire};

const REGULAR_FILE: u32 = 0o100_000;

impl Device {
    /// Copies the file `source` of this host to the path `target` of the device, with the permissions `mode` and the
    /// time of `source`, and answers its size in bytes. Missing directories are made by the device.
    ///
    /// # Errors
    /// [`AdbError::File`] if `source` cannot be read, [`AdbError::Refused`] with the device's reason.
    pub async fn push(&self, source: &Path, target: &str, mode: u32) -> Result<u64, AdbError> {
        let file = File::open(source).await.map_err(AdbError::file(source))?;
        let metadata = file.metadata().await.map_err(AdbError::file(source))?;
        let mut stream = self.sync().await?;
        let (mut from, to) = stream.split();
        let place = format!("{target},{}", REGULAR_FILE | mode & 0o777);
        let mut bytes = None;
        let send = async {
            let mut to = BufWriter::with_capacity(TRANSFER_BUFFER_BYTES, to);
            sync::request(&mut to, *b"SEND", &place).await?;
            let sent = send_chunks(file, source, &mut to).await?;
            to.write_all(&sync::head(*b"DONE", seconds(metadata.modified().ok()))).await?;
            to.flush().await?;
            bytes = Some(sent);
            Ok(())
        };
        wire::converse(send, taken(&mut from)).await?;
        bytes.ok_or_else(|| AdbError::Protocol("the device took the file before its end".to_owned()))
    }

    /// Copies the file `source` of the device to the path `target` of this host and answers its size in bytes.
    /// `target` appears, or is replaced, when the copy is complete, and not at all otherwise.
    ///
    /// # Errors
    /// [`AdbError::File`] if `target` cannot be written, [`AdbError::Refused`] with the device's reason.
    pub async fn pull(&self, source: &str, target: &Path) -> Result<u64, AdbError> {
        let at_target = || AdbError::file(target);
        let directory = match target.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let unfinished = tempfile::Builder::new()
            .prefix(".ave-pull-")
            .permissions(Permissions::from_mode(0o666)) // less the process's umask
            .tempfile_in(directory)
            .map_err(at_target())?;
        let file = unfinished.as_file().try_clone().map_err(at_target())?;

        let mut stream = self.sync().await?;
        sync::request(&mut stream, *b"RECV", source).await?;
        let bytes = receive(stream, file, target.to_owned()).await?;
        unfinished.persist(target).map_err(|error| at_target()(error.error))?;
        Ok(bytes)
    }

    /// Reads the file `source` of the device.
    ///
    /// # Errors
    /// [`AdbError::TooLong`] beyond `bytes_max`, whatever [`Device::stat`] says of it; [`AdbError::Refused`] with the
    /// device's reason.
    pub async fn read(&self, source: &str, bytes_max: usize) -> Result<Vec<u8>, AdbError> {
        let mut stream = self.sync().await?;
        sync::request(&mut stream, *b"RECV", source).await?;
        let mut content = Vec::new();
        let keep = |part: &[u8]| {
            if content.len() + part.len() > bytes_max {
                return Err(AdbError::TooLong { what: "file on the device", bytes_max });
            }
            content.extend_from_slice(part);
            Ok(())
        };
        receive_chunks(&mut BufReader::with_capacity(TRANSFER_BUFFER_BYTES, stream), keep).await?;
        Ok(content)
    }
}

/// Sends the whole of `file` in chunks and counts its bytes.
async fn send_chunks(file: File, path: &Path, to: &mut (impl AsyncWrite + Unpin)) -> Result<u64, AdbError> {
    let mut source = BufReader::with_capacity(TRANSFER_BUFFER_BYTES, file);
    let mut sent = 0;
    loop {
        let read = source.fill_buf().await.map_err(AdbError::file(path))?;
        let chunk = &read[..read.len().min(SYNC_CHUNK_BYTES_MAX)];
        if chunk.is_empty() {
            return Ok(sent);
        }
        to.write_all(&sync::head(*b"DATA", chunk.len() as u32)).await?;
        to.write_all(chunk).await?;
        let bytes = chunk.len();
        source.consume(bytes);
        sent += bytes as u64;
    }
}

/// Reads whether the device took the file.
async fn taken(from: &mut (impl AsyncRead + Unpin)) -> Result<(), AdbError> {
    match &wire::read_word(from).await? {
        b"OKAY" => Ok(()),
        b"FAIL" => Err(sync::refusal(from).await?),
        found => Err(AdbError::protocol("OKAY or FAIL", found)),
    }
}

/// Writes every chunk the device sends to `file` and counts their bytes, on a thread that may block: a file is not
/// worth a change of threads for each of its parts. Ends when it is dropped.
async fn receive(stream: TcpStream, mut file: std::fs::File, path: PathBuf) -> Result<u64, AdbError> {
    let (_wanted, dropped) = oneshot::channel::<()>();
    let runtime = Handle::current();
    let receiving = spawn_blocking(move || {
        let mut from = BufReader::with_capacity(TRANSFER_BUFFER_BYTES, stream);
        let keep = |part: &[u8]| file.write_all(part).map_err(AdbError::file(&path));
        runtime.block_on(async {
            tokio::select! {
                received = receive_chunks(&mut from, keep) => received,
                _ = dropped => Err(io::Error::from(io::ErrorKind::Interrupted).into()),
            }
        })
    });
    receiving.await.map_err(io::Error::from)?
}

async fn receive_chunks(
    from: &mut (impl AsyncBufRead + Unpin),
    mut keep: impl FnMut(&[u8]) -> Result<(), AdbError>,
) -> Result<u64, AdbError> {
    let mut received = 0;
    loop {
        match &wire::read_word(from).await? {
            b"DATA" => received += receive_chunk(from, &mut keep).await?,
            b"DONE" => return Ok(received),
            b"FAIL" => return Err(sync::refusal(from).await?),
            found => return Err(AdbError::protocol("DATA or DONE", found)),
        }
    }
}

async fn receive_chunk(
    from: &mut (impl AsyncBufRead + Unpin),
    keep: &mut impl FnMut(&[u8]) -> Result<(), AdbError>,
) -> Result<u64, AdbError> {
    let length = from.read_u32_le().await? as usize;
    if length > SYNC_CHUNK_BYTES_MAX {
        return Err(AdbError::TooLong {
            what: "chunk of a file on the device",
            bytes_max: SYNC_CHUNK_BYTES_MAX,
        });
    }
    let mut missing = length;
    while missing > 0 {
        let read = from.fill_buf().await?;
        if read.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let part = &read[..read.len().min(missing)];
        keep(part)?;
        let bytes = part.len();
        from.consume(bytes);
        missing -= bytes;
    }
    Ok(length as u64)
}

/// Seconds since 1970, as far as the protocol can say them.
fn seconds(time: Option<SystemTime>) -> u32 {
    let since = time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    u32::try_from(since.as_secs()).unwrap_or(u32::MAX)
}
