//! A broker as unmodified original ones are, as far as others can tell: it speaks exactly their calls, is
//! slave, master and forwarder, and does not know that there are other kinds of brokers. On demand it
//! behaves as badly as a broker can. (Specification 5.9, 6, C.5 and D.)

mod pool;
mod session;
mod slave;
mod wire;

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use serde_json::{Value, json};

use super::{SHARE, names, wait_until};
use pool::Pool;
use session::Session;
use wire::{Open, Outcome, Wire};

/// A running broker; everything of it ends when it is dropped.
pub(crate) struct Original(Arc<Inner>);

/// How a broker behaves. All but the first are faults.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum Manner {
    #[default]
    Usual,
    /// Closes each connection at once.
    Rejecting,
    /// Accepts connections and says nothing.
    Mute,
    /// Keeps every answer to `get` back until it behaves again.
    Holding,
    /// Breaks off instead of answering `get`.
    Dying,
    /// Answers every `get` with this.
    Answering(Value),
}

struct Inner {
    address: SocketAddr,
    state: Mutex<State>,
    /// Something in the state has changed.
    changed: Condvar,
    open: Open,
}

#[derive(Default)]
struct State {
    pool: Pool,
    manner: Manner,
    /// Grows with every change that a master has to hear of.
    version: u64,
    is_gone: bool,
    /// Every request at the broker's port, in order.
    heard: Vec<Value>,
    links: usize,
}

impl Original {
    /// A broker on any free port.
    pub(crate) fn of(equipment: Value) -> Original {
        Original::listening(0, equipment)
    }

    /// A broker on this port.
    pub(crate) fn listening(port: u16, equipment: Value) -> Original {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let equipment = equipment.as_array().expect("a list").clone();
        let state = Mutex::new(State { pool: Pool::of(equipment), ..State::default() });
        let inner = Arc::new(Inner { address, state, changed: Condvar::new(), open: Open::default() });
        let serving = inner.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let inner = serving.clone();
                if inner.state().is_gone {
                    break;
                }
                thread::spawn(move || inner.meet(stream));
            }
        });
        Original(inner)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Passes on what it cannot serve.
    pub(crate) fn forward(&self, target: SocketAddr) {
        self.0.state().pool.forward = Some(target);
    }

    /// Has workspaces of this profile.
    pub(crate) fn workspace(&self, profile: Value) {
        self.0.change(|state| state.pool.workspace = Some(profile));
    }

    pub(crate) fn stacks(&self, stacks: Value) {
        self.0.change(|state| state.pool.stacks = stacks);
    }

    /// What it has, from now on.
    pub(crate) fn equipment(&self, equipment: Value) {
        self.0.change(|state| state.pool.equipment = equipment.as_array().expect("a list").clone());
    }

    /// Tells its master everything again, although nothing has changed.
    pub(crate) fn report_again(&self) {
        self.0.change(|_| ());
    }

    /// Shares what it has with a master, announcing itself as this host.
    pub(crate) fn share(&self, master: SocketAddr, host: &str) {
        let (inner, host) = (self.0.clone(), host.to_owned());
        thread::spawn(move || slave::keep_sharing(&inner, master, &host));
    }

    pub(crate) fn behave(&self, manner: Manner) {
        self.0.change(|state| state.manner = manner);
    }

    /// The arguments of every call of this name at its port so far.
    pub(crate) fn heard(&self, method: &str) -> Vec<Value> {
        let state = self.0.state();
        let calls = state.heard.iter().filter(|call| call["method"] == method);
        calls.map(|call| call["params"]["vargs"].clone()).collect()
    }

    /// Waits until a call of this name has come.
    pub(crate) fn wait_heard(&self, method: &str) {
        wait_until(&format!("it hears of {method}"), || !self.heard(method).is_empty());
    }

    /// What nobody has here, by name.
    pub(crate) fn available(&self) -> Vec<String> {
        names(&self.0.state().pool.available().into())
    }

    pub(crate) fn wait_available(&self, wanted: &[&str]) {
        wait_until(&format!("exactly {wanted:?} can be had"), || self.available() == wanted);
    }

    /// What its shares have told it, by name.
    pub(crate) fn shared(&self) -> Vec<String> {
        names(&self.0.state().pool.shared().into())
    }

    pub(crate) fn wait_shared(&self, wanted: &[&str]) {
        wait_until(&format!("exactly {wanted:?} are shared"), || self.shared() == wanted);
    }

    /// Waits until exactly these of what its shares have can be had.
    pub(crate) fn wait_shared_free(&self, wanted: &[&str]) {
        let free = || names(&self.0.state().pool.shared_free().into());
        wait_until(&format!("exactly {wanted:?} of its shares can be had"), || free() == wanted);
    }

    /// Ends every connection, sessions' included, as if it had been killed and started again.
    pub(crate) fn cut(&self) {
        self.0.open.end();
    }
}

