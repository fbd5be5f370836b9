//! One run of a lister's program: from its start to its end, with what it printed. Nothing of it stays.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, copy, sink};
use tokio::time::timeout;

use crate::drivers::group::Group;
use crate::drivers::place::Place;

/// What a program may print: thousands of profiles.
pub(super) const OUTPUT_BYTES_MAX: u64 = 1 << 20;

/// What is kept of what it says to people.
const COMPLAINT_BYTES_MAX: u64 = 4 << 10;

/// What the program printed, if it ended well within the limit. Dropping the future kills it, and whatever it
/// started in its process group; that goes at the end anyway.
///
/// # Errors
/// What went wrong, for people.
pub(super) async fn run(place: &Place, words: &[String], limit: Duration) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| format!("it cannot be run: {error}");
    let mut command = place.command(words).await.map_err(cannot)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(cannot)?;
    let group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let talking = async { tokio::try_join!(printed(stdout), complaint(stderr)) };
    let ended = async {
        let (output, complaint) = talking.await?;
        let status = child.wait().await.map_err(|error| error.to_string())?;
        if status.success() { Ok(output) } else { Err(format!("it ended with {status}: {complaint}")) }
    };
    let outcome = timeout(limit, ended).await;
    drop(group);
    outcome.unwrap_or_else(|_| Err(format!("it did not end within {} s", limit.as_secs_f32())))
}

async fn printed(stdout: Option<impl AsyncRead + Unpin>) -> Result<Vec<u8>, String> {
    let mut output = Vec::new();
    if let Some(stdout) = stdout {
        let read = stdout.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut output).await;
        read.map_err(|error| error.to_string())?;
    }
    if output.len() as u64 > OUTPUT_BYTES_MAX {
        return Err(format!("it prints more than {OUTPUT_BYTES_MAX} bytes"));
    }
    Ok(output)
}

/// The beginning of what it says to people; the rest is heard and lost, so that it need not wait.
async fn complaint(stderr: Option<impl AsyncRead + Unpin>) -> Result<String, String> {
    let Some(mut stderr) = stderr else { return Ok(String::new()) };
    let mut said = Vec::new();
    let read = (&mut stderr).take(COMPLAINT_BYTES_MAX).read_to_end(&mut said).await;
    read.map_err(|error| error.to_string())?;
    copy(&mut stderr, &mut sink()).await.map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&said).trim_end().to_owned())
}
