//! The real adb server, in the foreground, on a port and in a home of its own. A shell between us and it ends it
//! even when we are killed: its end of a pipe breaks.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// How long the server may take to answer its first question.
const START_MAX: Duration = Duration::from_secs(20);

/// How long one answer may take. Connecting to a device is the longest.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// How often a server that is starting is asked.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How often another free port is tried when somebody else was faster.
const PORTS_MAX: usize = 5;

/// Runs its arguments until its standard input ends.
const GUARD: &str = r#""$@" </dev/null & cat >/dev/null; kill -9 $! 2>/dev/null"#;

/// A running adb server of Debian's package `adb`. Dropping it kills it.
pub struct AdbServer {
    child: Child,
    port: u16,
    home: TempDir,
}

impl AdbServer {
    /// Starts one on a free port of loopback and waits until it answers.
    ///
    /// # Errors
    ///
    /// `adb` is not installed or does not start.
    pub fn start() -> io::Result<AdbServer> {
        let mut started = Err(io::ErrorKind::AddrInUse.into());
        for _ in 0..PORTS_MAX {
            let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
            started = AdbServer::start_on(port);
            if started.is_ok() {
                break;
            }
        }
        started
    }

    /// Starts one on this port of loopback and waits until it answers.
    ///
    /// # Errors
    ///
    /// `adb` is not installed, does not start, or the port is taken.
    pub fn start_on(port: u16) -> io::Result<AdbServer> {
        let home = tempfile::Builder::new().prefix("simulated-adb-").tempdir()?;
        let log = File::create(home.path().join("adb.log"))?;
        let mut command = Command::new("sh");
        command.args([
            "-c",
            GUARD,
            "adb-guard",
            "adb",
            "-L",
            &format!("tcp:localhost:{port}"),
            "nodaemon",
            "server",
        ]);
        command.env("HOME", home.path()).env("TMPDIR", home.path()).env_remove("ADB_VENDOR_KEYS");
        command.env("ADB_LOCAL_TRANSPORT_MAX_PORT", "5553"); // do not look for emulators
        command.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).process_group(0);
        let mut server = AdbServer { child: command.spawn()?, port, home };
        let deadline = Instant::now() + START_MAX;
        while server.ask("host:version").is_err() {
            if Instant::now() > deadline || server.child.try_wait()?.is_some() {
                return Err(io::Error::other(format!("no adb server on port {port}: {}", server.log())));
            }
            thread::sleep(RETRY_AFTER);
        }
        if server.log().contains("Address already in use") {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// What it and its guard have said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.path().join("adb.log")).unwrap_or_default()
    }

    /// Has it attach the device at this address, `127.0.0.1:PORT`, which becomes the device's serial.
    ///
    /// # Errors
    ///
    /// The server's own words if it cannot.
    pub fn connect(&self, address: &str) -> io::Result<()> {
        let answer = self.ask(&format!("host:connect:{address}"))?;
        if answer.contains("connected to") { Ok(()) } else { Err(io::Error::other(answer)) }
    }

    /// Asks one question (`host:version`) and returns the answer.
    ///
    /// # Errors
    ///
    /// The server is not there, refuses, or takes too long.
    pub fn ask(&self, question: &str) -> io::Result<String> {
        ask(self.address(), question)
    }

    /// Runs the stock command-line client against this server, with standard input closed.
    ///
    /// # Errors
    ///
    /// It cannot be started.
    pub fn adb(&self, arguments: &[&str]) -> io::Result<Output> {
        let mut command = Command::new("adb");
        command.args(["-P", &self.port.to_string()]).args(arguments).env("HOME", self.home.path());
        command.stdin(Stdio::null()).output()
    }
}

impl Drop for AdbServer {
    fn drop(&mut self) {
        if let Some(group) = Pid::from_raw(self.child.id() as i32) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Asks the adb server at `address` one question.
pub(crate) fn ask(address: SocketAddr, question: &str) -> io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, ANSWER_MAX)?;
    socket.set_read_timeout(Some(ANSWER_MAX))?;
    socket.write_all(format!("{:04x}{question}", question.len()).as_bytes())?;
    let mut status = [0; 4];
    socket.read_exact(&mut status)?;
    let mut length = [0; 4];
    socket.read_exact(&mut length)?;
    let length = std::str::from_utf8(&length).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    let mut answer = String::new();
    socket.take(length.unwrap_or(0)).read_to_string(&mut answer)?;
    if status == *b"OKAY" { Ok(answer) } else { Err(io::Error::other(answer)) }
}
