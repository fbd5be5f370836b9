//! A session's stay at another broker: one line to the broker and one to the session granted there. Both
//! are kept for as long as anything is held. (Specification 5.9, D6.)

use std::sync::Arc;
use std::time::Duration;

use ave_client::Door;
use ave_profile::{Address, Map, Profile, Refusal, Value};
use ave_protocol::handshake::Credential;

use super::answer::{Entry, allotments, entries, is_same, nonsense, of_group};
use super::dial::{Line, LineError};
use super::peer_limits;
use crate::limits::{CLOSE_WAIT, PEER_ANSWER_LIMIT};
use crate::log::brief;
use crate::site::Site;

/// One stay. Dropping it ends it: the other broker then takes back what it granted.
pub(super) struct Visit {
    site: Arc<Site>,
    broker: Line,
    session: Option<(Line, Door)>,
}

impl Visit {
    /// Calls at a broker's door.
    pub(super) async fn begin(site: Arc<Site>, peer: &Address) -> Result<Visit, LineError> {
        let broker = dial(&site, peer, &Credential::Anonymous).await?;
        Ok(Visit { site, broker, session: None })
    }

    /// Asks for these groups, all or nothing; after an error nothing is held here any more once the visit is
    /// dropped. `via` are the brokers the question has come through.
    pub(super) async fn get(
        &mut self,
        groups: &[Vec<Profile>],
        via: &Value,
    ) -> Result<Vec<Vec<Entry>>, LineError> {
        if self.broker.is_ours() {
            return self.get_at_once(groups, via).await;
        }
        // Original brokers take groups from clients, but from other brokers they know only one at a time.
        let mut granted: Vec<Vec<Entry>> = Vec::new();
        for (nth, group) in groups.iter().enumerate() {
            match self.get_at_once(std::slice::from_ref(group), via).await {
                Ok(one) => granted.extend(one),
                Err(error) => {
                    if error.is_restarting() && nth > 0 {
                        // The stay goes on, but not with these.
                        let profiles = granted.into_iter().flatten().map(|entry| entry.profile.into());
                        self.give_back(profiles.collect()).await?;
                    }
                    return Err(of_group(error, nth, groups.len()));
                }
            }
        }
        Ok(granted)
    }

    async fn get_at_once(
        &mut self,
        groups: &[Vec<Profile>],
        via: &Value,
    ) -> Result<Vec<Vec<Entry>>, LineError> {
        let silence = i64::try_from(self.site.config.broker.silence_limit_s).unwrap_or(i64::MAX);
        let further =
            Map::from([("via".to_owned(), via.clone()), ("silence_limit_s".to_owned(), Value::Int(silence))]);
        let (ask, fetch) = match groups {
            [_] => ("get", "get_resources"),
            _ => ("get_multi_resources", "get_multi_resource"),
        };
        let wanted = groups.iter().map(|group| group.iter().cloned().map(Value::from).collect()).collect();
        let answer = self.broker.call(ask, in_groups(wanted), further, PEER_ANSWER_LIMIT).await?;
        let (door, resources) = allotments(answer, groups)?;
        self.enter(door).await?;
        let answer = self.call_session(fetch, in_groups(resources), PEER_ANSWER_LIMIT).await?;
        entries(answer, groups, &self.site.kinds)
    }

    /// Gives pieces back at both doors.
    pub(super) async fn give_back(&mut self, profiles: Vec<Value>) -> Result<(), LineError> {
        let call = self.broker.call("yield_resources", profiles.clone(), Map::new(), CLOSE_WAIT);
        let rest = match call.await {
            Ok(rest @ Value::List(_)) => rest,
            Ok(_) | Err(LineError::Fault(_) | LineError::Plain(_)) => Value::List(profiles),
            Err(error) => return Err(error),
        };
        self.call_session("yield_resources", vec![rest], CLOSE_WAIT).await.map(drop)
    }

    /// Keeps both lines alive and waits until one of them is lost.
    pub(super) async fn over(&mut self) -> LineError {
        let session = async {
            match &mut self.session {
                Some((line, _)) if line.is_ours() => line.idle().await,
                // Original sessions make one call at a time: an endless one leaves no time for pings. The
                // broker on the same host has it.
                Some((line, _)) => line.closed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            lost = self.broker.idle() => lost,
            lost = session => lost,
        }
    }

    /// Why the other broker has ended the session there, if it had a reason. Those of other kinds say none.
    pub(super) async fn why_ended(mut self) -> Option<String> {
        if !self.broker.is_ours() {
            return None;
        }
        let answer = self.broker.call("list_allocations", Vec::new(), Map::new(), PEER_ANSWER_LIMIT).await;
        let Err(LineError::Fault(fault)) = answer else { return None };
        let ended = Refusal::session_closed().message + ": ";
        fault.message.strip_prefix(&ended).map(brief)
    }

    /// Connects to the session there, which stays the same for as long as the line to the broker lasts.
    async fn enter(&mut self, door: Door) -> Result<(), LineError> {
        if let Some((_, known)) = &self.session {
            return match is_same(known, &door) {
                true => Ok(()),
                false => Err(nonsense("the session it named before", "another")),
            };
        }
        let credential = Credential::Session { id: door.session, key: door.key.clone() };
        let address = Address::new(&door.address.0, door.address.1);
        let line = tokio::select! {
            line = dial(&self.site, &address, &credential) => line?,
            lost = self.broker.idle() => return Err(lost),
        };
        self.session = Some((line, door));
        Ok(())
    }

    /// Calls the session, while the line to its broker is kept alive.
    async fn call_session(
        &mut self,
        method: &str,
        arguments: Vec<Value>,
        limit: Duration,
    ) -> Result<Value, LineError> {
        let Some((line, _)) = &mut self.session else { return Err(nonsense("a session", "none")) };
        tokio::select! {
            biased;
            answer = line.call(method, arguments, Map::new(), limit) => answer,
            lost = self.broker.idle() => Err(lost),
        }
    }
}

/// One group stands for itself; several are lists.
fn in_groups(mut groups: Vec<Vec<Value>>) -> Vec<Value> {
    match groups.len() {
        1 => groups.remove(0),
        _ => groups.into_iter().map(Value::List).collect(),
    }
}

async fn dial(site: &Site, address: &Address, credential: &Credential) -> Result<Line, LineError> {
    let limits = peer_limits(&site.config.broker.limits);
    let silence = Duration::from_secs(site.config.broker.silence_limit_s);
    Line::dial(address, credential, &limits, silence).await
}
