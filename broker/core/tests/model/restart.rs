//! Every state of a broker that is restarted and dies, whatever its clients do meanwhile, and what is always true
//! there. (Specification 7.1.)

use std::collections::BTreeSet;

use ave_profile::Identity;
use stateright::{Checker, Model, Property};

use crate::line::{Line, Moments, Turn};
use crate::scene::item;

impl Model for Line {
    type State = Moments;
    type Action = Turn;

    fn init_states(&self) -> Vec<Moments> {
        vec![self.begin()]
    }

    fn actions(&self, now: &Moments, turns: &mut Vec<Turn>) {
        turns.extend(now.turns(self));
    }

    fn next_state(&self, now: &Moments, turn: Turn) -> Option<Moments> {
        Some(now.after(self, turn))
    }

    fn properties(&self) -> Vec<Property<Line>> {
        vec![
            Property::always("nothing is lent twice, or as somebody left it", |_: &Line, now: &Moments| {
                now.fault.is_none()
            }),
            Property::always("what is listed as available is free", |_: &Line, now: &Moments| {
                let lent = now.lent.keys().map(|(item, _)| item);
                let taken: BTreeSet<Identity> = lent.chain(&now.left).cloned().collect();
                now.available().is_disjoint(&taken)
            }),
            Property::always("nothing stays reserved", |line: &Line, now: &Moments| {
                !now.is_quiet() || now.available() == line.free(now)
            }),
            Property::sometimes(
                "an older process lends while the newest does too",
                |line: &Line, now: &Moments| {
                    let by: BTreeSet<usize> = now.lent.values().map(|(by, _)| *by).collect();
                    !line.stacks.is_empty() || by.len() == 2
                },
            ),
            Property::sometimes("two older processes serve", |line: &Line, now: &Moments| {
                line.restarts < 2 || now.elders() == 2
            }),
            Property::sometimes(
                "an old client is told to wait for the restart",
                |_: &Line, now: &Moments| now.refused,
            ),
            Property::sometimes(
                "a dead process leaves something, if one dies",
                |line: &Line, now: &Moments| line.deaths == 0 || !now.left.is_empty(),
            ),
            Property::sometimes("all is free again after restarts", |line: &Line, now: &Moments| {
                let is_over = now.served.is_empty() && now.came == line.clients;
                is_over && now.is_quiet() && now.newest() > 0 && now.available().len() == line.pieces.len()
            }),
        ]
    }
}

impl Line {
    /// What is not lent, nor collateral of what is.
    fn free(&self, now: &Moments) -> BTreeSet<Identity> {
        let lent = |item: &Identity| now.lent.keys().any(|(lent, _)| lent == item);
        let entangled = |item: &&Identity| {
            let mut stacks = self.stacks.iter().filter(|stack| stack.contains(item));
            stacks.any(|stack| stack.iter().any(lent))
        };
        self.pieces.iter().filter(|item| !lent(item) && !entangled(item)).cloned().collect()
    }
}

fn check(line: Line, states: usize) {
    let checked = line.checker().threads(2).spawn_bfs().join();
    checked.assert_properties();
    assert_eq!(checked.unique_state_count(), states);
}

#[test]
fn two_restarts() {
    let line = Line {
        pieces: vec![item("handset", "A"), item("relay", "r")],
        stacks: vec![],
        wants: vec!["handset", "relay"],
        clients: 2,
        restarts: 2,
        deaths: 0,
    };
    check(line, 1_684);
}

#[test]
fn a_restart_and_a_death() {
    let line = Line {
        pieces: vec![item("handset", "A"), item("handset", "B")],
        stacks: vec![],
        wants: vec!["handset"],
        clients: 2,
        restarts: 1,
        deaths: 1,
    };
    check(line, 12_747);
}

#[test]
fn a_stack_a_restart_and_two_deaths() {
    let (handset, relay) = (item("handset", "A"), item("relay", "r"));
    let line = Line {
        pieces: vec![handset.clone(), relay.clone()],
        stacks: vec![vec![handset, relay]],
        wants: vec!["handset", "relay"],
        clients: 2,
        restarts: 1,
        deaths: 2,
    };
    check(line, 4_482);
}
