//! How the program ends: a status for programs, a message for people.

use std::fmt::{self, Display};

use super::say;
use crate::config::{Fault, Severity};

/// The exit status (Specification 7.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// It is done.
    Success = 0,
    /// Unknown option, no such user, wrong configuration, or it could not be done.
    Failure = 1,
    /// Two actions at once, or root.
    Refused = 2,
    /// No action.
    NoAction = 3,
    /// The broker does not answer.
    NoAnswer = 4,
    /// The PID file is empty.
    EmptyPidFile = 5,
    /// The PID file is there and should not be, or the other way round.
    PidFile = 8,
}

impl ExitCode {
    /// The code of another `ave-broker` that ended with this status.
    pub(crate) fn of_status(status: Option<i32>) -> ExitCode {
        use ExitCode::{EmptyPidFile, Failure, NoAction, NoAnswer, PidFile, Refused, Success};
        let codes = [Success, Failure, Refused, NoAction, NoAnswer, EmptyPidFile, PidFile];
        codes.into_iter().find(|code| Some(*code as i32) == status).unwrap_or(Failure)
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Why an action failed: one message or several, and the status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: ExitCode,
    messages: Vec<String>,
}

impl Failure {
    pub(crate) fn new(code: ExitCode, message: impl Display) -> Failure {
        Failure { code, messages: vec![message.to_string()] }
    }

    /// A failure with [`ExitCode::Failure`].
    pub(crate) fn of(message: impl Display) -> Failure {
        Failure::new(ExitCode::Failure, message)
    }

    /// Several at once.
    pub(crate) fn all(code: ExitCode, messages: Vec<String>) -> Failure {
        Failure { code, messages }
    }

    /// What keeps a configuration from being used; what is only to be warned of does not.
    pub(crate) fn of_faults(faults: &[Fault]) -> Failure {
        let errors = faults.iter().filter(|fault| fault.severity == Severity::Error);
        Failure::all(ExitCode::Failure, errors.map(Fault::to_string).collect())
    }

    /// On stdout, as the original does.
    pub(crate) fn print(&self) {
        self.messages.iter().for_each(|message| say(format_args!("ERROR: {message}")));
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.messages.join("; "))
    }
}

/// What an action comes to.
pub(crate) type Outcome = Result<(), Failure>;
