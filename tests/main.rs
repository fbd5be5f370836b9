//! The real binary over TCP: what clients, old and new, see of it. The numbers in names are those of the
//! checks in `docs/protocol.md`, section 10.

mod adb_server;
mod allocation;
mod attack;
mod bad_peers;
mod checklist;
mod collateral;
mod command_line;
mod endings;
mod envelope;
mod exhaustion;
mod faults;
mod forwarding;
mod handover;
mod handsets;
mod hostile;
mod hostile_peers;
mod loops;
mod mending;
mod original_peers;
mod overload;
mod plugins;
mod relays;
mod restart;
mod rights;
mod sessions;
mod shared_lending;
mod shared_workspaces;
mod sharing;
mod stacks;
mod supervision;
mod support;
mod transport;
mod types;
mod workspaces;
mod yielding;
