//! The protocol's few forms: a request with its length in hexadecimal digits, `OKAY` or `FAIL`, and text with its
//! length before it. Works on any stream, knows no service.

use std::pin::pin;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::AdbError;
use crate::limits::REQUEST_BYTES_MAX;

/// Asks for `service`.
pub(crate) async fn ask(to: &mut (impl AsyncWrite + Unpin), service: &str) -> Result<(), AdbError> {
    if service.len() > REQUEST_BYTES_MAX {
        return Err(AdbError::TooLong { what: "request to the adb server", bytes_max: REQUEST_BYTES_MAX });
    }
    to.write_all(format!("{:04x}{service}", service.len()).as_bytes()).await?;
    Ok(())
}

/// Reads the answer to a request: `OKAY`, or `FAIL` and why.
pub(crate) async fn accepted(from: &mut (impl AsyncRead + Unpin)) -> Result<(), AdbError> {
    match &read_word(from).await? {
        b"OKAY" => Ok(()),
        b"FAIL" => Err(AdbError::Refused(text(from).await?)),
        found => Err(AdbError::protocol("OKAY or FAIL", found)),
    }
}

/// Reads text with its length before it.
pub(crate) async fn text(from: &mut (impl AsyncRead + Unpin)) -> Result<String, AdbError> {
    let mut bytes = vec![0; length(read_word(from).await?)?];
    from.read_exact(&mut bytes).await?;
    Ok(lossy(&bytes))
}

/// Four bytes, as most things of the protocol are.
pub(crate) async fn read_word(from: &mut (impl AsyncRead + Unpin)) -> Result<[u8; 4], AdbError> {
    let mut word = [0; 4];
    from.read_exact(&mut word).await?;
    Ok(word)
}

/// The length that four hexadecimal digits say: 65,535 bytes at most.
pub(crate) fn length(digits: [u8; 4]) -> Result<usize, AdbError> {
    digits.iter().try_fold(0, |length, &digit| match char::from(digit).to_digit(16) {
        Some(value) => Ok(length * 16 + value as usize),
        None => Err(AdbError::protocol("a length of four hexadecimal digits", &digits)),
    })
}

pub(crate) fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Sends something long and listens meanwhile: who refuses half-way says why and reads no further.
pub(crate) async fn converse<T>(
    send: impl Future<Output = Result<(), AdbError>>,
    answer: impl Future<Output = Result<T, AdbError>>,
) -> Result<T, AdbError> {
    let mut answer = pin!(answer);
    tokio::select! {
        early = &mut answer => early,
        sent = send => match sent {
            // A connection that broke while writing may still hold the reason.
            Ok(()) | Err(AdbError::Io(_)) => answer.await,
            Err(error) => Err(error),
        },
    }
}
