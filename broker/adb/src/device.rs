//! One device: every request names its serial.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::AdbError;
use crate::limits::{OLD_DEVICE_REQUEST_BYTES_MAX, WORDS_BYTES_MAX, WORDS_LIMIT};
use crate::server::{Server, enter, in_time};
use crate::stream::Stream;
use crate::wire;

/// A device of an adb server, which may be attached or not. Cheap to clone.
///
/// Every call fails with [`AdbError::Refused`] and the server's words when the device is not there (`device 'x' not
/// found`) or does not answer (`device offline`).
#[derive(Debug, Clone)]
pub struct Device {
    server: Server,
    serial: Arc<str>,
}

impl Device {
    pub(crate) fn new(server: Server, serial: &str) -> Self {
        Self { server, serial: serial.into() }
    }

    /// The serial that every request names.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// How the server sees the device: `device`, `offline`, `unauthorized`, ...
    pub async fn state(&self) -> Result<String, AdbError> {
        self.server.call(&self.at_host("get-state")).await
    }

    /// What device and server both can do, e.g. `shell_v2` and `cmd`.
    pub async fn features(&self) -> Result<BTreeSet<String>, AdbError> {
        let features = self.server.call(&self.at_host("features")).await?;
        Ok(features.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    /// Runs `line` in the device's shell, standard error among standard output, as adb did before `shell_v2`: alike
    /// on every device, and without an exit status (Specification 1.5). An empty line is a shell that reads its input.
    ///
    /// # Errors
    /// [`AdbError::TooLong`] for a line beyond 4 KiB to a device without `shell_v2`, which might not take it.
    pub async fn shell(&self, line: &str) -> Result<Stream, AdbError> {
        self.open(&format!("shell:{line}")).await.map(Stream::new)
    }

    /// Runs `line` in the device's shell without a terminal: its bytes arrive as they are, both ways.
    pub async fn exec(&self, line: &str) -> Result<Stream, AdbError> {
        self.open(&format!("exec:{line}")).await.map(Stream::new)
    }

    /// Restarts adbd as root and answers the device's words. The device may be away for a moment afterwards; one
    /// that cannot says so in its words, which are not an error here.
    pub async fn root(&self) -> Result<String, AdbError> {
        self.words("root:").await
    }

    /// Makes the system partitions writable and answers the device's words, which alone tell whether it worked.
    pub async fn remount(&self) -> Result<String, AdbError> {
        self.words("remount:").await
    }

    /// Restarts the device, into `target` (`bootloader`, `recovery`) or, if that is empty, as usual. Answers when the
    /// device has taken note, not when it is gone.
    pub async fn reboot(&self, target: &str) -> Result<String, AdbError> {
        self.words(&format!("reboot:{target}")).await
    }

    /// Switches the checking of the system partitions and answers the device's words.
    pub async fn verity(&self, enable: bool) -> Result<String, AdbError> {
        self.words(if enable { "enable-verity:" } else { "disable-verity:" }).await
    }

    /// Leads a free port of this host, chosen by the server, to `remote` (`tcp:8080`, `localabstract:name`) on the
    /// device, and answers it. It lasts until [`Device::unforward`], or until the device goes.
    pub async fn forward(&self, remote: &str) -> Result<u16, AdbError> {
        let service = self.at_host(&format!("forward:tcp:0;{remote}"));
        let mut stream = self.server.open(&service).await?;
        // The first OKAY was for the device, the second is for the forward.
        in_time(&service, wire::accepted(&mut stream)).await?;
        let port = in_time(&service, wire::text(&mut stream)).await?;
        port.parse().map_err(|_| AdbError::protocol("a port", port.as_bytes()))
    }

    /// Ends the forward of `local` (`tcp:49152`).
    ///
    /// # Errors
    /// [`AdbError::Refused`] if there is none.
    pub async fn unforward(&self, local: &str) -> Result<(), AdbError> {
        let service = self.at_host(&format!("killforward:{local}"));
        let mut stream = self.server.open(&service).await?;
        in_time(&service, wire::accepted(&mut stream)).await
    }

    /// A service on the device itself.
    pub(crate) async fn open(&self, service: &str) -> Result<TcpStream, AdbError> {
        // A device with `shell_v2` is young enough for any request there can be.
        let long = service.len() > OLD_DEVICE_REQUEST_BYTES_MAX;
        if long && !self.features().await?.contains("shell_v2") {
            let what = "request to a device without shell_v2";
            return Err(AdbError::TooLong { what, bytes_max: OLD_DEVICE_REQUEST_BYTES_MAX });
        }
        let mut stream = self.server.open(&format!("host:transport:{}", self.serial)).await?;
        in_time(service, enter(&mut stream, service)).await?;
        Ok(stream)
    }

    /// A service of the server about this device.
    fn at_host(&self, service: &str) -> String {
        format!("host-serial:{}:{service}", self.serial)
    }

    /// A service that says a few words and ends.
    async fn words(&self, service: &str) -> Result<String, AdbError> {
        let stream = Stream::new(self.open(service).await?);
        match timeout(WORDS_LIMIT, stream.text(WORDS_BYTES_MAX)).await {
            Ok(words) => words.map(|words| wire::lossy(&words)),
            Err(_) => Err(AdbError::Silent { request: service.to_owned(), limit: WORDS_LIMIT }),
        }
    }
}
