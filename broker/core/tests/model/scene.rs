//! A small lab, a moment in its life, and what can happen next.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use ave_core::{Core, Door, Event, Moment, Source};
use ave_profile::{BrokerId, Identity, Kind, KindTable, Profile, RequestId, SessionId, Value, Want};
use serde_json::json;

use crate::ledger::Ledger;

/// A lab whose equipment and stacks never change.
#[derive(Clone, Debug)]
pub(crate) struct Lab {
    pub(crate) pieces: Vec<Identity>,
    pub(crate) stacks: Vec<Vec<Identity>>,
    /// What clients ask for: groups of types.
    pub(crate) wants: Vec<Vec<Vec<&'static str>>>,
    /// How many sessions there will ever be.
    pub(crate) clients: u64,
    /// At which doors clients give back.
    pub(crate) doors: Vec<Door>,
    /// Whether pieces may turn out impossible to close.
    pub(crate) breaks: bool,
}

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Deed {
    Opens(SessionId),
    Gets(SessionId, Vec<Vec<&'static str>>),
    Yields(SessionId, Door, Identity),
    Leaves(SessionId),
    /// An edge has closed a piece, or could not.
    Closed(SessionId, Identity, bool),
    /// An administrator wants a piece reset.
    Resets(Identity),
    /// Time passes, so much that everything broken is to be reset.
    Waits,
    /// An edge has reset a piece, or could not.
    Mended(Identity, bool),
}

/// The core and the edges' books at one moment.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) core: Core,
    pub(crate) ledger: Ledger,
    opened: u64,
}

impl Lab {
    /// The built-in types, and one whose pieces two sessions may hold at once.
    fn kinds() -> KindTable {
        let camera = json!({"type": "camera", "identity": "uid", "allocations": 2});
        let camera: Kind = serde_json::from_value(camera).expect("a type");
        KindTable::new(KindTable::builtin().iter().map(|kind| Kind::clone(kind)).chain([camera]))
    }

    /// How many sessions may hold a piece at once.
    pub(crate) fn allocations(&self, item: &Identity) -> usize {
        if &*item.kind == "camera" { 2 } else { 1 }
    }

    /// All sessions there will ever be.
    pub(crate) fn sessions(&self) -> impl Iterator<Item = SessionId> + use<> {
        (1..=self.clients).map(SessionId)
    }
}

impl Scene {
    /// The lab before anybody came.
    pub(crate) fn of(lab: &Lab) -> Scene {
        let mut scene =
            Scene { core: Core::new(Lab::kinds(), BrokerId(1)), ledger: Ledger::default(), opened: 0 };
        let profiles = lab.pieces.iter().map(ready).collect();
        scene.apply(
            lab,
            Moment::default(),
            Event::Reported { source: Source::File, profiles, request: None },
        );
        let stacks = lab.stacks.iter().map(|stack| stack.iter().map(short).collect()).collect();
        scene.apply(lab, Moment::default(), Event::StacksSet { stacks });
        scene
    }

    /// Everything that can happen next.
    pub(crate) fn deeds(&self, lab: &Lab) -> Vec<Deed> {
        let mut deeds = Vec::new();
        if self.opened < lab.clients {
            deeds.push(Deed::Opens(SessionId(self.opened + 1)));
        }
        if lab.breaks {
            deeds.extend(lab.pieces.iter().cloned().map(Deed::Resets));
            deeds.extend(self.core.deadline().map(|_| Deed::Waits));
            let mending = self.ledger.mending();
            deeds.extend(mending.flat_map(|item| [true, false].map(|well| Deed::Mended(item.clone(), well))));
        }
        for session in lab.sessions() {
            let closing: Vec<Identity> = self.ledger.closing(session).collect();
            deeds.extend(closing.iter().map(|item| Deed::Closed(session, item.clone(), true)));
            if lab.breaks {
                deeds.extend(closing.iter().map(|item| Deed::Closed(session, item.clone(), false)));
            }
            if !self.core.is_open(session) {
                continue;
            }
            deeds.push(Deed::Leaves(session));
            deeds.extend(lab.wants.iter().map(|want| Deed::Gets(session, want.clone())));
            deeds.extend(
                lab.doors.iter().flat_map(|door| {
                    lab.pieces.iter().map(|item| Deed::Yields(session, *door, item.clone()))
                }),
            );
        }
        deeds
    }