impl Drop for Original {
    fn drop(&mut self) {
        self.0.change(|state| state.is_gone = true);
        self.0.open.end();
        let _ = TcpStream::connect(self.0.address);
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic")
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        state.version += 1;
        self.changed.notify_all();
    }

    /// Serves one connection to the broker's port.
    fn meet(self: Arc<Inner>, stream: TcpStream) {
        self.open.add(stream.try_clone().expect("a socket"));
        let manner = self.state().manner.clone();
        match manner {
            Manner::Rejecting => drop(stream.shutdown(Shutdown::Both)),
            Manner::Mute => {
                self.hold_back(&Manner::Mute);
                drop(stream.shutdown(Shutdown::Both));
            }
            _ => {
                let mut session = None;
                let link = self.new_link();
                let _ = Wire::accept(stream, &[SHARE])
                    .and_then(|(wire, known)| self.serve(wire, known.is_some(), link, &mut session));
                session.iter().for_each(Session::end);
                self.change(|state| state.pool.forget_link(link));
            }
        }
    }

    fn new_link(&self) -> usize {
        let mut state = self.state();
        state.links += 1;
        state.links
    }

    /// Answers call after call, until the connection ends.
    fn serve(
        self: &Arc<Inner>,
        mut wire: Wire,
        is_share: bool,
        link: usize,
        session: &mut Option<Session>,
    ) -> std::io::Result<()> {
        if !is_share {
            *session = Some(Session::start(self.clone())?);
        }
        loop {
            let request = wire.request()?;
            self.state().heard.push(request.clone());
            let vargs = request["params"]["vargs"].as_array().cloned().unwrap_or_default();
            let method = request["method"].as_str().unwrap_or_default();
            if method == "get" && self.misbehaves(&mut wire)? {
                continue;
            }
            let outcome = match (method, &session) {
                ("get_version", _) => Ok(json!(1)),
                ("set_ws_profile" | "set_stacks" | "set_equipment", _) if is_share => {
                    self.state().pool.set(method, &vargs, link);
                    Ok(Value::Null)
                }
                (_, Some(session)) => at_broker(session, method, vargs),
                _ => Err(("Exception".to_owned(), format!("no such RPC: {method}"))),
            };
            wire.reply(outcome)?;
        }
    }

    /// What a badly behaved broker does instead of serving a `get`. Says whether that was the answer.
    fn misbehaves(&self, wire: &mut Wire) -> std::io::Result<bool> {
        let manner = self.state().manner.clone();
        match manner {
            Manner::Dying => Err(std::io::Error::other("it broke off")),
            Manner::Answering(reply) => wire.send(reply.to_string().as_bytes()).map(|()| true),
            Manner::Holding => {
                self.hold_back(&Manner::Holding);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    /// Waits until it behaves differently.
    fn hold_back(&self, manner: &Manner) {
        let state = self.state();
        let waits = |state: &mut State| state.manner == *manner && !state.is_gone;
        drop(self.changed.wait_while(state, waits).expect("no panic"));
    }
}

/// The calls of an anonymous client.
fn at_broker(session: &Session, method: &str, vargs: Vec<Value>) -> Outcome {
    match method {
        _ if session.has_ended() => Err(("Exception".to_owned(), "session closed".to_owned())),
        "get" => session.get(vargs).inspect_err(|_| session.end()),
        "yield_resources" => Ok(session.give_back(vargs)),
        _ => Err(("Exception".to_owned(), format!("no such RPC: {method}"))),
    }
}
