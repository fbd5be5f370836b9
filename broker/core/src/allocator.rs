//! Decides a request: plans on what is there, which may be refused, then commits, which cannot fail.
//! (Specification 5.2 to 5.8.)

use std::sync::Arc;

use ave_profile::{Kept, Profile, Refusal, RefusalKind, Rule, SessionId, Want};

use crate::Granted;
use crate::broker::Core;
use crate::equipment::{Hold, ItemId, Phase};
use crate::search::{Among, Choice, Request, Search, TooComplex, Wants};
use crate::workspaces::{Names, Workspace};

/// What a session gets, group by group in the order of its request.
pub(crate) struct Plan(pub(crate) Vec<Vec<Pick>>);

/// What one profile of a request gets.
pub(crate) struct Pick {
    granted: Granted,
    /// A piece's number and what it makes collateral; none for a workspace.
    piece: Option<(ItemId, Vec<ItemId>)>,
    /// Whether other requests are shown the same of it.
    is_usual: bool,
}

impl Core {
    /// What the session would get of this host's equipment.
    ///
    /// # Errors
    /// `Busy`, `NoSuch`, or `Exception` if the search exceeds its bound.
    pub(crate) fn plan(
        &self,
        session: SessionId,
        groups: &[Vec<Request>],
        nonce: u64,
    ) -> Result<Plan, Refusal> {
        let wants: Vec<Wants> = groups.iter().map(|group| equipment_of(group)).collect();
        let mut search = Search::new(&self.equipment, session);
        let mut names = Names::new(nonce);
        let without = match search.all(&Vec::from_iter(&wants))? {
            Err(without) => without,
            Ok(choices) => {
                let picks = groups
                    .iter()
                    .zip(choices)
                    .map(|(group, choice)| self.picks(session, group, choice, &mut names));
                match picks.collect() {
                    Ok(picks) => return Ok(Plan(picks)),
                    Err(_) => groups.len(),
                }
            }
        };
        if let Some(impossible) = self.impossible(groups, &wants, &mut search)? {
            return Err(impossible);
        }
        Err(self.busy(session, groups, &wants, without, &mut search)?)
    }

    /// Makes a plan true; what is granted by it, group by group.
    pub(crate) fn commit(&mut self, session: SessionId, plan: Plan) -> Vec<Vec<Granted>> {
        let mut groups = Vec::with_capacity(plan.0.len());
        for picks in plan.0 {
            let mut group = Vec::with_capacity(picks.len());
            for Pick { mut granted, piece, is_usual } in picks {
                if let Some((id, _)) = piece.as_ref().filter(|_| is_usual)
                    && let Some(known) = &mut self.equipment.item_mut(*id).known
                {
                    known.shown.get_or_insert_with(|| granted.profile.clone());
                }
                if !granted.again {
                    self.granted_last += 1;
                    granted.number = self.granted_last;
                    self.take(session, &granted, piece);
                }
                group.push(granted);
            }
            groups.push(group);
        }
        groups
    }

    fn take(&mut self, session: SessionId, granted: &Granted, piece: Option<(ItemId, Vec<ItemId>)>) {
        let (phase, number) = (Phase::Held, granted.number);
        let profile = granted.profile.clone();
        match piece {
            Some((id, collateral)) => {
                self.equipment.take(id, session, Hold { phase, granted: profile, collateral, number });
            }
            None => {
                let workspace = Workspace { profile, session, phase, number, fault: None };
                self.workspaces.add(granted.item.clone(), workspace);
            }
        }
        self.sessions.entry(session).or_default().hold(&granted.item);
    }

    /// The requested profiles with their types and defaults.
    pub(crate) fn requests(&self, want: Want) -> Result<Vec<Vec<Request>>, Refusal> {
        let request = |profile: Profile| {
            let Some(name) = profile.kind() else {
                return Err(Refusal::exception(format!("profile \"type\" field is missing: {profile}")));
            };
            let Some(kind) = self.kinds.get(name) else {
                return Err(Refusal::exception(format!("unknown profile type \"{name}\"")));
            };
            Ok(Request { kind: kind.clone(), profile: kind.with_defaults(profile) })
        };
        want.groups.into_iter().map(|group| group.into_iter().map(request).collect()).collect()
    }

