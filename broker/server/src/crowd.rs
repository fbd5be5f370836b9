//! Who is in: how many connections there are, which of them have not said who they are, and how many sessions
//! each host has. Refuses whoever is too many; knows nothing of what is said.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ave_profile::Refusal;
use ave_protocol::limits::Limits;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::limits::KEYED_CONNECTIONS_MORE;
use crate::log::Complaint;

/// Everybody who is in, and how many may be.
#[derive(Clone)]
pub(crate) struct Crowd(Arc<Mutex<State>>);

struct State {
    connections_max: usize,
    strangers_max: usize,
    sessions_per_host_max: usize,
    connections: usize,
    arrivals: u64,
    /// Those that have not said who they are.
    strangers: Strangers,
    sessions: HashMap<IpAddr, usize>,
    complaint: Complaint,
}

/// Of each host, in the order of their arrival, and how to have them leave.
#[derive(Default)]
struct Strangers {
    hosts: HashMap<IpAddr, BTreeMap<u64, CancellationToken>>,
    count: usize,
}

/// One connection among them; dropping it leaves.
pub(crate) struct Place {
    crowd: Crowd,
    host: IpAddr,
    number: u64,
    leave: CancellationToken,
    /// Whether there was only room left for somebody with a key.
    extra: bool,
}

/// One session among those of its host; dropping it makes room for another.
pub(crate) struct Lodging {
    crowd: Crowd,
    host: IpAddr,
}

impl Crowd {
    /// Nobody is in yet. Fewer connections may be than a lab wishes, if the process may not have so many
    /// `descriptors`: of four, one is for everything else.
    pub(crate) fn new(limits: &Limits, descriptors: Option<u64>) -> Crowd {
        let possible =
            descriptors.map_or(usize::MAX, |all| usize::try_from(all / 4 * 3).unwrap_or(usize::MAX));
        let connections_max = limits.connections_max.min(possible);
        if connections_max < limits.connections_max {
            let wanted = limits.connections_max;
            info!(connections_max, wanted, ?descriptors, "fewer connections, for want of descriptors");
        }
        Crowd(Arc::new(Mutex::new(State {
            connections_max,
            strangers_max: limits.unauthenticated_max,
            sessions_per_host_max: limits.sessions_per_host_max,
            connections: 0,
            arrivals: 0,
            strangers: Strangers::default(),
            sessions: HashMap::new(),
            complaint: Complaint::default(),
        })))
    }

    /// Lets a connection of this host in, as a stranger. If there are too many of those, one has to leave: of
    /// the host that has most, the one that has been longest. So who answers the challenge gets in.
    ///
    /// # Errors
    /// If there are too many connections, and none of them is a stranger's.
    pub(crate) fn enter(&self, host: IpAddr) -> Result<Place, Refusal> {
        let mut state = self.state();
        let full = state.connections >= state.connections_max.saturating_add(KEYED_CONNECTIONS_MORE);
        if full || state.strangers.count >= state.strangers_max {
            match state.strangers.pop() {
                Some(leave) => leave.cancel(),
                None => return Err(state.too_many()),
            }
        }
        let extra = state.connections >= state.connections_max;
        state.connections += 1;
        state.arrivals += 1;
        let (number, leave) = (state.arrivals, CancellationToken::new());
        state.strangers.insert(host, number, leave.clone());
        Ok(Place { crowd: self.clone(), host, number, leave, extra })
    }

    /// Lets a session of this host begin.
    ///
    /// # Errors
    /// If the host has too many.
    pub(crate) fn lodge(&self, host: IpAddr) -> Result<Lodging, Refusal> {
        let mut state = self.state();
        let max = state.sessions_per_host_max;
        let sessions = state.sessions.entry(host).or_default();
        if *sessions >= max {
            let limit = format!("the limit is {max} (limits.sessions_per_host_max)");
            return Err(Refusal::exception(format!("too many sessions of host {host}: {limit}")));
        }
        *sessions += 1;
        Ok(Lodging { crowd: self.clone(), host })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn too_many(&mut self) -> Refusal {
        let max = self.connections_max;
        if let Some(times) = self.complaint.again() {
            warn!(times, connections = self.connections, max, "connections are refused: there are too many");
        }
        Refusal::exception(format!("too many connections: the limit is {max} (limits.connections_max)"))
    }
}

impl Strangers {
    fn insert(&mut self, host: IpAddr, number: u64, leave: CancellationToken) {
        self.hosts.entry(host).or_default().insert(number, leave);
        self.count += 1;
    }

    fn remove(&mut self, host: IpAddr, number: u64) -> Option<CancellationToken> {
        let of_host = self.hosts.get_mut(&host)?;
        let leave = of_host.remove(&number)?;
        if of_host.is_empty() {
            self.hosts.remove(&host);
        }
        self.count -= 1;
        Some(leave)
    }

