//! What travels between an adb server and a phone: 24 bytes of header, then a payload. With the protocol's
//! version 0x01000001, sums of payloads are neither made nor looked at.

use std::io;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio_util::codec::Decoder;

/// The protocol's version.
pub(super) const VERSION: u32 = 0x0100_0001;

/// The largest payload, in bytes, in both directions.
pub(super) const PAYLOAD_BYTES_MAX: u32 = 1024 * 1024;

const HEADER_BYTES: usize = 24;

/// What a packet is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Connect,
    Authorize,
    Open,
    Okay,
    Write,
    Close,
}

/// One packet.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) command: Command,
    pub(super) first: u32,
    pub(super) second: u32,
    pub(super) payload: Bytes,
}

impl Command {
    const ALL: [(Command, [u8; 4]); 6] = [
        (Command::Connect, *b"CNXN"),
        (Command::Authorize, *b"AUTH"),
        (Command::Open, *b"OPEN"),
        (Command::Okay, *b"OKAY"),
        (Command::Write, *b"WRTE"),
        (Command::Close, *b"CLSE"),
    ];

    fn number(self) -> u32 {
        let letters =
            Command::ALL.iter().find(|(command, _)| *command == self).map_or([0; 4], |(_, letters)| *letters);
        u32::from_le_bytes(letters)
    }

    fn from_number(number: u32) -> Option<Command> {
        Command::ALL
            .iter()
            .find(|(_, letters)| u32::from_le_bytes(*letters) == number)
            .map(|(command, _)| *command)
    }
}

impl Packet {
    pub(super) fn new(command: Command, first: u32, second: u32, payload: impl Into<Bytes>) -> Packet {
        Packet { command, first, second, payload: payload.into() }
    }

    pub(super) fn header(&self) -> [u8; HEADER_BYTES] {
        let command = self.command.number();
        let mut header = [0; HEADER_BYTES];
        let mut rest = &mut header[..];
        rest.put_u32_le(command);
        rest.put_u32_le(self.first);
        rest.put_u32_le(self.second);
        rest.put_u32_le(self.payload.len() as u32);
        rest.put_u32_le(0);
        rest.put_u32_le(!command);
        header
    }
}

/// Cuts a stream into packets.
pub(super) struct Packets;

impl Decoder for Packets {
    type Item = Packet;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Packet>> {
        let Some(mut header) = buffer.get(..HEADER_BYTES) else { return Ok(None) };
        let number = header.get_u32_le();
        let (first, second, length) =
            (header.get_u32_le(), header.get_u32_le(), header.get_u32_le() as usize);
        header.advance(4);
        let command = Command::from_number(number).filter(|_| header.get_u32_le() == !number);
        let Some(command) = command.filter(|_| length <= PAYLOAD_BYTES_MAX as usize) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("no packet: {number:08x}, {length} bytes"),
            ));
        };
        if buffer.len() < HEADER_BYTES + length {
            buffer.reserve(HEADER_BYTES + length - buffer.len());
            return Ok(None);
        }
        buffer.advance(HEADER_BYTES);
        Ok(Some(Packet { command, first, second, payload: buffer.split_to(length).freeze() }))
    }
}
