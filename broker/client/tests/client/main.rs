//! The client against servers that follow a script.

mod broker;
mod connection;
mod script;