    /// Of the host that has most, the one that has been longest.
    fn pop(&mut self) -> Option<CancellationToken> {
        let (host, of_host) = self.hosts.iter().max_by_key(|(_, of_host)| of_host.len())?;
        let (host, number) = (*host, *of_host.first_key_value()?.0);
        self.remove(host, number)
    }
}

impl Place {
    /// Waits until a stranger has to leave, because others want in.
    pub(crate) async fn pushed_out(&self) -> Refusal {
        self.leave.cancelled().await;
        let max = self.crowd.state().strangers_max;
        let limit = format!("at most {max} may wait (limits.unauthenticated_max)");
        Refusal::exception(format!("too many connections that have not shown a key: {limit}"))
    }

    /// It has said who it is, and whether it has shown a key.
    ///
    /// # Errors
    /// If there is only room for those who have.
    pub(crate) fn introduce(&self, has_key: bool) -> Result<(), Refusal> {
        let mut state = self.crowd.state();
        if self.extra && !has_key && state.connections > state.connections_max {
            return Err(state.too_many());
        }
        state.strangers.remove(self.host, self.number);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.crowd.state();
        state.connections -= 1;
        state.strangers.remove(self.host, self.number);
    }
}

impl Drop for Lodging {
    fn drop(&mut self) {
        let mut state = self.crowd.state();
        if let Some(sessions) = state.sessions.get_mut(&self.host) {
            *sessions -= 1;
            if *sessions == 0 {
                state.sessions.remove(&self.host);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    const ONE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
    const OTHER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

    fn crowd(connections_max: usize, unauthenticated_max: usize) -> Crowd {
        let limits = Limits { connections_max, unauthenticated_max, ..Limits::default() };
        Crowd::new(&Limits { sessions_per_host_max: 2, ..limits }, None)
    }

    #[test]
    fn of_too_many_strangers_the_one_leaves_that_waits_longest_at_the_host_that_has_most() {
        let crowd = crowd(100, 3);
        let known = crowd.enter(OTHER).unwrap();
        known.introduce(false).unwrap();
        let other = crowd.enter(OTHER).unwrap();
        let strangers: Vec<_> = (0..4).map(|_| crowd.enter(ONE).unwrap()).collect();
        let left: Vec<_> = strangers.iter().map(|stranger| stranger.leave.is_cancelled()).collect();
        assert_eq!(left, [true, true, false, false]);
        assert!(!known.leave.is_cancelled() && !other.leave.is_cancelled());
        drop(other);
        drop(strangers);
        let state = crowd.state();
        assert_eq!((state.connections, state.strangers.count, state.strangers.hosts.len()), (1, 0, 0));
    }

    #[test]
    fn beyond_the_limit_only_keys_get_in_and_beyond_that_nobody() {
        let crowd = crowd(3, 1000);
        let enter = |has_key| crowd.enter(ONE).and_then(|place| place.introduce(has_key).map(|()| place));
        let mut places: Vec<_> = (0..3).map(|_| enter(false).unwrap()).collect();
        let refusal = enter(false).err().unwrap();
        assert_eq!(refusal.message, "too many connections: the limit is 3 (limits.connections_max)");
        places.extend((0..KEYED_CONNECTIONS_MORE - 1).map(|_| enter(true).unwrap()));
        let idle = crowd.enter(ONE).unwrap();
        places.push(enter(true).unwrap());
        assert!(idle.leave.is_cancelled(), "somebody with a key is worth more than somebody who is silent");
        drop(idle);
        assert!(crowd.enter(OTHER).is_err());
        places.drain(..places.len() - 2);
        assert!(enter(false).is_ok());
    }

    #[test]
    fn descriptors_bound_the_connections() {
        let limits = Limits::default();
        assert_eq!(Crowd::new(&limits, Some(1024)).state().connections_max, 768);
        assert_eq!(Crowd::new(&limits, Some(1 << 20)).state().connections_max, limits.connections_max);
    }

    #[test]
    fn one_host_s_sessions_are_not_another_s() {
        let crowd = crowd(100, 100);
        let mut lodgings = vec![crowd.lodge(ONE).unwrap(), crowd.lodge(ONE).unwrap()];
        let refusal = crowd.lodge(ONE).err().unwrap();
        let told = "too many sessions of host 10.0.0.1: the limit is 2 (limits.sessions_per_host_max)";
        assert_eq!(refusal.message, told);
        lodgings.push(crowd.lodge(OTHER).unwrap());
        drop(lodgings.remove(0));
        lodgings.push(crowd.lodge(ONE).unwrap());
        drop(lodgings);
        assert!(crowd.state().sessions.is_empty());
    }
}
