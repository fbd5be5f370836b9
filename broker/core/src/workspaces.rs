//! Pieces that are made when somebody asks for one and gone when it is given back. They are never
//! stacked and nobody's collateral. (Specification 5.8.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ave_profile::{Identity, Kept, Kind, Profile, Refusal, RefusalKind, SessionId, Value};

use crate::Granted;
use crate::equipment::{Fault, Phase};
use crate::search::Request;

/// How many names there are for a workspace.
const NAMES: u64 = 10_000_000_000;

/// One workspace.
#[derive(Clone, Debug)]
pub(crate) struct Workspace {
    pub(crate) profile: Arc<Profile>,
    /// Who has it, or left it broken.
    pub(crate) session: SessionId,
    pub(crate) phase: Phase,
    /// Its grant's.
    pub(crate) number: u64,
    /// Why it still exists although it was closed.
    pub(crate) fault: Option<Box<Fault>>,
}

impl Workspace {
    /// How far it is from being gone, if this session has it.
    pub(crate) fn held_by(&self, session: SessionId) -> Option<Phase> {
        (self.session == session && self.fault.is_none()).then_some(self.phase)
    }
}

/// What workspaces are made from, and those that exist.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workspaces {
    pub(crate) generic: Option<Profile>,
    pub(crate) made: BTreeMap<Identity, Workspace>,
    /// What has changed since somebody last asked.
    pub(crate) touched: Vec<Identity>,
}

/// Names for the new workspaces of one request.
pub(crate) struct Names {
    state: u64,
    given: BTreeSet<Identity>,
}

impl Names {
    pub(crate) fn new(nonce: u64) -> Names {
        Names { state: nonce, given: BTreeSet::new() }
    }

    /// Ten digits. (SplitMix64: every state comes once, so this reaches all names.)
    fn digits(&mut self) -> String {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        format!("{:010}", (z ^ z >> 31) % NAMES)
    }
}

impl Workspaces {
    /// Why no session could ever get this, if so.
    pub(crate) fn impossible(&self, request: &Request) -> Option<Refusal> {
        let Request { kind, profile } = request;
        let template = match named(request) {
            Some(identity) => self.made.get(&identity).map(|workspace| &*workspace.profile),
            None => self.generic.as_ref(),
        };
        let possible = template.is_some_and(|template| kind.matches(profile, template));
        (!possible).then(|| Refusal::new(RefusalKind::NoSuch, format!("no such workspace: {profile}")))
    }

    /// What a session would get for this: a new workspace, or one it has already.
    ///
    /// # Errors
    /// `NoSuch` if nothing matches, `Busy` if the named one is another session's or not usable any more.
    pub(crate) fn plan(
        &self,
        session: SessionId,
        request: &Request,
        names: &mut Names,
    ) -> Result<Granted, Refusal> {
        if let Some(refusal) = self.impossible(request) {
            return Err(refusal);
        }
        let Request { kind, profile } = request;
        let Some((item, workspace)) = named(request).and_then(|item| self.made.get_key_value(&item)) else {
            return Ok(self.new_one(kind, names));
        };
        if workspace.held_by(session) != Some(Phase::Held) {
            let message = format!("resource already allocated: {profile}");
            return Err(Refusal::new(RefusalKind::Busy, message));
        }
        Ok(Granted {
            item: item.clone(),
            profile: Arc::new(kind.granted(profile, &workspace.profile, Kept::Reduced)),
            known: workspace.profile.clone(),
            again: true,
            at: None,
            number: workspace.number,
        })
    }

    /// A new one is there.
    pub(crate) fn add(&mut self, item: Identity, workspace: Workspace) {
        self.touched.push(item.clone());
        self.made.insert(item, workspace);
    }

    /// One is gone.
    pub(crate) fn remove(&mut self, item: &Identity) {
        self.touched.push(item.clone());
        self.made.remove(item);
    }

    /// One that could not be closed stays, for this reason.
    pub(crate) fn fail(&mut self, item: &Identity, reason: String) {
        self.touched.push(item.clone());
        if let Some(workspace) = self.made.get_mut(item) {
            workspace.fault = Some(Box::new(Fault { reason, ..Fault::default() }));
        }
    }

    fn new_one(&self, kind: &Kind, names: &mut Names) -> Granted {
        let mut profile = self.generic.clone().unwrap_or_default();
        let pretty = profile.get("pretty").and_then(Value::as_str).filter(|pretty| !pretty.is_empty());
        let item = loop {
            let digits = names.digits();
            let uid = pretty.map_or(digits.clone(), |pretty| format!("{pretty}-{digits}"));
            let item = Identity { kind: kind.name.clone(), value: uid.into() };
            if !self.made.contains_key(&item) && names.given.insert(item.clone()) {
                break item;
            }
        };
        profile.0.insert(kind.identity.clone(), Value::from(&*item.value));
        let known = Arc::new(profile);
        Granted {
            item,
            profile: Arc::new(kind.granted(&known, &known, Kept::All)),
            known,
            again: false,
            at: None,
            number: 0,
        }
    }
}

/// The workspace a request names, if it does.
fn named(Request { kind, profile }: &Request) -> Option<Identity> {
    Some(Identity { kind: kind.name.clone(), value: kind.identity_of(profile)?.into() })
}
