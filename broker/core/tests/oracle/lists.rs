//! What a look at the naive broker's lists shows, and what is free.

use ave_profile::{Allocations, Identity, Profile, SessionId};

use crate::naive::{Naive, State};

impl Naive {
    pub(crate) fn identity(&self, profile: &Profile) -> Option<Identity> {
        self.kinds.identity(profile)
    }

    pub(crate) fn is_open(&self, session: SessionId) -> bool {
        self.sessions.iter().any(|(id, _)| *id == session)
    }

    /// Equipment with a record, in the order of the list.
    pub(crate) fn known(&self) -> Vec<Identity> {
        self.records.iter().map(|record| record.item.clone()).collect()
    }

    pub(crate) fn available(&self) -> Vec<Identity> {
        self.known().into_iter().filter(|item| self.has_room(item)).collect()
    }

    /// Workspaces that exist.
    pub(crate) fn workspaces(&self) -> Vec<Identity> {
        let held = self.holds.iter().filter(|hold| hold.workspace.is_some()).map(|hold| &hold.item);
        let broken = self.faults.iter().filter(|fault| fault.workspace.is_some()).map(|fault| &fault.item);
        held.chain(broken).cloned().collect()
    }

    /// What is listed as broken, and why.
    pub(crate) fn broken(&self) -> Vec<(Identity, String)> {
        let listed = [self.known(), sorted(self.workspaces())].concat();
        let fault = |item: Identity| {
            let fault = self.faults.iter().find(|fault| fault.item == item)?;
            Some((item, fault.reason.clone()))
        };
        listed.into_iter().filter_map(fault).collect()
    }

    /// What a session holds, or all sessions.
    pub(crate) fn allocations(&self, of: Option<SessionId>) -> Vec<Identity> {
        let held = self.holds.iter().filter(|hold| hold.state == State::Held);
        held.filter(|hold| of.is_none_or(|of| of == hold.session)).map(|hold| hold.item.clone()).collect()
    }

    /// What nobody can have because of what a session holds, or all sessions.
    pub(crate) fn collateral(&self, of: Option<SessionId>) -> Vec<Identity> {
        let holds = self
            .holds
            .iter()
            .filter(|hold| of.is_none_or(|of| (of, State::Held) == (hold.session, hold.state)));
        let faults = self.faults.iter().filter(|_| of.is_none());
        let entangled = holds.map(|hold| &hold.entangled).chain(faults.map(|fault| &fault.entangled));
        let mut items: Vec<Identity> = entangled.flatten().cloned().collect();
        items.retain(|item| !self.is_taken(item));
        items.sort();
        items.dedup();
        items
    }

    pub(crate) fn stacks(&self) -> Vec<Vec<Identity>> {
        let identities =
            |stack: &Vec<Profile>| stack.iter().filter_map(|short| self.kinds.identity(short)).collect();
        self.stacks.iter().map(identities).collect()
    }

    /// All other members of all stacks with this piece.
    pub(crate) fn entangled(&self, item: &Identity) -> Vec<Identity> {
        let stacks = self.stacks().into_iter().filter(|stack| stack.contains(item));
        stacks.flatten().filter(|other| other != item).collect()
    }

    /// Somebody has it, or broke it.
    pub(crate) fn is_taken(&self, item: &Identity) -> bool {
        self.holds.iter().any(|hold| hold.item == *item) || self.is_broken(item)
    }

    fn is_broken(&self, item: &Identity) -> bool {
        self.faults.iter().any(|fault| fault.item == *item)
    }

    /// It is whole and nobody's collateral, and fewer have it than may.
    fn has_room(&self, item: &Identity) -> bool {
        let holders = self.holds.iter().filter(|hold| hold.item == *item).count();
        let room = match self.kinds.get(&item.kind).unwrap().allocations {
            Allocations::AtMost(most) => holders < most.get() as usize,
            Allocations::Unlimited(_) => true,
        };
        let entangled = self.holds.iter().map(|hold| &hold.entangled);
        let mut entangled = entangled.chain(self.faults.iter().map(|fault| &fault.entangled));
        room && !self.is_broken(item) && !entangled.any(|entangled| entangled.contains(item))
    }

    /// As far as it alone is concerned, this session could have it, and has not yet.
    pub(crate) fn is_free_for(&self, session: SessionId, item: &Identity) -> bool {
        let mine = self.holds.iter().any(|hold| (hold.session, &hold.item) == (session, item));
        self.has_room(item) && !mine
    }

    pub(crate) fn fits(&self, request: &Profile, item: &Identity) -> bool {
        let kind = self.kinds.get(request.kind().unwrap()).unwrap();
        self.records.iter().any(|record| record.item == *item && kind.matches(request, &record.profile))
    }

    pub(crate) fn profile(&self, item: &Identity) -> Option<&Profile> {
        let records = self.records.iter().find(|record| record.item == *item).map(|record| &record.profile);
        let holds = || self.holds.iter().find(|hold| hold.item == *item)?.workspace.as_ref();
        let faults = || self.faults.iter().find(|fault| fault.item == *item)?.workspace.as_ref();
        records.or_else(holds).or_else(faults)
    }
}

fn sorted(mut items: Vec<Identity>) -> Vec<Identity> {
    items.sort();
    items
}