    /// A group's chosen pieces and its workspaces, in the order of its profiles.
    pub(crate) fn picks(
        &self,
        session: SessionId,
        group: &[Request],
        choice: Choice,
        names: &mut Names,
    ) -> Result<Vec<Pick>, Refusal> {
        let mut pieces = choice.pieces.into_iter();
        let mut picks = Vec::with_capacity(group.len());
        for request in group {
            let piece = if request.kind.made_on_demand { None } else { pieces.next() };
            picks.push(match piece {
                Some(id) => self.piece(id, request),
                None => {
                    let granted = self.workspaces.plan(session, request, names)?;
                    Pick { granted, piece: None, is_usual: false }
                }
            });
        }
        Ok(picks)
    }

    fn piece(&self, id: ItemId, request: &Request) -> Pick {
        let Request { kind, profile } = request;
        let item = self.equipment.item(id);
        let known = item.known.as_ref().expect("only known pieces are chosen");
        let is_usual = names_nothing_else(request);
        let shown = match &known.shown {
            Some(shown) if is_usual => shown.clone(),
            _ => match kind.granted(profile, &known.profile, Kept::Reduced) {
                all if all == *known.profile => known.profile.clone(),
                some => Arc::new(some),
            },
        };
        let item = item.identity.clone();
        let granted =
            Granted { item, profile: shown, known: known.profile.clone(), again: false, at: None, number: 0 };
        Pick { granted, piece: Some((id, self.equipment.entangled(id))), is_usual }
    }

    /// Why some group could not be served even with everything free, if so.
    fn impossible(
        &self,
        groups: &[Vec<Request>],
        wants: &[Wants],
        search: &mut Search,
    ) -> Result<Option<Refusal>, TooComplex> {
        for (nth, (group, wants)) in groups.iter().zip(wants).enumerate() {
            if search.next(wants, Among::Known, None)?.is_none() {
                let message = match wants.requests.as_slice() {
                    [request] => format!("no such resource: {}", request.profile),
                    _ => TOGETHER.to_owned(),
                };
                let refusal = Refusal::new(RefusalKind::NoSuch, message);
                return Ok(Some(refusal.of_group(nth, groups.len())));
            }
            let mut workspaces = group.iter().filter(|request| request.kind.made_on_demand);
            if let Some(refusal) = workspaces.find_map(|request| self.workspaces.impossible(request)) {
                return Ok(Some(refusal.of_group(nth, groups.len())));
            }
        }
        Ok(None)
    }

    /// What is taken: what the first group that cannot be served alone lacks, or else the group that goes
    /// without when the others are served.
    fn busy(
        &self,
        session: SessionId,
        groups: &[Vec<Request>],
        wants: &[Wants],
        without: usize,
        search: &mut Search,
    ) -> Result<Refusal, TooComplex> {
        let busy = |message| Refusal::new(RefusalKind::Busy, message);
        for (nth, (group, wants)) in groups.iter().zip(wants).enumerate() {
            if search.next(wants, Among::Eligible, None)?.is_none() {
                let refusal = busy(match wants.requests.as_slice() {
                    [_] if search.next(wants, Among::Free, None)?.is_some() => ENTANGLED.to_owned(),
                    [request] => format!("all such equipment busy: {}", request.profile),
                    _ => TOGETHER.to_owned(),
                });
                return Ok(refusal.of_group(nth, groups.len()));
            }
            let mut names = Names::new(0);
            let mut workspaces = group.iter().filter(|request| request.kind.made_on_demand);
            if let Some(refusal) =
                workspaces.find_map(|request| self.workspaces.plan(session, request, &mut names).err())
            {
                return Ok(refusal.of_group(nth, groups.len()));
            }
        }
        let wanted = wants.get(without).and_then(|wants| wants.requests.first());
        Ok(busy(
            wanted
                .map_or(TOGETHER.to_owned(), |wanted| format!("all such equipment busy: {}", wanted.profile)),
        ))
    }
}

pub(crate) const TOGETHER: &str = "cannot allocate all equipment together";
const ENTANGLED: &str = "equipment shares collateral with a prior allocation";

/// Whether a request names only what a grant shows of every piece, and all of it.
fn names_nothing_else(Request { kind, profile }: &Request) -> bool {
    profile.keys().all(|name| {
        let is_shown = name == "type"
            || *name == kind.identity
            || kind.kept.contains(name)
            || kind.defaults.contains_key(name);
        is_shown && kind.rule(name) == Rule::Equal
    })
}

