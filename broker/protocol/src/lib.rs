//! The bytes on the wire: frames, the handshake, messages, and how arguments meet parameters. Pure: no
//! sockets, no clock, no randomness. Every input is somebody else's and may be hostile.

pub mod arguments;
pub mod error;
pub mod frame;
pub mod handshake;
mod json;
pub mod limits;
pub mod message;
