//! Finds pieces for groups of requests: exactly, in the order of preference, within a bounded number of
//! steps. Reads the equipment, changes nothing. (Specification 5.5 and 5.6.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ave_profile::{Kind, Profile, Refusal, SessionId};

use crate::equipment::{Equipment, ItemId};
use crate::index::{Key, Wanted, wanted};
use crate::matching::Matching;
use crate::stacks::counted;

/// How many candidates one request may look at, so that no request holds up the others for long.
pub const SEARCH_STEPS_MAX: u32 = 200_000;

/// How heavy a profile one step compares; no profile of a real lab takes two.
const STEP_WEIGHT: usize = 256;

/// What is left of [`SEARCH_STEPS_MAX`].
#[derive(Debug)]
pub(crate) struct Steps(u32);

impl Default for Steps {
    fn default() -> Steps {
        Steps(SEARCH_STEPS_MAX)
    }
}

impl Steps {
    pub(crate) fn spend(&mut self, steps: usize) -> Result<(), TooComplex> {
        let steps = u32::try_from(steps).map_err(|_| TooComplex)?;
        self.0 = self.0.checked_sub(steps).ok_or(TooComplex)?;
        Ok(())
    }
}

/// The search did not come to an end within its bound; nothing is known about the request.
#[derive(Debug)]
pub(crate) struct TooComplex;

impl From<TooComplex> for Refusal {
    fn from(_: TooComplex) -> Refusal {
        Refusal::exception("request too complex")
    }
}

/// One requested profile, with its defaults.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: Arc<Kind>,
    pub(crate) profile: Profile,
}

/// The equipment of one group, ready to be searched for.
pub(crate) struct Wants<'r> {
    pub(crate) requests: Vec<&'r Request>,
    /// What the piece, or the stack, has; `None` if nothing has it.
    keys: Option<Vec<Key>>,
    /// Whether a piece that has them is what a single request describes.
    exact: bool,
    /// For each request the first that is equal to it.
    equals: Vec<usize>,
    /// What comparing all requests with one piece costs, in steps.
    cost: usize,
}

impl<'r> Wants<'r> {
    pub(crate) fn new(requests: Vec<&'r Request>) -> Wants<'r> {
        let wanted: Option<Vec<Wanted>> =
            requests.iter().map(|request| wanted(&request.kind, &request.profile)).collect();
        let exact = wanted.iter().flatten().all(|wanted| wanted.exact);
        let keys = wanted.map(|mut wanted| match wanted.as_mut_slice() {
            [only] => std::mem::take(&mut only.keys),
            several => counted(several.iter().flat_map(|wanted| wanted.keys.iter().copied()).collect()),
        });
        let first_equal = |request: &&Request| {
            requests.iter().position(|earlier| earlier.profile == request.profile).unwrap_or_default()
        };
        let cost = requests.iter().map(|request| 1 + request.profile.weight() / STEP_WEIGHT).sum();
        Wants { keys, exact, equals: requests.iter().map(first_equal).collect(), cost, requests }
    }

    fn is_equal(&self, other: &Wants) -> bool {
        !self.requests.is_empty()
            && self.requests.iter().map(|r| &r.profile).eq(other.requests.iter().map(|r| &r.profile))
    }
}

/// Pieces for one group.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    /// One for each request, in order.
    pub(crate) pieces: Vec<ItemId>,
    /// The place in the list of a single piece; the rank of the stack of several.
    at: u32,
    /// Where in the stack each piece is.
    places: Vec<usize>,
}

impl Choice {
    /// For a group without equipment.
    fn nothing() -> Choice {
        Choice { pieces: Vec::new(), at: 0, places: Vec::new() }
    }
}

/// Which pieces count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// Those that may be granted.
    Eligible,
    /// Those that are not collateral and that one more session may hold.
    Free,
    /// All that are known.
    Known,
}

/// One request's search.
pub(crate) struct Search<'e> {
    equipment: &'e Equipment,
    /// Who asks: no session holds a piece twice.
    session: SessionId,
    /// What is left of the request's steps.
    pub(crate) steps: Steps,
    /// This broker's own equipment, if a share's is searched: of that, it counts only what is not here.
    own: Option<&'e Equipment>,
    /// What earlier groups of the same call would take or make collateral, and how many of them.
    spoken_for: BTreeMap<ItemId, u32>,
}

impl<'e> Search<'e> {
    pub(crate) fn new(equipment: &'e Equipment, session: SessionId) -> Search<'e> {
        let steps = Steps::default();
        Search { equipment, session, steps, own: None, spoken_for: BTreeMap::new() }
    }

    /// A search among what a share has and this broker itself has not.
    pub(crate) fn of_share(equipment: &'e Equipment, own: &'e Equipment, session: SessionId) -> Search<'e> {
        Search { own: Some(own), ..Search::new(equipment, session) }
    }

