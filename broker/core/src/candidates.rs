//! Who could serve which group of a request: this broker, its shares in the order of their addresses, and
//! last the target of forwarding. (Specification 5.6, 5.9, 6.4.)

use std::collections::BTreeSet;

use ave_profile::{Address, Identity, Refusal, RefusalKind, SessionId};

use crate::allocator::{Plan, TOGETHER, equipment_of};
use crate::asking::refusal_of;
use crate::broker::Core;
use crate::pending::{Asking, Group};
use crate::search::{Among, Request, Search, Steps, TooComplex, Wants};
use crate::share::Share;
use crate::workspaces::Names;

/// Somebody who could serve a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Candidate {
    Here,
    Share(Address),
    Forward(Address),
}

/// What somebody is to serve.
pub(crate) struct Assigned {
    pub(crate) candidate: Candidate,
    pub(crate) groups: Vec<usize>,
    /// What to take, if it is here.
    pub(crate) plan: Option<Plan>,
    /// What to reserve, if it is a share.
    pub(crate) reserved: Vec<Identity>,
}

/// One search for somebody for each group.
struct Assigning<'c> {
    core: &'c Core,
    session: SessionId,
    asking: &'c Asking,
    groups: &'c [usize],
    wants: Vec<Wants<'c>>,
    steps: Steps,
}

impl Core {
    /// Somebody for each of these groups: the first who can, in order, or else the first combination there
    /// is.
    pub(crate) fn assign(
        &self,
        session: SessionId,
        asking: &Asking,
        groups: &[usize],
    ) -> Result<Option<Vec<Assigned>>, TooComplex> {
        let wants = groups.iter().map(|group| equipment_of(&asking.groups[*group].requests)).collect();
        let mut assigning = Assigning { core: self, session, asking, groups, wants, steps: Steps::default() };
        let Some(chosen) = assigning.first_combination()? else { return Ok(None) };
        let mut assigned: Vec<Assigned> = Vec::new();
        for (nth, candidate) in chosen.iter().enumerate() {
            if chosen[..nth].contains(candidate) {
                continue;
            }
            let together: Vec<usize> = (nth..groups.len()).filter(|n| chosen[*n] == *candidate).collect();
            let (plan, reserved) = assigning.serve(candidate, &together)?.unwrap_or_default();
            let groups = together.into_iter().map(|nth| groups[nth]).collect();
            assigned.push(Assigned { candidate: candidate.clone(), groups, plan, reserved });
        }
        Ok(Some(assigned))
    }

    /// Who may be asked for a group, in order; those who are known to be slow after the others. Who is asked
    /// besides somebody else may be turned away from: nobody through whom the session holds something.
    fn candidates(&self, session: SessionId, asking: &Asking, nth: usize) -> Vec<Candidate> {
        let group = &asking.groups[nth];
        let besides = asking.asked(nth).next().is_some();
        let needed = |peer: &Address| besides && self.holds_through(session, peer);
        let asked = |peer: &Address| asking.asks(peer) || group.was_refused_by(peer) || needed(peer);
        let shares = self.shares.iter();
        let shares = shares.filter(|(address, share)| {
            !asked(address) && self.may_serve(session, asking, group, (address, share))
        });
        let (slow, quick): (Vec<_>, Vec<_>) =
            shares.map(|(address, _)| address.clone()).partition(|address| self.slow.contains(address));
        let forward = self.forward.iter().filter(|peer| !asked(peer)).cloned().map(Candidate::Forward);
        let shares = quick.into_iter().chain(slow).map(Candidate::Share);
        [Candidate::Here].into_iter().chain(shares).chain(forward).collect()
    }

    /// Whether a share may serve a group, now or later.
    fn may_serve(
        &self,
        session: SessionId,
        asking: &Asking,
        group: &Group,
        (address, share): (&Address, &Share),
    ) -> bool {
        let came_through = share.broker.is_some_and(|broker| asking.via.contains(&broker));
        !came_through
            && !group.was_refused_by(address)
            && self.offers_workspaces(session, address, share, group)
    }

    /// Whether a share could make the workspaces of a group, or has those it names. (Specification 6.4.)
    fn offers_workspaces(&self, session: SessionId, address: &Address, share: &Share, group: &Group) -> bool {
        let held = |item: &Identity| {
            let far = self.sessions.get(&session).map_or(&[][..], |session| &session.far);
            far.iter().any(|far| far.peer == *address && far.item == *item)
        };
        let offers = |Request { kind, profile }: &Request| match self.kinds.identity(profile) {
            Some(item) => share.workspaces.contains_key(&item) || held(&item),
            None => share.generic.as_ref().is_some_and(|generic| kind.matches(profile, generic)),
        };
        group.requests.iter().filter(|request| request.kind.made_on_demand).all(offers)
    }

