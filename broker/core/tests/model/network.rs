//! Every state of two brokers of which one asks the other, whatever their clients and the connections
//! between them do, and what is always true there.

use std::collections::BTreeSet;

use ave_core::Core;
use ave_profile::{Identity, SessionId};
use stateright::{Checker, Model, Property};

use crate::pair::{Both, Pair, Side, Step, relay};
use crate::scene::{identities, item};

impl Model for Pair {
    type State = Both;
    type Action = Step;

    fn init_states(&self) -> Vec<Both> {
        vec![Both::of(self)]
    }

    fn actions(&self, now: &Both, steps: &mut Vec<Step>) {
        steps.extend(now.steps(self));
    }

    fn next_state(&self, now: &Both, step: Step) -> Option<Both> {
        Some(now.after(self, step))
    }

    fn properties(&self) -> Vec<Property<Pair>> {
        vec![
            Property::always("nothing is lent twice", |_: &Pair, now: &Both| now.fault.is_none()),
            Property::always("who waits is answered", |pair: &Pair, now: &Both| {
                !now.is_quiet(pair) || now.clients.values().all(|client| !client.waits)
            }),
            Property::always("clients have what they were given", clients_have_what_they_were_given),
            Property::always("nothing stays reserved", nothing_stays_reserved),
            Property::sometimes("both clients hold something", |_: &Pair, now: &Both| {
                now.clients.values().all(|client| !client.holds.is_empty())
            }),
            Property::sometimes("a far session outlives its link", |_: &Pair, now: &Both| {
                now.links.iter().any(|link| link.open == [false, true])
            }),
            Property::sometimes("a link in use is lost, if one breaks", |pair: &Pair, now: &Both| {
                pair.breaks == 0 || now.links.iter().any(|link| link.used && !link.open[1])
            }),
            Property::sometimes("two are asked at once, if there are two", |pair: &Pair, now: &Both| {
                !(pair.shares && pair.forwards)
                    || now.links.iter().filter(|link| link.ask.is_some()).count() == 2
            }),
            Property::sometimes(
                "the near broker believes too much, if it believes",
                |pair: &Pair, now: &Both| {
                    !pair.shares || !available(&now.cores[0]).is_subset(&everything_free(now))
                },
            ),
            Property::sometimes("all was asked for and is free again", |pair: &Pair, now: &Both| {
                now.is_quiet(pair) && now.clients.values().all(|client| client.gone) && !now.links.is_empty()
            }),
        ]
    }
}

/// When all is quiet: what clients hold is driven for them, and nothing else is driven.
fn clients_have_what_they_were_given(pair: &Pair, now: &Both) -> bool {
    let of = |side: Side, session: SessionId| match now.link_of(side, session) {
        Some(nth) => now.links[nth].session,
        None => session,
    };
    let driven =
        now.lent.iter().flat_map(|((side, item), by)| by.iter().map(move |by| (of(*side, *by), item)));
    let held = now.clients.iter();
    let held = held.flat_map(|(session, client)| client.holds.iter().map(|item| (*session, item)));
    !now.is_quiet(pair) || driven.collect::<BTreeSet<_>>() == held.collect()
}

/// When all is quiet, each broker lists as available what is: all of it once nobody is there any more.
fn nothing_stays_reserved(pair: &Pair, now: &Both) -> bool {
    let free = everything_free(now);
    let far = |items: BTreeSet<Identity>| -> BTreeSet<Identity> {
        items.into_iter().filter(|item| pair.pieces[1].contains(item)).collect()
    };
    let agree = !pair.shares || far(available(&now.cores[0])) == far(free.clone());
    let driven: BTreeSet<_> = now.lent.keys().map(|(_, item)| item.clone()).collect();
    let all: BTreeSet<_> = pair.pieces.iter().flatten().cloned().collect();
    !now.is_quiet(pair) || agree && &free | &driven == all
}

fn available(core: &Core) -> BTreeSet<Identity> {
    identities(core.available(None)).into_iter().collect()
}

/// What is free where it is.
fn everything_free(now: &Both) -> BTreeSet<Identity> {
    let near = now.cores[0].holders(None, true).into_iter().filter(|(holder, _)| holder.is_none());
    let near = identities(near.map(|(_, profile)| profile).collect());
    near.into_iter().chain(available(&now.cores[1])).collect()
}

/// Checks every state, and that there are as many as there were: fewer would prove less.
fn check(pair: Pair, states: usize) {
    let checked = pair.checker().threads(2).spawn_bfs().join();
    checked.assert_properties();
    assert_eq!(checked.unique_state_count(), states);
}

#[test]
fn one_forwards_to_the_other() {
    let pair = Pair {
        pieces: [vec![item("relay", "n")], vec![item("relay", "f")]],
        shares: false,
        forwards: true,
        wants: vec![vec![relay(None)], vec![relay(Some("f")), relay(Some("n"))]],
        clients: vec![(Side::Near, 2), (Side::Near, 1)],
        breaks: 1,
    };
    check(pair, 5_183);
}

#[test]
fn one_shares_with_the_other() {
    let pair = Pair {
        pieces: [vec![], vec![item("relay", "f"), item("relay", "g")]],
        shares: true,
        forwards: false,
        wants: vec![vec![relay(None)]],
        clients: vec![(Side::Near, 1), (Side::Near, 1)],
        breaks: 1,
    };
    check(pair, 21_624);
}

#[test]
fn a_slow_one_is_asked_by_both_its_names() {
    let pair = Pair {
        pieces: [vec![], vec![item("relay", "f"), item("relay", "g")]],
        shares: true,
        forwards: true,
        wants: vec![vec![relay(None)]],
        clients: vec![(Side::Near, 1), (Side::Far, 1)],
        breaks: 0,
    };
    check(pair, 18_817);
}
