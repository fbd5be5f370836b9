//! Who gets what, decided by trying everything: every assignment of every group, combined with every
//! assignment of every other group, in the documented order. (Specification 5.5 and 5.6.)

use std::slice::from_ref;

use ave_profile::{Identity, Profile, RefusalKind, SessionId};

use crate::naive::Naive;

/// One conceivable way to serve a group: a piece for each of its profiles, workspaces aside.
pub(crate) type Choice = Vec<Identity>;

/// A refusal: its type and how its message begins.
pub(crate) type Reason = (RefusalKind, &'static str);

const APART: &str = "cannot allocate all equipment together";

impl Naive {
    /// The first combination of choices that can be had, one for each group.
    pub(crate) fn first_combination(
        &self,
        session: SessionId,
        groups: &[Vec<&Profile>],
    ) -> Option<Vec<Choice>> {
        self.completed(session, &[], groups)
    }

    fn completed(
        &self,
        session: SessionId,
        chosen: &[Choice],
        groups: &[Vec<&Profile>],
    ) -> Option<Vec<Choice>> {
        let Some((group, rest)) = groups.split_first() else { return Some(chosen.to_vec()) };
        let longer = self.choices(group).into_iter().map(|choice| [chosen, &[choice]].concat());
        let mut longer = longer.filter(|chosen| self.can_be_had(session, chosen));
        longer.find_map(|chosen| self.completed(session, &chosen, rest))
    }

    /// Why a group of equipment cannot be had on its own, if that is so.
    pub(crate) fn reason(&self, session: SessionId, group: &[&Profile]) -> Option<Reason> {
        let choices = self.choices(group);
        let alone = [group.len() == 1, choices.is_empty()];
        match alone {
            _ if choices.iter().any(|choice| self.can_be_had(session, from_ref(choice))) => None,
            [true, true] => Some((RefusalKind::NoSuch, "no such resource")),
            [false, true] => Some((RefusalKind::NoSuch, APART)),
            [false, false] => Some((RefusalKind::Busy, APART)),
            [true, false] if choices.iter().any(|choice| self.is_free_for(session, &choice[0])) => {
                Some((RefusalKind::Busy, "equipment shares collateral with a prior allocation"))
            }
            [true, false] => Some((RefusalKind::Busy, "all such equipment busy")),
        }
    }

    /// Every way to serve a group if all that is known were free: pieces in the order of the list; of
    /// the stacks the shortest first, members by request order and stack order.
    fn choices(&self, group: &[&Profile]) -> Vec<Choice> {
        if let [single] = group {
            let fitting = self.known().into_iter().filter(|item| self.fits(single, item));
            return fitting.map(|item| vec![item]).collect();
        }
        if group.is_empty() {
            return vec![vec![]];
        }
        let mut stacks = self.stacks();
        stacks.sort_by_key(Vec::len);
        stacks.iter().flat_map(|stack| self.assignments(group, stack, &[])).collect()
    }

    /// Every assignment of different members of a stack that continues the one so far.
    fn assignments(&self, group: &[&Profile], stack: &[Identity], so_far: &[Identity]) -> Vec<Choice> {
        let Some(wanted) = group.get(so_far.len()) else { return vec![so_far.to_vec()] };
        let fitting = stack.iter().filter(|item| !so_far.contains(item) && self.fits(wanted, item));
        fitting.flat_map(|item| self.assignments(group, stack, &[so_far, from_ref(item)].concat())).collect()
    }

    /// Whether nothing stands in the way of granting all of this at once.
    fn can_be_had(&self, session: SessionId, combination: &[Choice]) -> bool {
        combination.iter().enumerate().all(|(n, choice)| {
            choice.iter().all(|item| {
                let entangled = self.entangled(item);
                let others = || combination[..n].iter().chain(&combination[n + 1..]).flatten();
                self.is_free_for(session, item)
                    && !entangled.iter().any(|other| self.is_taken(other))
                    && !others().any(|other| other == item || entangled.contains(other))
            })
        })
    }
}
