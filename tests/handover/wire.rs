//! The private socket between an old broker and a new one, spoken by hand: one message is one MessagePack map, and
//! descriptors travel beside it.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read, Seek};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags, SocketType, accept, bind, connect, listen,
    recvmsg, sendmsg, socket_with,
};
use serde_json::Value;

use crate::support::PATIENCE;

/// More descriptors than any message has.
const DESCRIPTORS_MAX: usize = 16;

/// Longer than any message.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Where an old broker of this home listens for a new one.
pub(super) fn place(home: &Path) -> PathBuf {
    home.join(".ave/run/handover")
}

/// One end of the conversation.
pub(super) struct Wire(OwnedFd);

impl Wire {
    /// The new broker's end.
    pub(super) fn to(home: &Path) -> Wire {
        let socket = new_socket();
        let address = SocketAddrUnix::new(place(home)).expect("a short path");
        connect(&socket, &address).expect("a broker listens");
        Wire::of(socket)
    }

    fn of(socket: OwnedFd) -> Wire {
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).expect("a socket");
        Wire(socket)
    }

    /// Sends a message.
    pub(super) fn say(&self, message: &Value) {
        self.send(&rmp_serde::to_vec_named(message).expect("it can be encoded"), &[]);
    }

    /// Sends a message with descriptors.
    pub(super) fn say_with(&self, message: &Value, descriptors: &[BorrowedFd<'_>]) {
        self.send(&rmp_serde::to_vec_named(message).expect("it can be encoded"), descriptors);
    }

    /// Sends bytes that need not be a message. The other end may be gone.
    pub(super) fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(beside.push(SendAncillaryMessage::ScmRights(descriptors)), "too many descriptors");
        }
        let _ = sendmsg(&self.0, &[IoSlice::new(bytes)], &mut beside, SendFlags::NOSIGNAL);
    }

    /// The next message and what came beside it; `None` at the end.
    pub(super) fn hear(&self) -> Option<(Value, Vec<OwnedFd>)> {
        let mut bytes = vec![0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let heard =
            recvmsg(&self.0, &mut [IoSliceMut::new(&mut bytes)], &mut beside, RecvFlags::CMSG_CLOEXEC);
        let heard = heard.ok().filter(|heard| heard.bytes > 0)?;
        assert!(
            !heard.flags.contains(ReturnFlags::TRUNC),
            "a message of more than {MESSAGE_BYTES_MAX} bytes"
        );
        let mut descriptors = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                descriptors.extend(rights);
            }
        }
        Some((rmp_serde::from_slice(&bytes[..heard.bytes]).expect("MessagePack"), descriptors))
    }

    /// The next message of this name, past others.
    pub(super) fn hear_of(&self, name: &str) -> Option<(Value, Vec<OwnedFd>)> {
        loop {
            let (message, descriptors) = self.hear()?;
            if name_of(&message) == name {
                return Some((message, descriptors));
            }
        }
    }
}

/// The old broker's end, before anybody has come.
pub(super) struct Listening(OwnedFd);

impl Listening {
    /// Listens where an old broker of this home would.
    pub(super) fn at(home: &Path) -> Listening {
        let socket = new_socket();
        bind(&socket, &SocketAddrUnix::new(place(home)).expect("a short path")).expect("nobody is there");
        listen(&socket, 8).expect("a socket");
        set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).expect("a socket");
        Listening(socket)
    }

    pub(super) fn accept(&self) -> Wire {
        Wire::of(accept(&self.0).expect("somebody comes in time"))
    }
}

/// What a message is called.
pub(super) fn name_of(message: &Value) -> &str {
    let tag = message.as_object().and_then(|map| map.keys().next());
    tag.map(String::as_str).or(message.as_str()).unwrap_or_default()
}

/// An anonymous file with this content.
pub(super) fn memory(content: &[u8]) -> OwnedFd {
    let file = memfd_create("played", MemfdFlags::CLOEXEC).expect("memory");
    rustix::io::write(&file, content).expect("memory");
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).expect("a file");
    file
}

/// All that an anonymous file holds.
pub(super) fn content(file: OwnedFd) -> Vec<u8> {
    let (mut file, mut content) = (File::from(file), Vec::new());
    file.rewind().expect("a file");
    file.read_to_end(&mut content).expect("a file");
    content
}

fn new_socket() -> OwnedFd {
    socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).expect("a socket")
}
