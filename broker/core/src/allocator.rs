//! Decides a request: plans on what is there, which may be refused, then commits, which cannot fail.
//! (Specification 5.2 to 5.8.)

use std::sync::Arc;

use ave_profile::{Kept, Profile, Refusal, RefusalKind, RequestId, SessionId, Want};

use crate::broker::Core;
use crate::equipment::{Hold, ItemId, Phase};
use crate::search::{Among, Choice, Request, Search, TooComplex, Wants};
use crate::workspaces::{Names, Workspace};
use crate::{Effect, Granted};

/// What a session gets, group by group in the order of its request.
pub(crate) struct Plan(Vec<Vec<Pick>>);

/// What one profile of a request gets.
struct Pick {
    granted: Granted,
    /// A piece's number and what it makes collateral; none for a workspace.
    piece: Option<(ItemId, Vec<ItemId>)>,
}

impl Core {
    /// What the session would get.
    ///
    /// # Errors
    /// `Busy`, `NoSuch`, or `Exception` if the request is not valid or its search exceeds its bound.
    pub(crate) fn plan(&self, session: SessionId, want: Want, nonce: u64) -> Result<Plan, Refusal> {
        let groups = self.requests(want)?;
        let wants: Vec<Wants> = groups.iter().map(|group| equipment_of(group)).collect();
        let mut search = Search::new(&self.equipment);
        let mut names = Names::new(nonce);
        let without = match search.all(&wants)? {
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
        if let Some(impossible) = self.impossible(&groups, &wants, &mut search)? {
            return Err(impossible);
        }
        Err(self.busy(session, &groups, &wants, without, &mut search)?)
    }

    /// Makes a plan true.
    pub(crate) fn commit(&mut self, session: SessionId, request: RequestId, plan: Plan) -> Effect {
        let mut groups = Vec::with_capacity(plan.0.len());
        for picks in plan.0 {
            let mut group = Vec::with_capacity(picks.len());
            for Pick { granted, piece } in picks {
                if !granted.again {
                    self.take(session, &granted, piece);
                }
                group.push(granted);
            }
            groups.push(group);
        }
        Effect::Grant { session, request, groups }
    }

    fn take(&mut self, session: SessionId, granted: &Granted, piece: Option<(ItemId, Vec<ItemId>)>) {
        let phase = Phase::Held;
        let profile = granted.profile.clone();
        match piece {
            Some((id, collateral)) => {
                self.equipment.take(id, Hold { session, phase, granted: profile, collateral });
            }
            None => {
                self.workspaces.made.insert(granted.item.clone(), Workspace { profile, session, phase });
            }
        }
        self.sessions.entry(session).or_default().hold(&granted.item);
    }

    /// The requested profiles with their types and defaults.
    fn requests(&self, want: Want) -> Result<Vec<Vec<Request>>, Refusal> {
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
    fn picks(
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
                None => Pick { granted: self.workspaces.plan(session, request, names)?, piece: None },
            });
        }
        Ok(picks)
    }

    fn piece(&self, id: ItemId, Request { kind, profile }: &Request) -> Pick {
        let item = self.equipment.item(id);
        let known = item.profile().cloned().unwrap_or_default();
        let shown = Arc::new(kind.granted(profile, &known, Kept::Reduced));
        let granted = Granted { item: item.identity.clone(), profile: shown, known, again: false };
        Pick { granted, piece: Some((id, self.equipment.entangled(id))) }
    }

    /// Why some group could not be served even with everything free, if so.
    fn impossible(
        &self,
        groups: &[Vec<Request>],
        wants: &[Wants],
        search: &mut Search,
    ) -> Result<Option<Refusal>, TooComplex> {
        for (group, wants) in groups.iter().zip(wants) {
            if search.next(wants, Among::Known, None)?.is_none() {
                let message = match wants.requests.as_slice() {
                    [request] => format!("no such resource: {}", request.profile),
                    _ => TOGETHER.to_owned(),
                };
                return Ok(Some(Refusal::new(RefusalKind::NoSuch, message)));
            }
            let mut workspaces = group.iter().filter(|request| request.kind.made_on_demand);
            if let Some(refusal) = workspaces.find_map(|request| self.workspaces.impossible(request)) {
                return Ok(Some(refusal));
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
        for (group, wants) in groups.iter().zip(wants) {
            if search.next(wants, Among::Eligible, None)?.is_none() {
                return Ok(busy(match wants.requests.as_slice() {
                    [_] if search.next(wants, Among::Free, None)?.is_some() => ENTANGLED.to_owned(),
                    [request] => format!("all such equipment busy: {}", request.profile),
                    _ => TOGETHER.to_owned(),
                }));
            }
            let mut names = Names::new(0);
            let mut workspaces = group.iter().filter(|request| request.kind.made_on_demand);
            if let Some(refusal) =
                workspaces.find_map(|request| self.workspaces.plan(session, request, &mut names).err())
            {
                return Ok(refusal);
            }
        }
        let wanted = wants.get(without).and_then(|wants| wants.requests.first());
        Ok(busy(
            wanted
                .map_or(TOGETHER.to_owned(), |wanted| format!("all such equipment busy: {}", wanted.profile)),
        ))
    }
}

const TOGETHER: &str = "cannot allocate all equipment together";
const ENTANGLED: &str = "equipment shares collateral with a prior allocation";

fn equipment_of(group: &[Request]) -> Wants<'_> {
    Wants::new(group.iter().filter(|request| !request.kind.made_on_demand).collect())
}