    /// The choice for one group that follows `after`, or the first.
    pub(crate) fn next(
        &mut self,
        wants: &Wants,
        among: Among,
        after: Option<&Choice>,
    ) -> Result<Option<Choice>, TooComplex> {
        let Some(after) = after else { return self.first(wants, among, 0) };
        if wants.requests.len() > 1 {
            let matching = self.matching(wants, among, after.at)?;
            if let Some(places) = matching.after(&after.places, &mut self.steps)? {
                return Ok(Some(self.choice(after.at, places)));
            }
        }
        self.first(wants, among, after.at + 1)
    }

    /// The first choice for one group at this place of the list, or with a stack of this rank, or later.
    fn first(&mut self, wants: &Wants, among: Among, from: u32) -> Result<Option<Choice>, TooComplex> {
        let Some(keys) = &wants.keys else { return Ok(None) };
        match wants.requests.as_slice() {
            [] => Ok((from == 0).then(Choice::nothing)),
            [request] => self.first_piece(wants, request, keys, among, from),
            _ => self.first_of_stack(wants, keys, among, from),
        }
    }

    fn first_piece(
        &mut self,
        wants: &Wants,
        request: &Request,
        keys: &[Key],
        among: Among,
        mut from: u32,
    ) -> Result<Option<Choice>, TooComplex> {
        let Some(mut found) = self.equipment.index.with_all(keys) else { return Ok(None) };
        match among {
            Among::Eligible => found = found.and(&self.equipment.eligible),
            Among::Free => found = found.and(&self.equipment.free),
            Among::Known => {}
        }
        while let Some(slot) = found.seek(from) {
            self.steps.spend(if wants.exact { 1 } else { wants.cost })?;
            let id = self.equipment.at(slot);
            if self.is_left(id, among) && (wants.exact || self.fits(request, id)) {
                return Ok(Some(Choice { pieces: vec![id], at: slot, places: Vec::new() }));
            }
            from = slot + 1;
        }
        Ok(None)
    }

    fn first_of_stack(
        &mut self,
        wants: &Wants,
        keys: &[Key],
        among: Among,
        mut from: u32,
    ) -> Result<Option<Choice>, TooComplex> {
        let stacks = &self.equipment.stacks;
        let Some(mut found) = stacks.index.with_all(keys) else { return Ok(None) };
        if among != Among::Known {
            found = found.and(&stacks.open);
        }
        while let Some(rank) = found.seek(from) {
            let matching = self.matching(wants, among, rank)?;
            if let Some(places) = matching.first(&mut self.steps)? {
                return Ok(Some(self.choice(rank, places)));
            }
            from = rank + 1;
        }
        Ok(None)
    }

    fn choice(&self, rank: u32, places: Vec<usize>) -> Choice {
        let members = &self.equipment.stacks[rank].members;
        Choice { pieces: places.iter().map(|place| members[*place]).collect(), at: rank, places }
    }

    /// Which members of a stack each request could have.
    fn matching(&mut self, wants: &Wants, among: Among, rank: u32) -> Result<Matching, TooComplex> {
        let members = &self.equipment.stacks[rank].members;
        self.steps.spend(members.len() * wants.cost)?;
        let places = |request: &&Request| {
            let counts = |id: ItemId| {
                let eligible = among == Among::Known || self.equipment.item(id).eligible;
                eligible && self.is_left(id, among) && self.fits(request, id)
            };
            (0..members.len()).filter(|place| counts(members[*place])).collect()
        };
        Ok(Matching { places: wants.requests.iter().map(places).collect(), equals: wants.equals.clone() })
    }

    /// Whether the session does not have a piece already, and would not by an earlier group.
    fn is_left(&self, id: ItemId, among: Among) -> bool {
        let item = self.equipment.item(id);
        if self.own.is_some_and(|own| own.knows(&item.identity)) {
            return false;
        }
        let mine = || item.holds.contains_key(&self.session);
        among == Among::Known || !(self.spoken_for.contains_key(&id) || mine())
    }

    fn fits(&self, request: &Request, id: ItemId) -> bool {
        let item = self.equipment.item(id);
        item.profile().is_some_and(|known| item.kind.matches(&request.profile, known))
    }

