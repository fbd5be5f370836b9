//! `serialize`, `begin_handover` and `end_handover`: for tools that replace a broker by one of another kind.
//! `ave-broker --restart` does not use them. (Specification 7.2.)

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ave_profile::{Map, Refusal, Value};
use ave_protocol::arguments::Bound;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::getuid;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::broker::Client;
use crate::handover::channel::listener_for_this_user;
use crate::session::SessionHandle;
use crate::site::{Site, address_value, random_u64};

/// How long whoever takes the sessions may take for each.
const TAKE_LIMIT: Duration = Duration::from_secs(5);

/// A handover between its two calls.
pub(crate) struct Handover {
    listener: UnixListener,
    path: PathBuf,
    sessions: Vec<Arc<SessionHandle>>,
    /// Keeps this process alive although it may serve nobody.
    _guest: TaskTrackerToken,
}

impl Drop for Handover {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The sessions that hold something of this host, by their keys.
pub(crate) async fn serialize(site: &Site) -> Result<Value, Refusal> {
    let lent = site.hub.look(|core| core.lent()).await?;
    let session = |(id, taken): (_, Vec<ave_core::Taken>)| {
        let handle = site.keys.handle(id)?;
        let allocation = |taken: ave_core::Taken| {
            let collateral: Vec<Value> =
                taken.collateral.iter().map(|short| Value::Map(short.0.clone())).collect();
            Value::Map(Map::from([
                ("profile".to_owned(), Value::Map(taken.profile.0.clone())),
                ("collateral".to_owned(), collateral.into()),
            ]))
        };
        let allocations: Vec<Value> = taken.into_iter().map(allocation).collect();
        let state = Map::from([
            ("pid".to_owned(), Value::Int(std::process::id().into())),
            ("address".to_owned(), handle.address().map(address_value).unwrap_or_default()),
            ("allocations".to_owned(), allocations.into()),
        ]);
        Some((handle.key.expose().to_owned(), Value::Map(state)))
    };
    Ok(Value::Map(lent.into_iter().filter_map(session).collect()))
}

/// Stops listening, lending and sharing for good; `[state, configuration, path of a socket]`.
pub(crate) async fn begin(client: &Client, bound: Bound) -> Result<Value, Refusal> {
    let site = &client.site;
    let folder = match bound.get("fdtx_dir") {
        Value::Null => site.config.paths.run(),
        Value::Text(folder) => PathBuf::from(&**folder),
        other => return Err(Refusal::exception(format!("wanted a directory, found {}", other.type_name()))),
    };
    let (listener, path) = listen_in(&folder)
        .map_err(|_| Refusal::exception(format!("directory not writable: {}", folder.display())))?;
    let guest = site.reign.guests.token();
    let mut handover = Handover { listener, path, sessions: Vec::new(), _guest: guest };
    handover.sessions = site.reign.abdicate().await.map_err(Refusal::exception)?;
    let state = serialize(site).await?;
    let config = site.config.broker.public_profile().into();
    let path = Value::from(handover.path.to_string_lossy().into_owned());
    *client.handover.lock().unwrap_or_else(PoisonError::into_inner) = Some(handover);
    Ok(Value::List(vec![state, config, path]))
}

/// Gives whoever connects to that socket one descriptor for each session, which reads the end of file when the
/// session ends. False if there is no session: then the broker ends at once.
pub(crate) async fn end(client: &Client, bound: Bound) -> Result<bool, Refusal> {
    let limit = match bound.get("timeout") {
        Value::Int(limit) if *limit >= 0 => Duration::from_secs(limit.unsigned_abs()),
        Value::Float(limit) if *limit >= 0.0 && *limit < 1e9 => Duration::from_secs_f64(*limit),
        other => return Err(Refusal::exception(format!("wanted a timeout in seconds, found {other}"))),
    };
    let handover = client.handover.lock().unwrap_or_else(PoisonError::into_inner).take();
    let handover = handover.ok_or_else(|| Refusal::exception("call begin_handover() first"))?;
    let lent = client.site.hub.look(|core| core.lent()).await?;
    let holding: Vec<_> = handover.sessions.iter().filter(|session| lent.contains_key(&session.id)).collect();
    if holding.is_empty() {
        return Ok(false);
    }
    let late = |_| Refusal::exception(format!("nobody connected within {} s", limit.as_secs_f64()));
    let failed = |error: io::Error| Refusal::exception(format!("the sessions were not taken: {error}"));
    let (stream, _) = timeout(limit, handover.listener.accept()).await.map_err(late)?.map_err(failed)?;
    let peer = stream.peer_cred().map_err(failed)?.uid();
    if peer != getuid().as_raw() && peer != 0 {
        return Err(Refusal::exception(format!("wanted user {}, found {peer} at the socket", getuid())));
    }
    for session in holding {
        let sent = timeout(TAKE_LIMIT, pass(&stream, session)).await;
        sent.unwrap_or_else(|late| Err(late.into())).map_err(failed)?;
    }
    Ok(true)
}

/// Sends a session's key with one end of a pair, the other end of which lives as long as the session.
async fn pass(stream: &UnixStream, session: &SessionHandle) -> io::Result<()> {
    let (kept, given) = std::os::unix::net::UnixStream::pair()?;
    let cut = session.cut.clone();
    session.connections.spawn(async move {
        cut.cancelled().await;
        drop(kept);
    });
    stream
        .async_io(tokio::io::Interest::WRITABLE, || {
            let descriptors = [given.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            let key = IoSlice::new(session.key.expose().as_bytes());
            Ok(sendmsg(stream, &[key], &mut control, SendFlags::NOSIGNAL).map(drop)?)
        })
        .await
}

/// For the broker's own user alone: the sessions' keys go through here.
fn listen_in(folder: &Path) -> io::Result<(UnixListener, PathBuf)> {
    if !folder.is_absolute() {
        return Err(io::Error::other("nobody else knows this process's working directory"));
    }
    let path = folder.join(format!("handover-{:016}", random_u64() % 10_u64.pow(16)));
    Ok((listener_for_this_user(&path)?, path))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn nobody_else_reaches_the_socket_and_its_folder_may_be_deep() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("x".repeat(200));
        std::fs::create_dir(&deep).unwrap();
        let (listener, path) = listen_in(&deep).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink(&deep, folder.path().join("near")).unwrap();
        let near = folder.path().join("near").join(path.file_name().unwrap());
        let _connected = UnixStream::connect(near).await.unwrap();
        listener.accept().await.unwrap();
        assert!(listen_in(Path::new("here")).is_err());
    }
}
