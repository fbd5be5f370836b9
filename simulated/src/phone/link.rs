//! One connection of an adb server: the greeting, then any number of streams at once. A stream that the host
//! closes takes what it runs with it, and so does the link.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::select;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;

use super::Authorization;
use super::packet::{Command, PAYLOAD_BYTES_MAX, Packet, Packets, VERSION};
use super::services::{self, Then};
use super::state::State;
use super::stream::{Arrivals, Departures, Ids, Outbox};

/// How long what has been said may take to reach the host before the link is cut.
const FLUSH_MAX: Duration = Duration::from_secs(1);

const TOKEN: u32 = 1;
const TOKEN_BYTES: usize = 20;

type Reader = FramedRead<OwnedReadHalf, Packets>;

/// What the link keeps of a stream. Dropping it ends the stream.
struct Open {
    arrivals: UnboundedSender<Bytes>,
    taken: UnboundedSender<()>,
    _end: oneshot::Sender<()>,
}

/// Serves one host until it leaves, or until a service has an effect on the whole phone.
pub(super) async fn serve(socket: TcpStream, state: &State) -> io::Result<Then> {
    let _link = state.link();
    socket.set_nodelay(true)?;
    let (reader, mut writer) = socket.into_split();
    let (outbox, mut queue): (Outbox, UnboundedReceiver<Packet>) = unbounded_channel();
    let writing = async move {
        while let Some(packet) = queue.recv().await {
            writer.write_all(&packet.header()).await?;
            writer.write_all(&packet.payload).await?;
        }
        io::Result::Ok(())
    };
    let talking = async move {
        let mut reader = FramedRead::new(reader, Packets);
        greet(&mut reader, &outbox, state).await?;
        converse(&mut reader, &outbox, state).await
    };
    let (mut writing, mut talking) = (Box::pin(writing), Box::pin(talking));
    select! {
        written = &mut writing => written.map(|()| Then::Stay),
        then = &mut talking => {
            drop(talking);
            let _ = timeout(FLUSH_MAX, writing).await;
            then
        }
    }
}

/// Introduces the phone. A host may have to prove itself first; a phone that trusts nobody never answers.
async fn greet(reader: &mut Reader, outbox: &Outbox, state: &State) -> io::Result<()> {
    let mut authorized = state.authorization == Authorization::None;
    while let Some(packet) = reader.next().await.transpose()? {
        match packet.command {
            Command::Connect => {}
            Command::Authorize => authorized = state.authorization != Authorization::Refused,
            _ => continue,
        }
        let answer = if authorized {
            Packet::new(Command::Connect, VERSION, PAYLOAD_BYTES_MAX, state.banner())
        } else {
            Packet::new(Command::Authorize, TOKEN, 0, vec![0x5a; TOKEN_BYTES])
        };
        outbox.send(answer).map_err(|_| io::ErrorKind::BrokenPipe)?;
        if authorized {
            return Ok(());
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

async fn converse(reader: &mut Reader, outbox: &Outbox, state: &State) -> io::Result<Then> {
    let mut open = HashMap::<u32, Open>::new();
    let mut running = FuturesUnordered::new();
    let mut last = 0;
    let send = |command, ids: Ids| {
        let packet = Packet::new(command, ids.ours, ids.theirs, Bytes::new());
        outbox.send(packet).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    };
    loop {
        let packet = select! {
            packet = reader.next() => match packet.transpose()? {
                Some(packet) => packet,
                None => return Ok(Then::Stay),
            },
            Some((ids, then)) = running.next() => {
                let ids: Ids = ids;
                open.remove(&ids.ours);
                send(Command::Close, ids)?;
                if then == Then::Stay {
                    continue;
                }
                return Ok(then);
            }
        };
        match packet.command {
            Command::Open => {
                last += 1;
                let ids = Ids { ours: last, theirs: packet.first };
                let service = String::from_utf8_lossy(&packet.payload).trim_end_matches('\0').to_owned();
                if !services::known(&service, state) {
                    send(Command::Close, Ids { ours: 0, theirs: ids.theirs })?;
                    continue;
                }
                send(Command::Okay, ids)?;
                let (kept, ended, arrivals, departures) = stream(ids, outbox);
                open.insert(ids.ours, kept);
                running.push(async move {
                    let then = select! {
                        _ = ended => Then::Stay,
                        then = services::serve(&service, state, arrivals, departures) => then.unwrap_or(Then::Stay),
                    };
                    (ids, then)
                });
            }
            Command::Write => match open.get(&packet.second) {
                Some(stream) => drop(stream.arrivals.send(packet.payload)),
                None => send(Command::Close, Ids { ours: 0, theirs: packet.first })?,
            },
            Command::Okay => {
                if let Some(stream) = open.get(&packet.second) {
                    let _ = stream.taken.send(());
                }
            }
            Command::Close => drop(open.remove(&packet.second)),
            Command::Connect | Command::Authorize => {}
        }
    }
}

fn stream(ids: Ids, outbox: &Outbox) -> (Open, oneshot::Receiver<()>, Arrivals, Departures) {
    let (arrivals, packets) = unbounded_channel();
    let (taken_sender, taken) = unbounded_channel();
    let (end, ended) = oneshot::channel();
    let kept = Open { arrivals, taken: taken_sender, _end: end };
    let arrivals = Arrivals { ids, outbox: outbox.clone(), packets };
    (kept, ended, arrivals, Departures { ids, outbox: outbox.clone(), taken })
}
