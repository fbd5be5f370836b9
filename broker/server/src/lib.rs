//! The broker as a process: configuration, command line, connections and drivers around the core.

pub mod config;
pub mod drivers;
