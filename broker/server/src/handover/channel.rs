//! What two processes of one broker say to each other: whole messages over a UNIX socket, each with the file
//! descriptors that belong to it. (Specification 7.1.)

use std::fs::{self, Permissions};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ave_profile::{Generation, Identity, SessionId};
use rustix::fs::{Mode, OFlags, open};
use rustix::net::sockopt::socket_peercred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, connect,
    listen, recvmsg, sendmsg, socket_with,
};
use rustix::process::{Pid, getuid};
use serde::{Deserialize, Serialize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::UnixListener;
use tokio::time::{Duration, timeout};

/// The version of what is said here; processes of another one do not take over from each other.
pub(crate) const PROTOCOL: u32 = 1;

/// The longest message; what is longer travels as a file.
const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The most descriptors of one message.
const DESCRIPTORS_MAX: usize = 4;

/// So many may wait to be let in: one comes at a time.
const BACKLOG: i32 = 4;

/// How long the other process may take nothing of what it is told.
const SEND_LIMIT: Duration = Duration::from_secs(12);

/// One message. The new process is the one that says `Hello`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// A new process wants to take over.
    Hello {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Its version, for people.
        program: String,
        /// The oldest and the newest version of snapshots that it reads.
        snapshots: (u32, u32),
        /// Whether it belongs to a service, so that its manager believes what it says.
        #[serde(default)]
        service: bool,
        /// Whether it takes a draft.
        #[serde(default)]
        drafts: bool,
    },
    /// It may not.
    Refused {
        /// Why.
        reason: String,
    },
    /// What there is, as a file: most of what the old process knows, while it goes on lending.
    Draft {
        /// The old process.
        generation: Generation,
    },
    /// The new process has taken that in: the old one may freeze.
    Drafted,
    /// The old process has frozen; this is its number.
    Begin {
        /// The old process.
        generation: Generation,
        /// Whether it will know the word `Log`.
        #[serde(default)]
        knows_log: bool,
        /// Within how many microseconds the service manager wants to hear from the broker, if it does.
        #[serde(default)]
        watchdog_us: Option<u64>,
    },
    /// A process that is older still, with the channel to it.
    Elder {
        /// That process.
        generation: Generation,
        /// Whether it knows the word `Log`.
        #[serde(default)]
        knows_log: bool,
    },
    /// All that the old process knows and a draft does not say, as a file, and its listening socket.
    Estate,
    /// The new process could go on with that.
    Ready,
    /// It is to.
    Yours,
    /// It does.
    Mine,
    /// The old process has finished with a piece of one of its sessions.
    Departed {
        /// The session.
        session: SessionId,
        /// The piece.
        item: Identity,
        /// How closing went.
        outcome: Result<(), String>,
    },
    /// The old process has nothing left of a session.
    Ended {
        /// The session.
        session: SessionId,
    },
    /// The old process is to end a session.
    Close {
        /// The session.
        session: SessionId,
    },
    /// Somebody has shown the key of a session of the old process, with the connection.
    Proxy {
        /// The session.
        session: SessionId,
        /// What was read of the connection after the key.
        #[serde(with = "serde_bytes")]
        read: Vec<u8>,
    },
    /// The old process is to log what this filter lets through.
    Log {
        /// As [`LogFilter::change`](crate::daemon::LogFilter::change) takes it.
        filter: String,
    },
    /// The old process is to end all its sessions, and itself.
    Stop,
    /// Is the old process alive?
    Ping,
    /// It is.
    Pong,
}

/// A message and what came with it.
pub(crate) type Received = (Message, Vec<OwnedFd>);

/// One end of a conversation.
#[derive(Debug)]
pub(crate) struct Channel {
    socket: AsyncFd<OwnedFd>,
}

impl Channel {
    /// Takes over one end. Needs a running runtime.
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Channel> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Channel { socket: watched(socket)? })
    }

    /// Dials the process that listens at `path`.
    pub(crate) fn dial(path: &Path) -> io::Result<Channel> {
        let socket = unix_socket(SocketType::SEQPACKET)?;
        at(path, |address| connect(&socket, address))?;
        Channel::new(socket)
    }

    /// The process at the other end: the one that listened or dialled, whoever has the end now.
    pub(crate) fn peer(&self) -> io::Result<Pid> {
        let peer = socket_peercred(self.socket.get_ref())?;
        if peer.uid != getuid() && !peer.uid.is_root() {
            return Err(io::Error::other(format!("wanted user {}, found {}", getuid(), peer.uid)));
        }
        Ok(peer.pid)
    }

    /// Says something.
    ///
    /// # Errors
    /// If it is too long, or the other process has gone or takes nothing for twelve seconds.
    pub(crate) async fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let late = |_| io::Error::new(io::ErrorKind::TimedOut, "the other process takes nothing");
        timeout(SEND_LIMIT, self.send_patiently(message, descriptors)).await.map_err(late)?
    }

    /// Says something, however long the other process takes. Dropping the future says nothing.
    ///
    /// # Errors
    /// If it is too long, or the other process has gone.
    pub(crate) async fn send_patiently(
        &self,
        message: &Message,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let bytes = rmp_serde::to_vec_named(message).map_err(io::Error::other)?;
        if bytes.len() > MESSAGE_BYTES_MAX {
            let message = format!("a message of {} bytes is too long", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let sending = self.socket.async_io(Interest::WRITABLE, |socket| {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
                return Err(io::Error::other("too many descriptors in one message"));
            }
            Ok(sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL).map(drop)?)
        });
        sending.await
    }

    /// The next message; `None` once the other process has gone. Dropping the future loses nothing.
    ///
    /// # Errors
    /// If what comes is no message.
    pub(crate) async fn receive(&self) -> io::Result<Option<Received>> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let (length, descriptors) =
            self.socket.async_io(Interest::READABLE, |socket| take(socket, &mut bytes)).await?;
        if length == 0 {
            return Ok(None);
        }
        let message = rmp_serde::from_slice(&bytes[..length]).map_err(io::Error::other)?;
        Ok(Some((message, descriptors)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

fn take(socket: &OwnedFd, bytes: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::Error::other("a message that is too long"));
    }
    Ok((received.bytes, descriptors))
}

