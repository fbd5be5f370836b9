//! What a lab tells its broker: files under `<home>/.ave/config`, read at start. Every fault says which
//! file, which field, what was wanted and what was found.

pub mod adb_server;
mod authkeys;
mod broker;
pub mod check;
mod credentials;
pub mod defaults;
pub mod descriptors;
pub mod devantech;
pub mod equipment;
mod fault;
pub mod file;
pub mod flocker;
pub mod handset;
pub mod host;
pub mod jenkins;
mod paths;
pub mod relay;
mod stacks;
mod user;
pub mod watch;
pub mod workspace;

use adb_server::AdbServerConfig;
pub use authkeys::AuthKeys;
pub(crate) use broker::SILENCE_LIMIT_S_MAX;
pub use broker::{BrokerConfig, Policy, Remote, TimeLimits};
pub use descriptors::Types;
use devantech::DevantechConfig;
pub use fault::{ConfigError, Fault, Severity};
use handset::HandsetConfig;
use jenkins::JenkinsAccounts;
pub use paths::{HomeError, Paths, put_new, replace};
pub(crate) use paths::{remove_unnamed, unnamed};
pub use user::{USER_FILE, User, UserError};
use workspace::WorkspaceConfig;

/// Everything a broker is told at start.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where its files are.
    pub paths: Paths,
    /// `broker.json`.
    pub broker: BrokerConfig,
    /// `authkeys.json`.
    pub keys: AuthKeys,
    /// `workspace.json`; without one this broker lends no workspaces.
    pub workspace: Option<WorkspaceConfig>,
    /// The types of equipment: the built-in ones and those of `equipment.d`.
    pub types: Types,
    /// `adb_server.json`.
    pub adb_server: AdbServerConfig,
    /// `handset.json`.
    pub handset: HandsetConfig,
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
        let types = Types::load(paths);
        faults.extend(types.faults().cloned());
        let broker = BrokerConfig::load(&paths.broker_json(), types.kinds(), &mut faults);
        let keys = AuthKeys::load(&paths.authkeys_json(), &mut faults);
        let workspace = workspace(paths, &mut faults);
        let adb_server = adb_server(paths, &mut faults);
        let handset = handset(paths, &mut faults);
        faults.extend(DevantechConfig::faults(paths));
        match (broker, keys, workspace, adb_server) {
            (Some(broker), Some(keys), Some(workspace), Some(adb_server)) => {
                let (paths, warnings) = (paths.clone(), faults);
                Ok(Config { paths, broker, keys, workspace, adb_server, handset, types, warnings })
            }
            _ => Err(ConfigError(faults)),
        }
    }
}

/// The workspaces' configuration; `Some(None)` if there is no file, `None` if it is of no use.
fn workspace(paths: &Paths, faults: &mut Vec<Fault>) -> Option<Option<WorkspaceConfig>> {
    let path = paths.workspace_json();
    if !path.exists() {
        faults.push(Fault::warning(&path, "", "a file", "none: no workspaces are lent"));
        return Some(None);
    }
    let loaded = WorkspaceConfig::load(&path, paths.home()).map_err(|fault| faults.push(*fault)).ok();
    let accounts = JenkinsAccounts::load(&paths.jenkins_json(), faults);
    loaded.zip(accounts).map(|(loaded, accounts)| Some(loaded.with_jenkins_accounts(accounts)))
}

/// Where the adb server is; `None` if its file is of no use.
fn adb_server(paths: &Paths, faults: &mut Vec<Fault>) -> Option<AdbServerConfig> {
    AdbServerConfig::load(&paths.adb_server_json()).map_err(|fault| faults.push(*fault)).ok()
}

/// What is known of handsets.
fn handset(paths: &Paths, faults: &mut Vec<Fault>) -> HandsetConfig {
    let (config, fault) = HandsetConfig::load(&paths.handset_json());
    faults.extend(fault);
    config
}
