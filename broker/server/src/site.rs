//! What every connection and session of one broker shares.

use std::panic::resume_unwind;
use std::sync::Arc;

use ave_profile::{BrokerId, Generation, KindTable, Refusal, Value};
use ave_protocol::handshake::Secret;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::crowd::Crowd;
use crate::daemon::LogFilter;
use crate::drivers::Drivers;
use crate::handover::{Elders, Reign};
use crate::hub::HubHandle;
use crate::keys::Keys;
use crate::limits::FEW_PIECES;
use crate::peers::{Sharing, Turns};
use crate::ports::Ports;
use crate::room::Room;

/// One broker, seen from inside.
pub(crate) struct Site {
    pub(crate) config: Config,
    pub(crate) kinds: KindTable,
    pub(crate) keys: Arc<Keys>,
    pub(crate) drivers: Drivers,
    pub(crate) hub: HubHandle,
    /// What this broker calls itself among others; drawn at its start.
    pub(crate) id: BrokerId,
    /// Which process of this broker this one is.
    pub(crate) generation: Generation,
    /// How far this process has come.
    pub(crate) reign: Reign,
    /// The older processes, which serve the sessions they have.
    pub(crate) elders: Arc<Elders>,
    /// The connections to the broker's port.
    pub(crate) connections: TaskTracker,
    /// What clients are told to connect to.
    pub(crate) address: (String, u16),
    /// Whether this broker shares what it has.
    pub(crate) sharing: Sharing,
    /// Ports of their own for sessions, if the lab wants that.
    pub(crate) ports: Option<Ports>,
    /// Whose turn it is to ask another broker.
    pub(crate) turns: Turns,
    /// Who is in.
    pub(crate) crowd: Crowd,
    /// Room for what is received and not answered.
    pub(crate) received: Room,
    /// Room for what is answered and not taken.
    pub(crate) unsent: Room,
    /// Whose turn it is to have a large frame read.
    pub(crate) large_frames: Semaphore,
    /// Room for shares.
    pub(crate) share_places: Arc<Semaphore>,
    /// What is logged.
    pub(crate) log: LogFilter,
    pub(crate) started: Instant,
    /// Cancelled when the broker is to stop.
    pub(crate) stop: CancellationToken,
}

impl Site {
    /// Does work on so many pieces. Much of it is done in its turn, and not on the threads that serve everybody.
    ///
    /// # Errors
    /// If the broker stops meanwhile.
    pub(crate) async fn ponder<T: Send + 'static>(
        &self,
        pieces: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        if pieces <= FEW_PIECES {
            return Ok(work());
        }
        let _turn = self.large_frames.acquire().await;
        spawn_blocking(work).await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Refusal::exception("the broker stops"),
        })
    }
}

/// Unpredictable bytes from the operating system.
///
/// # Panics
/// If the system has none to give: a broker without them could not keep anybody apart.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A number below 2^64 from [`random`].
pub(crate) fn random_u64() -> u64 {
    u64::from_ne_bytes(random())
}

/// A session's key: 16 random decimal digits.
pub(crate) fn session_key() -> Secret {
    // 2^64 is so much larger than 10^16 that the remainder is as good as uniform.
    Secret::new(format!("{:016}", random_u64() % 10_u64.pow(16)))
}

/// `[host, port]`, as addresses travel.
pub(crate) fn address_value((host, port): &(String, u16)) -> Value {
    Value::List(vec![host.as_str().into(), i64::from(*port).into()])
}
