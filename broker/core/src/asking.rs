//! Requests that this broker alone does not serve: other brokers are asked, all at once, and the request
//! goes on with each answer. All of it is granted or nothing; nobody waits for equipment while holding some.
//! (Specification 5.6 and 5.9.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ave_profile::{Address, AskId, Identity, Profile, Refusal, RefusalKind, SessionId};

use crate::broker::Core;
use crate::candidates::{Assigned, Candidate};
use crate::pending::{Ask, Asking};
use crate::search::TooComplex;
use crate::sessions::Far;
use crate::{Effect, Granted, Setback};

/// How old a request may be when yet another broker is asked. An edge gives up a broker after 3 s, and clients
/// of the original kind wait 5 s in all.
const ASK_WITHIN: Duration = Duration::from_millis(1500);

impl Core {
    /// Begins to ask others for what is not here.
    pub(crate) fn ask_around(&mut self, session: SessionId, mut asking: Asking) -> Vec<Effect> {
        let all = Vec::from_iter(0..asking.groups.len());
        match self.place(session, &mut asking, &all) {
            Ok(Some(effects)) => self.go_on(session, asking, effects),
            Ok(None) => self.give_up(session, asking, None),
            Err(TooComplex) => self.give_up(session, asking, Some(TooComplex.into())),
        }
    }

    /// Another broker has answered.
    pub(crate) fn peer_answered(
        &mut self,
        session: SessionId,
        ask: AskId,
        outcome: Result<Vec<Vec<Profile>>, Setback>,
    ) -> Vec<Effect> {
        let Some((mut asking, ask)) = self.take_ask(session, ask) else { return Vec::new() };
        if !matches!(outcome, Err(Setback::Unreachable(_))) {
            self.slow.remove(&ask.peer);
        }
        let served = outcome.and_then(|groups| self.served(session, &asking, &ask, groups));
        match served {
            Ok(groups) => {
                self.accept(session, &mut asking, &ask, groups);
                self.settle(session, asking, Vec::new())
            }
            Err(setback) => {
                self.release_reserved(session, &ask);
                let stays = setback == Setback::Restarting;
                let spent = !stays && self.holds_through(session, &ask.peer);
                let blamed = asking.set_back(&ask, &setback);
                if spent {
                    // What it held there is gone with the session it had there.
                    let verdict = Some(self.verdict(session, &asking));
                    let busy = verdict.filter(|verdict| verdict.kind == RefusalKind::Busy);
                    let why = busy.unwrap_or_else(|| match blamed {
                        Some(group) => refusal_of(&setback).of_group(group, asking.groups.len()),
                        None => refusal_of(&setback),
                    });
                    return self.give_up(session, asking, Some(why));
                }
                let effects = match &setback {
                    Setback::Refused(_) | Setback::Restarting => Vec::new(),
                    Setback::Unreachable(_) => vec![Effect::HangUp { session, peer: ask.peer.clone() }],
                };
                self.try_others(session, asking, effects)
            }
        }
    }

    /// Another broker is slow: whoever else could serve the same is asked too, unless the session holds
    /// something there, which it would lose by turning away.
    pub(crate) fn peer_slow(&mut self, session: SessionId, ask: AskId) -> Vec<Effect> {
        let Some((mut asking, mut asked)) = self.take_ask(session, ask) else { return Vec::new() };
        asked.slow = true;
        if self.shares.get(&asked.peer).is_some() {
            self.slow.insert(asked.peer.clone());
        }
        let (groups, committed) = (asked.groups.clone(), self.holds_through(session, &asked.peer));
        asking.asks.insert(ask, asked);
        let mut effects = Vec::new();
        if !committed
            && asking.is_held_up(&groups)
            && let Ok(Some(placed)) = self.place(session, &mut asking, &groups)
        {
            effects = placed;
        }
        self.settle(session, asking, effects)
    }

    fn take_ask(&mut self, session: SessionId, ask: AskId) -> Option<(Asking, Ask)> {
        let asking = &mut self.sessions.get_mut(&session)?.asking;
        let asked = asking.as_mut()?.asks.remove(&ask)?;
        Some((*asking.take()?, asked))
    }

    pub(crate) fn holds_through(&self, session: SessionId, peer: &Address) -> bool {
        self.sessions.get(&session).is_some_and(|session| session.holds_through(peer))
    }

