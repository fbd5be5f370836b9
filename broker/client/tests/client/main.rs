//! The client against servers that follow a script.

#![allow(clippy::unwrap_used)]

mod broker;
mod connection;
mod script;
