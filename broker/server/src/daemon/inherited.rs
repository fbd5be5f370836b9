//! Descriptors that whoever started this process left open. The broker wants none of them, and its tools, which
//! would get them too, must not have them.

use std::os::fd::RawFd;
use std::{env, fs, process};

/// Standard input, output and error.
const STANDARD: RawFd = 3;

/// Closes every descriptor beyond the standard ones, except those that systemd passed. It comes before anything
/// is opened here: nobody owns any of them.
pub(crate) fn close_inherited() {
    let first = STANDARD + passed();
    let Ok(open) = fs::read_dir("/proc/self/fd") else { return };
    let numbers: Vec<RawFd> =
        open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    // The folder's own descriptor was among them, and is closed by now.
    for number in numbers.into_iter().filter(|number| *number >= first) {
        let _ = nix::unistd::close(number);
    }
}

/// How many descriptors after the standard ones are meant for this process: `LISTEN_FDS`.
fn passed() -> RawFd {
    let number = |name| env::var(name).ok()?.parse().ok();
    match (number("LISTEN_PID"), number("LISTEN_FDS")) {
        (Some(pid), Some(count)) if i64::from(process::id()) == i64::from(pid) => count,
        _ => 0,
    }
}
