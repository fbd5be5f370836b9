//! `--log-level`: has the running broker log more, or less, from now on.

use ave_protocol::arguments::Arguments;

use super::ask::{ANSWER_LIMIT, Question};
use super::{Outcome, daemon};
use crate::config::Paths;
use crate::daemon::Daemon;

/// Has the broker of this home log what `filter` lets through.
pub(super) fn set(paths: &Paths, filter: &str, admin: Option<&str>) -> Outcome {
    let doing = "set the log level";
    daemon::running(&Daemon::broker(paths), doing)?;
    let arguments = Arguments::positional([filter]);
    Question { doing, call: "set_log_level", arguments, limit: ANSWER_LIMIT }.ask(paths, admin).map(drop)
}
