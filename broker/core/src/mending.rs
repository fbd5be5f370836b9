//! Making a broken piece fit to be lent again. A piece that could not be closed stays out of the pool, with
//! the reason, until an edge has reset it: because somebody asks for that, or because it is time to try it
//! again. (Specification 5.11.)

use std::collections::BTreeSet;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use ave_profile::{Identity, Profile, Refusal, RefusalKind, RequestId, SessionId};

use crate::broker::Core;
use crate::equipment::Fault;
use crate::{Effect, Moment};

/// How long a piece that could not be closed is left alone: a cable that was knocked out is back by then.
pub(crate) const RETRY_FIRST: Duration = Duration::from_secs(10);

/// How long it is left alone at most. Each reset that does not help doubles the pause, so that a piece that is
/// gone for good costs next to nothing.
const RETRY_LAST: Duration = Duration::from_secs(600);

impl Core {
    /// Nobody gets what a session has before it has been reset, which is tried at that moment.
    pub(crate) fn breaks(&mut self, session: SessionId, item: &Identity, reason: String, retry_at: Moment) {
        match self.equipment.id(item) {
            Some(id) => self.equipment.fail(id, session, reason),
            None => self.workspaces.fail(item, reason),
        }
        self.plan_retry(item, Some(retry_at));
    }

    /// Has every broken piece reset whose turn it is. One that cannot be reset now, because somebody still has
    /// it or it is gone, has to wait for another turn, and all have to while another process takes over.
    pub(crate) fn retry_resets(&mut self) -> Vec<Effect> {
        let due = self.retries.iter().take_while(|(due, _)| *due <= self.now);
        let due: Vec<Identity> = due.map(|(_, item)| item.clone()).collect();
        let mut effects = Vec::new();
        for item in due {
            self.plan_retry(&item, Some(self.now.after(RETRY_FIRST)));
            effects.extend(self.reset_asked(item, None));
        }
        effects
    }

    /// Whoever was resetting something has gone, and with it its clock: all that is broken is reset anew.
    pub(crate) fn resume_resets(&mut self) -> Vec<Effect> {
        let broken: Vec<Identity> = self.faults().map(|(item, _)| item.clone()).collect();
        for item in broken {
            self.plan_retry(&item, Some(self.now));
        }
        self.retry_resets()
    }

    /// The broken pieces that wait for their turn, as each of them knows.
    pub(crate) fn planned_retries(&self) -> BTreeSet<(Moment, Identity)> {
        self.faults().filter_map(|(item, fault)| Some((fault.retry_at?, item.clone()))).collect()
    }

    fn faults(&self) -> impl Iterator<Item = (&Identity, &Fault)> {
        let pieces = self.equipment.items().map(|(_, item)| (&item.identity, &item.fault));
        let made = self.workspaces.made.iter().map(|(item, made)| (item, &made.fault));
        pieces.chain(made).filter_map(|(item, fault)| Some((item, fault.as_deref()?)))
    }

    fn plan_retry(&mut self, item: &Identity, retry_at: Option<Moment>) {
        let Some(fault) = self.fault_mut(item) else { return };
        if let Some(before) = mem::replace(&mut fault.retry_at, retry_at) {
            self.retries.remove(&(before, item.clone()));
        }
        self.retries.extend(retry_at.map(|retry_at| (retry_at, item.clone())));
    }

    /// Has a broken piece reset, unless somebody still has it or it is being reset already.
    pub(crate) fn reset_asked(&mut self, item: Identity, request: Option<RequestId>) -> Option<Effect> {
        if self.succession.frozen {
            let outcome = Err(Refusal::restarting());
            return request.map(|request| Effect::ResetAnswered { request, outcome });
        }
        match self.resettable(&item) {
            Ok(known) => {
                self.plan_retry(&item, None);
                Some(Effect::Reset { item, known, request })
            }
            Err(refusal) => request.map(|request| Effect::ResetAnswered { request, outcome: Err(refusal) }),
        }
    }

    /// The piece is free again, or still broken, perhaps for another reason: only that goes into the log. A
    /// word that nobody waits for changes nothing.
    pub(crate) fn reset_done(
        &mut self,
        item: &Identity,
        request: Option<RequestId>,
        outcome: Result<(), String>,
    ) -> Vec<Effect> {
        let Some(fault) = self.fault_mut(item).filter(|fault| fault.retry_at.is_none()) else {
            return Vec::new();
        };
        let Err(reason) = outcome else {
            match self.equipment.id(item) {
                Some(id) => self.equipment.mend(id),
                None => self.workspaces.remove(item),
            }
            let answer = request.map(|request| Effect::ResetAnswered { request, outcome: Ok(()) });
            return Vec::from_iter(answer);
        };
        fault.failed = fault.failed.saturating_add(1);
        let pause = RETRY_FIRST.saturating_mul(1_u32.checked_shl(fault.failed).unwrap_or(u32::MAX));
        let message = format!("{item} could not be reset and is still not lent: {reason}");
        let is_news = mem::replace(&mut fault.reason, reason.clone()) != reason;
        self.plan_retry(item, Some(self.now.after(pause.min(RETRY_LAST))));
        if is_news {
            self.touch(item);
        }
        let warning = is_news.then(|| Effect::Warn { message: message.clone() });
        let outcome = Err(Refusal::exception(message));
        let answer = request.map(|request| Effect::ResetAnswered { request, outcome });
        warning.into_iter().chain(answer).collect()
    }

    /// The lists show something else of a piece.
    fn touch(&mut self, item: &Identity) {
        let touched = match self.equipment.id(item) {
            Some(_) => &mut self.equipment.touched,
            None => &mut self.workspaces.touched,
        };
        touched.push(item.clone());
    }

    /// What is known of a piece, if it may be reset now.
    fn resettable(&self, item: &Identity) -> Result<Arc<Profile>, Refusal> {
        let no_such = || Refusal::new(RefusalKind::NoSuch, format!("no such resource: {item}"));
        let (known, fault, held) = if let Some(workspace) = self.workspaces.made.get(item) {
            (&workspace.profile, workspace.fault.as_deref(), workspace.fault.is_none())
        } else {
            let item = self.equipment.item(self.equipment.id(item).ok_or_else(no_such)?);
            (item.profile().ok_or_else(no_such)?, item.fault.as_deref(), !item.holds.is_empty())
        };
        match fault {
            None => Err(Refusal::exception(format!("{item} is not broken"))),
            Some(_) if held => {
                Err(Refusal::new(RefusalKind::Busy, format!("resource already allocated: {item}")))
            }
            Some(Fault { retry_at: None, .. }) => {
                Err(Refusal::new(RefusalKind::Busy, format!("{item} is being reset already")))
            }
            Some(_) => Ok(known.clone()),
        }
    }

    fn fault_mut(&mut self, item: &Identity) -> Option<&mut Fault> {
        if let Some(workspace) = self.workspaces.made.get_mut(item) {
            return workspace.fault.as_deref_mut();
        }
        let id = self.equipment.id(item)?;
        self.equipment.item_mut(id).fault.as_deref_mut()
    }
}