pub(crate) fn equipment_of(group: &[Request]) -> Wants<'_> {
    Wants::new(group.iter().filter(|request| !request.kind.made_on_demand).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Event, Moment, Source};
    use ave_profile::{BrokerId, KindTable};
    use serde_json::{Value as Json, json};

    const SESSION: SessionId = SessionId(1);

    fn lab(pieces: impl IntoIterator<Item = Json>, stacks: Vec<Vec<Json>>) -> Core {
        let mut core = Core::new(KindTable::builtin(), BrokerId(1));
        let profiles = pieces.into_iter().map(Profile::of).collect();
        let stacks = stacks.into_iter().map(|stack| stack.into_iter().map(Profile::of).collect()).collect();
        for event in [
            Event::Reported { source: Source::File, profiles, request: None },
            Event::StacksSet { stacks },
            Event::SessionOpened { session: SESSION },
        ] {
            core.apply(Moment::default(), event);
        }
        core.check();
        core
    }

    fn wlan(uid: &str, pretty: &str) -> Json {
        json!({"type": "wlan", "uid": uid, "pretty": pretty})
    }

    fn plan(core: &Core, groups: Vec<Vec<Json>>) -> Result<Vec<String>, Refusal> {
        let groups = groups.into_iter().map(|group| group.into_iter().map(Profile::of).collect()).collect();
        let plan = core.plan(SESSION, &core.requests(Want { groups })?, 0)?;
        Ok(plan.0.iter().flatten().map(|pick| pick.granted.item.value.to_string()).collect())
    }

    /// Stacks of five equal pieces each.
    fn fives(stacks: usize) -> Core {
        let piece = |nth: usize| wlan(&nth.to_string(), "w");
        let stacks =
            (0..stacks).map(|stack| (stack * 5..stack * 5 + 5).map(piece).collect()).collect::<Vec<_>>();
        lab(stacks.concat(), stacks)
    }

    #[test]
    fn as_many_groups_as_there_may_be_are_decided_within_the_bound() {
        let wants = || vec![vec![json!({"type": "wlan"})]; 15];
        let with_one_more =
            |pretty| [wants(), vec![vec![json!({"type": "wlan", "pretty": pretty})]]].concat();
        assert_eq!(plan(&fives(16), with_one_more("w")).unwrap().len(), 16);
        let refusal = plan(&fives(15), with_one_more("w")).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Busy);
        assert!(refusal.message.starts_with("all such equipment busy: "), "{refusal}");
        let pairs = |stacks| plan(&fives(stacks), vec![vec![json!({"type": "wlan"}); 2]; 16]);
        assert_eq!(pairs(16).unwrap().len(), 32);
        assert_eq!(pairs(15).unwrap_err().kind, RefusalKind::Busy);
    }

    #[test]
    fn an_earlier_group_makes_room_for_a_later_one() {
        let stacks = vec![vec![wlan("a", "x"), wlan("b", "y")]];
        let core = lab([wlan("a", "x"), wlan("b", "y"), wlan("c", "z")], stacks);
        let any = || json!({"type": "wlan"});
        assert_eq!(plan(&core, vec![vec![any()], vec![any(), any()]]).unwrap(), ["c", "a", "b"]);
        let two = || vec![json!({"type": "wlan"}); 2];
        let second = vec![json!({"type": "wlan", "uid": "2"})];
        let expected = ["5", "6", "10", "11", "2"];
        assert_eq!(plan(&fives(3), vec![two(), two(), second.clone()]).unwrap(), expected);
        let busy = plan(&fives(2), vec![two(), two(), second]).unwrap_err();
        assert!(busy.message.starts_with("all such equipment busy: {\"type\":\"wlan\",\"uid\""), "{busy}");
    }

    #[test]
    fn beyond_the_bound_nothing_is_said_about_the_equipment() {
        // p and q are in each other's way, which shows only when both are tried, with every pair of others.
        let others = (0..600).map(|nth| wlan(&nth.to_string(), if nth < 300 { "even" } else { "odd" }));
        let (p, q) = (wlan("p", "p"), wlan("q", "q"));
        let stacks = vec![
            vec![p.clone(), wlan("y", "y")],
            vec![q.clone(), wlan("z", "z")],
            vec![p.clone(), q.clone()],
        ];
        let core = lab(others.chain([p, q]), stacks);
        let wants = ["even", "odd", "p", "q"].map(|pretty| vec![json!({"type": "wlan", "pretty": pretty})]);
        assert_eq!(plan(&core, wants.to_vec()), Err(Refusal::exception("request too complex")));
    }
}
