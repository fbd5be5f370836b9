//! `sync:` files pushed, pulled, listed and looked at.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::packet::PAYLOAD_BYTES_MAX;
use super::paths;
use super::state::State;
use super::stream::{Arrivals, Departures};

/// How much of a file one packet carries, in bytes.
const PART_BYTES_MAX: usize = 64 * 1024;

/// How long a path may be, in bytes.
const PATH_BYTES_MAX: usize = 1024;

/// The letters and the number before each part, in bytes.
const HEADER_BYTES: usize = 8;

const PERMISSIONS: u32 = 0o777;

/// A stream of requests: four letters, a number, and what belongs to them.
struct Requests {
    arrivals: Arrivals,
    kept: BytesMut,
}

impl Requests {
    /// Exactly so many bytes; nothing when the stream has ended.
    async fn take(&mut self, count: usize) -> Option<Bytes> {
        while self.kept.len() < count {
            self.kept.extend_from_slice(&self.arrivals.next().await?);
        }
        Some(self.kept.split_to(count).freeze())
    }

    async fn header(&mut self) -> Option<([u8; 4], u32)> {
        let mut header = self.take(HEADER_BYTES).await?;
        let mut letters = [0; 4];
        header.copy_to_slice(&mut letters);
        Some((letters, header.get_u32_le()))
    }
}

/// Answers until the host says `QUIT` or leaves.
pub(super) async fn serve(state: &State, arrivals: Arrivals, mut departures: Departures) -> io::Result<()> {
    let mut requests = Requests { arrivals, kept: BytesMut::new() };
    while let Some((letters, length)) = requests.header().await {
        let length = length as usize;
        if letters == *b"QUIT" || length > PATH_BYTES_MAX {
            return Ok(());
        }
        let Some(path) = requests.take(length).await else { return Ok(()) };
        let path = String::from_utf8_lossy(&path).into_owned();
        let done = match &letters {
            b"STAT" => departures.send(stat(&place(state, &path).unwrap_or_default())).await.map(Ok)?,
            b"LIST" => departures.send(list(&place(state, &path).unwrap_or_default())).await.map(Ok)?,
            b"RECV" => receive(state, &path, &mut departures).await,
            b"SEND" => store(state, &path, &mut requests, &mut departures).await,
            _ => return Ok(()),
        };
        if let Err(error) = done {
            let text = error.to_string();
            departures.send(packet(b"FAIL", text.as_bytes())).await?;
        }
    }
    Ok(())
}

/// Sends a file, as many parts at once as fit, and at its end that this was all.
async fn receive(state: &State, path: &str, departures: &mut Departures) -> io::Result<()> {
    let mut file = File::open(place(state, path)?)?;
    let mut buffer = vec![0; PART_BYTES_MAX];
    let mut parts = Vec::with_capacity(PAYLOAD_BYTES_MAX as usize);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            parts.extend(packet(b"DONE", b""));
            return departures.send(parts).await;
        }
        if parts.len() + HEADER_BYTES + count > PAYLOAD_BYTES_MAX as usize {
            departures.send(std::mem::take(&mut parts)).await?;
        }
        parts.extend(packet(b"DATA", &buffer[..count]));
    }
}

/// Takes a file. What arrives after a failure is read and thrown away, so that the failure is the answer.
async fn store(
    state: &State,
    request: &str,
    requests: &mut Requests,
    departures: &mut Departures,
) -> io::Result<()> {
    let (path, mode) = request.rsplit_once(',').unwrap_or((request, "420"));
    let mode = mode.parse().unwrap_or(0o644) & PERMISSIONS;
    let mut file = place(state, path).and_then(create);
    loop {
        let Some((letters, length)) = requests.header().await else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if letters != *b"DATA" || length as usize > PART_BYTES_MAX {
            break;
        }
        let Some(part) = requests.take(length as usize).await else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        if let Ok(writing) = &mut file
            && let Err(error) = writing.write_all(&part)
        {
            file = Err(error);
        }
    }
    file?.set_permissions(Permissions::from_mode(mode))?;
    departures.send(packet(b"OKAY", b"")).await
}

fn create(place: impl AsRef<Path>) -> io::Result<File> {
    if let Some(folder) = place.as_ref().parent() {
        fs::create_dir_all(folder)?;
    }
    File::create(place)
}

fn place(state: &State, path: &str) -> io::Result<std::path::PathBuf> {
    paths::inside(state.root(), path).ok_or_else(|| io::ErrorKind::PermissionDenied.into())
}

fn stat(place: &Path) -> Vec<u8> {
    let mut answer = b"STAT".to_vec();
    numbers(&mut answer, fs::symlink_metadata(place).ok());
    answer
}

/// Mode, size and time of change; zeros for what is not there.
fn numbers(answer: &mut Vec<u8>, found: Option<fs::Metadata>) {
    let (mode, size, time) =
        found.map_or((0, 0, 0), |found| (found.mode(), found.len() as u32, found.mtime() as u32));
    for number in [mode, size, time] {
        answer.put_u32_le(number);
    }
}

fn list(place: &Path) -> Vec<u8> {
    let mut answer = Vec::new();
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        answer.extend_from_slice(b"DENT");
        numbers(&mut answer, entry.metadata().ok());
        answer.put_u32_le(name.len() as u32);
        answer.extend_from_slice(name);
    }
    answer.extend_from_slice(b"DONE");
    answer.resize(answer.len() + 16, 0);
    answer
}

fn packet(letters: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_le_bytes();
    [&letters[..], &length, content].concat()
}