    /// What to tell a client whom nobody serves: `Busy` if that may change, a broken connection if it is
    /// not known, else `NoSuch`. For several groups `NoSuch` counts most. (Specification 5.6 and 5.9.)
    pub(crate) fn verdict(&self, session: SessionId, asking: &Asking) -> Refusal {
        let rank = |refusal: &Refusal| match &refusal.kind {
            RefusalKind::Busy => 0,
            RefusalKind::Driver(kind) if kind == "Exit" => 1,
            RefusalKind::NoSuch => 3,
            _ => 2,
        };
        let untried = |group: &Group| self.forward.as_ref().is_some_and(|peer| !group.was_refused_by(peer));
        let is_open = |nth| asking.asked(nth).next().is_none();
        let groups = asking.groups.iter().enumerate();
        let unserved = groups.filter(|(nth, group)| group.granted.is_none() && is_open(*nth));
        let unserved: Vec<_> = unserved.collect();
        let all_untried = unserved.iter().all(|(_, group)| untried(group));
        let is_judged =
            |group: &Group| if all_untried { !group.setbacks.is_empty() } else { !untried(group) };
        let judged = unserved.into_iter().filter(|(_, group)| is_judged(group));
        let verdicts = judged.map(|(nth, group)| {
            let known = self.known_elsewhere(session, asking, nth);
            let setbacks = group.setbacks.iter().map(|(_, setback)| refusal_of(setback));
            let here = self.impossible_here(session, group);
            let best = known.into_iter().chain(setbacks).chain([here]).min_by_key(rank);
            best.unwrap_or(asking.here.clone()).of_group(nth, asking.groups.len())
        });
        verdicts.max_by_key(rank).unwrap_or(asking.here.clone())
    }

    /// Why this broker does not serve a group.
    fn impossible_here(&self, session: SessionId, group: &Group) -> Refusal {
        match self.plan(session, std::slice::from_ref(&group.requests), 0) {
            Err(refusal) => refusal,
            Ok(_) => busy(&group.requests), // but not together with the others
        }
    }

    /// Whether some share could serve a group if everything were free, or were back in its list.
    fn known_elsewhere(&self, session: SessionId, asking: &Asking, nth: usize) -> Option<Refusal> {
        let group = &asking.groups[nth];
        if self.shares.iter().any(|(_, share)| group.requests.iter().any(|request| share.awaits(request))) {
            return Some(busy(&group.requests));
        }
        let wants = equipment_of(&group.requests);
        let mut shares = self.shares.iter();
        let knows = shares.any(|(address, share)| {
            let mut search = Search::of_share(&share.equipment, &self.equipment, session);
            self.may_serve(session, asking, group, (address, share))
                && matches!(search.next(&wants, Among::Known, None), Ok(Some(_)))
        });
        knows.then(|| busy(&group.requests))
    }
}

type Served = (Option<Plan>, Vec<Identity>);

impl Assigning<'_> {
    /// Depth first over the groups: what each gets when all take the first they can is tried first.
    fn first_combination(&mut self) -> Result<Option<Vec<Candidate>>, TooComplex> {
        let of = |group: &usize| self.core.candidates(self.session, self.asking, *group);
        let candidates: Vec<Vec<Candidate>> = self.groups.iter().map(of).collect();
        let mut chosen: Vec<usize> = Vec::new();
        let mut next = 0;
        while chosen.len() < candidates.len() {
            let at = chosen.len();
            let mut found = None;
            for nth in next..candidates[at].len() {
                let candidate = &candidates[at][nth];
                let before = (0..at).filter(|group| candidates[*group][chosen[*group]] == *candidate);
                let together: Vec<usize> = before.chain([at]).collect();
                self.steps.spend(1)?;
                if self.serve(candidate, &together)?.is_some() {
                    found = Some(nth);
                    break;
                }
            }
            match found {
                Some(nth) => {
                    chosen.push(nth);
                    next = 0;
                }
                None => match chosen.pop() {
                    Some(nth) => next = nth + 1,
                    None => return Ok(None),
                },
            }
        }
        Ok(Some(chosen.iter().zip(candidates).map(|(nth, of)| of[*nth].clone()).collect()))
    }

    /// What somebody would give for these groups together, as far as this broker knows.
    fn serve(&mut self, candidate: &Candidate, groups: &[usize]) -> Result<Option<Served>, TooComplex> {
        let core = self.core;
        let mut search = match candidate {
            Candidate::Here => Search::new(&core.equipment, self.session),
            Candidate::Share(address) => match core.shares.get(address) {
                Some(share) => Search::of_share(&share.equipment, &core.equipment, self.session),
                None => return Ok(None),
            },
            Candidate::Forward(_) => return Ok(Some(Served::default())),
        };
        search.steps = std::mem::take(&mut self.steps);
        let wants: Vec<&Wants> = groups.iter().map(|group| &self.wants[*group]).collect();
        let found = search.all(&wants);
        self.steps = std::mem::take(&mut search.steps);
        let Ok(choices) = found? else { return Ok(None) };
        if let Candidate::Share(address) = candidate {
            let Some(share) = core.shares.get(address) else { return Ok(None) };
            let pieces = choices.into_iter().flat_map(|choice| choice.pieces);
            let reserved: BTreeSet<Identity> =
                pieces.map(|id| share.equipment.item(id).identity.clone()).collect();
            return Ok(Some((None, Vec::from_iter(reserved))));
        }
        let mut names = Names::new(self.asking.nonce);
        let requests = groups.iter().map(|group| &self.asking.groups[self.groups[*group]].requests);
        let picks =
            requests.zip(choices).map(|(group, choice)| core.picks(self.session, group, choice, &mut names));
        Ok(picks.collect::<Result<_, Refusal>>().ok().map(|picks| (Some(Plan(picks)), Vec::new())))
    }
}

fn busy(requests: &[Request]) -> Refusal {
    let message = match requests {
        [request] => format!("all such equipment busy: {}", request.profile),
        _ => TOGETHER.to_owned(),
    };
    Refusal::new(RefusalKind::Busy, message)
}
