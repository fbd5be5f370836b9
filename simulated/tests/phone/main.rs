//! Simulated phones with the real adb server and the stock client.

mod bench;
mod desk;
mod faults;
mod files;
mod programs;
mod shell;
