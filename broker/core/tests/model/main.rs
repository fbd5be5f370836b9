//! Every state that small labs can get into, whatever their clients do in whatever order, and what is
//! *always* true there. What is *sometimes* true shows that the interesting states are among them.

mod edges;
mod ledger;
mod line;
mod network;
mod pair;
mod restart;
mod scene;

use std::collections::BTreeSet;

use ave_core::Door;
use ave_profile::Identity;
use stateright::{Checker, Model, Property};

use crate::ledger::Told;
use crate::scene::{Deed, Lab, Scene, item};

impl Model for Lab {
    type State = Scene;
    type Action = Deed;

    fn init_states(&self) -> Vec<Scene> {
        vec![Scene::of(self)]
    }

    fn actions(&self, scene: &Scene, deeds: &mut Vec<Deed>) {
        deeds.extend(scene.deeds(self));
    }

    fn next_state(&self, scene: &Scene, deed: Deed) -> Option<Scene> {
        Some(scene.after(self, &deed))
    }

    fn properties(&self) -> Vec<Property<Lab>> {
        vec![
            Property::always("a piece has as many holders as it may, at most", not_too_many_holders),
            Property::always("a holder's session is open", holders_are_open),
            Property::always("a failed get holds nothing", a_failed_get_holds_nothing),
            Property::always("collateral is never lent", collateral_is_never_lent),
            Property::always("what was lent is closed once and then free", freed_exactly_once),
            Property::always("what is broken says so, until it is reset", |_: &Lab, scene: &Scene| {
                scene.broken() == scene.ledger.broken()
            }),
            Property::sometimes("two clients hold something", |lab: &Lab, scene: &Scene| {
                lab.sessions().filter(|session| scene.ledger.held(*session).next().is_some()).count() == 2
            }),
            Property::sometimes("all clients were told Busy", |lab: &Lab, scene: &Scene| {
                lab.sessions().all(|session| scene.ledger.told(session) == Some(Told::Busy))
            }),
            Property::sometimes("a client was told NoSuch", |lab: &Lab, scene: &Scene| {
                lab.sessions().any(|session| scene.ledger.told(session) == Some(Told::NoSuch))
            }),
            Property::sometimes("two pieces of a stack are lent", |lab: &Lab, scene: &Scene| {
                let lent = |stack: &Vec<_>| stack.iter().filter(|item| scene.ledger.is_lent(item)).count();
                lab.stacks.iter().any(|stack| lent(stack) == 2)
            }),
            Property::sometimes("two clients share collateral", collateral_is_shared),
            Property::sometimes("a piece still closes after its session", |lab: &Lab, scene: &Scene| {
                let mut over = lab.sessions().filter(|session| !scene.core.is_open(*session));
                over.any(|session| scene.ledger.closing(session).next().is_some())
            }),
            Property::sometimes("a piece is being reset, if it can break", |lab: &Lab, scene: &Scene| {
                !lab.breaks || scene.ledger.mending().next().is_some()
            }),
            Property::sometimes("a piece has two holders, if it may", |lab: &Lab, scene: &Scene| {
                let mut shared = lab.pieces.iter().filter(|item| lab.allocations(item) == 2).peekable();
                shared.peek().is_none() || shared.any(|item| scene.ledger.holders(item).count() == 2)
            }),
            Property::sometimes("a broken piece is held, if it may be", |lab: &Lab, scene: &Scene| {
                let shared = lab.pieces.iter().any(|item| lab.allocations(item) == 2);
                !shared || scene.ledger.broken().iter().any(|item| scene.ledger.is_lent(item))
            }),
            Property::sometimes("everything was lent and is free again", |lab: &Lab, scene: &Scene| {
                let done = |session| scene.ledger.told(session).is_some() && !scene.core.is_open(session);
                lab.sessions().all(done) && scene.available() == lab.pieces
            }),
        ]
    }
}