    /// Pieces for all groups: what they get when each takes its first choice in order, or else the first
    /// combination there is. If there is none, `Err` with the group that goes without in that order.
    pub(crate) fn all(&mut self, groups: &[&Wants]) -> Result<Result<Vec<Choice>, usize>, TooComplex> {
        if let [wants] = groups {
            return Ok(self.next(wants, Among::Eligible, None)?.map(|choice| vec![choice]).ok_or(0));
        }
        let mut chosen = Vec::with_capacity(groups.len());
        for wants in groups {
            let Some(choice) = self.next(wants, Among::Eligible, None)? else { break };
            self.choose(&mut chosen, choice);
        }
        self.spoken_for.clear();
        let without = chosen.len();
        if without == groups.len() {
            return Ok(Ok(chosen));
        }
        let worth_trying = without > 0 && self.leaves_enough(groups)?;
        let found = if worth_trying { self.backtrack(groups)? } else { None };
        self.spoken_for.clear();
        Ok(found.ok_or(without))
    }

    /// Depth first over the groups, in order; gives up a choice that leaves too little for the rest.
    fn backtrack(&mut self, groups: &[&Wants]) -> Result<Option<Vec<Choice>>, TooComplex> {
        let mut chosen: Vec<Choice> = Vec::new();
        let mut after: Option<Choice> = None;
        while let Some((wants, rest)) = groups[chosen.len()..].split_first() {
            let next = match after.take() {
                Some(after) => self.next(wants, Among::Eligible, Some(&after))?,
                None => {
                    // Equal groups are interchangeable: the later one starts behind the earlier one.
                    let twin = groups[..chosen.len()].iter().rposition(|earlier| earlier.is_equal(wants));
                    self.first(wants, Among::Eligible, twin.map_or(0, |twin| chosen[twin].at + 1))?
                }
            };
            match next {
                Some(choice) => {
                    self.choose(&mut chosen, choice);
                    if !self.leaves_enough(rest)? {
                        after = self.give_up(&mut chosen);
                    }
                }
                None => match self.give_up(&mut chosen) {
                    Some(choice) => after = Some(choice),
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(chosen))
    }

    fn choose(&mut self, chosen: &mut Vec<Choice>, choice: Choice) {
        for id in self.touched(&choice) {
            *self.spoken_for.entry(id).or_default() += 1;
        }
        chosen.push(choice);
    }

    fn give_up(&mut self, chosen: &mut Vec<Choice>) -> Option<Choice> {
        let choice = chosen.pop()?;
        for id in self.touched(&choice) {
            if let Some(count) = self.spoken_for.get_mut(&id) {
                *count -= 1;
            }
        }
        self.spoken_for.retain(|_, count| *count > 0);
        Some(choice)
    }

    /// What a choice takes or makes collateral.
    fn touched(&self, choice: &Choice) -> BTreeSet<ItemId> {
        let entangled = choice.pieces.iter().flat_map(|id| self.equipment.entangled(*id));
        entangled.chain(choice.pieces.iter().copied()).collect()
    }

    /// Whether each of these groups could still have a stack of its own for its first piece. Two groups
    /// never share one, so without that there is no combination; with it there may be.
    fn leaves_enough(&mut self, rest: &[&Wants]) -> Result<bool, TooComplex> {
        let mut numbers: BTreeMap<Territory, usize> = BTreeMap::new();
        let mut places = Vec::new();
        for wants in rest.iter().filter(|wants| !wants.requests.is_empty()) {
            let mut mine = BTreeSet::new();
            for territory in self.territories(wants, rest.len())? {
                let next = numbers.len();
                mine.insert(*numbers.entry(territory).or_insert(next));
            }
            places.push(Vec::from_iter(mine));
        }
        let matching = Matching { equals: (0..places.len()).collect(), places };
        Ok(matching.first(&mut self.steps)?.is_some())
    }

    /// The stacks from which a group's first piece can come, as far as `enough` of them.
    fn territories(&mut self, wants: &Wants, enough: usize) -> Result<BTreeSet<Territory>, TooComplex> {
        let mut found = BTreeSet::new();
        let mut from = 0;
        while found.len() < enough {
            let Some(choice) = self.first(wants, Among::Eligible, from)? else { break };
            if wants.requests.len() > 1 {
                let stack = self.matching(wants, Among::Eligible, choice.at)?;
                let members = &self.equipment.stacks[choice.at].members;
                found.extend(stack.places[0].iter().map(|place| self.territory(members[*place])));
            } else {
                found.insert(self.territory(choice.pieces[0]));
            }
            from = choice.at + 1;
        }
        Ok(found)
    }

    fn territory(&self, id: ItemId) -> Territory {
        self.equipment.item(id).stacks.first().map_or(Territory::Piece(id), |rank| Territory::Stack(*rank))
    }
}

/// A set of pieces of which at most one group of a call can have any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Territory {
    Piece(ItemId),
    Stack(u32),
}
