//! The process group of a program that was started here, so that all of it ends with the program.

use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::process::Child;

/// A process group that dies with this value.
pub(crate) struct Group(Option<Pid>);

impl Group {
    /// The group of a child that was started as its leader and not waited for.
    pub(crate) fn of(child: &Child) -> Option<Group> {
        let pid = i32::try_from(child.id()?).ok()?;
        Some(Group(Pid::from_raw(pid)))
    }

    /// The group, if it has members although its leader was waited for.
    pub(crate) fn outlived(mut self) -> Option<Pid> {
        self.0.take().filter(|group| test_kill_process_group(*group).is_ok())
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The leader was not waited for, so the number is still its own; an empty group is fine.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