fn not_too_many_holders(lab: &Lab, scene: &Scene) -> bool {
    let mut by_session = Vec::new();
    for session in lab.sessions() {
        let held = scene.allocations(Some(session));
        if held.windows(2).any(|pair| pair[0] == pair[1]) {
            return false;
        }
        by_session.extend(held);
    }
    by_session.sort();
    let held = scene.allocations(None);
    held.chunk_by(|a, b| a == b).all(|same| same.len() <= lab.allocations(&same[0])) && by_session == held
}

fn holders_are_open(lab: &Lab, scene: &Scene) -> bool {
    lab.sessions().all(|session| {
        let held: Vec<_> = scene.ledger.held(session).collect();
        held == scene.allocations(Some(session)) && (held.is_empty() || scene.core.is_open(session))
    })
}

fn a_failed_get_holds_nothing(_: &Lab, scene: &Scene) -> bool {
    scene
        .ledger
        .refused()
        .all(|session| !scene.core.is_open(session) && scene.allocations(Some(session)).is_empty())
}

/// Neither by the core's list nor by the stacks: where two pieces of one are lent, one session has both.
fn collateral_is_never_lent(lab: &Lab, scene: &Scene) -> bool {
    let lent = |item: &Identity| scene.ledger.is_lent(item);
    let one_holder = |stack: &Vec<Identity>| {
        let holders: BTreeSet<_> = stack.iter().flat_map(|item| scene.ledger.holders(item)).collect();
        holders.len() <= 1 || stack.iter().filter(|item| lent(item)).count() == 1
    };
    !scene.collateral(None).iter().any(lent) && lab.stacks.iter().all(one_holder)
}

fn freed_exactly_once(lab: &Lab, scene: &Scene) -> bool {
    scene.ledger.fault.is_none() && scene.available() == scene.ledger.free(lab)
}

fn collateral_is_shared(lab: &Lab, scene: &Scene) -> bool {
    let mut all: Vec<_> = lab.sessions().flat_map(|session| scene.collateral(Some(session))).collect();
    all.sort();
    all.windows(2).any(|pair| pair[0] == pair[1])
}

/// Checks every state, and that there are as many as there were: fewer would prove less.
fn check(lab: Lab, states: usize) {
    let checked = lab.checker().threads(2).spawn_bfs().join();
    checked.assert_properties();
    assert_eq!(checked.unique_state_count(), states);
}

#[test]
fn a_handset_between_two_relays() {
    let (handset, left, right) = (item("handset", "A"), item("relay", "r"), item("relay", "s"));
    let lab = Lab {
        pieces: vec![handset.clone(), left.clone(), right.clone()],
        stacks: vec![vec![handset.clone(), left], vec![handset, right]],
        wants: vec![
            vec![vec!["handset"]],
            vec![vec!["relay"]],
            vec![vec!["relay", "handset"]],
            vec![vec!["wlan"]],
        ],
        clients: 2,
        doors: vec![Door::Broker, Door::Session],
        breaks: false,
    };
    check(lab, 6_265);
}

#[test]
fn two_stacks_that_overlap() {
    let (a, b, relay, wlan) =
        (item("handset", "A"), item("handset", "B"), item("relay", "r"), item("wlan", "r"));
    let lab = Lab {
        pieces: vec![a.clone(), b.clone(), relay.clone(), wlan.clone()],
        stacks: vec![vec![a, wlan, b.clone()], vec![relay, b]],
        wants: vec![
            vec![vec!["handset"], vec!["relay"]],
            vec![vec!["handset", "handset"]],
            vec![vec!["wlan"]],
            vec![vec!["relay", "relay"]],
        ],
        clients: 3,
        doors: vec![Door::Session],
        breaks: true,
    };
    check(lab, 18_310);
}

#[test]
fn a_camera_for_two_that_looks_at_a_handset() {
    let (handset, camera) = (item("handset", "A"), item("camera", "c"));
    let lab = Lab {
        pieces: vec![camera.clone(), handset.clone()],
        stacks: vec![vec![handset, camera]],
        wants: vec![vec![vec!["camera"]], vec![vec!["handset", "camera"]], vec![vec!["wlan"]]],
        clients: 3,
        doors: vec![Door::Session],
        breaks: true,
    };
    check(lab, 7_683);
}
