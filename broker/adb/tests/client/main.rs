//! The client against scripted answers, hostile ones among them, and against the real adb server.

mod conversations;
mod fuzz;
mod hostile;
mod script;
