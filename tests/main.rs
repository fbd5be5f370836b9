//! The real binary over TCP: what clients, old and new, see of it. The numbers in names are those of the
//! checks in `docs/protocol.md`, section 10.

mod command_line;
mod support;
