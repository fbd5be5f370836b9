//! Every state that small labs can get into, whatever their clients do in whatever order, and what is
//! *always* true there. What is *sometimes* true shows that the interesting states are among them.

mod ledger;
mod scene;

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
        Some(scene.after(&deed))
    }

    fn properties(&self) -> Vec<Property<Lab>> {
        vec![
            Property::always("a piece has one holder at most", one_holder_at_most),
            Property::always("a holder's session is open", holders_are_open),
            Property::always("a failed get holds nothing", a_failed_get_holds_nothing),
            Property::always("collateral is never lent", collateral_is_never_lent),
            Property::always("what was lent is closed once and then free", freed_exactly_once),
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
                let lent =
                    |stack: &Vec<_>| stack.iter().filter(|item| scene.ledger.holder(item).is_some()).count();
                lab.stacks.iter().any(|stack| lent(stack) == 2)
            }),
            Property::sometimes("two clients share collateral", collateral_is_shared),
            Property::sometimes("a piece still closes after its session", |lab: &Lab, scene: &Scene| {
                let mut over = lab.sessions().filter(|session| !scene.core.is_open(*session));
                over.any(|session| scene.ledger.closing(session).next().is_some())
            }),
            Property::sometimes("a piece cannot be closed, if that can be", |lab: &Lab, scene: &Scene| {
                !lab.breaks || !scene.ledger.broken.is_empty()
            }),
            Property::sometimes("everything was lent and is free again", |lab: &Lab, scene: &Scene| {
                let done = |session| scene.ledger.told(session).is_some() && !scene.core.is_open(session);
                lab.sessions().all(done) && scene.available() == lab.pieces
            }),
        ]
    }
}

fn one_holder_at_most(lab: &Lab, scene: &Scene) -> bool {
    let mut by_session: Vec<_> =
        lab.sessions().flat_map(|session| scene.allocations(Some(session))).collect();
    by_session.sort();
    let held = scene.allocations(None);
    held.windows(2).all(|pair| pair[0] != pair[1]) && by_session == held
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

/// Neither by the core's list nor by the stacks, one of whose pieces all others belong to.
fn collateral_is_never_lent(lab: &Lab, scene: &Scene) -> bool {
    let one_holder = |stack: &Vec<Identity>| {
        let mut holders = stack.iter().filter_map(|item| scene.ledger.holder(item));
        let first = holders.next();
        holders.all(|holder| Some(holder) == first)
    };
    let lent = |item: &Identity| scene.ledger.holder(item).is_some();
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
    check(lab, 15_316);
}
