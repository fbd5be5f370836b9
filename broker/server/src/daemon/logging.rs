//! What is logged, and that it can be changed while the broker runs.

use std::io::{self, IsTerminal};

use tracing::info;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, fmt, reload};

/// The longest filter: it has room for a level of each of this program's modules.
const FILTER_BYTES_MAX: usize = 4096;

/// Chooses what is logged. The one made by `default` belongs to no log.
#[derive(Clone, Debug, Default)]
pub struct LogFilter(Option<reload::Handle<EnvFilter, Registry>>);

/// Why a filter is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilterError {
    /// It cannot be read.
    #[error(
        "{filter:?} is no filter of logs: wanted LEVEL or TARGET=LEVEL, several with commas between them, found {found:?}. Levels: off, error, warn, info, debug, trace"
    )]
    Wrong {
        /// All of it.
        filter: String,
        /// What of it.
        found: String,
    },
    /// Nobody needs as much.
    #[error("a filter of logs has {FILTER_BYTES_MAX} bytes at most, found {found}")]
    TooLong {
        /// Its length.
        found: usize,
    },
    /// This process logs nothing.
    #[error("there is no log")]
    NoLog,
}

impl LogFilter {
    /// Logs what this filter lets through from now on: `info`, or `warn,ave_broker=debug`.
    ///
    /// # Errors
    /// If that is no filter, or there is no log. Nothing has changed then.
    pub(crate) fn change(&self, filter: &str) -> Result<(), FilterError> {
        let new = parse(filter)?;
        let log = self.0.as_ref().ok_or(FilterError::NoLog)?;
        log.reload(new).map_err(|_| FilterError::NoLog)?;
        info!(filter = self.shown(), "the log level has changed");
        Ok(())
    }

    /// What is let through now.
    pub(crate) fn shown(&self) -> String {
        let shown = self.0.as_ref().and_then(|log| log.with_current(EnvFilter::to_string).ok());
        shown.unwrap_or_else(|| LevelFilter::OFF.to_string())
    }
}

/// Logs to stderr. `AVE_LOG` chooses what (`info`, `ave_broker=debug`); by default everything a person on call
/// wants to see, or only faults where `logging` is off.
pub(crate) fn log_to_stderr(logging: bool) -> LogFilter {
    let level = if logging { LevelFilter::INFO } else { LevelFilter::ERROR };
    let filter =
        EnvFilter::builder().with_default_directive(level.into()).with_env_var("AVE_LOG").from_env_lossy();
    let (filter, handle) = reload::Layer::new(filter);
    let lines =
        fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal()).log_internal_errors(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    LogFilter(Some(handle))
}

/// A word that is no level would be taken for a target of which everything is logged: a slip of the finger would
/// silence the rest.
fn parse(filter: &str) -> Result<EnvFilter, FilterError> {
    let wrong = |found: &str| FilterError::Wrong { filter: filter.to_owned(), found: found.to_owned() };
    if filter.len() > FILTER_BYTES_MAX {
        return Err(FilterError::TooLong { found: filter.len() });
    }
    for directive in filter.split(',') {
        let level = directive.rsplit('=').next().unwrap_or_default();
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(wrong(directive));
        }
    }
    EnvFilter::try_new(filter).map_err(|_| wrong(filter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_names_levels() {
        for right in ["info", "off", "ave_broker=debug", "warn,ave_broker::hub=trace,hyper=off"] {
            assert!(parse(right).is_ok(), "{right}");
        }
        for (wrong, found) in
            [("", ""), ("debgu", "debgu"), ("info,", ""), ("ave_broker", "ave_broker"), ("info,x=y", "x=y")]
        {
            let message = parse(wrong).unwrap_err().to_string();
            assert!(
                message.starts_with(&format!("{wrong:?} is no filter of logs: wanted LEVEL")),
                "{message}"
            );
            assert!(message.contains(&format!("found {found:?}")), "{message}");
        }
    }

    #[test]
    fn a_filter_is_of_bounded_length() {
        let longest = "info,".repeat(FILTER_BYTES_MAX / 5) + &"x".repeat(FILTER_BYTES_MAX % 5);
        let message = parse(&(longest.clone() + "=info")).unwrap_err().to_string();
        let found = longest.len() + 5;
        assert_eq!(message, format!("a filter of logs has 4096 bytes at most, found {found}"));
        assert!(parse(&longest[..FILTER_BYTES_MAX / 5 * 5 - 1]).is_ok());
    }

    #[test]
    fn a_filter_can_be_changed_and_is_shown() {
        let (layer, handle) = reload::Layer::new(EnvFilter::new("info"));
        let _log = tracing_subscriber::registry().with(layer);
        let filter = LogFilter(Some(handle));
        assert_eq!(filter.shown(), "info");
        filter.change("warn,ave_broker=debug").unwrap();
        assert!(filter.shown().contains("ave_broker=debug"), "{}", filter.shown());
        assert!(filter.change("loud").is_err());
        assert!(filter.shown().contains("ave_broker=debug"));
        assert!(matches!(LogFilter::default().change("info"), Err(FilterError::NoLog)));
    }
}
