//! Installing a package: streamed into the package service where the device has one, by way of a file elsewhere.

use std::io;
use std::path::Path;

use tokio::fs::File;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::device::Device;
use crate::error::AdbError;
use crate::limits::{TRANSFER_BUFFER_BYTES, WORDS_BYTES_MAX};
use crate::stream::read_all;
use crate::wire;

/// Where a package waits on a device that cannot take it as a stream.
const WAITING_ROOM: &str = "/data/local/tmp";

impl Device {
    /// Installs the package `apk` of this host with the package manager's `arguments` (`-r`, `-t`, ...) and answers
    /// the manager's words: `Success`, or `Failure [CODE]`, which is not an error here.
    ///
    /// # Errors
    /// [`AdbError::File`] if `apk` cannot be read, [`AdbError::Refused`] if the device does not take it.
    pub async fn install(&self, apk: &Path, arguments: &[&str]) -> Result<String, AdbError> {
        let arguments: String = arguments.iter().map(|argument| format!(" {}", quoted(argument))).collect();
        let words = match self.features().await?.contains("cmd") {
            true => self.install_streamed(apk, &arguments).await?,
            false => self.install_from_file(apk, &arguments).await?,
        };
        Ok(wire::lossy(&words))
    }

    async fn install_streamed(&self, apk: &Path, arguments: &str) -> Result<Vec<u8>, AdbError> {
        let file = File::open(apk).await.map_err(AdbError::file(apk))?;
        let size = file.metadata().await.map_err(AdbError::file(apk))?.len();
        let mut stream =
            self.exec(&format!("cmd package 'install'{arguments} -S {size}")).await?.into_inner();
        let (mut from, mut to) = stream.split();
        let send = async {
            let mut package = BufReader::with_capacity(TRANSFER_BUFFER_BYTES, file.take(size));
            let mut missing = size;
            while missing > 0 {
                let read = package.fill_buf().await.map_err(AdbError::file(apk))?;
                if read.is_empty() {
                    return Err(AdbError::file(apk)(io::ErrorKind::UnexpectedEof.into()));
                }
                let bytes = to.write(read).await?;
                package.consume(bytes);
                missing = missing.saturating_sub(bytes as u64);
            }
            Ok(())
        };
        wire::converse(send, read_all(&mut from, "words of the package manager", WORDS_BYTES_MAX)).await
    }

    async fn install_from_file(&self, apk: &Path, arguments: &str) -> Result<Vec<u8>, AdbError> {
        let name = apk.file_name().unwrap_or_default().to_string_lossy();
        let waiting = format!("{WAITING_ROOM}/{name}");
        self.push(apk, &waiting, 0o644).await?;
        let installed = self.output(&format!("pm 'install'{arguments} {}", quoted(&waiting))).await;
        self.output(&format!("rm -f {}", quoted(&waiting))).await?;
        installed
    }

    async fn output(&self, line: &str) -> Result<Vec<u8>, AdbError> {
        self.shell(line).await?.text(WORDS_BYTES_MAX).await
    }
}

/// `text` as one word for the device's shell, whatever is in it.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
