//! Making a broken piece fit to be lent again. A piece that could not be closed stays out of the pool, with
//! the reason, until an edge has reset it. (Specification 5.11.)

use std::sync::Arc;

use ave_profile::{Identity, Profile, Refusal, RefusalKind, RequestId};

use crate::Effect;
use crate::broker::Core;
use crate::equipment::Fault;

impl Core {
    /// Has a broken piece reset, unless somebody still has it or it is being reset already.
    pub(crate) fn reset_asked(&mut self, item: Identity, request: Option<RequestId>) -> Option<Effect> {
        match self.resettable(&item) {
            Ok(known) => {
                if let Some(fault) = self.fault_mut(&item) {
                    fault.mending = true;
                }
                Some(Effect::Reset { item, known, request })
            }
            Err(refusal) => request.map(|request| Effect::ResetAnswered { request, outcome: Err(refusal) }),
        }
    }

    /// The piece is free again, or broken for another reason. A word that nobody waits for changes nothing.
    pub(crate) fn reset_done(
        &mut self,
        item: &Identity,
        request: Option<RequestId>,
        outcome: Result<(), String>,
    ) -> Vec<Effect> {
        let Some(fault) = self.fault_mut(item).filter(|fault| fault.mending) else { return Vec::new() };
        let outcome = outcome.map_err(|reason| {
            let message = format!("{item} could not be reset and is still not lent: {reason}");
            (fault.mending, fault.reason) = (false, reason);
            message
        });
        if outcome.is_ok() {
            match self.equipment.id(item) {
                Some(id) => self.equipment.mend(id),
                None => self.workspaces.remove(item),
            }
        }
        let warning = outcome.as_ref().err().map(|message| Effect::Warn { message: message.clone() });
        let outcome = outcome.map_err(Refusal::exception);
        let answer = request.map(|request| Effect::ResetAnswered { request, outcome });
        warning.into_iter().chain(answer).collect()
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
            Some(Fault { mending: true, .. }) => {
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