    /// What is after this has happened.
    pub(crate) fn after(&self, lab: &Lab, deed: &Deed) -> Scene {
        let mut scene = self.clone();
        let request = RequestId(0);
        let event = match deed.clone() {
            Deed::Opens(session) => {
                scene.opened = session.0;
                Event::SessionOpened { session }
            }
            Deed::Gets(session, groups) => {
                let profile = |kind: &&str| Profile::of(json!({"type": kind}));
                let groups = groups.iter().map(|group| group.iter().map(profile).collect()).collect();
                Event::Asked { session, request, want: Ok(Want { groups }), nonce: 0, via: Vec::new() }
            }
            Deed::Yields(session, door, item) => {
                Event::Yielded { session, request, door, profiles: vec![short(&item)] }
            }
            Deed::Leaves(session) => Event::SessionEnded { session },
            Deed::Closed(session, item, well) => {
                scene.ledger.closed(session, &item, well);
                Event::Closed { session, item, outcome: outcome(well) }
            }
            Deed::Resets(item) => Event::ResetAsked { item, request: None },
            Deed::Waits => {
                scene.apply(lab, Moment(Duration::MAX), Event::DeadlineReached);
                return scene;
            }
            Deed::Mended(item, well) => {
                scene.ledger.reset(&item, well);
                Event::ResetDone { item, request: None, outcome: outcome(well) }
            }
        };
        scene.apply(lab, Moment::default(), event);
        scene
    }

    /// Only whether something is yet to come counts here, not when.
    fn apply(&mut self, lab: &Lab, now: Moment, event: Event) {
        let effects = self.core.apply(now, event);
        self.core.check();
        effects.into_iter().for_each(|effect| self.ledger.enter(lab, effect));
    }

    /// What can be had, by the core's list.
    pub(crate) fn available(&self) -> Vec<Identity> {
        identities(self.core.available(None))
    }

    /// What could not be closed, by the core's list.
    pub(crate) fn broken(&self) -> BTreeSet<Identity> {
        let listed = self.core.equipment(None, None);
        let broken = listed.iter().filter(|profile| profile.contains_key("broken"));
        broken.map(|profile| identity(profile)).collect()
    }

    /// What a session holds, or all, by the core's list.
    pub(crate) fn allocations(&self, of: Option<SessionId>) -> Vec<Identity> {
        identities(self.core.allocations(of))
    }

    /// The collateral of a session, or of all, by the core's list.
    pub(crate) fn collateral(&self, of: Option<SessionId>) -> Vec<Identity> {
        identities(self.core.collateral(of))
    }
}

impl PartialEq for Scene {
    fn eq(&self, other: &Scene) -> bool {
        (self.core.fingerprint(), &self.ledger, self.opened)
            == (other.core.fingerprint(), &other.ledger, other.opened)
    }
}

impl Hash for Scene {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.core.fingerprint(), &self.ledger, self.opened).hash(state);
    }
}

/// What the books say; the core's own state is told by the deeds that led here.
impl fmt::Debug for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ledger.fmt(f)
    }
}

fn outcome(well: bool) -> Result<(), String> {
    if well { Ok(()) } else { Err("stuck".to_owned()) }
}

/// The piece `value` of type `kind`.
pub(crate) fn item(kind: &str, value: &str) -> Identity {
    Identity::new(kind, value)
}

pub(crate) fn short(item: &Identity) -> Profile {
    let member = if &*item.kind == "handset" { "serial" } else { "uid" };
    Profile::of(json!({"type": &*item.kind, member: &*item.value}))
}

/// What a piece says of itself that can be had.
pub(crate) fn ready(item: &Identity) -> Profile {
    let mut profile = short(item);
    let state = if &*item.kind == "handset" { "boot_completed" } else { "online" };
    profile.0.insert("power_state".into(), state.into());
    profile
}

pub(crate) fn identities<P: Borrow<Profile>>(profiles: Vec<P>) -> Vec<Identity> {
    let mut identities: Vec<Identity> = profiles.iter().map(|profile| identity(profile.borrow())).collect();
    identities.sort();
    identities
}

fn identity(profile: &Profile) -> Identity {
    let value = profile.get("serial").or(profile.get("uid")).and_then(Value::as_str);
    let kind = profile.kind().expect("what is listed has a type");
    item(kind, value.expect("what is listed has an identity"))
}