    /// An answer in the terms of the question; nonsense is as good as no answer.
    fn served(
        &self,
        session: SessionId,
        asking: &Asking,
        ask: &Ask,
        answered: Vec<Vec<Profile>>,
    ) -> Result<Vec<Vec<Granted>>, Setback> {
        let nonsense = |what: String| Setback::Unreachable(format!("{} answered nonsense: {what}", ask.peer));
        if answered.len() != ask.groups.len() {
            return Err(nonsense(format!("{} groups for {}", answered.len(), ask.groups.len())));
        }
        let held = self.sessions.get(&session).map_or(&[][..], |session| &session.far);
        let mut groups: Vec<Vec<Granted>> = Vec::with_capacity(answered.len());
        for (profiles, group) in answered.into_iter().zip(&ask.groups) {
            let requests = &asking.groups[*group].requests;
            if profiles.len() != requests.len() {
                return Err(nonsense(format!("{} pieces for {}", profiles.len(), requests.len())));
            }
            let mut granted: Vec<Granted> = Vec::with_capacity(profiles.len());
            for (profile, request) in profiles.into_iter().zip(requests) {
                let item = self.kinds.identity(&profile).filter(|item| item.kind == request.kind.name);
                let item = item.ok_or_else(|| nonsense(format!("not a {}: {profile}", request.kind.name)))?;
                let mine = |other: &Granted| other.item == item;
                let twice = granted.iter().chain(groups.iter().flatten()).any(mine);
                if twice && !request.kind.made_on_demand {
                    return Err(nonsense(format!("{item} twice")));
                }
                let again = twice || held.iter().any(|far| far.item == item && far.peer == ask.peer);
                let profile = Arc::new(profile);
                let at = Some(ask.peer.clone());
                granted.push(Granted { item, known: profile.clone(), profile, again, at, number: 0 });
            }
            groups.push(granted);
        }
        Ok(groups)
    }

    /// Takes what another broker has lent.
    fn accept(&mut self, session: SessionId, asking: &mut Asking, ask: &Ask, groups: Vec<Vec<Granted>>) {
        self.release_reserved(session, ask);
        for (granted, group) in groups.into_iter().zip(&ask.groups) {
            for piece in granted.iter().filter(|piece| !piece.again) {
                self.shares.take(&self.kinds, &ask.peer, session, piece);
                let (item, granted) = (piece.item.clone(), piece.profile.clone());
                let far = Far { peer: ask.peer.clone(), item, granted };
                self.sessions.entry(session).or_default().hold_far(far);
            }
            asking.groups[*group].granted = Some(granted);
        }
    }

    /// Turns away from everybody who is being asked for what somebody has granted meanwhile, and goes on. With
    /// the link goes all that was asked over it, and what has been granted over it.
    fn settle(&mut self, session: SessionId, mut asking: Asking, mut effects: Vec<Effect>) -> Vec<Effect> {
        let groups = &asking.groups;
        let useless = |ask: &Ask| ask.groups.iter().any(|group| groups[*group].granted.is_some());
        let late = asking.asks.values().filter(|ask| useless(ask)).map(|ask| ask.peer.clone());
        let late: BTreeSet<Address> = late.collect();
        let unanswered = asking.asks.extract_if(.., |_, ask| late.contains(&ask.peer));
        for ask in unanswered.map(|(_, ask)| ask).collect::<Vec<_>>() {
            self.release_reserved(session, &ask);
            asking.set_back(&ask, &Setback::Unreachable(format!("{} was slow", ask.peer)));
        }
        if late.iter().any(|peer| self.holds_through(session, peer)) {
            return self.give_up(session, asking, None);
        }
        effects.extend(late.into_iter().map(|peer| Effect::HangUp { session, peer }));
        self.try_others(session, asking, effects)
    }

    /// Asks somebody else for groups that nobody serves yet, or gives up.
    fn try_others(
        &mut self,
        session: SessionId,
        mut asking: Asking,
        mut effects: Vec<Effect>,
    ) -> Vec<Effect> {
        let open = asking.open();
        match self.place(session, &mut asking, &open) {
            Ok(Some(placed)) => {
                effects.extend(placed);
                self.go_on(session, asking, effects)
            }
            Ok(None) if self.is_worth_waiting(session, &asking, &open) => {
                self.go_on(session, asking, effects)
            }
            Ok(None) => self.give_up(session, asking, None),
            Err(TooComplex) => self.give_up(session, asking, Some(TooComplex.into())),
        }
    }

    /// Whether somebody could serve these groups who is still being asked about others.
    fn is_worth_waiting(&self, session: SessionId, asking: &Asking, groups: &[usize]) -> bool {
        if asking.asks.is_empty() || self.is_late(asking) {
            return false;
        }
        let answered = Asking { asks: BTreeMap::new(), ..asking.clone() };
        matches!(self.assign(session, &answered, groups), Ok(Some(_)))
    }

