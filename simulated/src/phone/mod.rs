//! A phone: adbd's protocol on a port of loopback, a folder as its file system, and small scripts as its
//! programs. Whatever a test wants to look at or change is a plain file below the phone's root.

mod attachment;
mod command;
mod link;
mod packet;
mod paths;
mod services;
mod state;
mod stream;
mod sync;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use tokio::net::{TcpListener, TcpSocket};
use tokio::select;
use tokio::time::sleep;

use crate::background::{self, Task};
use services::Then;
use state::{Cable, State};

/// How many hosts may connect at the same moment.
const BACKLOG: u32 = 8;

/// The pause before listening is tried again.
const LISTEN_PAUSE: Duration = Duration::from_millis(5);

/// How long a reboot takes when nothing else is said.
const REBOOT: Duration = Duration::from_millis(300);

/// Whether a host has to prove itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authorization {
    /// Every host is welcome at once.
    None,
    /// A host has to sign a token first, and any signature will do.
    Asked,
    /// No host is ever trusted: the adb server shows `unauthorized`.
    Refused,
}

/// What a phone is made from.
pub struct PhoneBuilder {
    properties: Vec<(String, String)>,
    features: Vec<&'static str>,
    authorization: Authorization,
    port: u16,
    server: Option<SocketAddr>,
}

/// A phone that is switched on. Dropping it ends everything it runs.
pub struct Phone {
    state: Arc<State>,
    address: SocketAddr,
    _task: Task,
}

impl PhoneBuilder {
    /// Gives a property another value than the usual one; an empty one leaves it out.
    pub fn property(mut self, name: &str, value: &str) -> PhoneBuilder {
        self.properties.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives it the feature `shell_v2`, with which exit codes and errors travel separately.
    pub fn shell_v2(mut self) -> PhoneBuilder {
        self.features.push("shell_v2");
        self
    }

    /// Gives it the feature `cmd`, with which packages are streamed to it.
    pub fn cmd(mut self) -> PhoneBuilder {
        self.features.push("cmd");
        self
    }

    /// Whether hosts have to prove themselves.
    pub fn authorization(mut self, authorization: Authorization) -> PhoneBuilder {
        self.authorization = authorization;
        self
    }

    /// Listens on this port instead of a free one.
    pub fn port(mut self, port: u16) -> PhoneBuilder {
        self.port = port;
        self
    }

    /// Keeps it attached to the adb server at this address, whenever its cable is in and a server is there.
    pub fn attach_to(mut self, server: SocketAddr) -> PhoneBuilder {
        self.server = Some(server);
        self
    }

    /// Switches the phone on.
    ///
    /// # Errors
    ///
    /// The port is taken, or there is no room for its files.
    pub fn start(self) -> io::Result<Phone> {
        let _context = background::enter();
        // Keeps the port while the phone is unplugged and refuses connections.
        let place = reserve((Ipv4Addr::LOCALHOST, self.port).into())?;
        let address = place.local_addr()?;
        let state = Arc::new(State::new(&self.properties, self.features, self.authorization)?);
        let listener = listen(address)?;
        let (shared, server) = (Arc::clone(&state), self.server);
        let task = Task::spawn(async move {
            let _place = place;
            live(&shared, address, listener, server).await;
        });
        Ok(Phone { state, address, _task: task })
    }
}

impl Phone {
    /// A phone with the usual properties and no features.
    pub fn builder() -> PhoneBuilder {
        let (properties, features) = (Vec::new(), Vec::new());
        PhoneBuilder { properties, features, authorization: Authorization::None, port: 0, server: None }
    }

    /// Where it listens. As text, the serial by which the adb server knows it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The serial by which the adb server knows it: `127.0.0.1:PORT`.
    pub fn serial(&self) -> String {
        self.address.to_string()
    }

    /// The folder that is its file system. What makes it a phone is in `.simulated` there: see README.md.
    pub fn root(&self) -> &Path {
        self.state.root()
    }

    /// The place on this host of a path on the phone.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// A property's value, empty if it has none.
    pub fn property(&self, name: &str) -> String {
        self.state.property(name)
    }

    /// Changes a property; an empty value takes it away.
    ///
    /// # Errors
    ///
    /// Its file cannot be written.
    pub fn set_property(&self, name: &str, value: &str) -> io::Result<()> {
        self.state.set_property(name, value)
    }

    /// Writes a file of `.simulated`, or with nothing takes it away: a fault, a canned answer.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    pub fn set(&self, name: &str, content: Option<&str>) -> io::Result<()> {
        self.state.set(name, content)
    }

    /// Adds lines to its log.
    ///
    /// # Errors
    ///
    /// The log cannot be written.
    pub fn log(&self, lines: &str) -> io::Result<()> {
        self.state.log(lines)
    }

    /// Pulls its cable: the link drops, and the port refuses connections.
    pub fn unplug(&self) {
        self.state.move_cable(Cable::Unplugged);
    }

    /// Puts the cable back, also after a reboot from which it does not return by itself. The adb server finds
    /// that out by itself within seconds, at once when it is told to connect.
    pub fn plug(&self) {
        self.state.move_cable(Cable::Plugged);
    }

    /// Pulls the cable for so long.
    pub fn refuse_for(&self, time: Duration) {
        self.state.move_cable(Cable::Away(time));
    }

    /// Cuts the link once; a new one is welcome at once.
    pub fn drop_link(&self) {
        self.state.move_cable(Cable::Away(Duration::ZERO));
    }

    /// Reboots it as if by its own decision.
    pub fn reboot(&self) {
        self.state.reboot();
    }

    /// How long a reboot takes from now on; with nothing it never comes back until it is plugged.
    pub fn reboot_takes(&self, time: Option<Duration>) {
        self.state.reboot_takes(time);
    }

    /// What it is running for its hosts: the lines as they were sent.
    pub fn running(&self) -> Vec<String> {
        self.state.running()
    }
}

/// A phone's life: links while the cable is in, nothing while it is not.
async fn live(state: &State, address: SocketAddr, listener: TcpListener, server: Option<SocketAddr>) {
    let mut listener = Some(listener);
    let mut cable = state.cable();
    loop {
        let at = *cable.borrow_and_update();
        match at {
            Cable::Plugged => {
                let listener = match listener.take() {
                    Some(listener) => listener,
                    None => listen_again(address).await,
                };
                select! {
                    () = links(&listener, state) => {}
                    _ = cable.changed() => {}
                    () = attachment::keep(state, address, server.unwrap_or(address)), if server.is_some() => {}
                }
            }
            Cable::Away(time) => select! {
                () = sleep(time) => state.come_back(),
                _ = cable.changed() => {}
            },
            Cable::Unplugged => {
                if cable.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Serves every host that connects, until one of them has an effect on the whole phone. The effect comes first: who
/// sees the link end may already do something else to the phone.
async fn links(listener: &TcpListener, state: &State) {
    let mut links = FuturesUnordered::new();
    loop {
        select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => links.push(link::serve(socket, state)),
                Err(_) => return state.follow(Then::Restart),
            },
            Some(then) = links.next() => match then {
                Ok(Then::Stay) | Err(_) => {}
                Ok(then) => return state.follow(then),
            },
        }
    }
}

fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    reserve(address)?.listen(BACKLOG)
}

/// Waits for the socket that listened before: a process that is being started has a copy until it runs its program.
async fn listen_again(address: SocketAddr) -> TcpListener {
    loop {
        match listen(address) {
            Ok(listener) => return listener,
            Err(_) => sleep(LISTEN_PAUSE).await,
        }
    }
}
