//! The client against servers that follow a script.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap that fails is a test that fails")]

mod broker;
mod connection;
mod script;
