//! Two brokers and the edges around them: turns the steps of a history into events, gives each event to
//! both, and compares what they do and what they list.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ave_core::{Core, Effect, Event, Moment};
use ave_profile::{BrokerId, Identity, Kind, KindTable, Profile, Refusal, RequestId, SessionId, Value, Want};
use serde_json::json;

use crate::heirs::Heirs;
use crate::history::{Ask, Piece, Step};
use crate::naive::Naive;
use crate::notable::notable;

/// Places at which a client can sit.
const CLIENTS: usize = 3;

/// The core and the naive broker, and what the edges know.
pub(crate) struct World {
    core: Core,
    heirs: Heirs,
    naive: Naive,
    /// The session of each client.
    clients: [SessionId; CLIENTS],
    /// What the edges were told to close.
    orders: Vec<(SessionId, Identity)>,
    /// What the edges were told to reset, and for whom.
    resets: Vec<(Identity, Option<RequestId>)>,
    /// The uids of all workspaces that were ever made.
    workspaces: Vec<String>,
    /// What kinds of answers there were.
    pub(crate) seen: BTreeSet<&'static str>,
    now: Moment,
    last_id: u64,
}

impl World {
    pub(crate) fn new() -> World {
        let kinds = kinds();
        World {
            core: Core::new(kinds.clone(), BrokerId(1)),
            heirs: Heirs::new(kinds.clone()),
            naive: Naive::new(kinds),
            clients: [SessionId(0); CLIENTS],
            orders: vec![],
            resets: vec![],
            workspaces: vec![],
            seen: BTreeSet::new(),
            now: Moment::default(),
            last_id: 0,
        }
    }

