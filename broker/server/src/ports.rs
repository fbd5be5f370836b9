//! Ports of their own for sessions, for labs with original clients: those tell a dead session by a
//! refused connection. (Specification 3.1, `session_ports`.)

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use ave_profile::Refusal;
use rustix::io::Errno;
use tokio::net::TcpListener;
use tracing::warn;

use crate::gate;
use crate::keepalive::Keepalive;

/// The ports that sessions may use, the least recently closed first.
#[derive(Clone)]
pub(crate) struct Ports {
    listen: IpAddr,
    keepalive: Keepalive,
    free: Arc<Mutex<VecDeque<u16>>>,
}

/// A port in use; dropped after its listener, it goes to the end of the queue.
pub(crate) struct PortLease {
    ports: Ports,
    port: u16,
}

impl Ports {
    /// These ports of one address.
    pub(crate) fn new(listen: IpAddr, keepalive: Keepalive, ports: RangeInclusive<u16>) -> Ports {
        Ports { listen, keepalive, free: Arc::new(Mutex::new(ports.collect())) }
    }

    /// Listens on the first port that nobody uses.
    ///
    /// # Errors
    /// `no free port available` if there is none; what the system says if it would say so of any port.
    pub(crate) fn open(&self) -> Result<(TcpListener, PortLease), Refusal> {
        let tries = self.free().len();
        for _ in 0..tries {
            let Some(port) = self.free().pop_front() else { break };
            let lease = PortLease { ports: self.clone(), port };
            match gate::listen(SocketAddr::new(self.listen, port), self.keepalive) {
                Ok(listener) => return Ok((listener, lease)),
                Err(error) if error.raw_os_error().is_some_and(is_of_any_port) => {
                    return Err(Refusal::exception(format!("cannot open a port for the session: {error}")));
                }
                Err(error) => warn!(port, %error, "a port of session_ports cannot be used"),
            }
        }
        Err(Refusal::exception("no free port available"))
    }

    fn free(&self) -> std::sync::MutexGuard<'_, VecDeque<u16>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the next port would do no better: the process or the system is out of something.
fn is_of_any_port(error: i32) -> bool {
    let shortages = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    shortages.iter().any(|shortage| shortage.raw_os_error() == error)
}

impl PortLease {
    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for PortLease {
    fn drop(&mut self) {
        self.ports.free().push_back(self.port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    #[tokio::test]
    async fn the_least_recently_closed_port_comes_first_and_none_is_lost() {
        // Two neighbouring ports that are free now.
        let (first, last) = (20000..30000)
            .map(|port| (port, port + 1))
            .find(|(a, b)| {
                [a, b].iter().all(|p| std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, **p)).is_ok())
            })
            .unwrap();
        let ports = Ports::new(Ipv4Addr::LOCALHOST.into(), Keepalive::within(30), first..=last);
        let a = ports.open().unwrap();
        let b = ports.open().unwrap();
        assert_eq!((a.1.port(), b.1.port()), (first, last));
        assert_eq!(ports.open().err().unwrap().message, "no free port available");
        drop(b);
        drop(a);
        assert_eq!(ports.open().unwrap().1.port(), last);
        assert_eq!(ports.open().unwrap().1.port(), first);
    }
}
