//! The client against scripted answers, hostile ones among them, and against the real adb server.

#![allow(clippy::unwrap_used, reason = "in a test an unwrap that fails is a test that fails")]

mod conversations;
mod fuzz;
mod hostile;
mod real_server;
mod script;
