//! A session of an original broker: a port of its own, the pieces of this host that it holds, and
//! connections to the brokers that serve the rest, made when the client asks where its pieces are.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::Inner;
use super::pool::{Place, is_among};
use super::wire::{Open, Outcome, Wire};

/// How often a session looks whether those it depends on are still there.
const LOOK: Duration = Duration::from_millis(20);

/// What a broker holds of one of its sessions.
#[derive(Clone)]
pub(super) struct Session(Arc<Life>);

struct Life {
    broker: Arc<Inner>,
    address: SocketAddr,
    key: String,
    has_ended: AtomicBool,
    open: Open,
    far: Mutex<Far>,
}

/// What other brokers serve.
#[derive(Default)]
struct Far {
    /// Requests that were passed on and not yet asked for.
    deferred: Vec<(SocketAddr, Vec<Value>)>,
    links: BTreeMap<SocketAddr, Link>,
}

/// An anonymous connection to another broker, and one to the session there; both are kept.
struct Link {
    broker: Wire,
    session: Wire,
    entries: Vec<Value>,
}

impl Session {
    pub(super) fn start(broker: Arc<Inner>) -> io::Result<Session> {
        static KEYS: AtomicU64 = AtomicU64::new(0);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let life = Arc::new(Life {
            broker,
            address: listener.local_addr()?,
            key: format!("{:016}", KEYS.fetch_add(1, Ordering::SeqCst)),
            has_ended: AtomicBool::new(false),
            open: Open::default(),
            far: Mutex::default(),
        });
        let (serving, watching) = (Session(life.clone()), Session(life.clone()));
        thread::spawn(move || serving.listen(&listener));
        thread::spawn(move || watching.watch());
        Ok(Session(life))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.0.has_ended.load(Ordering::SeqCst)
    }

    /// Gives up everything, here and elsewhere.
    pub(super) fn end(&self) {
        if self.0.has_ended.swap(true, Ordering::SeqCst) {
            return;
        }
        self.0.open.end();
        let _ = TcpStream::connect(self.0.address);
        self.0.broker.change(|state| drop(state.pool.held.remove(&self.0.key)));
    }

    /// What the broker answers to `get`.
    pub(super) fn get(&self, want: Vec<Value>) -> Outcome {
        let want: Vec<_> = want.into_iter().map(defaulted).collect();
        let place = self.0.broker.state().pool.place(&want)?;
        let resources = match place {
            Place::Here(pieces) => {
                let held = pieces.clone();
                let key = self.0.key.clone();
                self.0.broker.change(|state| state.pool.held.entry(key).or_default().extend(held));
                pieces
            }
            Place::At(address) => {
                self.0.far.lock().expect("no panic").deferred.push((address, want.clone()));
                want
            }
        };
        Ok(json!({"address": self.address(), "authkey": self.0.key, "resources": resources}))
    }

    /// Frees what is held here; says all of it, for the second door.
    pub(super) fn give_back(&self, pieces: Vec<Value>) -> Value {
        self.0.broker.change(|state| {
            let held = state.pool.held.get_mut(&self.0.key);
            held.into_iter().for_each(|held| held.retain(|piece| !is_among(piece, &pieces)));
        });
        pieces.into()
    }

    fn address(&self) -> Value {
        json!([self.0.address.ip().to_string(), self.0.address.port()])
    }

    fn listen(self, listener: &TcpListener) {
        for stream in listener.incoming().map_while(Result::ok) {
            if self.has_ended() {
                break;
            }
            let session = self.clone();
            thread::spawn(move || {
                session.0.open.add(stream.try_clone().expect("a socket"));
                let served = Wire::accept(stream, &[&session.0.key]);
                let _ = served.and_then(|(wire, known)| session.serve(wire, known.is_some()));
            });
        }
    }

