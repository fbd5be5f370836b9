//! A session's link to one other broker: the task that asks there, keeps what was granted, and gives it back.
//! It belongs to its session; dropping it hangs up.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ave_core::{Event, Setback};
use ave_profile::{Address, AskId, BrokerId, Identity, Map, Profile, SessionId, Value};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::DropGuard;
use tracing::info;

use super::answer::{Entry, setback};
use super::dial::LineError;
use super::visit::Visit;
use crate::limits::{CLOSE_WAIT, PEER_ANSWER_LEAST, PEER_ANSWER_LESS, PEER_ANSWER_LIMIT, PEER_SLOW_AFTER};
use crate::log::brief;
use crate::site::Site;

/// What a link is to do, one after the other.
pub(crate) enum Errand {
    /// Ask for all of these groups, and report how it went. The time for it began at `asked`.
    Ask { ask: AskId, asked: Instant, groups: Vec<Vec<Profile>>, via: Vec<BrokerId> },
    /// Give these pieces back; `done` is dropped when nothing is left to wait for.
    GiveBack { profiles: Vec<Arc<Profile>>, done: DropGuard },
}

/// How to reach each piece that is held through a link: what the session there said, unchanged.
#[derive(Clone, Default)]
pub(crate) struct Entries(Arc<Mutex<BTreeMap<Identity, Map>>>);

impl Entries {
    /// How to reach this piece, if it is held.
    pub(crate) fn of(&self, item: &Identity) -> Option<Map> {
        self.lock().get(item).cloned()
    }

