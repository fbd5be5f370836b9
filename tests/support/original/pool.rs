//! What an original broker has, what its shares say they have, and who has which of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Map, Value, json};

use super::super::with;

/// Everything that can be lent.
#[derive(Default)]
pub(super) struct Pool {
    pub(super) equipment: Vec<Value>,
    pub(super) stacks: Value,
    pub(super) workspace: Option<Value>,
    pub(super) forward: Option<SocketAddr>,
    /// Sessions, and what they hold of this host.
    pub(super) held: BTreeMap<String, Vec<Value>>,
    shares: BTreeMap<(String, u16), Share>,
    workspaces: u32,
}

/// What one share has said.
#[derive(Default)]
struct Share {
    link: usize,
    workspace: Value,
    stacks: Value,
    equipment: Vec<Value>,
    taken: Vec<Value>,
}

/// Where a request is served.
pub(super) enum Place {
    Here(Vec<Value>),
    At(SocketAddr),
}

impl Pool {
    pub(super) fn of(equipment: Vec<Value>) -> Pool {
        Pool { equipment, ..Pool::default() }
    }

    /// Everything of this host that nobody has.
    pub(super) fn available(&self) -> Vec<Value> {
        let is_free = |piece: &&Value| !is_among(piece, self.held.values().flatten());
        self.equipment.iter().filter(is_free).cloned().collect()
    }

    /// Everything of the shares.
    pub(super) fn shared(&self) -> Vec<Value> {
        self.shares.values().flat_map(|share| share.equipment.clone()).collect()
    }

    /// What nobody has of that.
    pub(super) fn shared_free(&self) -> Vec<Value> {
        let free = |share: &Share| {
            let is_free = |piece: &&Value| !is_among(piece, share.taken.iter());
            share.equipment.iter().filter(is_free).cloned().collect::<Vec<_>>()
        };
        self.shares.values().flat_map(free).collect()
    }

    /// One of the three calls of a share: all its data, every time.
    pub(super) fn set(&mut self, method: &str, vargs: &[Value], link: usize) {
        let [address, what, ..] = vargs else { panic!("{method} with {vargs:?}") };
        let host = address[0].as_str().expect("a host").to_owned();
        let port = address[1].as_u64().and_then(|port| u16::try_from(port).ok()).expect("a port");
        let share = self.shares.entry((host, port)).or_insert(Share { link, ..Share::default() });
        match method {
            "set_ws_profile" => share.workspace = what.clone(),
            "set_stacks" => share.stacks = what.clone(),
            _ => {
                share.equipment = what.as_array().expect("a list of profiles").clone();
                let taken = vargs[2].as_object().expect("an object of lists").values();
                let entries = taken.flat_map(|entries| entries.as_array().expect("a list"));
                share.taken = entries.map(|entry| entry["profile"].clone()).collect();
            }
        }
    }

    /// A connection has ended: what was said over it is forgotten.
    pub(super) fn forget_link(&mut self, link: usize) {
        self.shares.retain(|_, share| share.link != link);
    }

    /// Where a group is served: here, at a share, at the forward target, tried in this order.
    pub(super) fn place(&mut self, want: &[Value]) -> Result<Place, (String, String)> {
        let mut busy = None;
        match self.choose(want) {
            Ok(chosen) => return Ok(Place::Here(chosen)),
            Err(error) => busy = busy.or((error.0 == "Busy").then_some(error)),
        }
        for ((host, port), share) in &mut self.shares {
            if let Some(taken) = chosen(want, &share.equipment, &share.taken.iter().collect::<Vec<_>>()) {
                share.taken.extend(taken);
                let host = if host.is_empty() { "127.0.0.1" } else { host };
                return Ok(Place::At(format!("{host}:{port}").parse().expect("an address")));
            }
        }
        let none = || ("NoSuch".to_owned(), format!("no such resource: {}", want[0]));
        self.forward.map(Place::At).ok_or_else(|| busy.unwrap_or_else(none))
    }

    /// Pieces of this host for a group.
    fn choose(&mut self, want: &[Value]) -> Result<Vec<Value>, (String, String)> {
        let (workspaces, want): (Vec<_>, Vec<_>) =
            want.iter().cloned().partition(|profile| profile["type"] == "workspace");
        let generic = self.workspace.as_ref();
        if !workspaces.iter().all(|wanted| generic.is_some_and(|known| matches(wanted, known))) {
            return Err(("NoSuch".to_owned(), "no such workspace".to_owned()));
        }
        let held: Vec<_> = self.held.values().flatten().collect();
        let Some(mut all) = chosen(&want, &self.equipment, &held) else {
            let exist = chosen(&want, &self.equipment, &[]).is_some();
            let (kind, text) =
                if exist { ("Busy", "all such equipment busy") } else { ("NoSuch", "no such resource") };
            return Err((kind.to_owned(), format!("{text}: {}", want[0])));
        };
        for _ in workspaces {
            self.workspaces += 1;
            let generic = self.workspace.clone().expect("it matched");
            let uid = format!("{}-{:010}", generic["pretty"].as_str().unwrap_or_default(), self.workspaces);
            all.push(with(generic, json!({"uid": uid})));
        }
        Ok(all)
    }

    /// Everything as it is told to a master: all equipment, and who has what.
    pub(super) fn report(&self) -> (Value, Value) {
        let workspaces = self.held.values().flatten().filter(|piece| piece["type"] == "workspace");
        let own = self.equipment.iter().chain(workspaces).cloned();
        let all = own.chain(self.shared()).collect();
        let entry = |piece: &Value| json!({"profile": piece, "collateral": []});
        let sessions = self.held.values().filter(|held| !held.is_empty());
        let taken = sessions.map(|held| held.iter().map(entry).collect());
        (
            all,
            taken
                .enumerate()
                .map(|(at, list): (_, Value)| (at.to_string(), list))
                .collect::<Map<_, _>>()
                .into(),
        )
    }
}

/// For each wanted profile the first free piece that matches it.
fn chosen(want: &[Value], known: &[Value], taken: &[&Value]) -> Option<Vec<Value>> {
    let mut chosen: Vec<Value> = Vec::new();
    for wanted in want {
        let is_free = |piece: &&Value| !is_among(piece, taken.iter().copied().chain(&chosen));
        let found = known.iter().filter(is_free).find(|piece| matches(wanted, piece))?.clone();
        chosen.push(found);
    }
    Some(chosen)
}

/// Whether a known profile has every member of the wanted one.
fn matches(wanted: &Value, known: &Value) -> bool {
    let members = wanted.as_object().expect("a profile");
    members.iter().all(|(name, value)| known.get(name) == Some(value))
}

/// Whether a piece is one of these, by type and identity.
pub(super) fn is_among<'a>(piece: &Value, pieces: impl IntoIterator<Item = &'a Value>) -> bool {
    let identity = |piece: &Value| (piece["type"].clone(), piece.get("serial").or(piece.get("uid")).cloned());
    pieces.into_iter().any(|other| identity(other) == identity(piece))
}
