//! How `ave-adb-server` ends.

/// The exit status (Specification 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It is done.
    Success = 0,
    /// It could not become the configured user.
    NotTheUser = 1,
    /// It is still root, though root was to be given up.
    StillRoot = 2,
    /// What was asked for could not be done, or was not understood.
    Failure = 3,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}