    /// Whether nothing is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Forgets a piece.
    pub(crate) fn remove(&self, item: &Identity) {
        self.lock().remove(item);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Identity, Map>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One link's task.
pub(crate) struct Link {
    site: Arc<Site>,
    session: SessionId,
    peer: Address,
    errands: mpsc::Receiver<Errand>,
    entries: Entries,
    turns: Arc<Semaphore>,
    /// Begins with the first question, and again with the first after it was cut short.
    visit: Option<Visit>,
}

impl Link {
    pub(crate) fn new(
        site: Arc<Site>,
        session: SessionId,
        peer: Address,
        errands: mpsc::Receiver<Errand>,
        entries: Entries,
    ) -> Link {
        let turns = site.turns.at(&peer);
        Link { site, session, peer, errands, entries, turns, visit: None }
    }

    /// Runs errands until nobody can give any more.
    pub(crate) async fn run(mut self) {
        loop {
            let errand = tokio::select! {
                errand = self.errands.recv() => errand,
                lost = over(&mut self.visit) => {
                    self.lost(&lost).await;
                    continue;
                }
            };
            match errand {
                Some(Errand::Ask { ask, asked, groups, via }) => {
                    let outcome = self.get_in_time(ask, asked, &groups, &via).await;
                    self.report(ask, outcome).await;
                }
                Some(Errand::GiveBack { profiles, done }) => {
                    self.give_back(profiles).await;
                    drop(done);
                }
                None => return,
            }
        }
    }

    /// The one word about a question. Any failure but a restart ends the stay: the other broker would answer
    /// "session closed" from then on.
    async fn report(&mut self, ask: AskId, outcome: Result<Vec<Vec<Entry>>, LineError>) {
        let outcome = match outcome {
            Ok(granted) => Ok(self.keep(granted)),
            Err(error) => {
                let setback = setback(error);
                let stays = setback == Setback::Restarting && !self.entries.lock().is_empty();
                if !stays {
                    self.visit = None;
                    self.entries.lock().clear();
                }
                Err(match setback {
                    Setback::Restarting if !stays => Setback::Unreachable("broker is restarting".to_owned()),
                    setback => setback,
                })
            }
        };
        let (session, peer) = (self.session, &self.peer);
        match &outcome {
            Ok(_) => {}
            Err(Setback::Refused(refusal)) => {
                let why = brief(&refusal.message);
                info!(%session, %peer, kind = brief(refusal.kind.as_str()), why, "refused by another broker");
            }
            Err(Setback::Restarting) => info!(%session, %peer, "another broker has restarted"),
            Err(Setback::Unreachable(why)) => {
                info!(%session, %peer, why = brief(why), "another broker cannot be asked");
            }
        }
        self.site.hub.tell(Event::PeerAnswered { session, ask, outcome }).await;
    }

    async fn get_in_time(
        &mut self,
        ask: AskId,
        asked: Instant,
        groups: &[Vec<Profile>],
        via: &[BrokerId],
    ) -> Result<Vec<Vec<Entry>>, LineError> {
        let (hub, session) = (self.site.hub.clone(), self.session);
        let mut getting = pin!(self.get(groups, via));
        tokio::select! {
            biased;
            outcome = &mut getting => return outcome,
            () = sleep_until(asked + PEER_SLOW_AFTER) => hub.tell(Event::PeerSlow { session, ask }).await,
        }
        let limit = answer_limit(via);
        timeout_at(asked + limit, getting).await.unwrap_or(Err(LineError::Late(limit)))
    }

    async fn get(&mut self, groups: &[Vec<Profile>], via: &[BrokerId]) -> Result<Vec<Vec<Entry>>, LineError> {
        let turns = self.turns.clone();
        let _turn = tokio::select! {
            turn = turns.acquire() => turn,
            lost = over(&mut self.visit) => return Err(lost),
        };
        let via = Value::List(via.iter().map(|id| Value::from(id.to_string())).collect());
        let answer = self.visit().await?.get(groups, &via).await;
        let restarting = answer.as_ref().is_err_and(LineError::is_restarting);
        if !restarting || !self.entries.lock().is_empty() {
            return answer;
        }
        self.visit = None; // nothing is held there: its successor is asked, which there is
        self.visit().await?.get(groups, &via).await
    }

    async fn visit(&mut self) -> Result<&mut Visit, LineError> {
        Ok(match &mut self.visit {
            Some(visit) => visit,
            none => none.insert(Visit::begin(self.site.clone(), &self.peer).await?),
        })
    }

    fn keep(&mut self, granted: Vec<Vec<Entry>>) -> Vec<Vec<Profile>> {
        let mut entries = self.entries.lock();
        let mut keep = |entry: Entry| {
            entries.insert(entry.item, entry.members);
            entry.profile
        };
        granted.into_iter().map(|group| group.into_iter().map(&mut keep).collect()).collect()
    }

    /// Whatever the other broker says, the pieces are given back here. (Specification 5.10.)
    async fn give_back(&mut self, profiles: Vec<Arc<Profile>>) {
        let Some(visit) = &mut self.visit else { return };
        let profiles = profiles.into_iter().map(|profile| Arc::unwrap_or_clone(profile).into()).collect();
        let given = timeout(CLOSE_WAIT, visit.give_back(profiles));
        match given.await.unwrap_or(Err(LineError::Late(CLOSE_WAIT))) {
            Ok(()) => {}
            Err(error @ (LineError::Fault(_) | LineError::Plain(_))) => {
                let why = brief(&error.to_string());
                info!(session = %self.session, peer = %self.peer, why, "another broker took nothing back");
            }
            Err(error) => self.lost(&error).await,
        }
    }

    /// The stay was cut short. That concerns nobody as long as nothing is held there.
    async fn lost(&mut self, error: &LineError) {
        let visit = self.visit.take();
        let (session, peer) = (self.session, self.peer.clone());
        if let (Some(visit), LineError::Lost(_)) = (visit, error)
            && !self.entries.is_empty()
            && let Some(why) = visit.why_ended().await
            && let Some(handle) = self.site.keys.handle(session)
        {
            handle.explain(format!("at {peer}: {why}"));
        }
        let held = std::mem::take(&mut *self.entries.lock()).len();
        if held > 0 {
            info!(%session, %peer, held, why = brief(&error.to_string()), "the link to another broker is lost");
            self.site.hub.tell(Event::PeerLost { session, peer }).await;
        }
    }
}

/// How long a question may take that has come through these brokers, this one last.
fn answer_limit(via: &[BrokerId]) -> Duration {
    let hops = u32::try_from(via.len().saturating_sub(1)).unwrap_or(u32::MAX);
    PEER_ANSWER_LIMIT.saturating_sub(PEER_ANSWER_LESS.saturating_mul(hops)).max(PEER_ANSWER_LEAST)
}

/// The end of the stay, if there is one.
async fn over(visit: &mut Option<Visit>) -> LineError {
    match visit {
        Some(visit) => visit.over().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_further_away_gives_up_earlier() {
        let limits = [0, 1, 2, 3, 16].map(|brokers| answer_limit(&vec![BrokerId(0); brokers]).as_millis());
        assert_eq!(limits, [3000, 3000, 2750, 2500, 500]);
    }
}
