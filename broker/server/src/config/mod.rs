//! What a lab tells its broker: files under `<home>/.ave/config`, read at start. Every fault says which
//! file, which field, what was wanted and what was found.

mod authkeys;
mod broker;
pub mod check;
pub mod equipment;
mod fault;
pub mod file;
pub mod host;
mod paths;
mod stacks;
mod user;
pub mod watch;
pub mod workspace;

pub use authkeys::AuthKeys;
pub use broker::{BrokerConfig, Policy, Remote};
pub use fault::{ConfigError, Fault, Severity};
pub use paths::{HomeError, Paths, put_new, replace};
pub use user::{USER_FILE, User, UserError};

/// Everything a broker is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its files are.
    pub paths: Paths,
    /// `broker.json`.
    pub broker: BrokerConfig,
    /// `authkeys.json`.
    pub keys: AuthKeys,
    /// What somebody should know although the broker starts.
    pub warnings: Vec<Fault>,
}

impl Config {
    /// Reads the files of one home.
    ///
    /// # Errors
    /// All faults, if one of them keeps a broker from starting.
    pub fn load(paths: &Paths) -> Result<Config, ConfigError> {
        let mut faults = Vec::new();
        let broker = BrokerConfig::load(&paths.broker_json(), &mut faults);
        let keys = AuthKeys::load(&paths.authkeys_json(), &mut faults);
        match (broker, keys) {
            (Some(broker), Some(keys)) => Ok(Config { paths: paths.clone(), broker, keys, warnings: faults }),
            _ => Err(ConfigError(faults)),
        }
    }
}