    /// Whether a request is too old for asking anybody else.
    fn is_late(&self, asking: &Asking) -> bool {
        self.now.0.saturating_sub(asking.since.0) > ASK_WITHIN
    }

    /// Grants the request if all of it is there; else it goes on with the next answer.
    fn go_on(&mut self, session: SessionId, mut asking: Asking, mut effects: Vec<Effect>) -> Vec<Effect> {
        if asking.groups.iter().any(|group| group.granted.is_none()) {
            self.sessions.entry(session).or_default().asking = Some(Box::new(asking));
            return effects;
        }
        let groups = asking.groups.iter_mut().filter_map(|group| group.granted.take()).collect();
        effects.push(Effect::Grant { session, request: asking.request, groups });
        effects
    }

    /// Refuses the request, and ends the session with it, unless only a restart is in the way.
    fn give_up(&mut self, session: SessionId, asking: Asking, why: Option<Refusal>) -> Vec<Effect> {
        if asking.meets_a_restart() && asking.asks.values().all(|ask| !self.holds_through(session, &ask.peer))
        {
            return self.withdraw(session, asking);
        }
        let request = asking.request;
        let refusal = why.unwrap_or_else(|| self.verdict(session, &asking));
        for ask in asking.asks.values() {
            self.release_reserved(session, ask);
        }
        let mut effects = self.end(session);
        effects.push(Effect::Refuse { session, request, refusal });
        effects
    }

    /// Gives back what the request has been granted so far, and nothing else: the session stays.
    fn withdraw(&mut self, session: SessionId, asking: Asking) -> Vec<Effect> {
        let mut effects = Vec::new();
        for ask in asking.asks.into_values() {
            self.release_reserved(session, &ask);
            effects.push(Effect::HangUp { session, peer: ask.peer });
        }
        let granted = asking.groups.into_iter().filter_map(|group| group.granted).flatten();
        let granted: BTreeSet<Identity> =
            granted.filter(|granted| !granted.again).map(|granted| granted.item).collect();
        effects.extend(self.take_back(session, &granted));
        effects.push(Effect::Refuse { session, request: asking.request, refusal: Refusal::restarting() });
        effects
    }

    /// Finds somebody for each of these groups and takes or asks. `None` if there is nobody, or no time.
    fn place(
        &mut self,
        session: SessionId,
        asking: &mut Asking,
        groups: &[usize],
    ) -> Result<Option<Vec<Effect>>, TooComplex> {
        if !groups.is_empty() && self.is_late(asking) {
            return Ok(None);
        }
        let Some(assigned) = self.assign(session, asking, groups)? else { return Ok(None) };
        let mut effects = Vec::new();
        for Assigned { candidate, groups, plan, reserved } in assigned {
            let peer = match candidate {
                Candidate::Here => {
                    let granted = plan.map(|plan| self.commit(session, plan)).unwrap_or_default();
                    for (group, granted) in groups.into_iter().zip(granted) {
                        asking.groups[group].granted = Some(granted);
                    }
                    continue;
                }
                Candidate::Share(peer) | Candidate::Forward(peer) => peer,
            };
            let reserved = self.shares.reserve(&peer, session, reserved);
            let profiles = |group: &usize| {
                let requests = &asking.groups[*group].requests;
                requests.iter().map(|request| request.profile.clone()).collect()
            };
            self.asked_last += 1;
            let ask = AskId(self.asked_last);
            effects.push(Effect::AskPeer {
                session,
                ask,
                peer: peer.clone(),
                groups: groups.iter().map(profiles).collect(),
                via: asking.via.iter().copied().chain([self.id]).collect(),
            });
            asking.asks.insert(ask, Ask { peer, groups, reserved, slow: false });
        }
        Ok(Some(effects))
    }

    /// What a question reserved can be had by others again.
    pub(crate) fn release_reserved(&mut self, session: SessionId, ask: &Ask) {
        for item in &ask.reserved {
            self.shares.release(&ask.peer, session, item);
        }
    }
}

/// What a client hears of a setback. (Specification 5.9.)
pub(crate) fn refusal_of(setback: &Setback) -> Refusal {
    match setback {
        Setback::Refused(refusal) => refusal.clone(),
        Setback::Restarting => Refusal::restarting(),
        Setback::Unreachable(why) => {
            let kind = RefusalKind::Driver("Exit".to_owned());
            Refusal::new(kind, format!("Broker connection failed: {why}"))
        }
    }
}