    /// Lets one step happen; the error says how the two brokers differ after it.
    pub(crate) fn play(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Get { client, stale, groups } => {
                let uids = self.workspaces.clone();
                let profiles = |group: &Vec<_>| group.iter().map(|ask: &Ask| ask.profile(&uids)).collect();
                let want = Want { groups: groups.iter().map(profiles).collect() };
                self.ask(*client, *stale, Ok(want))
            }
            Step::GetNonsense { client } => self.ask(*client, false, Err(Refusal::exception("unreadable"))),
            Step::Yield { client, stale, door, back } => {
                let session = self.session(*client, *stale)?;
                let profiles = back.iter().map(|back| back.profile(&self.workspaces)).collect();
                let request = RequestId(self.next_id());
                self.apply(Event::Yielded { session, request, door: *door, profiles })
            }
            Step::Leave { client } => self.apply(Event::SessionEnded { session: self.clients[*client] }),
            Step::Close { .. } if self.orders.is_empty() => Ok(()),
            Step::Close { order, well } => {
                let at = order % self.orders.len();
                let outcome = self.outcome(*well);
                self.close(at, outcome)
            }
            Step::CloseAll => (0..self.orders.len()).try_for_each(|_| self.close(0, Ok(()))),
            Step::StrayClosed { client, piece } => {
                let (session, item) = (self.clients[*client], piece.identity());
                self.orders.retain(|order| *order != (session, item.clone()));
                self.apply(Event::Closed { session, item, outcome: Ok(()) })
            }
            Step::Reset { what } => {
                let item = self.naive.identity(&what.profile(&self.workspaces)).unwrap();
                self.reset(item)
            }
            Step::ResetBroken { nth } => {
                let broken = self.naive.broken();
                let item = broken.get(nth % broken.len().max(1)).map(|(item, _)| item.clone());
                item.map_or(Ok(()), |item| self.reset(item))
            }
            Step::Mended { .. } if self.resets.is_empty() => Ok(()),
            Step::Mended { order, well } => {
                let (item, request) = self.resets.remove(order % self.resets.len());
                let outcome = self.outcome(*well);
                self.apply(Event::ResetDone { item, request, outcome })
            }
            Step::Wait { s } => {
                self.now.0 += Duration::from_secs(*s);
                match self.core.deadline() {
                    Some(deadline) if deadline <= self.now => self.apply(Event::DeadlineReached),
                    _ => Ok(()),
                }
            }
            Step::StrayMended { piece } => {
                let item = piece.identity();
                self.resets.retain(|(other, _)| *other != item);
                self.apply(Event::ResetDone { item, request: None, outcome: Ok(()) })
            }
            Step::Report { source, seen, bad } => {
                let mut profiles: Vec<Profile> = seen.iter().map(|sighting| sighting.profile()).collect();
                if *bad {
                    profiles.push(Profile::of(json!({"type": "relay"})));
                }
                let request = Some(RequestId(self.next_id()));
                self.apply(Event::Reported { source: *source, profiles, request })
            }
            Step::Vanish { source, pieces } => {
                let items = pieces.iter().map(|piece| piece.identity()).collect();
                self.apply(Event::Vanished { source: *source, items })
            }
            Step::Stacks(stacks) => {
                let short = |stack: &Vec<Piece>| stack.iter().map(|piece| piece.short()).collect();
                self.apply(Event::StacksSet { stacks: stacks.iter().map(short).collect() })
            }
            Step::Host(pretty) => {
                let profile = pretty.map(|pretty| {
                    let mut profile = Profile::of(json!({"type": "workspace", "tools": {"git": "/bin/git"}}));
                    if !pretty.is_empty() {
                        profile.0.insert("pretty".into(), pretty.into());
                    }
                    profile
                });
                self.apply(Event::WorkspaceProfileSet { profile })
            }
        }
    }

    fn ask(&mut self, client: usize, stale: bool, want: Result<Want, Refusal>) -> Result<(), String> {
        let session = self.session(client, stale)?;
        let request = RequestId(self.next_id());
        let nonce = request.0.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.apply(Event::Asked { session, request, want, nonce, via: Vec::new() })
    }

    fn close(&mut self, at: usize, outcome: Result<(), String>) -> Result<(), String> {
        let (session, item) = self.orders.remove(at);
        self.apply(Event::Closed { session, item, outcome })
    }

    fn reset(&mut self, item: Identity) -> Result<(), String> {
        let id = self.next_id();
        let request = (!id.is_multiple_of(4)).then_some(RequestId(id)); // a watch waits for no answer
        self.apply(Event::ResetAsked { item, request })
    }

    /// The client's session: a new one if the last has ended, unless the client does not know.
    fn session(&mut self, client: usize, stale: bool) -> Result<SessionId, String> {
        if !stale && !self.naive.is_open(self.clients[client]) {
            let session = SessionId(self.next_id());
            self.clients[client] = session;
            self.apply(Event::SessionOpened { session })?;
        }
        Ok(self.clients[client])
    }

    /// How something went that an edge did; no two reasons are the same.
    fn outcome(&mut self, well: bool) -> Result<(), String> {
        if well { Ok(()) } else { Err(format!("stuck for the {}. time", self.next_id())) }
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn apply(&mut self, event: Event) -> Result<(), String> {
        let expected = self.naive.apply(self.now, &event);
        let mut effects = self.core.apply(self.now, event.clone());
        self.heirs.follow(&self.core, self.now, &event, &effects)?;
        effects.retain(|effect| !matches!(effect, Effect::Warn { .. }));
        self.core.check();
        let same =
            expected.len() == effects.len() && expected.iter().zip(&effects).all(|(e, effect)| e.is(effect));
        if !same {
            return Err(format!("\n  expected {expected:?}\n  found {effects:?}"));
        }
        for effect in effects {
            self.seen.extend(notable(&effect));
            self.carry_out(effect);
        }
        self.compare_lists(&self.core)?;
        compare("deadline", self.naive.deadline(), self.core.deadline())?;
        self.compare_lists(&self.heirs.newest)
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Grant { session, groups, .. } => {
                for granted in groups.iter().flatten() {
                    self.naive.enter(session, granted);
                    if !granted.again && granted.item.kind.as_ref() == "workspace" {
                        self.workspaces.push(granted.item.value.to_string());
                    }
                }
            }
            Effect::Close { session, items } | Effect::End { session, items } => {
                self.orders.extend(items.into_iter().map(|item| (session, item)));
            }
            Effect::Reset { item, request, .. } => self.resets.push((item, request)),
            _ => {}
        }
    }

    fn compare_lists(&self, core: &Core) -> Result<(), String> {
        let naive = &self.naive;
        let broken =
            |profile: &Arc<Profile>| Some((identity(profile), profile.get("broken")?.as_str()?.into()));
        let broken = core.equipment(None, None).iter().filter_map(broken).collect();
        compare("broken", naive.broken(), broken)?;
        let (workspaces, equipment): (Vec<_>, Vec<_>) = identities(core.equipment(None, None))
            .into_iter()
            .partition(|item| item.kind.as_ref() == "workspace");
        compare("equipment", naive.known(), equipment)?;
        compare("workspaces", sorted(naive.workspaces()), sorted(workspaces))?;
        compare("available", naive.available(), identities(core.available(None)))?;
        let stacks = core.stacks().iter().map(|stack| identities(stack.to_vec())).collect();
        compare("stacks", naive.stacks(), stacks)?;
        for of in [None].into_iter().chain(self.clients.map(Some)) {
            compare("allocations", sorted(naive.allocations(of)), sorted(identities(core.allocations(of))))?;
            compare("collateral", naive.collateral(of), sorted(identities(core.collateral(of))))?;
        }
        for session in self.clients {
            compare("open", naive.is_open(session), core.is_open(session))?;
        }
        Ok(())
    }
}

/// The built-in types, one whose pieces two sessions may hold, and one that any number may hold.
fn kinds() -> KindTable {
    let shared = json!([
        {"type": "camera", "identity": "uid", "allocations": 2, "rules": {"size": "one_of", "note": "ignore"}},
        {"type": "net", "identity": "uid", "allocations": "unlimited"},
    ]);
    let shared: Vec<Kind> = serde_json::from_value(shared).unwrap();
    KindTable::new(KindTable::builtin().iter().map(|kind| Kind::clone(kind)).chain(shared))
}

fn compare<T: PartialEq + std::fmt::Debug>(what: &str, expected: T, found: T) -> Result<(), String> {
    if expected == found { Ok(()) } else { Err(format!("{what}: expected {expected:?}, found {found:?}")) }
}

fn identities<P: Borrow<Profile>>(profiles: Vec<P>) -> Vec<Identity> {
    profiles.iter().map(|profile| identity(profile.borrow())).collect()
}

fn identity(profile: &Profile) -> Identity {
    let value = profile.get("serial").or(profile.get("uid")).and_then(Value::as_str);
    let kind = profile.kind().expect("what is listed has a type");
    Identity::new(kind, value.expect("what is listed has an identity"))
}

fn sorted(mut items: Vec<Identity>) -> Vec<Identity> {
    items.sort();
    items
}