/// Where a process waits for the one that is to take over. The socket is gone when it is dropped.
#[derive(Debug)]
pub(crate) struct Door {
    socket: AsyncFd<OwnedFd>,
}

impl Door {
    /// Opens it, for this user alone; whatever was there before is replaced.
    pub(crate) fn open(path: &Path) -> io::Result<Door> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let socket = unix_socket(SocketType::SEQPACKET)?;
        listen_privately(&socket, path)?;
        Ok(Door { socket: watched(socket)? })
    }

    /// The next one who comes in. Dropping the future loses nobody.
    pub(crate) async fn accept(&self) -> io::Result<Channel> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let accepted =
            self.socket.async_io(Interest::READABLE, |socket| Ok(accept_with(socket, flags)?)).await?;
        Channel::new(accepted)
    }
}

/// A descriptor that tasks can wait for. Needs a running runtime.
#[expect(
    deprecated,
    reason = "what it warns of, a descriptor that changes while it is watched, an `OwnedFd` is not"
)]
pub(crate) fn watched(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(descriptor)
}

/// Listens for connections of this user alone, at a path where nothing is yet.
pub(crate) fn listener_for_this_user(path: &Path) -> io::Result<UnixListener> {
    let socket = unix_socket(SocketType::STREAM)?;
    listen_privately(&socket, path)?;
    UnixListener::from_std(socket.into())
}

/// Nobody gets in before the mode is set: nobody listens yet.
fn listen_privately(socket: &OwnedFd, path: &Path) -> io::Result<()> {
    at(path, |address| bind(socket, address))?;
    fs::set_permissions(path, Permissions::from_mode(0o600))?;
    Ok(listen(socket, BACKLOG)?)
}

fn unix_socket(kind: SocketType) -> io::Result<OwnedFd> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(AddressFamily::UNIX, kind, flags, None)?)
}

/// Names a socket by way of its folder: the kernel takes no path of more than 107 bytes.
fn at<T>(path: &Path, call: impl FnOnce(&SocketAddrUnix) -> rustix::io::Result<T>) -> io::Result<T> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::Error::other(format!("no place for a socket: {}", path.display())));
    };
    let folder = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok(call(&SocketAddrUnix::new(short)?)?)
}

#[cfg(test)]
pub(crate) fn pair() -> (Channel, Channel) {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
    (Channel::new(a).unwrap(), Channel::new(b).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    #[tokio::test]
    async fn messages_arrive_whole_with_what_belongs_to_them() {
        let (a, b) = pair();
        let (mut mine, theirs) = UnixStream::pair().unwrap();
        let proxy = Message::Proxy { session: SessionId(7), read: vec![1, 2, 3] };
        a.send(&proxy, &[theirs.as_fd()]).await.unwrap();
        a.send(&Message::Ping, &[]).await.unwrap();
        drop(theirs);
        let (message, mut descriptors) = b.receive().await.unwrap().unwrap();
        assert_eq!(message, proxy);
        UnixStream::from(descriptors.remove(0)).write_all(b"x").unwrap();
        let mut byte = [0];
        mine.read_exact(&mut byte).unwrap();
        assert_eq!(b.receive().await.unwrap().unwrap().0, Message::Ping);
        drop(a);
        assert!(b.receive().await.unwrap().is_none());
    }

    #[tokio::test]
    async fn a_process_that_does_not_say_what_it_knows_does_not_know_it() {
        #[derive(Serialize)]
        enum Before {
            Begin { generation: Generation },
        }
        let (a, b) = pair();
        let before = rmp_serde::to_vec_named(&Before::Begin { generation: Generation(3) }).unwrap();
        sendmsg(&a, &[IoSlice::new(&before)], &mut SendAncillaryBuffer::default(), SendFlags::empty())
            .unwrap();
        let begin = Message::Begin { generation: Generation(3), knows_log: false, watchdog_us: None };
        assert_eq!(b.receive().await.unwrap().unwrap().0, begin);
    }

    #[tokio::test]
    async fn a_door_lets_in_who_has_the_same_user_and_its_path_may_be_long() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("x".repeat(200));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join("handover");
        let door = Door::open(&path).unwrap();
        let a = Channel::dial(&path).unwrap();
        let b = door.accept().await.unwrap();
        assert_eq!(b.peer().unwrap().as_raw_nonzero().get() as u32, std::process::id());
        a.send(&Message::Ready, &[]).await.unwrap();
        assert_eq!(b.receive().await.unwrap().unwrap().0, Message::Ready);
        drop(Door::open(&path).unwrap()); // one that is left over is replaced
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error_and_too_much_is_not_sent() {
        let (a, b) = pair();
        sendmsg(&a, &[IoSlice::new(b"nonsense")], &mut SendAncillaryBuffer::default(), SendFlags::empty())
            .unwrap();
        assert!(b.receive().await.is_err());
        let long = vec![0; MESSAGE_BYTES_MAX + 1];
        sendmsg(&a, &[IoSlice::new(&long)], &mut SendAncillaryBuffer::default(), SendFlags::empty()).unwrap();
        assert!(b.receive().await.unwrap_err().to_string().contains("too long"));
        let much = Message::Proxy { session: SessionId(7), read: long };
        assert!(a.send(&much, &[]).await.is_err());
    }
}