    fn serve(&self, mut wire: Wire, is_known: bool) -> io::Result<()> {
        loop {
            let request = wire.request()?;
            let vargs = request["params"]["vargs"].as_array().cloned().unwrap_or_default();
            let method = request["method"].as_str().unwrap_or_default();
            let outcome = match method {
                "get_version" => Ok(json!(1)),
                _ if !is_known => Err(("Exception".to_owned(), format!("no such RPC: {method}"))),
                "get_profile" => Ok(request["resource"].clone()),
                "get_resources" => self.locate(vargs),
                "yield_resources" => self.give_back_far(&vargs),
                "stop" | "crash" => {
                    self.end();
                    return Ok(());
                }
                _ => Err(("Exception".to_owned(), format!("no such RPC: {method}"))),
            };
            let is_over = matches!(&outcome, Err((kind, _)) if kind == "Exit");
            wire.reply(outcome)?;
            if is_over {
                self.end();
            }
        }
    }

    /// Where the pieces are. What was passed on is asked for only now.
    fn locate(&self, pieces: Vec<Value>) -> Outcome {
        let mut far = self.0.far.lock().expect("no panic");
        let Some(at) = far.deferred.iter().position(|(_, deferred)| *deferred == pieces) else {
            let entry =
                |profile| json!({"address": self.address(), "authkey": self.0.key, "profile": profile});
            return Ok(pieces.into_iter().map(entry).collect());
        };
        let (address, want) = far.deferred.remove(at);
        let exit = |message: String| ("Exit".to_owned(), message);
        let lost = |_| exit("Broker connection failed".to_owned());
        let entries = self.ask(&mut far, address, want).map_err(lost)?;
        entries.map(Value::from).map_err(|(_, message)| exit(message))
    }

    /// Asks another broker, over the one connection this session has to it.
    fn ask(
        &self,
        far: &mut Far,
        address: SocketAddr,
        want: Vec<Value>,
    ) -> io::Result<Result<Vec<Value>, (String, String)>> {
        let known = far.links.remove(&address);
        let (mut broker, session, mut all) = match known {
            Some(link) => (link.broker, Some(link.session), link.entries),
            None => (Wire::connect(address, "")?, None, Vec::new()),
        };
        self.0.open.add(broker.stream());
        let granted = match broker.call("get", want)? {
            Ok(granted) => granted,
            Err(error) => return Ok(Err(error)),
        };
        let mut session = match session {
            Some(session) => session,
            None => {
                let (at, key) = super::super::Peer::address_of(&granted);
                Wire::connect(at, &key)?.without_limit()?
            }
        };
        self.0.open.add(session.stream());
        let resources = granted["resources"].as_array().cloned().unwrap_or_default();
        let entries = match session.call("get_resources", resources)? {
            Ok(entries) => entries.as_array().cloned().unwrap_or_default(),
            Err(error) => return Ok(Err(error)),
        };
        all.extend(entries.iter().cloned());
        far.links.insert(address, Link { broker, session, entries: all });
        Ok(Ok(entries))
    }

    /// Gives back at the brokers that serve the rest; what fails there is not minded.
    fn give_back_far(&self, vargs: &[Value]) -> Outcome {
        let pieces = vargs.first().and_then(Value::as_array).cloned().unwrap_or_default();
        let mut far = self.0.far.lock().expect("no panic");
        for link in far.links.values_mut() {
            let is_given = |entry: &Value| is_among(&entry["profile"], &pieces);
            let given: Vec<_> = link.entries.extract_if(.., |entry| is_given(entry)).collect();
            let profiles: Vec<_> = given.into_iter().map(|entry| entry["profile"].clone()).collect();
            if let Ok(Ok(yielded)) = link.broker.call("yield_resources", profiles) {
                let _ = link.session.call("yield_resources", vec![yielded]);
            }
        }
        Ok(Value::Null)
    }

    /// Ends this session with the first of those it depends on.
    fn watch(self) {
        while !self.has_ended() {
            let lost = {
                let far = self.0.far.lock().expect("no panic");
                far.links.values().any(|link| link.session.has_ended() || link.broker.has_ended())
            };
            if lost {
                self.end();
            }
            thread::sleep(LOOK);
        }
        // A question that was being asked when it ended has been answered by now.
        self.0.far.lock().expect("no panic").links.clear();
        self.0.open.end();
    }
}

/// A wanted profile with the defaults of its type.
fn defaulted(mut profile: Value) -> Value {
    let default = match profile["type"].as_str() {
        Some("handset") => "boot_completed",
        Some("relay") => "online",
        _ => return profile,
    };
    let members = profile.as_object_mut().expect("a profile");
    members.entry("power_state").or_insert_with(|| default.into());
    profile
}
